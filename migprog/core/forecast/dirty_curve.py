# SPDX-License-Identifier: Apache-2.0
"""Which curves of dirtied bytes over time fit what was measured before a migration.

The curve is that of a running migration, D(T) = D_k (T / T_k) ** a, in three pieces: new pages only
(a = 1), some of them again (a = 1/2), and all of the working set written (a = 0).

QEMU compares 512 pages a GiB before and after a window, and gives whole MiB/s, rounded down. Of D
bytes it sees about D / 2 MiB pages, more or less by chance. So many curves fit one measurement,
each with its probability (Bayes' rule; before, each order of magnitude is as likely as another).
"""

import bisect
import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import NamedTuple

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
# Ratios that are the same to so many digits are.
_SAME_DIGITS = 9
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
        return self.dirtied_in(self.seconds)

    def dirtied_in(self, seconds: float) -> float:
        """Return what an iteration of this length leaves."""
        knee = self.knee_seconds
        if seconds <= knee:
            return self.bytes_per_second * seconds
        return self.bytes_per_second * knee * math.sqrt(min(seconds / knee, self.bend))

    # _replace takes four times as long, and these are called by the hundred thousand.
    def in_iteration(self, seconds: float) -> "DirtyCurve":
        """Return it for another length."""
        return DirtyCurve(self.bytes_per_second, self.knee_seconds, self.bend, seconds)

    def faster(self, factor: float) -> "DirtyCurve":
        """Return the curve of a guest that writes the same pages so much faster."""
        pace, knee = self.bytes_per_second * factor, self.knee_seconds / factor
        return DirtyCurve(pace, knee, self.bend, self.seconds)

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
    paces, shapes, logs = _probabilities(tuple(windows))
    counts = [shape.fitting_paces(paces, memory_bytes) for shape in shapes]
    tried = [
        [shape for shape, count in zip(shapes, counts, strict=True) if step < count]
        for step in range(len(paces))
    ]
    # Those alike are as probable as each other.
    alike = [[shape.alike for shape in each] for each in tried]
    best = max(
        max(max(logs[step][one]) for one in {*each}) for step, each in enumerate(alike) if each
    )
    sums: list[float] = []
    ends = []
    for step, each in enumerate(alike):
        odds = {one: [math.exp(log - best) for log in logs[step][one]] for one in {*each}}
        more = itertools.chain.from_iterable(map(odds.__getitem__, each))
        sums += more
        ends.append(len(sums))
    sums = list(itertools.accumulate(sums))
    # In the order of the candidates, so that each part of them has its share.
    places = ((number + 0.5) / MAX_CURVES * sums[-1] for number in range(MAX_CURVES))
    chosen: dict[int, Fitting] = {}
    found = []
    for place in places:
        number = bisect.bisect_left(sums, place)
        if number not in chosen:
            step = bisect.bisect_right(ends, number)
            which, spread = divmod(number - (ends[step - 1] if step else 0), len(_LOAD_SPREADS))
            chosen[number] = Fitting(
                tried[step][which].curve(paces[step]), _LOAD_SPREADS[spread][0]
            )
        found.append(chosen[number])
    return found


def _paces(most: int) -> list[float]:
    """Return the bytes in a second for which curves are tried, of windows with at most so many
    MiB/s."""
    low = max(_LEAST_BYTES, _LEAST_SHARE * most * MIB)
    high = _MOST_SHARE * (most + 1) * MIB
    return [low * _STEP**step for step in range(math.ceil(math.log(high / low, _STEP)))]


class _Shape(NamedTuple):
    """A form of curves. ``second_bytes`` is what one of one byte a second dirties in a second, and
    ``window_bytes`` in each length of the windows; ``prior`` the logarithm of its probability
    before the measurement. All ``alike`` are equally probable with each pace."""

    knee_seconds: float
    bend: float
    second_bytes: float
    window_bytes: tuple[float, ...]
    prior: float
    alike: int

    def curve(self, pace: float) -> DirtyCurve:
        """Return the one that dirties so many bytes in a second."""
        return DirtyCurve(pace / self.second_bytes, self.knee_seconds, self.bend)

    def fitting_paces(self, paces: Sequence[float], memory_bytes: int) -> int:
        """Return with how many of the ascending paces its working set fits the memory: with all if
        no end of it is seen."""
        if math.isinf(self.knee_seconds):
            return len(paces)
        root = math.sqrt(self.bend)

        def working_set_bytes(pace: float) -> float:
            return pace / self.second_bytes * self.knee_seconds * root

        return bisect.bisect_right(paces, float(memory_bytes), key=working_set_bytes)


