# SPDX-License-Identifier: Apache-2.0
"""Estimate the time left of a migration from its pre-copy state.

QEMU sends at a rate b; meanwhile the guest dirties pages (:mod:`migprog.core.forecast.dirty_rate`),
which the next iteration has to send. The forecast simulates the iterations to come until one is as
short as QEMU's own time slice, and sums up their times.
"""

import math
from typing import NamedTuple, Protocol, Self, TypeVar

from migprog.core.forecast.dirty_rate import MAX_RATIO, DirtyRate, has_dirtied_its_whole_set
from migprog.core.forecast.disk_copy import Left
from migprog.core.forecast.first_iteration import FirstIteration, first_iteration
from migprog.core.forecast.guest_pause import (
    DEFAULT_DOWNTIME_LIMIT_SECONDS,
    completion_time_seconds,
    downtime_limit_seconds,
    is_seen,
    may_fit,
    switched_at,
    waits_since,
)
from migprog.core.forecast.precopy import SLICE_SECONDS, PrecopyState
from migprog.core.forecast.throttling import throttled_seconds
from migprog.core.forecast.verdict import Verdict, auto_converge_goes_on
from migprog.core.status import Phase

# The mirrors of disks are ended before the server runs at its destination.
MIRRORS_END_SECONDS = 0.1
# The time between the disks and the memory.
TURN_SECONDS = 0.5
# After so many iterations the exponent is taken for 1.
_CURVED_ITERATIONS = 8
# A guest with a smaller exponent writes the same pages repeatedly.
_HOT = 0.95
# A plateau is expected to last this share of the time that has passed. It may last for no time or
# for ever: fitted to the least error, as a share of the time really left, this is far below the
# median.
_PLATEAU_LASTS = 0.1
# A switchover that lasts longer than any before is expected to last this share of it again.
_SWITCHOVER_LASTS = 0.5
# Guests near the bandwidth end later than the whole downtime limit says. Fitted; its cause is not
# known (perhaps QEMU's own rate, that of its last slice, is below the mean).
_LIMIT_SHARE = 0.96
# A surprise (a logarithm) so large halves the trust that the guest goes on as lately.
_CHANGED = 0.4
# By how much more or less than expected the guest may dirty in 80 of 100 cases, as a logarithm: at
# least; for each surprise; and after one iteration start, when nothing can have surprised.
_LEAST_SPREAD, _SPREAD_BY_SURPRISE, _FIRST_SPREAD = 0.015, 1.5, 0.6
# The 80 % range of the completion time, of a plateau that auto-converge ends, and of another, as
# shares of their estimate.
_COMPLETION_SPREAD = (0.85, 1.2)
_THROTTLED_SPREAD, _PLATEAU_SPREAD = (0.25, 2.5), (0.25, 6.0)
# Those in which what is known of earlier migrations counts.
_FIRST_PHASES = (Phase.SETUP, Phase.DISK_COPY, Phase.MEMORY_FIRST_ITERATION)
# The spread of a rate that the migration has itself shown.
_SHOWN_SPREAD = 0.05
# An estimate of more than this counts as unknown.
_LONGEST_SECONDS = 3 * 365 * 86400.0


class Dirtying(Protocol):
    """What a guest dirties in an iteration of some length, and what in one of another length."""

    @property
    def dirtied_bytes(self) -> float: ...

    def in_iteration(self, seconds: float) -> Self: ...


_Known = TypeVar("_Known", bound=Dirtying)


class Estimate(NamedTuple):
    """Seconds left with an 80 % range; all None if unknown, or if the migration will not end.

    ``first_iteration`` is what it was made from before the second iteration, where that is known.
    """

    eta_seconds: float | None = None
    eta_low_seconds: float | None = None
    eta_high_seconds: float | None = None
    first_iteration: FirstIteration | None = None


