# SPDX-License-Identifier: Apache-2.0
"""What a policy would have done about recorded migrations, and whether that was right.

A recording shows what happened without steering, so nothing that is decided here takes effect:
it is what steering advises.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from migprog.core import schedule
from migprog.core.forecast.verdict import Verdict
from migprog.core.monitor import Monitor
from migprog.core.status import Status
from migprog.core.steering import hindsight
from migprog.core.steering.advice import Advice, SteeringAction
from migprog.core.steering.choices import LEVEL_STARTS
from migprog.core.steering.decide import decide
from migprog.core.steering.history import History
from migprog.core.steering.nova_next import foretell
from migprog.core.steering.nova_schedule import NovaOptions
from migprog.core.steering.policies import Policy
from migprog.core.steering.requirements import Requirements
from migprog.core.steering.situation import Capabilities, Situation
from migprog.recording.format import Recording
from migprog.recording.ground_truth import GroundTruth
from migprog.recording.replay import replay


@dataclass(frozen=True, slots=True)
class Steered:
    """What was decided on a recording.

    ``can_slow_further_until`` is when auto-converge was last seen to go on.
    """

    name: str
    advice: tuple[Advice, ...]
    can_slow_further_until: float | None
    iteration_starts: tuple[float, ...]


class _Watch:
    """Decides at each sample, as the agent would."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._history = History()
        self._advice: list[Advice] = []
        self._slowed_at: float | None = None
        self._starts: list[float] = []

    def see(self, now: Situation) -> None:
        if now.can_slow_further and now.verdict is Verdict.NOT_CONVERGING:
            self._slowed_at = now.at
        latest = self._starts[-1] if self._starts else -math.inf
        self._starts += [at for at, _ in now.starts if at > latest]
        if isinstance(self._policy, NovaOptions):
            self._history, found = foretell(self._policy, now, self._history)
        else:
            self._history, decided = decide(self._policy, now, self._history)
            found = decided if isinstance(decided, Advice) else None
        if found is not None:
            self._advice.append(found)

    def result(self, name: str) -> Steered:
        return Steered(name, tuple(self._advice), self._slowed_at, tuple(self._starts))


def steered(
    recording: Recording,
    policy: Policy,
    rules: schedule.Rules,
    capabilities: Capabilities = Capabilities(),  # noqa: B008
) -> Steered:
    """Return what ``policy`` would have advised on a recording."""
    return steered_by([policy], recording, rules, capabilities)[0]


def steered_by(
    policies: Sequence[Policy],
    recording: Recording,
    rules: schedule.Rules,
    capabilities: Capabilities = Capabilities(),  # noqa: B008
) -> list[Steered]:
    """Return what each of ``policies`` would have advised on a recording."""
    watches = [_Watch(policy) for policy in policies]

    def watch(monitor: Monitor, now: float) -> None:
        situation = monitor.situation(now, capabilities)
        for each in watches:
            if situation is not None:
                each.see(situation)

    replay(recording, rules, watch=watch)
    return [each.result(recording.name) for each in watches]


@dataclass(frozen=True, slots=True)
class SteeringScore:
    """How right the decisions on one recording were.

    ``needless``: actions on a migration that ended by itself in time. ``missed``: 1 if it stayed on
    a plateau for longer than the patience, and nothing was decided within it. ``wrong_aborts``:
    aborts of one that completed by itself.
    """

    name: str
    needless: int
    missed: int
    wrong_aborts: int
    acted_after_seconds: float | None
    advice: tuple[Advice, ...]


def score(done: Steered, policy: Policy, facts: GroundTruth) -> SteeringScore:
    """Compare decisions with what really happened."""
    ours = [each for each in done.advice if each.is_ours]
    needless = wrong_aborts = 0
    if facts.completed_by_itself:
        end = hindsight.End(Status.COMPLETED, facts.end)
        scored = hindsight.look_back([each.to_fields() for each in ours], end)
        needless = sum(each.score is hindsight.Score.NEEDLESS for each in scored)
        wrong_aborts = sum(each.action is SteeringAction.ABORT for each in ours)
    after, missed = None, 0
    if facts.plateau is not None and isinstance(policy, Requirements):
        start = facts.plateau.start
        latest = _latest(done, policy, start)
        # What began before is known to last; the truth's plateau is its last part only.
        first = next((a.at for a in ours), None)
        after = None if first is None else max(0.0, first - start)
        missed = int(facts.plateau.until > latest and (first is None or first > latest))
    return SteeringScore(
        name=done.name,
        needless=needless,
        missed=missed,
        wrong_aborts=wrong_aborts,
        acted_after_seconds=after,
        advice=done.advice,
    )


def _latest(done: Steered, policy: Requirements, start: float) -> float:
    """Return until when something must be decided about a plateau.

    That is its patience, twice that while auto-converge slows the guest further and further. Giving
    up takes so many iterations, however long they are.
    """
    patience_seconds = policy.patience_seconds * (1 if done.can_slow_further_until is None else 2)
    level = [at for at in done.iteration_starts if at >= start - 1.0][:LEVEL_STARTS]
    enough = math.inf if 0 < len(level) < LEVEL_STARTS else max(level, default=0.0) + 1.0
    return max(start + patience_seconds, enough)


def totals(scores: Sequence[SteeringScore]) -> dict[str, Any]:
    """Return the sums over recordings."""
    return {
        "recordings": len(scores),
        "needless": sum(each.needless for each in scores),
        "missed": sum(each.missed for each in scores),
        "wrong_aborts": sum(each.wrong_aborts for each in scores),
        "advised": sum(len(each.advice) for each in scores),
    }
