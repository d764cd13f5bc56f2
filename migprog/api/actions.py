# SPDX-License-Identifier: Apache-2.0
"""What may be done to a migration, as the API asks for it; whoever wires the API says how."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn, Protocol

from migprog import exception, objects
from migprog.context import RequestContext, without_token
from migprog.core.actions import Action, Target
from migprog.rpc import compute

LOG = logging.getLogger(__name__)


class Actions(Protocol):
    """Asks the agent that has a migration, and returns when that has been asked: not done.

    Called for a migration that was in the right state when it was read. May raise
    :class:`exception.ActionsDisabled`, :class:`exception.Refused` and
    :class:`exception.AgentUnavailable`.
    """

    def ask(self, ctxt: RequestContext, action: Action, migration: objects.Migration) -> None: ...


class Disabled:
    """Where nothing may be done."""

    def ask(self, ctxt: RequestContext, action: Action, migration: objects.Migration) -> NoReturn:
        raise exception.ActionsDisabled(_NOT_HERE)


class ByAgents:
    """Asks agents by remote calls, those alone that take part and were heard of lately."""

    def __init__(
        self,
        store: objects.Store,
        agents: compute.ComputeAPI,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._agents = agents
        self._clock = clock

    def ask(self, ctxt: RequestContext, action: Action, migration: objects.Migration) -> None:
        host = migration.source_compute
        agent = objects.Agent.get(self._store, host) if host else None
        if host is None or agent is None or agent.is_silent(self._clock()):
            raise exception.AgentUnavailable(_SILENT)
        if not agent.actions_enabled:
            raise exception.ActionsDisabled(_NOT_THERE)
        target = Target(uuid=migration.uuid, server_uuid=migration.server_uuid)
        try:
            answer = self._agents.ask(without_token(ctxt), host, action, target)
        except compute.Unanswered as error:
            LOG.warning("%s of migration %s: %r: %s", action, migration.uuid, host, error)
            raise exception.AgentUnavailable(_NO_ANSWER) from error
        if answer.refused is not None:
            raise refused(answer.refused)


def refused(why: str) -> exception.Refused:
    """The error of what cannot be done to a migration."""
    return exception.Refused(f"It cannot be done: {why}.")


# No host is named: not everybody may see it.
_NOT_HERE = (
    "Steering is not enabled: this service watches migrations and does nothing to them, unless "
    "[api] allow_actions is on. Nova itself can do it."
)
_NOT_THERE = (
    "Steering is not enabled on the source's host: its agent watches migrations and does nothing "
    "to them, unless [compute] allow_actions is on and the message broker lets it take requests. "
    "Nova itself can do it."
)
_SILENT = "The agent of the source's host is not heard of; nothing has been asked of it."
_NO_ANSWER = "The agent of the source's host does not answer. It may yet do it: look again."
