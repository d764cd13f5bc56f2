# SPDX-License-Identifier: Apache-2.0
"""Steer the migrations that the agent watches: decide at each reading, and act where enforced.

The agent's loop alone calls this. It knows monitors and nothing of reports, the broker or the disk:
see the import contract "steering-by-samples-alone". Whatever fails in here ends the steering of
one migration, and nothing else.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from migprog.compute.actions_in_progress import ActionsInProgress
from migprog.compute.libvirt.steering_actions import SteeringResult
from migprog.core.monitor import Monitor
from migprog.core.status import Status
from migprog.core.steering import history as history_
from migprog.core.steering.advice import Advice, State, SteeringAction
from migprog.core.steering.decide import decide, is_idle, noted
from migprog.core.steering.history import History
from migprog.core.steering.nova_next import foretell
from migprog.core.steering.nova_schedule import NovaOptions
from migprog.core.steering.policies import Mode, Policies
from migprog.core.steering.requirements import Requirements
from migprog.core.steering.situation import Capabilities, Situation
from migprog.metrics import agent as metrics

LOG = logging.getLogger(__name__)
# A reading may have begun so long before its time: its limits are those before an action.
_READING_SECONDS = 0.2
# The status that shows an action's effect, maybe before libvirt's answer.
_EFFECTS = {SteeringAction.ABORT: Status.CANCELLED, SteeringAction.POST_COPY: Status.POST_COPY}


@dataclass(slots=True)
class _Steered:
    """One migration. ``mode``: the one that its history is of. ``acted_at``: when libvirt answered
    the latest action. ``knows_limit``: its downtime limit was read once. ``is_disabled``: steering
    has failed."""

    monitor: Monitor
    mode: Mode
    history: History = field(default_factory=History)
    acted_at: float = -math.inf
    knows_limit: bool = False
    is_disabled: bool = False


@dataclass(slots=True)
class _UnderWay:
    """An action that libvirt has not answered. ``is_seen``: the migration shows its effect."""

    steered: _Steered
    advice: Advice
    is_seen: bool = False


class Steering:
    """Decides about each migration by the policy of its server.

    ``act`` (see :meth:`Host.steer`) starts an action and delivers a :class:`SteeringResult` later;
    it is called in the mode ``enforce`` alone. On a server that is among ``in_progress`` nothing is
    decided. Migrations that began before ``since``, when the agent was started, are advised about
    alone: what an earlier agent did is not known.
    """

    def __init__(
        self,
        mode: Mode,
        policies: Policies,
        act: Callable[[Advice, str, float], None],
        in_progress: ActionsInProgress,
        since: float = -math.inf,
    ) -> None:
        self._mode, self._policies = mode, policies
        self._act, self._in_progress = act, in_progress
        self._since = since
        self._steered: dict[str, _Steered] = {}
        self._under_way: dict[str, _UnderWay] = {}

    def use(self, mode: Mode, policies: Policies) -> None:
        """Decide by another mode and other policies from now on."""
        self._mode, self._policies = mode, policies
        for each in self._steered.values():
            if each.mode is not mode:
                each.mode = mode
                each.history = history_.mode_changed(each.history, mode is Mode.ENFORCE)

    def look(
        self,
        monitor: Monitor,
        project_id: str | None,
        now: float,
        capabilities: Capabilities = Capabilities(),  # noqa: B008
    ) -> Advice | None:
        """Decide about a migration that was just assessed; return what is new, if anything.

        Never raises: what fails is logged, and the migration is not steered any more.
        """
        if self._mode is Mode.OFF:
            return None
        steered = self._of(monitor)
        if steered.is_disabled:
            return None
        try:
            return self._look(steered, project_id, now, capabilities)
        except Exception:
            steered.is_disabled = True
            LOG.exception(
                "server %s: migration %s: steering failed; it does nothing more about this "
                "migration, and monitoring continues; report this traceback as a bug",
                *(monitor.server_uuid, monitor.uuid),
            )
            return None

    def done(self, result: SteeringResult) -> None:
        """Record the result of an action."""
        under_way = self._under_way.pop(result.server_uuid, None)
        if under_way is None:
            return
        self._in_progress.end(result.server_uuid)
        steered, action = under_way.steered, under_way.advice.action
        steered.acted_at = result.at
        if action is SteeringAction.PAUSE:
            steered.monitor.forced = result.paused
        if action is SteeringAction.ABORT:
            steered.monitor.abort_answered(accepted=result.error is None)
        if not under_way.is_seen:
            self._settle(steered, action, result.error)

    def forget(self, monitor: Monitor) -> None:
        """Forget a migration that is over."""
        steered = self._steered.get(monitor.server_uuid)
        if steered is not None and steered.monitor is monitor:
            del self._steered[monitor.server_uuid]

    def _of(self, monitor: Monitor) -> _Steered:
        steered = self._steered.get(monitor.server_uuid)
        if steered is None or steered.monitor is not monitor:
            steered = self._steered[monitor.server_uuid] = _Steered(monitor, self._mode)
            monitor.advice = ()
        return steered

    def _look(
        self, steered: _Steered, project_id: str | None, now: float, capabilities: Capabilities
    ) -> Advice | None:
        monitor = steered.monitor
        under_way = self._under_way.get(monitor.server_uuid)
        if under_way is not None:
            self._look_for_effect(under_way, monitor)
            return None
        if monitor.server_uuid in self._in_progress:
            return None
        if monitor.seen_clock < steered.acted_at + _READING_SECONDS:
            return None
        _, policy = self._policies.of(monitor.server_uuid, project_id)
        if policy is None:
            return None
        found = self._look_by(policy, steered, now, capabilities)
        if found is None:
            return None
        why_not = self._why_not(steered, found)
        if why_not is None:
            self._begin(steered, found, now)
        else:
            metrics.advised(found.action, State.ADVISED)
            self._log(monitor, f"advises {found.action}: {found.message}{why_not}")
        return found

    def _look_by(
        self,
        policy: Requirements | NovaOptions,
        steered: _Steered,
        now: float,
        capabilities: Capabilities,
    ) -> Advice | None:
        """Return what a policy decides now, if anything; remember what was seen."""
        monitor = steered.monitor
        glimpse = monitor.glimpse(now, capabilities)
        if glimpse is None:
            return None
        if steered.knows_limit and not glimpse.downtime_limit_is_known:
            # It is not read for a moment, as when a job ends.
            return None
        steered.knows_limit = glimpse.downtime_limit_is_known
        if isinstance(policy, Requirements) and is_idle(glimpse, steered.history):
            # Most samples are within an iteration.
            self._keep(steered, noted(steered.history, glimpse))
            return None
        situation = monitor.situation(now, capabilities)
        if situation is None:
            return None
        history, found = _decide(policy, situation, steered.history)
        self._keep(steered, history)
        return found

    def _why_not(self, steered: _Steered, advice: Advice) -> str | None:
        """Return why a decision is not carried out, for the log; None if it is."""
        if self._mode is not Mode.ENFORCE or not advice.is_ours:
            return ""
        if steered.monitor.started_clock < self._since:
            return "; not done: the migration began before this agent was started"
        if not steered.knows_limit:
            return "; not done: libvirt does not show the downtime limit in force"
        return None

    def _begin(self, steered: _Steered, advice: Advice, now: float) -> None:
        monitor = steered.monitor
        if advice.action is SteeringAction.STOP_ASSERTING:
            metrics.advised(advice.action, State.DONE)
            self._keep(steered, history_.settle(steered.history, State.DONE))
            self._log(monitor, f"stops: {advice.message}", logging.WARNING)
            return
        self._log(monitor, f"begins {advice.action}: {advice.message}")
        if advice.action is SteeringAction.PAUSE:
            # Others must not learn from its pause.
            monitor.forced = True
        if advice.action is SteeringAction.ABORT:
            monitor.abort_asked()
        self._under_way[monitor.server_uuid] = _UnderWay(steered, advice)
        self._in_progress.begin(monitor.server_uuid, now, lambda: self._log_hang(monitor))
        try:
            self._act(advice, monitor.server_uuid, monitor.seen_clock)
        except Exception as error:
            # Such as a thread that cannot be started.
            self.done(SteeringResult(server_uuid=monitor.server_uuid, at=now, error=repr(error)))

    def _look_for_effect(self, under_way: _UnderWay, monitor: Monitor) -> None:
        """Record an action as done whose effect is seen before libvirt's answer to it."""
        action = under_way.advice.action
        is_same = under_way.steered.monitor is monitor
        if is_same and not under_way.is_seen and monitor.state[0] is _EFFECTS.get(action):
            under_way.is_seen = True
            self._settle(under_way.steered, action, None)

    def _settle(self, steered: _Steered, action: SteeringAction, error: str | None) -> None:
        state = State.DONE if error is None else State.FAILED
        metrics.advised(action, state)
        history = history_.settle(steered.history, state)
        if steered.mode is not Mode.ENFORCE:
            # Another mode was chosen while libvirt carried it out.
            history = history._replace(downtime_limit_seconds=None)
        self._keep(steered, history)
        if error is None:
            self._log(steered.monitor, f"has carried out {action}")
        else:
            follows = "it is not tried again"
            if action in history_.REPEATED:
                follows = f"it is tried {history_.MOST_FAILURES} times in all"
            text = f"could not carry out {action}: {error}; {follows}; check libvirt and QEMU"
            self._log(steered.monitor, text, logging.ERROR)

    @staticmethod
    def _keep(steered: _Steered, history: History) -> None:
        steered.history = history
        steered.monitor.advice = history.advice

    def _log_hang(self, monitor: Monitor) -> None:
        text = (
            "has no answer from libvirt to its action; it does nothing more before that answer; "
            "check libvirt and QEMU"
        )
        self._log(monitor, text, logging.WARNING)

    @staticmethod
    def _log(monitor: Monitor, what: str, level: int = logging.INFO) -> None:
        text = "server %s: migration %s: steering %s"
        LOG.log(level, text, monitor.server_uuid, monitor.uuid, what)


def _decide(
    policy: Requirements | NovaOptions, situation: Situation, history: History
) -> tuple[History, Advice | None]:
    if isinstance(policy, NovaOptions):
        return foretell(policy, situation, history)
    history, found = decide(policy, situation, history)
    return history, found if isinstance(found, Advice) else None
