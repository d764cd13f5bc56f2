# SPDX-License-Identifier: Apache-2.0
"""Whether a policy acted when it must, and only then. Pure: courses in, figures out.

A guest's course without a policy shows what would have become of it. The rules:

* A migration that ends by itself well within the policy's deadline needs no action: each one is
  needless. So is each one of a policy that only advises.
* An abort is wrong where the migration ends by itself within the deadline.
* A migration that would not have ended must end under a policy: completed, or given up.
* The agent's record has each action that libvirt saw.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from lab.steering.course import Course, Ending

# How long a migration takes differs by some percent each time, and so does a forecast: one that
# ends nearer its deadline may be acted on.
_NEAR_DEADLINE = 0.8


@dataclass(frozen=True, slots=True)
class Pair:
    """The same guest, untuned and under a policy.

    ``deadline_seconds``: the policy's, since the begin; infinite without one.
    ``recorded_actions``: of the policy's run, how many the agent's record has; None: it has no such
    list.
    """

    guest: str
    policy: str
    untuned: Course
    steered: Course
    deadline_seconds: float
    enforces: bool = True
    recorded_actions: int | None = None

    @property
    def ends_in_time(self) -> bool:
        """Whether it needs no policy."""
        untuned = self.untuned
        limit_seconds = _NEAR_DEADLINE * self.deadline_seconds
        return untuned.is_completed and untuned.total_seconds <= limit_seconds

    @property
    def needless_actions(self) -> int:
        is_needless = self.ends_in_time or not self.enforces
        return len(self.steered.actions) if is_needless else 0

    @property
    def is_wrong_abort(self) -> bool:
        was_aborted = self.steered.ending is Ending.ABORTED
        untuned = self.untuned
        return (
            was_aborted and untuned.is_completed and untuned.total_seconds <= self.deadline_seconds
        )

    @property
    def is_hopeless(self) -> bool:
        """Whether it would not have ended by itself."""
        return self.untuned.ending is Ending.BOUND

    @property
    def is_given_up(self) -> bool:
        return self.is_hopeless and self.steered.ending is Ending.ABORTED

    @property
    def is_saved(self) -> bool:
        """Whether the policy completed a hopeless one."""
        return self.is_hopeless and self.steered.is_completed

    @property
    def is_left(self) -> bool:
        """Whether the policy let a hopeless one go on."""
        return self.enforces and self.steered.ending is Ending.BOUND

    @property
    def is_unrecorded(self) -> bool:
        """Whether libvirt saw more actions than the record has."""
        recorded = self.recorded_actions
        return recorded is not None and recorded < len(self.steered.actions)

    @property
    def is_broken(self) -> bool:
        return Ending.FAILED in (self.untuned.ending, self.steered.ending)

    @property
    def is_comparable(self) -> bool:
        """Whether a step of the policy's changed how long it took."""
        both = self.untuned.is_completed and self.steered.is_completed
        return both and bool(self.steered.actions) and self.after_first_iteration_ratio is not None

    @property
    def after_first_iteration_ratio(self) -> float | None:
        whole = self.untuned.after_first_iteration_seconds
        return self.steered.after_first_iteration_seconds / whole if whole else None

    @property
    def downtime_ratio(self) -> float | None:
        if not self.untuned.downtime_seconds or self.steered.downtime_seconds is None:
            return None
        return self.steered.downtime_seconds / self.untuned.downtime_seconds


def figures(pairs: Sequence[Pair]) -> dict[str, object]:
    """Return the figures of some pairs. The ratios are medians over those that completed untuned,
    and under the policy after an action; None where there are none."""
    compared = [pair for pair in pairs if pair.is_comparable]
    return {
        "runs": len(pairs),
        "needless_actions": sum(pair.needless_actions for pair in pairs),
        "wrong_aborts": sum(pair.is_wrong_abort for pair in pairs),
        "after_first_iteration_ratio": _median([p.after_first_iteration_ratio for p in compared]),
        "downtime_ratio": _median([pair.downtime_ratio for pair in compared]),
        "compared": len(compared),
        "hopeless": sum(pair.is_hopeless and pair.enforces for pair in pairs),
        "hopeless_completed": sum(pair.is_saved for pair in pairs),
        "hopeless_given_up": sum(pair.is_given_up for pair in pairs),
        "hopeless_left": sum(pair.is_left for pair in pairs),
        "unrecorded_actions": sum(pair.is_unrecorded for pair in pairs),
        "failed": sum(pair.is_broken for pair in pairs),
    }


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.median(known), 3) if known else None


def faults(pair: Pair) -> list[str]:
    """Return what is wrong about a pair, in words."""
    name = f"{pair.guest} under {pair.policy}"
    found = []
    if pair.needless_actions:
        found.append(
            f"{name}: {pair.needless_actions} needless actions; untuned it {pair.untuned.text()}"
        )
    if pair.is_wrong_abort:
        found.append(f"{name}: aborted; untuned it {pair.untuned.text()}")
    if pair.is_left:
        found.append(f"{name}: neither completed nor given up")
    if pair.is_unrecorded:
        seen = ", ".join(action.text() for action in pair.steered.actions)
        found.append(f"{name}: the record has {pair.recorded_actions} of these actions: {seen}")
    if pair.is_broken:
        found.append(f"{name}: failed: {pair.steered.error or pair.untuned.error}")
    return found
