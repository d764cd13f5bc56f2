# SPDX-License-Identifier: Apache-2.0
"""How far is it, and when will it end? One forecast for the whole way, from the course so far.

QEMU sends at a pace b; meanwhile the guest dirties pages (:mod:`migprog.core.forecast.dirty_rate`),
and what it dirtied is the work of the next pass. The forecast goes through the passes to come until
one is as short as QEMU's own clock, and sums up their times.
"""

import math
from typing import NamedTuple

from migprog.core.forecast.dirty_rate import DirtyRate
from migprog.core.forecast.disk_copy import Left
from migprog.core.forecast.first_iteration import first_iteration
from migprog.core.forecast.guest_pause import (
    DEFAULT_DOWNTIME_LIMIT_SECONDS,
    completion_time_seconds,
    downtime_limit_seconds,
    is_seen,
    may_fit,
    waits_since,
)
from migprog.core.forecast.precopy import SLICE_SECONDS, PrecopyState
from migprog.core.forecast.verdict import Verdict, auto_converge_goes_on
from migprog.core.status import Phase

# Mirrors of disks are ended before the server runs at its destination.
_MIRRORS_END_SECONDS = 0.25
# Between the disks and the memory.
_TURN_SECONDS = 0.5
# After so many passes the guest is taken for straight.
_CURVED_ITERATIONS = 8
# A guest with a smaller bend writes the same pages again and again.
_HOT = 0.95
# A pass that leaves more than this share of what it sent hardly gets anywhere.
_MAX_RATIO = 0.95
# What has lasted so long will last this share of it again, if nothing else is known.
_LASTING = 0.5
# QEMU's default cpu-throttle-increment, in percent, and for how long it looks at the passes (two
# times for each step); and the slowing that was mostly enough.
_THROTTLE_STEP = 10
_THROTTLE_PERIOD_SECONDS = 1.0
_THROTTLE_ENOUGH = 75
# The 80 % range of the passes to come, as shares of their estimate: after one boundary, two, more;
# and while they do not get shorter. Measured over the tuned half of the corpus.
_SPREADS = ((0.8, 3.0), (0.5, 2.0), (0.7, 1.5))
_PLATEAU_SPREAD = (0.25, 2.5)
# What may take years is not known at all.
_LONGEST_SECONDS = 3 * 365 * 86400.0


class Estimate(NamedTuple):
    """Seconds left with an 80 % range; all None when it cannot be known, or will not end."""

    eta_seconds: float | None = None
    eta_low_seconds: float | None = None
    eta_high_seconds: float | None = None


def phase_of(course: PrecopyState) -> Phase:
    """What the counters say is going on; switch-over and post-copy are told by events alone."""
    sample = course.latest
    if sample is None or (sample.memory_total_bytes is None and sample.disk_total_bytes is None):
        return Phase.SETUP
    if sample.memory_iteration is None:
        # What has moved tells it where the number of the iteration is missing.
        if course.iterations:
            return Phase.MEMORY_ITERATIONS
        if course.first_iteration is not None or sample.memory_processed_bytes:
            return Phase.MEMORY_FIRST_ITERATION
        return Phase.DISK_COPY if sample.disk_total_bytes else Phase.SETUP
    if sample.memory_iteration == course.first_iteration:
        return Phase.MEMORY_FIRST_ITERATION
    return Phase.MEMORY_ITERATIONS


def forecast(course: PrecopyState, phase: Phase, verdict: Verdict) -> Estimate:
    """Forecast the time left, counted from the latest sample."""
    estimate = _forecast(course, phase, verdict)
    unknowable = (estimate.eta_high_seconds or 0.0) > _LONGEST_SECONDS
    return Estimate() if unknowable else estimate


