# SPDX-License-Identifier: Apache-2.0
"""How far is it, and when will it end? One forecast for the whole way, from the course so far.

QEMU sends at a pace b; meanwhile the guest dirties pages (:mod:`migprog.core.dirtying`), and what
it dirtied is the work of the next pass. The forecast goes through the passes to come until one is
as short as QEMU's own clock, and sums up their times.
"""

from dataclasses import dataclass

from migprog.core.course import Course
from migprog.core.dirtying import MAX_RATIO, Dirtying, dirtying
from migprog.core.status import Phase
from migprog.core.verdict import Verdict

# QEMU's default max downtime, where the limit in force could not be read.
DEFAULT_PAUSE_LIMIT_SECONDS = 0.3
# From the switch-over to the word that the server has left: libvirt's hand-shake of both ends.
HANDOVER_SECONDS = 1.45
# Between the disks and the memory.
_TURN_SECONDS = 0.5
# Before the first pass is through nobody knows what the guest dirties: as a share of that pass.
_GUESSED_DIRTIED = 0.08
# Of the memory still to be sent in a first pass, so much is zeros that cost nothing.
_GUESSED_ZEROS = 0.10
_MAX_PASSES = 100
# QEMU looks at what is left ten times a second.
_SHORTEST_PASS_SECONDS = 0.1
_LASTING = 0.5
MAX_PERCENT_UNDER_WAY = 99
_WITHOUT_FORECAST = (Verdict.NOT_CONVERGING, Verdict.STALLED, Verdict.ENDED)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds left with an 80 % range; all None when it cannot be known, or will not end."""

    eta_seconds: float | None = None
    eta_low_seconds: float | None = None
    eta_high_seconds: float | None = None


def phase_of(course: Course) -> Phase:
    """What the counters say is going on; switch-over and post-copy are told by events alone."""
    sample = course.latest
    if sample is None or (sample.memory_total_bytes is None and sample.disk_total_bytes is None):
        return Phase.SETUP
    if sample.memory_iteration is None:
        return Phase.DISK_COPY if sample.disk_total_bytes else Phase.SETUP
    if sample.memory_iteration == course.first_iteration:
        return Phase.MEMORY_FIRST_PASS
    return Phase.MEMORY_ITERATIONS


def forecast(course: Course, phase: Phase, verdict: Verdict) -> Estimate:
    """Forecast the time left, counted from the latest sample."""
    sample = course.latest
    pace = course.memory_bytes_per_second or course.disk_bytes_per_second
    if sample is None or not pace or verdict in _WITHOUT_FORECAST:
        return Estimate()
    if phase is Phase.SWITCHOVER:
        return Estimate(HANDOVER_SECONDS, 0.2, 2 * HANDOVER_SECONDS)
    if phase is Phase.POST_COPY:
        left = (sample.memory_remaining_bytes or 0) / pace
        return Estimate(left + HANDOVER_SECONDS, left, left * 1.5 + 2 * HANDOVER_SECONDS)
    known = dirtying(course)
    if known is None:
        return _before_first_boundary(course, pace)
    return _iterating(course, known, pace)


def _before_first_boundary(course: Course, pace: float) -> Estimate:
    sample = course.latest
    assert sample is not None
    total = course.memory_size_bytes or sample.memory_total_bytes
    if course.boundaries:
        total = course.boundaries[0].remaining_bytes
    if total is None:
        return Estimate()
    seconds = 0.0
    left: float = total
    if sample.memory_remaining_bytes is None:
        seconds += (sample.disk_remaining_bytes or 0) / (course.disk_bytes_per_second or pace)
        seconds += _TURN_SECONDS
    else:
        left = sample.memory_remaining_bytes
    this_pass = left / pace
    whole_pass = total / pace
    eta = seconds + this_pass * (1 - _GUESSED_ZEROS) + whole_pass * _GUESSED_DIRTIED
    return Estimate(
        eta_seconds=eta + HANDOVER_SECONDS,
        eta_low_seconds=(seconds + this_pass * (1 - 2.5 * _GUESSED_ZEROS)) * 0.95,
        eta_high_seconds=(seconds + this_pass) * 1.05 + whole_pass * 0.6 + 2 * HANDOVER_SECONDS,
    )


def _iterating(course: Course, known: Dirtying, pace: float) -> Estimate:
    sample = course.latest
    assert sample is not None
    limit = sample.pause_limit_seconds or DEFAULT_PAUSE_LIMIT_SECONDS
    remaining = sample.memory_remaining_bytes or 0
    in_pass = max(0.0, sample.at - course.boundaries[-1].at)
    # QEMU takes up what was dirtied as soon as what is left would fit into the pause.
    this_pass = max(0.0, remaining / pace - limit)
    # Passes that do not get shorter will do so only if the guest changes; nobody knows when. What
    # has lasted long will last long.
    unknown = max(in_pass + this_pass, _LASTING * (sample.at - course.started_at))

    def left(factor: float, bend: float) -> float:
        some = Dirtying(known.seconds, known.dirtied_bytes * factor, min(1.0, max(0.0, bend)))
        passes = _passes_seconds(some, in_pass + this_pass, pace)
        return this_pass + (unknown if passes is None else passes)

    eta = left(1.0, known.bend)
    low = left(0.85, known.bend + 0.1)
    high = left(1.15, known.bend - 0.2)
    return Estimate(
        eta_seconds=eta + HANDOVER_SECONDS,
        eta_low_seconds=min(eta, low) * 0.95 + 0.2,
        eta_high_seconds=max(eta, high) * 1.05 + 2 * HANDOVER_SECONDS,
    )


def _passes_seconds(known: Dirtying, length: float, pace: float) -> float | None:
    """Seconds of the passes after one of ``length`` seconds; None if they do not get shorter."""
    seconds = 0.0
    for _ in range(_MAX_PASSES):
        if length < _SHORTEST_PASS_SECONDS:
            break
        known = known.in_pass(length)
        following = known.dirtied_bytes / pace
        if following > MAX_RATIO * length:
            return None
        seconds += following
        length = following
    return seconds


def percent(course: Course, estimate: Estimate, shown: int | None) -> int | None:
    """The share of the time that has passed; never below what was ``shown`` before, at most 99."""
    if course.latest is None or estimate.eta_seconds is None:
        return shown
    elapsed = max(0.0, course.latest.at - course.started_at)
    whole = elapsed + estimate.eta_seconds
    share = int(100 * elapsed / whole) if whole > 0 else 0
    return max(shown or 0, min(MAX_PERCENT_UNDER_WAY, share))
