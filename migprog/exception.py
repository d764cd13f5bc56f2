# SPDX-License-Identifier: Apache-2.0
"""Errors that cross a layer. Each has a text for the operator."""


class MigprogError(Exception):
    """Base class of migprog's errors."""


class NotFound(MigprogError):
    """The database has no such resource, or not in the request's project."""


class ServerNotFound(NotFound):
    """No migration of the server is recorded."""


class MigrationNotFound(NotFound):
    """The server has no such migration."""


class HostNotFound(NotFound):
    """No agent of the host is known."""

    def __init__(self, host: str) -> None:
        super().__init__(f"no agent of host {host[:64]!r} is known")


class TooManyServers(MigprogError):
    """A host has more servers than a plan can have; the text says how many."""


class ActionsDisabled(MigprogError):
    """Actions are disabled on the API; the text says how to enable them."""


class AgentActionsDisabled(ActionsDisabled):
    """Actions are disabled on the source host; the text says how to enable them."""


class MeasuringDisabled(MigprogError):
    """Measuring is disabled on the API; the text says how to enable it."""


class AgentMeasuringDisabled(MeasuringDisabled):
    """Measuring is disabled on the server's host; the text says how to enable it."""


class NotMeasurable(MigprogError):
    """A server cannot be measured, or was not; the text says why.

    ``reason``: one of :class:`migprog.core.measurement.Failure`, None where it is not known.
    """

    def __init__(self, text: str, reason: str | None = None) -> None:
        super().__init__(text)
        self.reason = reason


class NotMeasured(MigprogError):
    """Nothing was measured of a server; the text says why, if that is known."""


class Conflict(MigprogError):
    """An action is not possible in the migration's present state; the text says why.

    ``reason``: one of :class:`migprog.core.actions.Refusal`, None where it is not known.
    """

    def __init__(self, text: str, reason: str | None = None) -> None:
        super().__init__(text)
        self.reason = reason


class AgentUnavailable(MigprogError):
    """The agent that an action needs sends no heartbeats: the action was not requested."""


class AgentTimeout(AgentUnavailable):
    """The agent did not answer in time: the action may still be carried out."""


class AnotherAgent(MigprogError):
    """Another agent does this one's work; the text names both."""


class LoopFailed(MigprogError):
    """A loop without which the process does not do its work has ended by an unexpected error."""


class ConfigError(MigprogError):
    """An option has an invalid value; the text starts with its name, as ``[group] option``."""


class BadRequest(MigprogError):
    """A request is invalid: ``field`` breaks ``rule``."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class BadBody(BadRequest):
    """The body of a request breaks ``rule``."""

    def __init__(self, rule: str) -> None:
        super().__init__("body", rule)


class NotTogether(BadRequest):
    """A list filtered by both ``field`` and ``other`` would scan a whole table, as no index serves
    them together."""

    RULE = "only together with server_uuid, in_progress=true or a status or verdict in progress"

    def __init__(self, field: str, other: str) -> None:
        super().__init__(field, f"may be combined with {other} {self.RULE}")
        self.other = other
