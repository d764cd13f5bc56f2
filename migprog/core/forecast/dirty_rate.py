# SPDX-License-Identifier: Apache-2.0
"""How fast a guest dirties its memory, by what remained at the start of each iteration.

An iteration of T seconds leaves D(T) bytes to the next. Guests write the same pages repeatedly, so
D grows by less than T: locally D(T) ~ T ** a. The exponent a is 1 for a guest that has not yet
written any page twice, and 0 for one that has dirtied its whole working set.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

# The measured exponent belongs to longer iterations; the next ones are shorter and nearer to 1.
_EXPONENT_TRUST = 0.1
# Iterations of at least so long are measured singly; shorter ones are averaged.
_SINGLE_SECONDS = 1.0
# Such a rate is taken together with those before that differ by less than this share, up to a
# time: what a guest dirties in a second or two varies by chance.
_AGREE, _AVERAGED_SECONDS = 0.1, 5.0
# An iteration that leaves more than this share of what it sent makes hardly any progress.
MAX_RATIO = 0.95
# Two iterations of about the same length do not show the exponent (a difference of logarithms).
_SAME_LENGTH = 0.2
# What remains at an iteration start must fall below this share of the best so far to count as
# progress (KubeVirt's VEP 248 uses the same figure).
_PROGRESS = 0.96
# After so many iterations in a row without progress, the guest dirties as fast as it is sent.
_ITERATIONS_WITHOUT_PROGRESS = 2
# Short iterations, late in a migration, vary: a plateau must last so long.
_PLATEAU_SECONDS = 3.0
# A plateau starts at the last iteration start that had less left than this share of the previous
# such one.
_PLATEAU_START = 0.9
# After a plateau, remaining memory must fall below this share to count as converging again.
_RECOVERY = 0.8

# Shorter iterations differ by chance: they are no surprise.
_SURPRISING_SECONDS = 0.3
# So many of the latest surprises count.
_SURPRISES = 3


class IterationStart(NamedTuple):
    """The start of an iteration after the first: its time, its number, and what remained.

    ``dirtied_bytes`` is what the guest dirtied in the iteration before (None: not known), in which
    it ran for ``seconds``; ``was_paused``: the guest was paused for some of it.
    """

    at: float
    iteration: int
    remaining_bytes: int
    dirtied_bytes: int | None
    seconds: float
    was_paused: bool = False


class DirtyRate(NamedTuple):
    """An iteration of ``seconds`` leaves ``dirtied_bytes``; near it D(T) ~ T ** ``exponent``."""

    seconds: float
    dirtied_bytes: float
    exponent: float

    def in_iteration(self, seconds: float) -> "DirtyRate":
        """Return the rate for another length. The exponent nears 1 as iterations get shorter."""
        ratio = seconds / self.seconds
        dirtied = self.dirtied_bytes * ratio**self.exponent
        exponent = (1 + self.exponent) / 2 if ratio < 1 else self.exponent
        return DirtyRate(seconds, dirtied, exponent)


def dirtying(iterations: Sequence[IterationStart]) -> DirtyRate | None:
    """Measure the dirty rate by the latest iterations; None if they are too few."""
    measured = _measured(iterations)
    latest = next(measured, None)
    if latest is None:
        return None
    seconds, dirtied_bytes = latest
    before = _of_other_length(measured, seconds)
    if before is None:
        return DirtyRate(seconds, dirtied_bytes, 1.0)
    exponent = 1 - _EXPONENT_TRUST * (1 - _exponent(before, latest))
    return DirtyRate(seconds, seconds * _bytes_per_second(before, latest), exponent)


def surprises(
    before: tuple[float, ...], expected: DirtyRate | None, iteration_start: IterationStart
) -> tuple[float, ...]:
    """Return by how much the latest iterations differed from what was expected of them, as
    absolute logarithms, with one more."""
    dirtied, seconds = iteration_start.dirtied_bytes, iteration_start.seconds
    if expected is None or expected.seconds <= 0 or not dirtied or seconds < _SURPRISING_SECONDS:
        return before
    said = expected.in_iteration(seconds).dirtied_bytes
    return (*before, abs(math.log(dirtied / said)))[-_SURPRISES:] if said > 0 else before


def has_dirtied_its_whole_set(iterations: Sequence[IterationStart]) -> bool:
    """Return whether what surprised in the second iteration fits a guest that goes on as before:
    one that had dirtied its whole working set in the first iteration dirties more a second in a
    shorter one, and no more in all."""
    if len(iterations) != 2:
        return False
    first, second = iterations
    if first.dirtied_bytes is None or second.dirtied_bytes is None:
        return False
    least = first.dirtied_bytes * second.seconds
    return least <= second.dirtied_bytes * first.seconds <= first.dirtied_bytes * first.seconds


def without_progress(iterations: Sequence[IterationStart]) -> bool:
    """Return whether the last iterations had no less to send than the best one before them."""
    if len(iterations) <= _ITERATIONS_WITHOUT_PROGRESS:
        return False
    recent = iterations[-_ITERATIONS_WITHOUT_PROGRESS:]
    since = recent[-1].at - _PLATEAU_SECONDS
    earlier = [
        b.remaining_bytes for b in iterations[:-_ITERATIONS_WITHOUT_PROGRESS] if b.at <= since
    ]
    return bool(earlier) and all(b.remaining_bytes >= _PROGRESS * min(earlier) for b in recent)


def plateau_start(remaining_bytes: Iterable[float]) -> int:
    """Return with which of these iteration starts a plateau begins that lasts until the last."""
    first, best = 0, math.inf
    for number, left in enumerate(remaining_bytes):
        if left < _PLATEAU_START * best:
            first, best = number, left
    return first


def shrank(iterations: Sequence[IterationStart]) -> bool:
    """Return whether the last iteration has less to send than any before it."""
    best = min(iteration_start.remaining_bytes for iteration_start in iterations[:-1])
    return iterations[-1].remaining_bytes < _PROGRESS * best


def recovers(iterations: Sequence[IterationStart]) -> bool:
    """Return whether iterations get shorter again: by much at once, or one by one."""
    last = iterations[-1]
    lately = [b for b in iterations if b.at >= last.at - _PLATEAU_SECONDS]
    recent = [b.remaining_bytes for b in max(lately, iterations[-4:], key=len)]
    falls = all(after <= _PROGRESS * before for before, after in itertools.pairwise(recent))
    return last.remaining_bytes <= _RECOVERY * (recent[0] if falls else min(recent[:-1]))


def _bytes_per_second(before: tuple[float, float], now: tuple[float, float]) -> float:
    """Return the bytes dirtied a second in iterations like the latest.

    A shorter iteration cannot leave less a second than a longer one, as the exponent is at most 1.
    Where it seems so, the guest wrote pages that were still to be sent, or its load has changed.
    Then the mean of both is used.
    """
    latest, earlier = now[1] / now[0], before[1] / before[0]
    return (latest + earlier) / 2 if now[0] < before[0] and latest < earlier else latest


def _measured(iterations: Sequence[IterationStart]) -> Iterator[tuple[float, float]]:
    """Yield (seconds, dirtied bytes) of an iteration, newest first; short ones are averaged. The
    rate is that of those before it, too, which agree with it."""
    seconds = dirtied = length = 0.0
    count = 0
    for iteration_start in reversed(iterations):
        if iteration_start.dirtied_bytes is None:
            break
        now, bytes_ = iteration_start.seconds, iteration_start.dirtied_bytes
        if length and not (seconds < _AVERAGED_SECONDS and _agree(dirtied, seconds, bytes_, now)):
            yield length, length * dirtied / seconds
            seconds = dirtied = length = 0.0
            count = 0
        seconds += now
        dirtied += bytes_
        count += 1
        if not length and seconds >= _SINGLE_SECONDS:
            length = seconds / count
    if seconds > 0:
        length = length or seconds / count
        yield length, length * dirtied / seconds


def _agree(dirtied: float, seconds: float, other_dirtied: float, other_seconds: float) -> bool:
    """Return whether as much was dirtied a second."""
    expected = dirtied * other_seconds
    return abs(other_dirtied * seconds - expected) <= _AGREE * expected


def _of_other_length(
    measured: Iterator[tuple[float, float]], latest_seconds: float
) -> tuple[float, float] | None:
    """Return the newest iteration before the latest that was clearly longer or shorter."""
    for seconds, dirtied_bytes in measured:
        if abs(math.log(seconds / latest_seconds)) >= _SAME_LENGTH:
            return seconds, dirtied_bytes
    return None


def _exponent(before: tuple[float, float], now: tuple[float, float]) -> float:
    """Return the exponent of dirtied bytes between two iterations of different lengths, 0 to 1."""
    if min(before[1], now[1]) <= 0:
        return 1.0
    return min(1.0, max(0.0, math.log(now[1] / before[1]) / math.log(now[0] / before[0])))
