# SPDX-License-Identifier: Apache-2.0
"""Which curves of dirtied bytes over time fit what was measured before a migration.

The curve is that of a running migration, D(T) = D_k (T / T_k) ** a, in three pieces: new pages only
(a = 1), some of them again (a = 1/2), and all of the working set written (a = 0).

QEMU compares 512 pages a GiB before and after a window, and gives whole MiB/s, rounded down. Of D
bytes it sees about D / 2 MiB pages, more or less by chance. So many curves fit one measurement,
each with its probability (Bayes' rule; before, each order of magnitude is as likely as another).
"""

import bisect
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

from migprog.core.forecast.dirty_rate import DirtyRate
from migprog.core.measurement import Window

MIB = 2**20
# QEMU's 512 pages a GiB.
_SAMPLED_EACH_BYTES = 2 * MIB
# How much a guest's load differs from one window to the next, as a share of it, and how probable
# that is before the measurement. One that writes in bursts differs much.
_LOAD_SPREADS = ((0.08, 0.65), (0.35, 0.25), (1.0, 0.1))
# The share of windows in which a guest did something else.
_ODD = 0.02
# The end of the piece with an exponent of 1 as a time, and by how much later the next one ends.
_KNEES_SECONDS = (
    *(0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.1, 0.2, 0.35, 0.6, 1.0, 1.5, 2.2, 3.3, 5.0, 7.0),
    *(10.0, 14.0, 20.0, 28.0, 40.0, 60.0, 100.0, 200.0, math.inf),
)
_BENDS = ((1.0, 0.6), (6.0, 0.33), (60.0, 0.07))
# The steps of what is dirtied in a second, as a factor, and its limits by the windows.
_STEP = 1.13
_LEAST_SHARE, _MOST_SHARE = 0.3, 2.5
_LEAST_BYTES = 0.02 * MIB
# So many stand for all that fit.
MAX_CURVES = 240
# Means nearer to each other than this share have the same probability.
_SAME_MEAN = 0.02


class DirtyCurve(NamedTuple):
    """``bytes_per_second`` of new pages for ``knee_seconds``; from ``bend`` times as long on,
    nothing new. ``seconds`` is the length of the iteration that is asked for."""

    bytes_per_second: float
    knee_seconds: float
    bend: float = 1.0
    seconds: float = 1.0

    @property
    def dirtied_bytes(self) -> float:
        """What an iteration leaves."""
        seconds, knee = self.seconds, self.knee_seconds
        if seconds <= knee:
            return self.bytes_per_second * seconds
        return self.bytes_per_second * knee * math.sqrt(min(seconds / knee, self.bend))

    def in_iteration(self, seconds: float) -> Self:
        """Return it for another length."""
        return self._replace(seconds=seconds)

    def faster(self, factor: float) -> Self:
        """Return the curve of a guest that writes the same pages so much faster."""
        return self._replace(
            bytes_per_second=self.bytes_per_second * factor,
            knee_seconds=self.knee_seconds / factor,
        )

    @property
    def working_set_bytes(self) -> float:
        """All that it ever writes; infinite if no end of it was seen."""
        if math.isinf(self.knee_seconds):
            return math.inf
        return self.bytes_per_second * self.knee_seconds * math.sqrt(self.bend)

    @property
    def rate(self) -> DirtyRate:
        """The same near ``seconds``, in the words of a running migration."""
        if self.seconds <= self.knee_seconds:
            exponent = 1.0
        else:
            exponent = 0.5 if self.seconds < self.knee_seconds * self.bend else 0.0
        return DirtyRate(self.seconds, self.dirtied_bytes, exponent)


class Fitting(NamedTuple):
    """A curve that fits, and how much the load then differs from one time to another, as a share
    of it."""

    curve: DirtyCurve
    load_spread: float


