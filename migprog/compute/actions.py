# SPDX-License-Identifier: Apache-2.0
"""Handle operators' requests: decide at once, act in libvirt's own time, and log either way.

Every log line names who asked, for audits.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from migprog.compute.actions_in_progress import ActionsInProgress
from migprog.compute.endpoint import Request
from migprog.compute.libvirt.loop_messages import ActionResult
from migprog.core import actions, operator_actions
from migprog.core.actions import Action, Refusal
from migprog.core.agent_answer import Answer
from migprog.core.monitor import Monitor
from migprog.metrics import agent as metrics

LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _UnderWay:
    request: Request
    monitor: Monitor
    after_seconds: float

    def show(self, state: str) -> None:
        """Show it in the migration's record."""
        request = self.request
        self.monitor.acted(
            {
                "after_seconds": round(self.after_seconds, 3),
                "action": request.action.value,
                "state": state,
                "user_id": request.user_id,
                "project_id": request.project_id,
                "request_id": request.request_id,
            }
        )


class Actions:
    """Called by the agent's loop alone.

    ``act`` (see :meth:`Host.act`) starts an action and delivers an :class:`ActionResult` later. On
    a server that is among ``in_progress`` none is started.
    """

    def __init__(
        self, act: Callable[[Action, str, float], None], in_progress: ActionsInProgress
    ) -> None:
        self._act = act
        self._in_progress = in_progress
        self._under_way: dict[str, _UnderWay] = {}

    def take(self, request: Request, monitor: Monitor | None, now: float) -> None:
        """Handle a request; ``monitor`` is that of its server, if that migrates."""
        server_uuid = request.target.server_uuid
        refused = self._refusal(request, monitor)
        if refused is not None or monitor is None:
            self._refuse(request, refused or Refusal.NOT_ON_HOST)
            return
        self._log("is begun", request)
        age_seconds = max(0.0, now - monitor.started_clock)
        under_way = self._under_way[server_uuid] = _UnderWay(request, monitor, age_seconds)
        under_way.show(operator_actions.BEGUN)
        self._in_progress.begin(server_uuid, now, lambda: self._log_hang(request))
        if request.action is Action.FORCE_COMPLETE:
            monitor.forced = True
        else:
            monitor.abort_asked()
        try:
            self._act(request.action, server_uuid, monitor.seen_clock)
        except Exception as error:
            # Such as a thread that cannot be started.
            self.done(ActionResult(server_uuid=server_uuid, at=now, error=repr(error)))

    def _refusal(self, request: Request, monitor: Monitor | None) -> Refusal | None:
        if monitor is None or monitor.uuid != request.target.uuid:
            return Refusal.NOT_ON_HOST
        if monitor.checkpoint is not None:
            return Refusal.AGENT_STARTING
        if monitor.server_uuid in self._in_progress:
            return Refusal.BUSY
        return actions.refusal(request.action, *monitor.state)

    def done(self, acted: ActionResult) -> None:
        """Handle the result of an action."""
        under_way = self._under_way.pop(acted.server_uuid)
        self._in_progress.end(acted.server_uuid)
        request = under_way.request
        under_way.show(operator_actions.FAILED if acted.how is None else operator_actions.DONE)
        if request.action is Action.FORCE_COMPLETE:
            under_way.monitor.forced = acted.paused
        else:
            under_way.monitor.abort_answered(accepted=acted.how is not None)
        if acted.how is not None:
            self._log(f"is done: {acted.how}", request)
            metrics.acted(request.action, "done")
            request.answer.set_result(Answer())
        elif acted.refused is not None:
            self._refuse(request, acted.refused)
        else:
            self._log(
                f"has failed: {acted.error}; the migration may continue; check libvirt and QEMU",
                request,
                logging.ERROR,
            )
            metrics.acted(request.action, "failed")
            request.answer.set_result(Answer.of(Refusal.LIBVIRT_FAILED))

    def _refuse(self, request: Request, why: Refusal) -> None:
        self._log(f"is refused: {why.message}", request, logging.WARNING)
        metrics.acted(request.action, "refused")
        request.answer.set_result(Answer.of(why))

    def _log_hang(self, request: Request) -> None:
        self._log(
            "hangs: libvirt does not answer; no other action on the server until it does; "
            "check libvirt and QEMU",
            request,
            logging.WARNING,
        )

    def _log(self, what: str, request: Request, level: int = logging.INFO) -> None:
        LOG.log(
            level,
            "server %s: %s of migration %s, for %s, %s",
            *(request.target.server_uuid, request.action, request.target.uuid, request.who, what),
        )
