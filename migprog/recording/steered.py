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
from migprog.core.steering.advice import Action, Advice
from migprog.core.steering.decide import LEVEL_STARTS, decide
from migprog.core.steering.foretell import foretell
from migprog.core.steering.history import History
from migprog.core.steering.nova_schedule import NovaOptions
from migprog.core.steering.policies import Policy
from migprog.core.steering.requirements import Requirements
from migprog.core.steering.situation import Capabilities, Situation
from migprog.recording.format import Recording
from migprog.recording.ground_truth import GroundTruth
from migprog.recording.replay import replay


@dataclass(frozen=True, slots=True)
class Steered:
    """What was decided on a recording; ``size_bytes`` is that of its memory and copied disks.

    ``can_slow_further_until`` is when auto-converge was last seen to go on.
    """

    name: str
    advice: tuple[Advice, ...]
    size_bytes: int | None
    can_slow_further_until: float | None
    iteration_starts: tuple[float, ...]


class _Watch:
    """Decides at each sample, as the agent would."""

    def __init__(self, policy: Policy, capabilities: Capabilities) -> None:
        self._policy, self._capabilities = policy, capabilities
        self._history = History()
        self.advice: list[Advice] = []
        self.size_bytes: int | None = None
        self.slowed_at: float | None = None
        self.starts: list[float] = []

    def __call__(self, monitor: Monitor, now: float) -> None:
        situation = monitor.situation(now, self._capabilities)
        if situation is None:
            return
        self._note(situation)
        if isinstance(self._policy, NovaOptions):
            self._history, found = foretell(self._policy, situation, self._history)
        else:
            self._history, decided = decide(self._policy, situation, self._history)
            found = decided if isinstance(decided, Advice) else None
        if found is not None:
            self.advice.append(found)

    def _note(self, situation: Situation) -> None:
        self.size_bytes = situation.size_bytes or self.size_bytes
        if situation.can_slow_further and situation.verdict is Verdict.NOT_CONVERGING:
            self.slowed_at = situation.at
        new = [at for at, _ in situation.starts if not self.starts or at > self.starts[-1]]
        self.starts += new


def steered(
    recording: Recording,
    policy: Policy,
    rules: schedule.Rules,
    capabilities: Capabilities = Capabilities(),  # noqa: B008
) -> Steered:
    """Return what ``policy`` would have advised on a recording."""
    watch = _Watch(policy, capabilities)
    replay(recording, rules, watch=watch)
    return Steered(
        recording.name,
        tuple(watch.advice),
        watch.size_bytes,
        watch.slowed_at,
        tuple(watch.starts),
    )


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
    before_help = [a for a in ours if not facts.interventions or a.at < facts.interventions[0]]
    deadline = None
    if isinstance(policy, Requirements):
        deadline = policy.deadline_after_seconds(done.size_bytes)
    in_time = facts.completed_by_itself and (deadline is None or facts.end <= deadline)
    wrong = facts.completed_by_itself
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
        needless=len(before_help) if in_time else 0,
        missed=missed,
        wrong_aborts=sum(a.action is Action.ABORT for a in ours) if wrong else 0,
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
    enough = math.inf if len(level) < LEVEL_STARTS else level[-1] + 1.0
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