@functools.lru_cache(maxsize=16)
def _shapes(lengths: tuple[float, ...]) -> list[_Shape]:
    """Return the forms that are tried. Alike are those that dirty as much in windows of these
    lengths as each other, and were as probable before."""
    found: list[_Shape] = []
    numbers: dict[object, int] = {}
    for knee, (bend, prior) in itertools.product(_KNEES_SECONDS, _BENDS):
        if math.isinf(knee) and bend > 1.0:
            continue
        curve = DirtyCurve(1.0, knee, bend)
        second = curve.dirtied_bytes
        in_windows = tuple(curve.dirtied_in(each) for each in lengths)
        log = math.log(prior if knee < math.inf else 1.0)
        same = (log, *(round(each / second, _SAME_DIGITS) for each in in_windows))
        alike = numbers.setdefault(same, len(numbers))
        found.append(_Shape(knee, bend, second, in_windows, log, alike))
    return found


# Servers that do nothing are measured alike. Each entry takes 115 KiB: a conductor's memory grows
# until all are there.
@functools.lru_cache(maxsize=8)
def _probabilities(
    windows: tuple[Window, ...],
) -> tuple[list[float], list[_Shape], list[list[list[float]]]]:
    """Return the paces and the forms of the curves that are tried, and the logarithms of their
    probabilities: of each pace, of each form (those alike once), of each load spread."""
    lengths = tuple(sorted({window.seconds for window in windows}))
    paces = _paces(max(window.dirty_mib_per_second for window in windows))
    shapes = _shapes(lengths)
    tables = [
        (math.log(share), [_Likelihood(windows, each, spread) for each in lengths])
        for spread, share in _LOAD_SPREADS
    ]
    forms = {shape.alike: shape for shape in reversed(shapes)}
    logs = []
    for pace in paces:
        of_pace = []
        for number in range(len(forms)):
            shape = forms[number]
            each_second = pace / shape.second_bytes
            keys = [
                round(math.log(each_second * each / _SAMPLED_EACH_BYTES) / _SAME_MEAN)
                for each in shape.window_bytes
            ]
            of_pace.append(
                [
                    share + shape.prior + sum(map(operator.getitem, table, keys))
                    for share, table in tables
                ]
            )
        logs.append(of_pace)
    return paces, shapes, logs


class _Likelihood(dict[int, float]):
    """The logarithm of the probability that the windows of one length show what they show, where so
    many sampled pages are expected to differ (in steps of a logarithm). Computed once for each."""

    def __init__(self, windows: Sequence[Window], seconds: float, load_spread: float) -> None:
        super().__init__()
        per_page = _SAMPLED_EACH_BYTES / MIB / seconds
        shown = [each.dirty_mib_per_second for each in windows if each.seconds == seconds]
        self._logs = [_log_of(each, per_page, 1 / load_spread**2) for each in shown]

    def __missing__(self, key: int) -> float:
        mean = math.exp(key * _SAME_MEAN)
        found = self[key] = sum([log(mean) for log in self._logs])
        return found


def _log_of(shown: int, per_page: float, shape: float) -> Callable[[float], float]:
    """Return the logarithm of the probability of so many MiB/s as a function of the mean: that of
    the numbers of sampled pages that show so.

    It is Poisson's, where the mean itself differs (negative binomial: by one over the root of
    ``shape``).
    """
    first = math.ceil(shown / per_page - 1e-9)
    # So short a window as a second shows only some of the numbers.
    last = max(first, math.ceil((shown + 1) / per_page - 1e-9) - 1)
    constant = math.lgamma(first + shape) - math.lgamma(first + 1) - math.lgamma(shape)
    following = [(number + shape) / (number + 1) for number in range(first, last)]
    odd = _ODD / (10 * (shown + 1))

    def log_of(mean: float) -> float:
        odds = mean / (shape + mean)
        log = shape * math.log(shape / (shape + mean)) + (first * math.log(odds) if first else 0.0)
        each = total = math.exp(constant + log)
        for factor in following:
            each *= factor * odds
            total += each
        return math.log((1 - _ODD) * total + odd)

    return log_of
