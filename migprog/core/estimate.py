# SPDX-License-Identifier: Apache-2.0
"""How far is it, and when will it end? One forecast for the whole way, from the course so far.

The forecast sums what is still to be sent (disks, this pass, the passes to come) and divides by
the pace seen. Passes shrink by the ratio of successive boundaries until one fits into the pause
allowed; the sum is a geometric series. Percent is the share of the *time* that has passed.
"""

import math
from dataclasses import dataclass

from migprog.core.course import Boundary, Course
from migprog.core.status import Phase
from migprog.core.verdict import Verdict

# QEMU's default max downtime, where the limit in force could not be read.
_DEFAULT_PAUSE_LIMIT_SECONDS = 0.3
# Before a second boundary nobody knows how much a guest dirties: a mild guess, and a wide range.
_GUESSED_RATIO = 0.2
_MAX_RATIO = 0.97
_PAUSE_SECONDS = 0.1
_WITHOUT_FORECAST = (Verdict.NOT_CONVERGING, Verdict.STALLED, Verdict.ENDED)
MAX_PERCENT_UNDER_WAY = 99


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds left with a range; all None when it cannot be known, or will not end."""

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
    if phase in (Phase.POST_COPY, Phase.SWITCHOVER):
        left = (sample.memory_remaining_bytes or 0) / pace
        return Estimate(left, left * 0.8, left * 1.5 + _PAUSE_SECONDS)
    this_pass, next_pass, ratio = _memory_left(course, sample.memory_remaining_bytes)
    if this_pass is None:
        return Estimate()
    disk_seconds = (sample.disk_remaining_bytes or 0) / (course.disk_bytes_per_second or pace)
    limit = sample.pause_limit_seconds or _DEFAULT_PAUSE_LIMIT_SECONDS

    def seconds(some_ratio: float, first_of_them: float) -> float:
        passes = _passes_bytes(first_of_them, some_ratio, pace * limit)
        return disk_seconds + (this_pass + passes) / pace + _PAUSE_SECONDS

    return Estimate(
        eta_seconds=seconds(ratio, next_pass),
        eta_low_seconds=seconds(ratio * 0.7, next_pass * 0.7) * 0.9,
        eta_high_seconds=seconds(min(_MAX_RATIO, ratio * 1.2 + 0.1), next_pass * 1.3) * 1.1,
    )


def _memory_left(course: Course, remaining: int | None) -> tuple[float | None, float, float]:
    """Bytes left of this pass, bytes of the next one, and the ratio from pass to pass."""
    if len(course.boundaries) >= 2 and remaining is not None:
        ratio = _ratio(course.boundaries)
        return remaining, course.boundaries[-1].remaining_bytes * ratio, ratio
    size = course.memory_size_bytes
    if course.boundaries:
        size = course.boundaries[0].remaining_bytes
    left = size if remaining is None else remaining
    return left, (size or 0) * _GUESSED_RATIO, _GUESSED_RATIO


def _ratio(boundaries: tuple[Boundary, ...]) -> float:
    """The geometric mean of the last three ratios of successive boundaries."""
    recent = boundaries[-4:]
    ratio = max(1, recent[-1].remaining_bytes) / max(1, recent[0].remaining_bytes)
    return float(min(_MAX_RATIO, ratio ** (1 / (len(recent) - 1))))


def _passes_bytes(first: float, ratio: float, threshold: float) -> float:
    """Bytes of all passes, the last one (sent while paused) included, from ``first`` on."""
    if first <= threshold or first <= 0:
        return first
    if ratio <= 0:
        return first
    count = math.ceil(math.log(threshold / first) / math.log(ratio)) if threshold > 0 else 50
    count = min(max(count, 0), 1000)
    return float(first * (1 - ratio ** (count + 1)) / (1 - ratio))


def percent(course: Course, estimate: Estimate, shown: int | None) -> int | None:
    """The share of the time that has passed; never below what was ``shown`` before, at most 99."""
    if course.latest is None or estimate.eta_seconds is None:
        return shown
    elapsed = max(0.0, course.latest.at - course.started_at)
    whole = elapsed + estimate.eta_seconds
    share = int(100 * elapsed / whole) if whole > 0 else 0
    return max(shown or 0, min(MAX_PERCENT_UNDER_WAY, share))
