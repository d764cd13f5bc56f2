# SPDX-License-Identifier: Apache-2.0
"""Steer the migrations that the agent watches: decide at each reading, and act where enforced.

The agent's loop alone calls this. It knows monitors and nothing of reports, the broker or the disk:
see the import contract "steering-by-samples-alone".
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from migprog.compute.libvirt.steering_actions import SteeringResult
from migprog.core.monitor import Monitor
from migprog.core.steering import history as history_
from migprog.core.steering.advice import Action, Advice, State
from migprog.core.steering.decide import decide
from migprog.core.steering.foretell import foretell
from migprog.core.steering.history import History
from migprog.core.steering.nova_schedule import NovaOptions
from migprog.core.steering.policies import Mode, Policies
from migprog.core.steering.requirements import Requirements
from migprog.core.steering.situation import Capabilities, Situation

LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _Steered:
    """One migration. ``acts_since``: when an action that libvirt has not answered was begun."""

    monitor: Monitor
    history: History = field(default_factory=History)
    acts_since: float | None = None
    hangs: bool = False


class Steering:
    """Decides about each migration by the policy of its server.

    ``act`` (see :func:`steering_actions.steer`) starts an action and delivers a
    :class:`SteeringResult` later; it is called in the mode ``enforce`` alone. ``is_busy`` returns
    whether an operator's action on a server is in progress: nothing is done meanwhile.
    """

    def __init__(
        self,
        mode: Mode,
        policies: Policies,
        act: Callable[[Advice, str, float], None],
        is_busy: Callable[[str], bool] = lambda server_uuid: False,
    ) -> None:
        self._mode, self._policies = mode, policies
        self._act, self._is_busy = act, is_busy
        self._steered: dict[str, _Steered] = {}

    def look(
        self,
        monitor: Monitor,
        project_id: str | None,
        now: float,
        capabilities: Capabilities = Capabilities(),  # noqa: B008
    ) -> Advice | None:
        """Decide about a migration that was just assessed; return what is new, if anything."""
        if self._mode is Mode.OFF:
            return None
        steered = self._of(monitor)
        if steered.acts_since is not None or self._is_busy(monitor.server_uuid):
            return None
        situation = monitor.situation(now, capabilities)
        _, policy = self._policies.of(monitor.server_uuid, project_id)
        if situation is None or policy is None:
            return None
        steered.history, found = _decide(policy, situation, steered.history)
        if found is None:
            return None
        if self._mode is Mode.ENFORCE and found.is_ours:
            self._begin(steered, found, now)
        else:
            self._log(monitor, f"advises {found.action}: {found.message}")
        return found

    def advice(self, monitor: Monitor) -> tuple[Advice, ...]:
        """Return what was decided about a migration, the newest last."""
        steered = self._steered.get(monitor.server_uuid)
        if steered is None or steered.monitor is not monitor:
            return ()
        return steered.history.advice

    def done(self, result: SteeringResult) -> None:
        """Record the result of an action."""
        steered = self._steered.get(result.server_uuid)
        if steered is None or steered.acts_since is None:
            return
        steered.acts_since, steered.hangs = None, False
        action = steered.history.advice[-1].action
        if action is Action.PAUSE:
            steered.monitor.forced = result.paused
        state = State.DONE if result.error is None else State.FAILED
        steered.history = history_.settle(steered.history, state)
        if result.error is None:
            self._log(steered.monitor, f"has carried out {action}")
        else:
            text = f"could not carry out {action}: {result.error}; it is not tried again"
            self._log(steered.monitor, text, logging.ERROR)

    def look_for_hangs(self, now: float, timeout_seconds: float) -> None:
        """Log actions that libvirt has not answered for ``timeout_seconds``."""
        for each in self._steered.values():
            since = each.acts_since
            if since is not None and not each.hangs and now - since > timeout_seconds:
                each.hangs = True
                text = "has no answer from libvirt to its action; it does nothing more until then"
                self._log(each.monitor, text, logging.WARNING)

    def forget(self, server_uuid: str) -> None:
        """Forget a migration that is over."""
        self._steered.pop(server_uuid, None)

    def _of(self, monitor: Monitor) -> _Steered:
        steered = self._steered.get(monitor.server_uuid)
        if steered is None or steered.monitor is not monitor:
            steered = self._steered[monitor.server_uuid] = _Steered(monitor)
        return steered

    def _begin(self, steered: _Steered, advice: Advice, now: float) -> None:
        monitor = steered.monitor
        if advice.action is Action.STOP_ASSERTING:
            steered.history = history_.settle(steered.history, State.DONE)
            self._log(monitor, f"stops: {advice.message}", logging.WARNING)
            return
        self._log(monitor, f"begins {advice.action}: {advice.message}")
        steered.acts_since = now
        if advice.action is Action.PAUSE:
            # Others must not learn from its pause.
            monitor.forced = True
        self._act(advice, monitor.server_uuid, monitor.seen_clock)

    @staticmethod
    def _log(monitor: Monitor, what: str, level: int = logging.INFO) -> None:
        LOG.log(level, "server %s: steering %s", monitor.server_uuid, what)


def _decide(
    policy: Requirements | NovaOptions, situation: Situation, history: History
) -> tuple[History, Advice | None]:
    if isinstance(policy, NovaOptions):
        return foretell(policy, situation, history)
    history, found = decide(policy, situation, history)
    return history, found if isinstance(found, Advice) else None
