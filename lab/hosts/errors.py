# SPDX-License-Identifier: Apache-2.0
"""Errors of a lab itself, as opposed to errors of a migration in it."""


class LabError(RuntimeError):
    """The lab cannot carry out a request; the message says what to change."""
