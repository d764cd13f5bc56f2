# SPDX-License-Identifier: Apache-2.0
"""Errors that end a command, each with a sentence for people."""


class ClientError(Exception):
    """Something that a command cannot do."""


class ApiUnavailable(ClientError):
    """The API gave no answer, or one that says nothing of the request: try again. ``code``: one of
    the API's error codes, None if there is none."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class ApiRefused(ClientError):
    """The API answered with an error of the request. ``code``: one of the API's error codes, None
    if the answer was not the API's; ``status``: the HTTP status."""

    def __init__(self, message: str, status: int, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class NotFound(ClientError):
    """There is no such server, migration or host."""
