# SPDX-License-Identifier: Apache-2.0
"""How far is it, and when will it end? One forecast for the whole way, from the course so far.

QEMU sends at a pace b; meanwhile the guest dirties pages (:mod:`migprog.core.dirtying`), and what
it dirtied is the work of the next pass. The forecast goes through the passes to come until one is
as short as QEMU's own clock, and sums up their times.
"""

import math
from dataclasses import dataclass

from migprog.core.course import SLICE_SECONDS, Course
from migprog.core.dirtying import Dirtying
from migprog.core.status import Phase
from migprog.core.verdict import Verdict, auto_converge_goes_on

# QEMU's default max downtime, where the limit in force could not be read.
DEFAULT_PAUSE_LIMIT_SECONDS = 0.3
# From the switch-over to the word that the server has left: the hand-shake of libvirt's both ends.
# It takes its time by the machines; this is until earlier migrations have shown how long.
HANDOVER_SECONDS = 1.45
# Mirrors of disks are ended before the server runs at its destination.
_MIRRORS_END_SECONDS = 0.25
# Between the disks and the memory.
_TURN_SECONDS = 0.5
# Before the first pass is through nobody knows what the guest dirties: as a share of that pass.
_GUESSED_DIRTIED = 0.08
# Of the memory still to be sent in a first pass, so much is zeros that cost nothing.
_GUESSED_ZEROS = 0.10
# After so many passes the guest is taken for straight.
_BENT_PASSES = 8
_LASTING = 0.5
# QEMU's default cpu-throttle-increment, in percent; and what mostly does.
_THROTTLE_STEP = 10
_THROTTLE_ENOUGH = 75
_THROTTLE_PERIOD_SECONDS = 1.0
_PAYLOAD = 4096 / 4104
_MAX_RATIO = 0.95
_CAUTION = 0.15
_SPREADS = ((0.8, 3.0), (0.5, 2.0), (0.7, 1.5))
_PLATEAU_SPREAD = (0.25, 2.5)
MAX_PERCENT_UNDER_WAY = 99
_WITHOUT_FORECAST = (Verdict.STALLED, Verdict.ENDED)


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
    if verdict is Verdict.NOT_CONVERGING and not auto_converge_goes_on(course):
        return Estimate()
    handover = _handover_seconds(course)
    if phase is Phase.SWITCHOVER:
        return Estimate(handover, 0.0, 2 * handover)
    if phase is Phase.POST_COPY:
        left = (sample.memory_remaining_bytes or 0) / pace
        return Estimate(left + handover, 0.85 * left, left * 1.25 + 2 * handover)
    known = course.dirtying
    if known is None:
        return _before_first_boundary(course, pace)
    return _iterating(course, known, pace)


def _handover_seconds(course: Course) -> float:
    return HANDOVER_SECONDS if course.handover_seconds is None else course.handover_seconds


def _before_first_boundary(course: Course, pace: float) -> Estimate:
    sample = course.latest
    assert sample is not None
    total = course.memory_size_bytes or sample.memory_total_bytes
    if course.first_pass_bytes is not None:
        total = course.first_pass_bytes
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
    eta = (
        seconds + max(0.0, this_pass - whole_pass * _GUESSED_ZEROS) + whole_pass * _GUESSED_DIRTIED
    )
    return Estimate(
        eta_seconds=eta + _handover_seconds(course),
        eta_low_seconds=(seconds + this_pass * (1 - 2.5 * _GUESSED_ZEROS)) * 0.95,
        eta_high_seconds=(seconds + this_pass) * 1.05
        + whole_pass * 2.0
        + 2 * _handover_seconds(course),
    )


