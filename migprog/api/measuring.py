# SPDX-License-Identifier: Apache-2.0
"""Measuring servers, as the API requests it of agents."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn, Protocol

from migprog import exception, objects
from migprog.api import agent_requests
from migprog.context import RequestContext, without_token
from migprog.core.agent_answer import Answer
from migprog.core.measurement import Failure, Target
from migprog.rpc import compute


class Measuring(Protocol):
    """Has a host's agent measure one of its servers; it returns when that has begun, or waits.

    May raise :class:`exception.MeasuringDisabled`, :class:`exception.NotMeasurable` and
    :class:`exception.AgentUnavailable`.
    """

    def ask(self, ctxt: RequestContext, host: str, server_uuid: str) -> None: ...

    def ask_all(self, ctxt: RequestContext, host: str) -> None:
        """Have it measure each server that runs there; this returns at once."""


class Disabled:
    """Measures nothing."""

    def ask(self, ctxt: RequestContext, host: str, server_uuid: str) -> NoReturn:
        raise exception.MeasuringDisabled(_DISABLED)

    def ask_all(self, ctxt: RequestContext, host: str) -> NoReturn:
        raise exception.MeasuringDisabled(_DISABLED)


class ByAgents:
    """Requests measurements by remote calls to agents that accept them and are not silent."""

    def __init__(
        self,
        store: objects.Store,
        agents: compute.ComputeAPI,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._agents = agents
        self._clock = clock

    def ask(self, ctxt: RequestContext, host: str, server_uuid: str) -> None:
        target = Target(server_uuid=server_uuid)
        self._ask(
            host,
            lambda: self._agents.measure(without_token(ctxt), host, target),
            f"a measurement of server {server_uuid}",
        )

    def ask_all(self, ctxt: RequestContext, host: str) -> None:
        self._ask(
            host,
            lambda: self._agents.measure_all(without_token(ctxt), host),
            "measurements of all servers",
        )

    def _ask(self, host: str, call: Callable[[], Answer], what: str) -> None:
        _, agent = agent_requests.find(self._store, host, self._clock(), _SILENT)
        if not agent.measurements_enabled:
            raise exception.AgentMeasuringDisabled(_AGENT_DISABLED)
        answer = agent_requests.ask(call, what, host, _TIMEOUT)
        if answer.refused is not None:
            raise exception.NotMeasurable(cannot(answer.refused), answer.reason)


def cannot(why: str) -> str:
    """Return the sentence for a server that is not measured."""
    return f"Cannot measure the server: {why}."


def failed(why: Failure) -> exception.NotMeasurable:
    """Return the error for a measurement that failed after it was requested."""
    return exception.NotMeasurable(cannot(why.message), why)


# Without names of hosts, which not every user may see.
_DISABLED = (
    "Measuring is disabled: set [api] allow_measurements = true, and [compute] allow_measurements "
    "= true on the hypervisors."
)
_AGENT_DISABLED = (
    "Measuring is disabled on the server's host: set [compute] allow_measurements = true there, "
    "and permit its agent to receive requests from the message broker."
)
_SILENT = (
    "The agent of the server's host sends no heartbeats, or its loop hangs; the server is not "
    "measured."
)
_TIMEOUT = "Timed out waiting for the agent; the server may still be measured."
