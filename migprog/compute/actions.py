# SPDX-License-Identifier: Apache-2.0
"""Handle operators' requests: decide at once, act in libvirt's own time, and log either way.

Every log line names who asked, for audits.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from migprog.compute.endpoint import Request
from migprog.compute.libvirt.events import ActionResult
from migprog.core import actions
from migprog.core.actions import Action, Answer, Refusal
from migprog.core.monitor import Monitor
from migprog.metrics import agent as metrics

LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _UnderWay:
    request: Request
    monitor: Monitor
    since: float
    hangs: bool = False


class Actions:
    """One action at a time on each server. Called by the agent's loop alone.

    ``act`` (see :meth:`Host.act`) starts it and delivers an :class:`ActionResult` later.
    ``is_busy`` returns whether steering acts on a server: nothing else is done meanwhile.
    """

    def __init__(
        self,
        act: Callable[[Action, str, float], None],
        is_busy: Callable[[str], bool] = lambda server_uuid: False,
    ) -> None:
        self._act = act
        self._is_busy = is_busy
        self._under_way: dict[str, _UnderWay] = {}

    def take(self, request: Request, monitor: Monitor | None, now: float) -> None:
        """Handle a request; ``monitor`` is that of its server, if that migrates."""
        server_uuid = request.target.server_uuid
        refused = self._refusal(request, monitor)
        if refused is not None or monitor is None:
            self._refuse(request, refused or Refusal.NOT_ON_HOST)
            return
        self._log("is begun", request)
        self._under_way[server_uuid] = _UnderWay(request, monitor, now)
        if request.action is Action.FORCE_COMPLETE:
            monitor.forced = True
        self._act(request.action, server_uuid, monitor.seen_clock)

    def _refusal(self, request: Request, monitor: Monitor | None) -> Refusal | None:
        if monitor is None or monitor.uuid != request.target.uuid:
            return Refusal.NOT_ON_HOST
        if monitor.saved is not None:
            return Refusal.AGENT_STARTING
        if self.is_under_way(monitor.server_uuid) or self._is_busy(monitor.server_uuid):
            return Refusal.BUSY
        return actions.refusal(request.action, *monitor.state)

    def is_under_way(self, server_uuid: str) -> bool:
        """Return whether an action on a server has no result yet."""
        return server_uuid in self._under_way

    def done(self, acted: ActionResult) -> None:
        """Handle the result of an action."""
        under_way = self._under_way.pop(acted.server_uuid)
        request = under_way.request
        if request.action is Action.FORCE_COMPLETE:
            under_way.monitor.forced = acted.paused
        if acted.how is not None:
            self._log(f"is done: {acted.how}", request)
            metrics.acted(request.action, "done")
            request.answer.set_result(Answer())
        elif acted.refused is not None:
            self._refuse(request, acted.refused)
        else:
            self._log(f"has failed: {acted.error}", request, logging.ERROR)
            metrics.acted(request.action, "failed")
            request.answer.set_result(Answer.of(Refusal.LIBVIRT_FAILED))

    def look(self, now: float, timeout_seconds: float) -> None:
        """Log actions that libvirt has not answered for ``timeout_seconds``. Until it does, no
        other action is taken on that server."""
        for each in self._under_way.values():
            if not each.hangs and now - each.since > timeout_seconds:
                each.hangs = True
                self._log(
                    "hangs: libvirt does not answer; no other action on the server until it does; "
                    "check libvirt and QEMU",
                    each.request,
                    logging.WARNING,
                )

    def next_look_at(self, timeout_seconds: float) -> float | None:
        """When an action may be logged as hanging; None while none can."""
        waiting = (each.since for each in self._under_way.values() if not each.hangs)
        return min((since + timeout_seconds for since in waiting), default=None)

    def _refuse(self, request: Request, why: Refusal) -> None:
        self._log(f"is refused: {why.message}", request, logging.WARNING)
        metrics.acted(request.action, "refused")
        request.answer.set_result(Answer.of(why))

    def _log(self, what: str, request: Request, level: int = logging.INFO) -> None:
        LOG.log(
            level,
            "server %s: %s of migration %s, for %s, %s",
            *(request.target.server_uuid, request.action, request.target.uuid, request.who, what),
        )