def phase_of(precopy: PrecopyState) -> Phase:
    """Return the phase by the counters; only events show the switchover and post-copy."""
    sample = precopy.latest
    if sample is None or (sample.memory_total_bytes is None and sample.disk_total_bytes is None):
        return Phase.SETUP
    if sample.memory_iteration is None:
        # Where the number of the iteration is missing, what has moved shows the phase.
        if precopy.iterations:
            return Phase.MEMORY_ITERATIONS
        if precopy.first_iteration is not None or sample.memory_processed_bytes:
            return Phase.MEMORY_FIRST_ITERATION
        return Phase.DISK_COPY if sample.disk_total_bytes else Phase.SETUP
    if sample.memory_iteration == precopy.first_iteration:
        return Phase.MEMORY_FIRST_ITERATION
    return Phase.MEMORY_ITERATIONS


def forecast(precopy: PrecopyState, phase: Phase, verdict: Verdict) -> Estimate:
    """Forecast the time left, counted from the latest sample."""
    estimate = _forecast(precopy, phase, verdict)
    unknowable = (estimate.eta_high_seconds or 0.0) > _LONGEST_SECONDS
    return Estimate() if unknowable else estimate


def _forecast(precopy: PrecopyState, phase: Phase, verdict: Verdict) -> Estimate:
    sample = precopy.latest
    rate = precopy.memory_bytes_per_second
    if phase is not Phase.POST_COPY:
        rate = rate or precopy.disk_bytes_per_second
    if phase in _FIRST_PHASES:
        rate = rate or precopy.known_bytes_per_second
    if sample is None or not rate or phase is Phase.POST_COPY_PAUSED:
        return Estimate()
    if verdict in (Verdict.STALLED, Verdict.ENDED):
        return Estimate()
    if precopy.devices_move:
        # No counter says how much state the devices have.
        return Estimate()
    if verdict is Verdict.NOT_CONVERGING and not auto_converge_goes_on(precopy):
        return Estimate()
    if phase is Phase.SWITCHOVER:
        return _switching_over(precopy, rate)
    if phase is Phase.POST_COPY:
        left, completion = (
            (sample.memory_remaining_bytes or 0) / rate,
            completion_time_seconds(precopy),
        )
        # The guest runs at its destination: there is nothing to complete.
        return Estimate(left, 0.85 * left, 1.25 * left + completion)
    return _in_memory(precopy, rate)


def _in_memory(precopy: PrecopyState, rate: float) -> Estimate:
    """Estimate the time left while memory is copied, or disks before it."""
    known = precopy.dirtying
    if precopy.paused_at is not None and is_seen(precopy):
        ran_seconds = _ran_seconds(precopy, precopy.paused_at)
        if known is not None or ran_seconds == 0:
            return _paused(precopy, known, ran_seconds, rate)
    if known is None:
        return _before_first_iteration_start(precopy, rate)
    return _iterating(precopy, known, rate)


def _switching_over(precopy: PrecopyState, rate: float) -> Estimate:
    """Estimate the time left of a switchover: remaining memory is sent, then libvirt completes."""
    sample, completion = precopy.latest, completion_time_seconds(precopy)
    assert sample is not None
    # What was sent since the pause, at once, was sent at its start.
    is_sent = sample.memory_remaining_bytes == 0
    since = (switched_at if is_sent else waits_since)(precopy) or sample.at
    waited = sample.at - since
    least = likely = most = (sample.memory_remaining_bytes or 0) / rate
    if waited < 0 and may_fit(precopy, since):
        # Of what remained at the pause, only an upper limit is known: the downtime limit.
        least, most = (
            0.0,
            max(0.0, downtime_limit_seconds(precopy) - DEFAULT_DOWNTIME_LIMIT_SECONDS),
        )
        likely = most / 2
    waited = max(0.0, waited)
    low, high = (share * completion for share in _COMPLETION_SPREAD)
    return Estimate(
        likely + max(completion - waited, _SWITCHOVER_LASTS * waited),
        0.85 * least + max(0.0, low - waited),
        1.25 * most + max(high - waited, waited),
    )


def _ran_seconds(precopy: PrecopyState, paused_at: float) -> float | None:
    """Return for how long a paused guest ran in this iteration; None before the first iteration,
    and if it was already paused when first seen."""
    began_at = precopy.iteration_started_at
    if began_at is None or (precopy.was_found_paused and not precopy.iterations):
        return None
    return max(0.0, paused_at - began_at - precopy.paused_seconds)


