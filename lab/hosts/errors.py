# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with a lab, as opposed to what goes wrong with a migration in it."""


class LabError(RuntimeError):
    """The lab cannot do what was asked; the message tells a person what to change."""
