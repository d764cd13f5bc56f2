# SPDX-License-Identifier: Apache-2.0
"""Does it grow? The rule for what a process uses, over the migrations that it has seen. Pure.

The slope is Theil and Sen's: the median of the slopes between all pairs of points, which neither a
step nor some wild points move much. The noise is how far the points lie from that line: 1.4826
times the median of their distances, which is the standard deviation where they lie so by chance.
A series grows when its slope is above the limit, in each third of the run, too, and what it grew by
is more than three times the noise: less cannot be distinguished from noise. What leaks grows all
the time; an allocator keeps what a peak of work has needed, once for all, and a cache becomes full.
"""

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

_DEVIATION_OF_MEDIAN = 1.4826
_NOISES = 3.0
_PARTS = 3
# With fewer points nothing is said.
MIN_POINTS = 10


@dataclass(frozen=True, slots=True)
class Point:
    """``value``: what was used when so many migrations had ended."""

    migrations: int
    value: float


@dataclass(frozen=True, slots=True)
class Trend:
    """``per_thousand`` migrations, the least of that in a third of the run, and over all of them
    (``grown``); in the unit of the values."""

    per_thousand: float
    least_per_thousand: float
    grown: float
    noise: float
    limit_per_thousand: float

    @property
    def grows(self) -> bool:
        above = min(self.per_thousand, self.least_per_thousand) > self.limit_per_thousand
        return above and self.grown > _NOISES * self.noise


def trend(points: Sequence[Point], limit_per_thousand: float) -> Trend:
    """Raises :class:`ValueError` if there are too few points."""
    if len(points) < MIN_POINTS:
        raise ValueError(f"{len(points)} points are too few: {MIN_POINTS} are needed")
    slope = _slope(points)
    if slope is None:
        raise ValueError("no migration ended between the points")
    thirds = [
        points[len(points) * part // _PARTS : len(points) * (part + 1) // _PARTS]
        for part in range(_PARTS)
    ]
    least = min((each for third in thirds if (each := _slope(third)) is not None), default=slope)
    level = statistics.median(p.value - slope * p.migrations for p in points)
    distances = [abs(p.value - level - slope * p.migrations) for p in points]
    grown = slope * (points[-1].migrations - points[0].migrations)
    noise = _DEVIATION_OF_MEDIAN * statistics.median(distances)
    return Trend(slope * 1000, least * 1000, grown, noise, limit_per_thousand)


def _slope(points: Sequence[Point]) -> float | None:
    """Return Theil and Sen's; None if no migration ended between the points."""
    slopes = [
        (b.value - a.value) / (b.migrations - a.migrations)
        for a, b in itertools.combinations(points, 2)
        if a.migrations != b.migrations
    ]
    return statistics.median(slopes) if slopes else None


def least_found(points: Sequence[Point], found: Trend) -> float:
    """The smallest growth per 1,000 migrations that the rule would find among so many points."""
    span = points[-1].migrations - points[0].migrations
    by_noise = _NOISES * found.noise / span * 1000 if span else math.inf
    return max(found.limit_per_thousand, by_noise)
