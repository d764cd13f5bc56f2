# SPDX-License-Identifier: Apache-2.0
"""Actions on migrations, as the API requests them."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn, Protocol

from migprog import exception, objects
from migprog.context import RequestContext, without_token
from migprog.core.actions import Action, Refusal, Target
from migprog.rpc import compute

LOG = logging.getLogger(__name__)


class Actions(Protocol):
    """Requests an action from the migration's agent; it returns when it is requested, not done.

    Call it for a migration in a suitable state. May raise
    :class:`exception.ActionsDisabled`, :class:`exception.Conflict` and
    :class:`exception.AgentUnavailable`.
    """

    def ask(self, ctxt: RequestContext, action: Action, migration: objects.Migration) -> None: ...


class Disabled:
    """Refuses all actions."""

    def ask(self, ctxt: RequestContext, action: Action, migration: objects.Migration) -> NoReturn:
        raise exception.ActionsDisabled(_DISABLED)


class ByAgents:
    """Requests actions by remote calls to agents that enable actions and are not silent."""

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
            raise exception.AgentActionsDisabled(_AGENT_DISABLED)
        target = Target(uuid=migration.uuid, server_uuid=migration.server_uuid)
        try:
            answer = self._agents.ask(without_token(ctxt), host, action, target)
        except compute.Unanswered as error:
            LOG.warning(
                "failed to request %s of migration %s from the agent of %r: %s; the client gets "
                "503, the agent may still act; check that agent and the broker",
                *(action, migration.uuid, host, error),
            )
            raise exception.AgentTimeout(_TIMEOUT) from error
        if answer.refused is not None:
            raise conflict(action, answer.refused, answer.reason)


def conflict(action: Action, why: str, reason: Refusal | None) -> exception.Conflict:
    """Return the error for an action that the migration's present state does not permit."""
    return exception.Conflict(f"Cannot {_VERBS[action]}: {why}.", reason)


_VERBS = {
    Action.ABORT: "abort the migration",
    Action.FORCE_COMPLETE: "force the migration to complete",
}
# Without names of hosts, which not every user may see.
_DISABLED = (
    "Actions are disabled: set [api] allow_actions = true, and [compute] allow_actions = true on "
    "the hypervisors. Nova's own API can abort the migration and force it to complete."
)
_AGENT_DISABLED = (
    "Actions are disabled on the source host: set [compute] allow_actions = true there, and permit "
    "its agent to receive requests from the message broker. Nova's own API can abort the migration "
    "and force it to complete."
)
_SILENT = "The agent of the source host sends no heartbeats; the action was not requested."
_TIMEOUT = "Timed out waiting for the agent; the action may still be carried out."