def fitting(windows: Sequence[Window], memory_bytes: int) -> list[Fitting]:
    """Return what fits, each as probable as any other (a probable one may come repeatedly).

    At most MAX_CURVES; none without a window.
    """
    if not windows:
        return []
    lengths = sorted({window.seconds for window in windows})
    tables = [
        (spread, math.log(share), [_Likelihood(windows, each, spread) for each in lengths])
        for spread, share in _LOAD_SPREADS
    ]
    likely = []
    for curve, prior in _candidates(windows, memory_bytes):
        means = [_mean_key(curve, seconds) for seconds in lengths]
        for spread, share, table in tables:
            log = share + prior + sum(map(_Likelihood.of, table, means))
            likely.append((Fitting(curve, spread), log))
    best = max(log for _, log in likely)
    sums = list(itertools.accumulate(math.exp(log - best) for _, log in likely))
    # In the order of the candidates, so that each part of them has its share.
    places = ((number + 0.5) / MAX_CURVES * sums[-1] for number in range(MAX_CURVES))
    return [likely[bisect.bisect_left(sums, place)][0] for place in places]


def _candidates(windows: Sequence[Window], memory_bytes: int) -> Iterator[tuple[DirtyCurve, float]]:
    """Yield curves with the logarithm of their probability before the measurement."""
    most = max(window.dirty_mib_per_second for window in windows)
    low = max(_LEAST_BYTES, _LEAST_SHARE * most * MIB)
    high = _MOST_SHARE * (most + 1) * MIB
    steps = math.ceil(math.log(high / low, _STEP))
    for step, knee, (bend, prior) in itertools.product(range(steps), _KNEES_SECONDS, _BENDS):
        if math.isinf(knee) and bend > 1.0:
            continue
        in_a_second = low * _STEP**step
        shape = DirtyCurve(1.0, knee, bend)
        curve = shape._replace(bytes_per_second=in_a_second / shape.dirtied_bytes)
        if curve.working_set_bytes <= memory_bytes or math.isinf(knee):
            yield curve, math.log(prior if knee < math.inf else 1.0)


def _mean_key(curve: DirtyCurve, seconds: float) -> int:
    """Return how many sampled pages are expected to differ, in steps of a logarithm."""
    mean = curve.in_iteration(seconds).dirtied_bytes / _SAMPLED_EACH_BYTES
    return round(math.log(mean) / _SAME_MEAN)


class _Likelihood:
    """The logarithm of the probability that the windows of one length show what they show."""

    def __init__(self, windows: Sequence[Window], seconds: float, load_spread: float) -> None:
        self._per_page = _SAMPLED_EACH_BYTES / MIB / seconds
        self._shown = [each.dirty_mib_per_second for each in windows if each.seconds == seconds]
        self._shape = 1 / load_spread**2
        self._known: dict[int, float] = {}

    def of(self, key: int) -> float:
        """Return it where so many pages are expected to differ (:func:`_mean_key`)."""
        known = self._known.get(key)
        if known is None:
            mean = math.exp(key * _SAME_MEAN)
            known = self._known[key] = sum(self._log(mean, shown) for shown in self._shown)
        return known

    def _log(self, mean: float, shown: int) -> float:
        first = math.ceil(shown / self._per_page - 1e-9)
        # So short a window as a second shows only some of the numbers.
        last = max(first, math.ceil((shown + 1) / self._per_page - 1e-9) - 1)
        probability = _probability(mean, first, last, self._shape)
        return math.log((1 - _ODD) * probability + _ODD / (10 * (shown + 1)))


def _probability(mean: float, first: int, last: int, shape: float) -> float:
    """Return the probability of so many sampled pages: Poisson's, where the mean itself differs
    (negative binomial: by one over the root of ``shape``)."""
    odds = mean / (shape + mean)
    log = math.lgamma(first + shape) - math.lgamma(first + 1) - math.lgamma(shape)
    log += shape * math.log(shape / (shape + mean)) + (first * math.log(odds) if first else 0.0)
    each = total = math.exp(log)
    for number in range(first, last):
        each *= (number + shape) / (number + 1) * odds
        total += each
    return total
