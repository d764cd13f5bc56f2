# SPDX-License-Identifier: Apache-2.0
"""Migrations of guests whose course is known, and what each policy must make of them."""

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.steering import guests, judge
from lab.steering.course import Ending
from lab.steering.judge import Pair
from lab.steering.nova_schedule import NovaSchedule
from lab.steering.policies import GENTLE, PATIENCE_SECONDS, POST_COPY
from lab.steering.run import Runner
from lab.steering.table import course, pair_figures

_AFTER_FIRST_RATIO_MAX = 0.55
_DOWNTIME_RATIO_MAX = 1.35
# A verdict needs some iterations first, and an action some seconds.
_VERDICT_SECONDS = 25.0
# From 140 ms by 36 ms every 2 s: its second step comes while the guest is on its way.
NOVA_SCHEDULE = NovaSchedule(delay_scale=2 / 150)


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of one: ``wrong`` are lines for people, empty where all is right."""

    name: str
    wrong: tuple[str, ...]
    figures: dict[str, Any]


def kubevirt(runner: Runner, times: int) -> Proof:
    """A guest as KubeVirt's takes at most 55 % of the time after its first iteration, for at most
    35 % more downtime: medians."""
    pairs = runner.try_by_turns(guests.KUBEVIRT, GENTLE, times)
    after_ratio = _ratio_of_medians(pairs, "after_first_iteration_seconds")
    downtime_ratio = _ratio_of_medians(pairs, "downtime_seconds")
    wrong = [f"{p.guest}: not completed" for p in pairs if not _both_completed(p)]
    if after_ratio is None or after_ratio > _AFTER_FIRST_RATIO_MAX:
        wrong.append(f"after the first iteration {after_ratio}, over {_AFTER_FIRST_RATIO_MAX}")
    if downtime_ratio is None or downtime_ratio > _DOWNTIME_RATIO_MAX:
        wrong.append(f"downtime {downtime_ratio}, over {_DOWNTIME_RATIO_MAX}")
    found = {
        "after_first_iteration_ratio": after_ratio,
        "downtime_ratio": downtime_ratio,
        "total_ratio": _ratio_of_medians(pairs, "total_seconds"),
        "runs": [{"untuned": course(p.untuned), "steered": pair_figures(p)} for p in pairs],
    }
    return Proof("kubevirt", tuple(wrong), found)


def needs_downtime(runner: Runner) -> Proof:
    """A guest that needs a higher downtime limit completes under ``gentle``."""
    seen, _record = runner.try_once(guests.NEEDS_DOWNTIME, GENTLE)
    wrong = [] if seen.is_completed else [seen.text()]
    if not any(action.word == "downtime_ms" for action in seen.actions):
        wrong.append("the downtime limit was not raised")
    return Proof("needs downtime", tuple(wrong), course(seen))


def hopeless(runner: Runner) -> Proof:
    """A hopeless guest is given up within its patience, and completes by post-copy."""
    wrong = []
    given_up, _record = runner.try_once(guests.HOPELESS, GENTLE)
    limit_seconds = guests.HOPELESS.first_iteration_seconds + _VERDICT_SECONDS + PATIENCE_SECONDS
    if given_up.ending is not Ending.ABORTED or given_up.total_seconds > limit_seconds:
        wrong.append(f"under gentle it {given_up.text()}; within {limit_seconds:.0f} s is expected")
    completed, _record = runner.try_once(guests.HOPELESS, POST_COPY)
    if not completed.is_completed or completed.actions[-1].word != "post-copy":
        wrong.append(f"under post-copy it {completed.text()}")
    figures = {"gentle": course(given_up), "post-copy": course(completed)}
    return Proof("hopeless", tuple(wrong), figures)


def converging(runner: Runner, times: int, rng: random.Random) -> Proof:
    """Guests that converge by themselves see no action under any policy."""
    tried = list(runner.try_all([guests.converging(rng) for _ in range(times)]))
    pairs = [pair for each in tried for pair in each.pairs]
    wrong = [fault for pair in pairs for fault in judge.faults(pair)]
    wrong += [f"{p.guest}: untuned it {p.untuned.text()}" for p in pairs if not p.ends_in_time]
    return Proof("converging", tuple(wrong), judge.figures(pairs))


def nova(runner: Runner) -> Proof:
    """A guest that needs a higher downtime limit completes though Nova's steps lower it again."""
    seen, record = runner.try_once(guests.NEEDS_DOWNTIME, GENTLE, NOVA_SCHEDULE)
    wrong = [] if seen.is_completed else [seen.text()]
    return Proof("nova", tuple(wrong), {**course(seen), "advice": record.get("advice")})


def _both_completed(pair: Pair) -> bool:
    return pair.untuned.is_completed and pair.steered.is_completed


def _ratio_of_medians(pairs: Sequence[Pair], field: str) -> float | None:
    """Return the median under the policy over the median without."""
    known = [pair for pair in pairs if _both_completed(pair)]
    if not known:
        return None
    steered = statistics.median(getattr(pair.steered, field) for pair in known)
    untuned = statistics.median(getattr(pair.untuned, field) for pair in known)
    return round(steered / untuned, 3) if untuned else None