def _forecast(course: PrecopyState, phase: Phase, verdict: Verdict) -> Estimate:
    sample = course.latest
    pace = course.memory_bytes_per_second
    if phase is not Phase.POST_COPY:
        pace = pace or course.disk_bytes_per_second
    if sample is None or not pace or phase is Phase.POST_COPY_PAUSED:
        return Estimate()
    if verdict in (Verdict.STALLED, Verdict.ENDED):
        return Estimate()
    if course.devices_move:
        # Nothing tells how much state they have.
        return Estimate()
    if verdict is Verdict.NOT_CONVERGING and not auto_converge_goes_on(course):
        return Estimate()
    if phase is Phase.SWITCHOVER:
        return _switching_over(course, pace)
    if phase is Phase.POST_COPY:
        left, handover = (
            (sample.memory_remaining_bytes or 0) / pace,
            completion_time_seconds(course),
        )
        return Estimate(left + handover, 0.85 * left, left * 1.25 + 2 * handover)
    return _in_memory(course, pace)


def _in_memory(course: PrecopyState, pace: float) -> Estimate:
    """The time left while memory is copied, or disks before it."""
    known = course.dirtying
    if course.paused_at is not None and is_seen(course):
        ran_seconds = _ran_seconds(course, course.paused_at)
        if known is not None or ran_seconds == 0:
            return _paused(course, known, ran_seconds, pace)
    if known is None:
        return _before_first_iteration_start(course, pace)
    return _iterating(course, known, pace)


def _switching_over(course: PrecopyState, pace: float) -> Estimate:
    """The time left of a switch-over: what remains is sent, then both libvirts complete it."""
    sample, handover = course.latest, completion_time_seconds(course)
    assert sample is not None
    since = waits_since(course) or sample.at
    waited = sample.at - since
    least = likely = most = (sample.memory_remaining_bytes or 0) / pace
    if waited < 0 and may_fit(course, since):
        # Of what remained at the pause nothing is known but that it fitted into the limit.
        least, most = 0.0, max(0.0, downtime_limit_seconds(course) - DEFAULT_DOWNTIME_LIMIT_SECONDS)
        likely = most / 2
    waited = max(0.0, waited)
    return Estimate(
        likely + max(handover - waited, _LASTING * waited),
        0.85 * least,
        1.25 * most + 2 * max(handover, waited),
    )


def _ran_seconds(course: PrecopyState, paused_at: float) -> float | None:
    """How long a paused guest ran in this iteration; None before the first, and where it was
    paused when it was found."""
    began_at = course.iteration_started_at
    if began_at is None or (course.was_found_paused and not course.iterations):
        return None
    return max(0.0, paused_at - began_at - course.paused_seconds)


def _paused(
    course: PrecopyState, known: DirtyRate | None, ran_seconds: float | None, pace: float
) -> Estimate:
    """The time left while the guest is paused and its memory is still copied: what remains, and
    what it dirtied in this iteration before the pause."""
    sample, handover = course.latest, completion_time_seconds(course)
    assert sample is not None
    if sample.disk_total_bytes:
        handover += _MIRRORS_END_SECONDS
    remaining = (sample.memory_remaining_bytes or 0) / pace
    dirtied = known.in_iteration(ran_seconds).dirtied_bytes / pace if known and ran_seconds else 0.0
    return Estimate(
        remaining + dirtied + handover,
        0.85 * remaining,
        1.25 * remaining + 2 * (dirtied + handover),
    )


def _before_first_iteration_start(course: PrecopyState, pace: float) -> Estimate:
    sample = course.latest
    assert sample is not None
    known = first_iteration(course, pace)
    disks: Left | None = Left(0.0, 0.0, 0.0)
    turn = 0.0
    if sample.memory_total_bytes is None:
        turn = _TURN_SECONDS
        disks = course.disks.left(sample) if sample.memory_remaining_bytes is None else disks
    if known is None or disks is None:
        return Estimate()
    handover = completion_time_seconds(course)
    return Estimate(
        eta_seconds=disks.seconds + turn + known.rest_seconds + known.following_seconds + handover,
        eta_low_seconds=0.95 * (disks.low_seconds + turn + 0.75 * known.rest_seconds),
        eta_high_seconds=1.05 * (disks.high_seconds + turn + known.longest_seconds)
        + 2 * known.whole_seconds
        + 2 * handover,
    )


