# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with a lab, as opposed to what goes wrong with a migration in it."""


class LabError(RuntimeError):
    """The lab cannot carry out a request; the message says what to change."""