def _paused(
    precopy: PrecopyState, known: DirtyRate | None, ran_seconds: float | None, rate: float
) -> Estimate:
    """Estimate the time left while the guest is paused and its memory is still copied: what
    remains, and what it dirtied in this iteration before the pause."""
    sample, completion = precopy.latest, completion_time_seconds(precopy)
    assert sample is not None
    if sample.disk_total_bytes:
        completion += MIRRORS_END_SECONDS
    remaining = (sample.memory_remaining_bytes or 0) / rate
    dirtied = known.in_iteration(ran_seconds).dirtied_bytes / rate if known and ran_seconds else 0.0
    return Estimate(
        remaining + dirtied + completion,
        0.85 * remaining,
        1.25 * remaining + 2 * (dirtied + completion),
    )


def _before_first_iteration_start(precopy: PrecopyState, rate: float) -> Estimate:
    sample = precopy.latest
    assert sample is not None
    known = first_iteration(precopy, rate)
    disks: Left | None = Left(0.0, 0.0, 0.0)
    turn = 0.0
    if sample.memory_total_bytes is None:
        turn = TURN_SECONDS
        disks = precopy.disks.left(sample) if sample.memory_remaining_bytes is None else disks
    if known is None or disks is None:
        return Estimate()
    completion = completion_time_seconds(precopy)
    until = disks.seconds + turn + known.rest_seconds
    if precopy.is_foreseen:
        return _foreseen(precopy, known, until, rate)
    return Estimate(
        eta_seconds=until + known.following_seconds + completion,
        eta_low_seconds=0.88 * (disks.low_seconds + turn + known.rest_seconds),
        eta_high_seconds=1.05 * (disks.high_seconds + turn + known.longest_seconds)
        + 2 * known.whole_seconds
        + 2 * completion,
        first_iteration=known,
    )


def _foreseen(
    precopy: PrecopyState, known: FirstIteration, until_seconds: float, rate: float
) -> Estimate:
    """Return the estimate of a migration whose guest's dirty rate was known before, and whose first
    iteration ends after ``until_seconds``."""
    whole, completion = known.whole_seconds, completion_time_seconds(precopy)
    least, middle, most = (each * whole for each in precopy.expected_resent(rate))
    likely = until_seconds + middle + completion
    is_shown = precopy.memory_bytes_per_second is not None
    spread = _SHOWN_SPREAD if is_shown else max(_SHOWN_SPREAD, precopy.known_spread)
    less = math.hypot(likely - likely / (1 + spread), middle - least)
    more = math.hypot(likely * spread, most - middle)
    if precopy.memory_resident_bytes is None:
        more += known.longest_seconds - known.rest_seconds
    less, more = less + completion / 2, more + completion / 2
    return Estimate(likely, max(0.0, likely - less), likely + more, known)


def _iterating(precopy: PrecopyState, known: DirtyRate, rate: float) -> Estimate:
    sample = precopy.latest
    assert sample is not None
    limit = _LIMIT_SHARE * downtime_limit_seconds(precopy)
    remaining = (sample.memory_remaining_bytes or 0) / rate
    in_iteration = precopy.in_iteration_seconds(sample.at)
    # QEMU looks for dirtied pages at the end of the slice in which the rest fits the limit.
    this_iteration = max(0.0, remaining - limit + SLICE_SECONDS / 2)
    unsent = max(0.0, min(remaining, limit - SLICE_SECONDS / 2)) - limit
    most = precopy.iterations[-1].remaining_bytes / rate - limit
    whole_iteration = in_iteration + this_iteration
    iterations = iterations_seconds(known, whole_iteration, unsent, most, rate)
    level = iterations is None or (precopy.on_plateau and iterations > 0)
    is_throttled = sample.cpu_throttle_percent is not None
    if iterations is None or level or is_throttled:
        lasting = _lasting_seconds(precopy, whole_iteration)
        iterations = lasting if iterations is None or level else min(iterations, lasting)
        spread = _THROTTLED_SPREAD if is_throttled else _PLATEAU_SPREAD
        low, high = (this_iteration + iterations * factor for factor in spread)
    else:
        iterations = _if_unchanged(precopy, iterations, whole_iteration)
        low, high = _range(precopy, this_iteration, iterations, whole_iteration)
    completion = completion_time_seconds(precopy)
    if sample.disk_total_bytes:
        completion += MIRRORS_END_SECONDS
    if known.dirtied_bytes <= limit * rate and (
        len(precopy.iterations) == 1 or known.exponent < _HOT
    ):
        # Pages that the guest writes repeatedly are among those left to the switchover.
        low, iterations = this_iteration, 0.0
    return Estimate(
        eta_seconds=this_iteration + iterations + completion,
        eta_low_seconds=low + _COMPLETION_SPREAD[0] * completion,
        eta_high_seconds=high + _COMPLETION_SPREAD[1] * completion,
    )


