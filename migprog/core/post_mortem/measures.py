# SPDX-License-Identifier: Apache-2.0
"""What would have ended a migration earlier, or at all, with numbers.

Gains are lower bounds, computed from what was measured. What is sent instead
of the later iterations takes the time of the bytes that remained when they began; the switchover
then lasts as long as it did. An iteration with half the dirty rate, or twice the bandwidth, lasts
at most half as long, as what a guest dirties never grows faster than time.
"""

import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from migprog.core.post_mortem.facts import Facts
from migprog.core.post_mortem.phases import TimeSpent
from migprog.core.post_mortem.timeline import SeenPoint, Timeline
from migprog.core.post_mortem.why_not_known import WhyNotKnown
from migprog.core.status import POST_COPY_PHASES, Phase, Status
from migprog.core.steering.advice import SteeringAction
from migprog.core.steering.choices import HIGHER, MARGIN

# What steering cannot do: the guest itself, or auto-converge, writes less.
DIRTY_LESS = "dirty-less"
# A gain is ignored if it is below 1 s, or below 5 % of the migration's time.
_LEAST_SECONDS, _LEAST_SHARE = 1.0, 0.05
# The lowest limit that gains half of the largest possible gain is named; or one that is higher by
# less than steering would raise it, and gains more.
_WORTH = 0.5
_COPYING = (
    Phase.DISK_COPY.value,
    Phase.MEMORY_FIRST_ITERATION.value,
    Phase.MEMORY_ITERATIONS.value,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """``action``: a word of :class:`SteeringAction`, or :data:`DIRTY_LESS`. ``figures``: numbers by
    name; empty for a :class:`WhyNotKnown`.

    ``earlier_seconds``: by how much the migration would have ended before it did, at least; None:
    not known.
    """

    action: str
    figures: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    earlier_seconds: float | None = None
    reason: WhyNotKnown | None = None


class IterationSeen(NamedTuple):
    """An iteration began ``seconds`` after the start with so much to send, which takes
    ``needed_seconds`` at the rate of then."""

    seconds: float
    iteration: int
    remaining_bytes: int
    needed_seconds: float


def measures(facts: Facts, line: Timeline, spent: TimeSpent) -> tuple[Measure, ...]:
    """Return one of each action; in the order of what they would have saved."""
    found = [
        _raise_downtime(facts, line, spent),
        _post_copy(facts, line, spent),
        _bandwidth(facts, line, spent),
        _dirty_less(facts, line, spent),
    ]
    if facts.in_progress:
        return tuple(Measure(action=each.action, reason=WhyNotKnown.IN_PROGRESS) for each in found)
    if facts.vfio_transferred_bytes:
        found = [_with_devices(each) for each in found]
    # Sorting is stable: of equal ones the least intrusive comes first.
    return tuple(sorted(found, key=_rank))


def _with_devices(measure: Measure) -> Measure:
    if measure.action == SteeringAction.RAISE_BANDWIDTH:
        return measure
    return Measure(action=measure.action, reason=WhyNotKnown.DEVICE_STATE_MOVED)


def _rank(measure: Measure) -> tuple[bool, float]:
    return measure.reason is not None, -(measure.earlier_seconds or 0.0)


def iteration_starts(line: Timeline) -> Iterator[IterationSeen]:
    """Yield the starts of those iterations after the first that the history shows.

    A point may be later than its iteration's start, by what had been sent since.
    """
    latest: int | None = None
    before = 0.0
    for seen in line.seen:
        point = seen.point
        is_new = point.memory_iteration is not None and point.memory_iteration != latest
        rate, left = point.throughput_bytes_per_second, point.iteration_start_remaining_bytes
        if is_new and point.phase is Phase.MEMORY_ITERATIONS and rate and left is not None:
            yield _start(seen, before, left, rate)
        if point.memory_iteration is not None:
            latest = point.memory_iteration
        before = seen.seconds


def _start(seen: SeenPoint, before: float, left: int, rate: int) -> IterationSeen:
    now = seen.point.memory_remaining_bytes
    sent_seconds = max(0, left - now) / rate if now is not None else 0.0
    began = max(before, seen.seconds - sent_seconds)
    return IterationSeen(began, seen.point.memory_iteration or 0, left, left / rate)


def _is_worth_it(earlier_seconds: float, line: Timeline) -> bool:
    return earlier_seconds >= max(_LEAST_SECONDS, _LEAST_SHARE * line.seconds)


def _raise_downtime(facts: Facts, line: Timeline, spent: TimeSpent) -> Measure:
    action = SteeringAction.RAISE_DOWNTIME.value
    starts = list(iteration_starts(line))
    if not starts:
        return Measure(action=action, reason=_why_no_starts(line))
    limit = facts.downtime_limit_seconds or 0.0
    saved = {
        each: spent.copied_seconds - each.seconds - each.needed_seconds
        for each in starts
        if each.needed_seconds > limit
    }
    worth = {each: earlier for each, earlier in saved.items() if _is_worth_it(earlier, line)}
    if not worth:
        return Measure(action=action, reason=WhyNotKnown.NO_GAIN)
    most = max(worth.values())
    least = min(each.needed_seconds for each in worth if worth[each] >= _WORTH * most)
    alike = [each for each in worth if each.needed_seconds <= HIGHER * least]
    best = max(alike, key=lambda each: worth[each])
    figures = {
        "downtime_limit_seconds": _up_to_10_ms(MARGIN * best.needed_seconds),
        "downtime_seconds": best.needed_seconds,
        "iteration": best.iteration,
        "after_seconds": best.seconds,
    }
    if facts.downtime_limit_seconds is not None:
        figures["downtime_limit_before_seconds"] = facts.downtime_limit_seconds
    return Measure(action=action, figures=figures, earlier_seconds=worth[best])


def _post_copy(facts: Facts, line: Timeline, spent: TimeSpent) -> Measure:
    action = SteeringAction.POST_COPY.value
    if any(seen.point.phase in POST_COPY_PHASES for seen in line.seen):
        return Measure(action=action, reason=WhyNotKnown.DONE_ALREADY)
    first = next(iteration_starts(line), None)
    if first is None:
        return Measure(action=action, reason=_why_no_starts(line))
    earlier = spent.copied_seconds - first.seconds - first.needed_seconds
    if not _is_worth_it(earlier, line):
        return Measure(action=action, reason=WhyNotKnown.NO_GAIN)
    figures = {
        "rest_seconds": first.needed_seconds,
        "iteration": first.iteration,
        "after_seconds": first.seconds,
    }
    return Measure(action=action, figures=figures, earlier_seconds=earlier)


def _bandwidth(facts: Facts, line: Timeline, spent: TimeSpent) -> Measure:
    action = SteeringAction.RAISE_BANDWIDTH.value
    copying = spent.seconds_of(*_COPYING)
    rate = _median(seen.point.throughput_bytes_per_second for seen in _in(line, _COPYING))
    if not copying or rate is None:
        return Measure(action=action, reason=WhyNotKnown.NOT_OBSERVED)
    if facts.status is Status.COMPLETED:
        return _halved(action, "bandwidth_bytes_per_second", 2 * rate, rate, copying, line)
    needed = facts.bandwidth_needed_bytes_per_second
    if needed is None:
        return Measure(action=action, reason=WhyNotKnown.NOT_COMPLETED)
    # A guest that dirties all that it uses in each iteration may dirty faster than is seen.
    figures = {
        "bandwidth_bytes_per_second": max(needed, rate),
        "bandwidth_before_bytes_per_second": rate,
    }
    return Measure(action=action, figures=figures)


def _dirty_less(facts: Facts, line: Timeline, spent: TimeSpent) -> Measure:
    resending = spent.seconds_of(Phase.MEMORY_ITERATIONS.value)
    if not resending:
        return Measure(action=DIRTY_LESS, reason=_why_no_starts(line))
    iterations = list(_in(line, (Phase.MEMORY_ITERATIONS.value,)))
    dirtied = _median(seen.point.dirty_bytes_per_second for seen in iterations)
    rate = _median(seen.point.throughput_bytes_per_second for seen in iterations)
    if not dirtied or rate is None:
        return Measure(action=DIRTY_LESS, reason=WhyNotKnown.NOT_OBSERVED)
    if facts.status is Status.COMPLETED:
        return _halved(DIRTY_LESS, "dirty_bytes_per_second", dirtied / 2, dirtied, resending, line)
    figures = {
        "dirty_bytes_per_second": min(dirtied / 2, rate),
        "dirty_before_bytes_per_second": dirtied,
    }
    return Measure(action=DIRTY_LESS, figures=figures)


def _halved(
    action: str, name: str, value: float, before: float, seconds: float, line: Timeline
) -> Measure:
    """Return a measure that at least halves a time."""
    if not _is_worth_it(seconds / 2, line):
        return Measure(action=action, reason=WhyNotKnown.NO_GAIN)
    kind, _, unit = name.partition("_")
    return Measure(
        action=action,
        figures={name: value, f"{kind}_before_{unit}": before},
        earlier_seconds=seconds / 2,
    )


def _in(line: Timeline, phases: tuple[str, ...]) -> Iterator[SeenPoint]:
    return (seen for seen in line.seen if seen.point.phase.value in phases)


def _why_no_starts(line: Timeline) -> WhyNotKnown:
    """Return why no iteration start is known: none was needed, or none was seen."""
    phases = {seen.point.phase for seen in line.seen}
    if Phase.MEMORY_ITERATIONS in phases or not phases - {Phase.DONE}:
        return WhyNotKnown.NOT_OBSERVED
    return WhyNotKnown.NOTHING_RESENT


def _median(values: Iterator[int | None]) -> float | None:
    known = [value for value in values if value]
    return statistics.median(known) if known else None


def _up_to_10_ms(seconds: float) -> float:
    return math.ceil(seconds * 100) / 100
