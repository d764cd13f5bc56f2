# SPDX-License-Identifier: Apache-2.0
"""Actions on migrations, as the API requests them."""

import functools
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn, Protocol

from migprog import exception, objects
from migprog.api import agent_requests
from migprog.context import RequestContext, without_token
from migprog.core import notices
from migprog.core.actions import Action, Target
from migprog.core.agent_answer import Reason
from migprog.notifications import Notify
from migprog.rpc import compute


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
        host, agent = agent_requests.find(
            self._store, migration.source_compute, self._clock(), _SILENT
        )
        if not agent.actions_enabled:
            raise exception.AgentActionsDisabled(_AGENT_DISABLED)
        target = Target(uuid=migration.uuid, server_uuid=migration.server_uuid)
        answer = agent_requests.ask(
            lambda: self._agents.ask(without_token(ctxt), host, action, target),
            f"{action} of migration {migration.uuid}",
            host,
            _TIMEOUT,
        )
        if answer.refused is not None:
            raise conflict(action, answer.refused, answer.reason)


class Notifying:
    """Notifies others of what ``actions`` has requested."""

    def __init__(self, actions: Actions, notify: Notify) -> None:
        self._actions = actions
        self._notify = notify

    def ask(self, ctxt: RequestContext, action: Action, migration: objects.Migration) -> None:
        self._actions.ask(ctxt, action, migration)
        get = functools.partial(getattr, migration)
        who = {name: getattr(ctxt, name) for name in ("user_id", "project_id", "request_id")}
        self._notify([notices.requested(get, action, time.time(), who)])


def conflict(action: Action, why: str, reason: Reason | None) -> exception.Conflict:
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
_SILENT = (
    "The agent of the source host sends no heartbeats, or its loop hangs; the action was not "
    "requested."
)
_TIMEOUT = "Timed out waiting for the agent; the action may still be carried out."
