# SPDX-License-Identifier: Apache-2.0
"""Errors that cross a layer. Each says what is wrong in words for an operator."""


class MigprogError(Exception):
    """Base of all of ours."""


class NotFound(MigprogError):
    """What was asked for is not in the store."""


class ActionsDisabled(MigprogError):
    """What was asked for is possible, and nobody switched it on; the text says how."""


class Refused(MigprogError):
    """What was asked for cannot be done as things are; the text says why."""


class AgentUnavailable(MigprogError):
    """Something takes an agent that does not answer; the text says what may be done yet."""


class AnotherAgent(MigprogError):
    """Another agent does what this one is to do; the text names both."""


class ConfigError(MigprogError):
    """An option is impossible; the text starts with its name, as ``[group] option``."""


class BadRequest(MigprogError):
    """A request cannot be served as it is: ``field`` breaks ``rule``."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class NotTogether(BadRequest):
    """A list by ``field`` and ``other``, which no index serves together, would look through a whole
    table."""

    RULE = "only together with server_uuid, in_progress=true or a status or verdict in progress"

    def __init__(self, field: str, other: str) -> None:
        super().__init__(field, f"may be combined with {other} {self.RULE}")
        self.other = other