def _iterating(course: Course, known: Dirtying, pace: float) -> Estimate:
    sample = course.latest
    assert sample is not None
    # Every page of 4096 bytes goes with a header of 8.
    pace *= _PAYLOAD
    limit = sample.pause_limit_seconds
    limit = DEFAULT_PAUSE_LIMIT_SECONDS if limit is None else limit
    remaining = (sample.memory_remaining_bytes or 0) / pace
    in_pass = max(0.0, sample.at - (course.pass_began_at or sample.at))
    # QEMU takes up what was dirtied as soon as what is left would fit into the pause.
    this_pass = max(0.0, remaining - limit + SLICE_SECONDS / 2)
    unsent = max(0.0, min(remaining, limit - SLICE_SECONDS / 2))
    most = course.passes[-1].remaining_bytes / pace
    passes = _passes_seconds(known, in_pass + this_pass, unsent - limit, most - limit, pace)
    handover = _handover_seconds(course)
    if sample.disk_total_bytes:
        handover += _MIRRORS_END_SECONDS
    if passes is None or (course.on_plateau and passes > 0):
        passes = _not_shrinking_seconds(course, in_pass + this_pass)
        spread = _PLATEAU_SPREAD
    else:
        spread = _SPREADS[min(len(course.passes), len(_SPREADS)) - 1]
    low, high = (this_pass + passes * factor for factor in spread)
    return Estimate(
        eta_seconds=this_pass + passes + handover,
        eta_low_seconds=low * 0.95 + 0.7 * handover,
        eta_high_seconds=high * 1.05 + 1.5 * handover,
    )


def _not_shrinking_seconds(course: Course, pass_seconds: float) -> float:
    """Seconds after this pass, of ``pass_seconds``, while passes do not get shorter.

    They will if auto-converge slows the guest down: QEMU does so every other time that it has
    looked at a second or more of passes. Or else if the guest changes, and nobody knows when: what
    has lasted long will last long.
    """
    sample = course.latest
    assert sample is not None
    throttle = sample.auto_converge_percent
    if throttle is None:
        return max(pass_seconds, _LASTING * (sample.at - course.started_at))
    pass_seconds = max(SLICE_SECONDS, pass_seconds)
    steps = max(1.0, (_THROTTLE_ENOUGH - throttle) / _THROTTLE_STEP)
    return steps * 2 * pass_seconds * math.ceil(_THROTTLE_PERIOD_SECONDS / pass_seconds)


def _passes_seconds(
    known: Dirtying, length: float, unsent: float, most: float, pace: float
) -> float | None:
    """Seconds of the passes after one of ``length`` seconds; None if they do not get shorter.

    ``unsent`` is what that one leaves unsent, in seconds of sending beyond the pause's limit
    (mostly negative). It is the whole geometric series: QEMU sends in slices of a tenth of a
    second, and of passes as short as that it takes as many again until one happens to leave little
    enough.
    """
    if length <= 0:
        return 0.0
    known = known.in_pass(length)
    following = min(most, known.dirtied_bytes / pace + unsent)
    if following <= 0:
        return 0.0
    following += SLICE_SECONDS / 2
    ratio = following / length
    seconds = 0.0
    for _ in range(_BENT_PASSES):
        if ratio > _MAX_RATIO:
            return None
        seconds += following
        length = following
        known = known.in_pass(length)
        following = known.dirtied_bytes / pace
        ratio = following / length
    if ratio > _MAX_RATIO:
        return None
    return seconds + length * ratio / (1 - ratio) + SLICE_SECONDS / 2


def percent(course: Course, estimate: Estimate, shown: int | None) -> int | None:
    """The share of the time that has passed; never below what was ``shown`` before, at most 99."""
    if course.latest is None or estimate.eta_seconds is None:
        return shown
    elapsed = max(0.0, course.latest.at - course.started_at)
    left = estimate.eta_seconds
    if not course.passes and estimate.eta_high_seconds is not None:
        # It cannot be taken back: while nothing is known of the guest, rather lag behind.
        left += _CAUTION * (estimate.eta_high_seconds - left)
    whole = elapsed + left
    share = int(100 * elapsed / whole) if whole > 0 else 0
    return max(shown or 0, min(MAX_PERCENT_UNDER_WAY, share))
