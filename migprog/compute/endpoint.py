# SPDX-License-Identifier: Apache-2.0
"""The agent's RPC endpoint: passes requests to the agent's loop, and awaits its answer."""

import logging
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import oslo_messaging as messaging

from migprog.concurrency import Inbox
from migprog.core.actions import Action, Answer, Target
from migprog.core.fields import shown
from migprog.core.wire_table import Malformed
from migprog.rpc import compute

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A request for an action. ``who``: the user and the request, for the log."""

    action: Action
    target: Target
    who: str
    answer: "Future[Answer]" = field(default_factory=Future)


class Endpoint:
    """RPC endpoint. Any number of threads may call it at once; unknown arguments are ignored."""

    target = messaging.Target(version=compute.VERSION)

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def abort(self, ctxt: Any, migration: Any = None, **_later: Any) -> dict[str, Any]:
        """Abort a migration; answers with an ``Answer``."""
        return self._ask(Action.ABORT, ctxt, migration)

    def force_complete(self, ctxt: Any, migration: Any = None, **_later: Any) -> dict[str, Any]:
        """Force a migration to complete; answers with an ``Answer``."""
        return self._ask(Action.FORCE_COMPLETE, ctxt, migration)

    def _ask(self, action: Action, ctxt: Any, migration: Any) -> dict[str, Any]:
        who = _who(ctxt)
        try:
            target = Target.from_wire(migration)
        except Malformed as error:
            LOG.warning(
                "%s for %s is refused: invalid migration: %r; check the API's migprog version",
                *(action, who, str(error)),
            )
            return Answer(f"migration: {error}").to_wire()
        request = Request(action, target, who)
        self._inbox.put(request)
        try:
            answer = request.answer.result(compute.ANSWER_SECONDS)
        except TimeoutError:
            # libvirt is slow. The log will have the result.
            answer = Answer()
        return answer.to_wire()


def _who(ctxt: Any) -> str:
    user, request = (getattr(ctxt, name, None) or "-" for name in ("user_id", "request_id"))
    return f"user {shown(user)}, request {shown(request)}"
