# SPDX-License-Identifier: Apache-2.0
"""The agent's RPC endpoint: passes requests to the agent's loop, and awaits its answer."""

import logging
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import oslo_messaging as messaging

from migprog.compute.measuring import MeasureAllRequest, MeasureRequest
from migprog.concurrency import Inbox
from migprog.core import measurement
from migprog.core.actions import Action, Target
from migprog.core.agent_answer import Answer
from migprog.core.fields import shown
from migprog.core.wire_table import Malformed
from migprog.rpc import compute

LOG = logging.getLogger(__name__)
_ACTIONS_DISABLED = "actions are disabled on this host: set [compute] allow_actions = true there"


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A request for an action, and who asked: what of it is not known is None."""

    action: Action
    target: Target
    user_id: str | None
    project_id: str | None
    request_id: str | None
    answer: "Future[Answer]" = field(default_factory=Future)

    @property
    def who(self) -> str:
        """Who asked, for the log."""
        return _who(self.user_id, self.request_id)


class Endpoint:
    """RPC endpoint. Any number of threads may call it at once; unknown arguments are ignored.

    ``allow_actions``: whether actions are permitted; an agent may listen for others alone.
    """

    target = messaging.Target(version=compute.VERSION)

    def __init__(self, inbox: Inbox, allow_actions: bool = True) -> None:
        self._inbox = inbox
        self._allow_actions = allow_actions

    def abort(self, ctxt: Any, migration: Any = None, **_later: Any) -> dict[str, Any]:
        """Abort a migration; answers with an ``Answer``."""
        return self._ask(Action.ABORT, ctxt, migration)

    def force_complete(self, ctxt: Any, migration: Any = None, **_later: Any) -> dict[str, Any]:
        """Force a migration to complete; answers with an ``Answer``."""
        return self._ask(Action.FORCE_COMPLETE, ctxt, migration)

    def measure(self, ctxt: Any, server: Any = None, **_later: Any) -> dict[str, Any]:
        """Measure a server; answers with an ``Answer``."""
        user_id, _project_id, request_id = _asking(ctxt)
        who = _who(user_id, request_id)
        try:
            target = measurement.Target.from_wire(server)
        except Malformed as error:
            LOG.warning(
                "measuring for %s is refused: invalid server: %r; check the API's migprog version",
                *(who, str(error)),
            )
            return Answer(f"server: {error}").to_wire()
        return self._put(MeasureRequest(target, who)).to_wire()

    def measure_all(self, ctxt: Any, **_later: Any) -> dict[str, Any]:
        """Measure each server that runs here; answers with an ``Answer``."""
        user_id, _project_id, request_id = _asking(ctxt)
        return self._put(MeasureAllRequest(_who(user_id, request_id))).to_wire()

    def _ask(self, action: Action, ctxt: Any, migration: Any) -> dict[str, Any]:
        user_id, project_id, request_id = _asking(ctxt)
        if not self._allow_actions:
            LOG.warning(
                "%s for %s is refused: %s",
                *(action, _who(user_id, request_id), _ACTIONS_DISABLED),
            )
            return Answer(_ACTIONS_DISABLED).to_wire()
        try:
            target = Target.from_wire(migration)
        except Malformed as error:
            LOG.warning(
                "%s for %s is refused: invalid migration: %r; check the API's migprog version",
                *(action, _who(user_id, request_id), str(error)),
            )
            return Answer(f"migration: {error}").to_wire()
        request = Request(action, target, user_id, project_id, request_id)
        return self._put(request).to_wire()

    def _put(self, request: Request | MeasureRequest | MeasureAllRequest) -> Answer:
        """Pass a request to the agent's loop, and return its answer."""
        self._inbox.put(request)
        try:
            return request.answer.result(compute.ANSWER_SECONDS)
        except TimeoutError:
            # libvirt is slow. The log, or what is reported later, will have the result.
            return Answer()


def _asking(ctxt: Any) -> tuple[str | None, str | None, str | None]:
    """Return the ids of the user, the project and the request."""
    return tuple(  # type: ignore[return-value]
        getattr(ctxt, name, None) or None for name in ("user_id", "project_id", "request_id")
    )


def _who(user_id: str | None, request_id: str | None) -> str:
    return f"user {shown(user_id or '-')}, request {shown(request_id or '-')}"