def _if_unchanged(precopy: PrecopyState, iterations: float, whole_iteration: float) -> float:
    """Return the seconds of the iterations to come, where the guest may change before their end.

    A load that has just surprised may change again, as soon as one that never lets iterations get
    shorter: of two ways to an end the sooner counts.
    """
    surprise = precopy.surprises[-1] if precopy.surprises else 0.0
    if not surprise or not iterations or has_dirtied_its_whole_set(precopy.iterations):
        return iterations
    weight = surprise**2 / (surprise**2 + _CHANGED**2)
    return 1 / (1 / iterations + weight / _lasting_seconds(precopy, whole_iteration))


def _range(
    precopy: PrecopyState, this_iteration: float, iterations: float, whole_iteration: float
) -> tuple[float, float]:
    """Return a range of 80 % of the seconds of this iteration and those to come.

    The guest may dirty more or less by what it has surprised with, and the rate may vary as it has.
    The range is the wider, the nearer the guest is to the bandwidth.
    """
    spread = _FIRST_SPREAD
    if precopy.surprises:
        spread = _SPREAD_BY_SURPRISE * max(precopy.surprises)
    of_rate = math.hypot(_LEAST_SPREAD, precopy.memory.varies)
    spread = math.hypot(of_rate, spread)
    # Of an iteration the next one takes this share of its time, and so on.
    share = iterations / (iterations + whole_iteration) if iterations else 0.0
    less = share * math.exp(-spread)
    more = max(share, min(MAX_RATIO, share * math.exp(spread)))
    return (
        this_iteration / (1 + of_rate) + whole_iteration * less / (1 - less),
        this_iteration * (1 + of_rate) + whole_iteration * more / (1 - more),
    )


def _lasting_seconds(precopy: PrecopyState, iteration_seconds: float) -> float:
    """Estimate the seconds after this iteration, of ``iteration_seconds``, while on a plateau.

    Iterations get shorter if auto-converge slows the guest down. Else only if the guest's load
    changes, which cannot be foreseen: a plateau that has lasted long is expected to last long.
    """
    sample = precopy.latest
    assert sample is not None
    throttle = sample.cpu_throttle_percent
    if throttle is None:
        return max(iteration_seconds, _PLATEAU_LASTS * (sample.at - precopy.started_at))
    return throttled_seconds(throttle, iteration_seconds)


def iterations_seconds(
    known: _Known, length: float, unsent: float, most: float, rate: float
) -> float | None:
    """Estimate the seconds of iterations after one of ``length`` seconds; None on a plateau.

    ``unsent`` is what that one leaves unsent and ``most`` the most that the next can have to send,
    both in seconds of sending beyond the downtime limit. It is the whole geometric series: QEMU
    sends in slices of a tenth of a second, and repeats iterations as short as that until one
    happens to leave little enough.
    """
    if length <= 0:
        return 0.0
    known = known.in_iteration(length)
    following = min(most, known.dirtied_bytes / rate + unsent)
    if following <= 0:
        return 0.0
    following += SLICE_SECONDS / 2
    seconds, ratio = 0.0, following / length
    for _ in range(_CURVED_ITERATIONS):
        if following < SLICE_SECONDS or ratio > MAX_RATIO:
            break
        seconds += following
        length, known = following, known.in_iteration(following)
        following = known.dirtied_bytes / rate
        ratio = following / length
    if ratio > MAX_RATIO:
        return None
    return seconds + following / (1 - ratio) + SLICE_SECONDS / 2
