# SPDX-License-Identifier: Apache-2.0
"""Measure the accuracy of one migration's figures, by what a client saw every 200 ms. Pure.

The true share of a migration's time is 0 when its data begin to flow and 1 when libvirt's job ends.
"""

import bisect
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

STEP_SECONDS = 0.2
# What a figure is looked up by: seconds, and what was shown then.
Series = Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one migration, each a series of values over seconds on one clock.

    ``flow`` is libvirt's count of bytes moved while its job ran, ``percent`` what migprog showed,
    ``nova`` Nova's progress of the server, ``shown`` the bytes that migprog showed as moved.
    """

    flow: Series
    percent: Series
    nova: Series
    shown: Series


@dataclass(frozen=True, slots=True)
class Figures:
    """Distances in points of percent, ages in seconds; None: there was nothing to measure."""

    data_seconds: float
    percent_mean_distance: float
    nova_mean_distance: float
    percent_back: float
    first_number_after_seconds: float | None
    oldest_figure_seconds: float | None


def of(seen: Seen) -> Figures | None:
    """The figures of a migration; None if no data of it were seen to flow."""
    moving = [(at, count) for at, count in seen.flow if count]
    if len(moving) < 2:
        return None
    begin, end = moving[0][0], moving[-1][0]
    instants = [
        begin + number * STEP_SECONDS for number in range(int((end - begin) / STEP_SECONDS) + 1)
    ]
    first = next((at for at, value in seen.percent if value is not None and at >= begin), None)
    return Figures(
        data_seconds=round(end - begin, 1),
        percent_mean_distance=_mean_distance(seen.percent, instants, begin, end),
        nova_mean_distance=_mean_distance(seen.nova, instants, begin, end),
        percent_back=_largest_fall([value for at, value in seen.percent if begin <= at <= end]),
        first_number_after_seconds=None
        if first is None or first > end
        else round(first - begin, 1),
        oldest_figure_seconds=_oldest(seen.shown, moving),
    )


def _mean_distance(course: Series, instants: Sequence[float], begin: float, end: float) -> float:
    """From the true share of time; what is not there yet counts as 0."""
    value = _lookup(course)
    distances = (abs((value(at) or 0) - 100 * (at - begin) / (end - begin)) for at in instants)
    return round(statistics.fmean(distances), 1)


def _lookup(course: Series) -> Callable[[float], float | None]:
    """Return the newest value seen by an instant."""
    times = [at for at, _ in course]

    def value(at: float) -> float | None:
        place = bisect.bisect_right(times, at)
        return course[place - 1][1] if place else None

    return value


def _largest_fall(values: Sequence[float | None]) -> float:
    """Return the largest decrease of a value."""
    highest = fall = 0.0
    for value in values:
        if value is not None:
            fall = max(fall, highest - value)
            highest = max(highest, value)
    return round(fall, 1)


def _oldest(shown: Series, moving: Series) -> float | None:
    """The greatest age of a count of bytes while it was shown.

    It was true, at the latest, when libvirt last counted no more than that.
    """
    begin, end = moving[0][0], moving[-1][0]
    times = [at for at, _ in moving]
    counts = [count or 0 for _, count in moving]
    ages = []
    for at, count in shown:
        if count and begin <= at <= end:
            by_then = bisect.bisect_right(times, at)
            # Counts never fall while a job runs.
            place = bisect.bisect_right(counts, count, 0, by_then)
            ages.append(at - times[place - 1] if place else at - begin)
    return round(max(ages), 1) if ages else None