def _iterating(course: PrecopyState, known: DirtyRate, pace: float) -> Estimate:
    sample = course.latest
    assert sample is not None
    limit = downtime_limit_seconds(course)
    remaining = (sample.memory_remaining_bytes or 0) / pace
    in_iteration = course.in_iteration_seconds(sample.at)
    # QEMU takes up what was dirtied at the first slice's end where the rest fits into the pause.
    this_iteration = max(0.0, remaining - limit + SLICE_SECONDS / 2)
    unsent = max(0.0, min(remaining, limit - SLICE_SECONDS / 2)) - limit
    most = course.iterations[-1].remaining_bytes / pace - limit
    whole_iteration = in_iteration + this_iteration
    iterations = _passes_seconds(known, whole_iteration, unsent, most, pace)
    spread = _SPREADS[min(len(course.iterations), len(_SPREADS)) - 1]
    level = iterations is None or (course.on_plateau and iterations > 0)
    if iterations is None or level or sample.cpu_throttle_percent is not None:
        lasting = _lasting_seconds(course, whole_iteration)
        iterations = lasting if iterations is None or level else min(iterations, lasting)
        spread = _PLATEAU_SPREAD
    handover = completion_time_seconds(course)
    if sample.disk_total_bytes:
        handover += _MIRRORS_END_SECONDS
    low, high = (this_iteration + iterations * factor for factor in spread)
    if known.dirtied_bytes <= limit * pace and (
        len(course.iterations) == 1 or known.exponent < _HOT
    ):
        # What the guest writes again and again is still among what is left to the pause.
        low, iterations = this_iteration, 0.0
    return Estimate(
        eta_seconds=this_iteration + iterations + handover,
        eta_low_seconds=0.95 * low + 0.7 * handover,
        eta_high_seconds=1.05 * high + 1.5 * handover,
    )


def _lasting_seconds(course: PrecopyState, iteration_seconds: float) -> float:
    """Seconds after this pass, of ``iteration_seconds``, while passes do not get shorter.

    They will if auto-converge slows the guest down: QEMU does so every other time that it has
    looked at a second or more of passes. Or else if the guest changes, and nobody knows when: what
    has lasted long will last long.
    """
    sample = course.latest
    assert sample is not None
    throttle = sample.cpu_throttle_percent
    if throttle is None:
        return max(iteration_seconds, _LASTING * (sample.at - course.started_at))
    iteration_seconds = max(SLICE_SECONDS, iteration_seconds)
    steps = max(1.0, (_THROTTLE_ENOUGH - throttle) / _THROTTLE_STEP)
    return steps * 2 * iteration_seconds * math.ceil(_THROTTLE_PERIOD_SECONDS / iteration_seconds)


def _passes_seconds(
    known: DirtyRate, length: float, unsent: float, most: float, pace: float
) -> float | None:
    """Seconds of the passes after one of ``length`` seconds; None if they do not get shorter.

    ``unsent`` is what that one leaves unsent and ``most`` what the next can have to send at most,
    both in seconds of sending beyond the pause's limit. It is the whole geometric series: QEMU
    sends in slices of a tenth of a second, and of passes as short as that it takes as many again
    until one happens to leave little enough.
    """
    if length <= 0:
        return 0.0
    known = known.in_iteration(length)
    following = min(most, known.dirtied_bytes / pace + unsent)
    if following <= 0:
        return 0.0
    following += SLICE_SECONDS / 2
    seconds, ratio = 0.0, following / length
    for _ in range(_CURVED_ITERATIONS):
        if following < SLICE_SECONDS or ratio > _MAX_RATIO:
            break
        seconds += following
        length, known = following, known.in_iteration(following)
        following = known.dirtied_bytes / pace
        ratio = following / length
    if ratio > _MAX_RATIO:
        return None
    return seconds + following / (1 - ratio) + SLICE_SECONDS / 2
