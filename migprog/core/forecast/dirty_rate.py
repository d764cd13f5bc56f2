# SPDX-License-Identifier: Apache-2.0
"""How a guest dirties its memory, by what it left at the boundaries between QEMU's passes.

A pass of T seconds leaves D(T) bytes to the next. Guests write the same pages again and again, so D
bends: locally D(T) ~ T ** a, with a = 1 for a guest that has not come round yet and a = 0 for one
that has dirtied all that it ever does.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

# D was bent between two passes that have been; it is straighter between the next two.
_EXPONENT_TRUST = 0.1
# Passes are told apart where they last so long; shorter ones are taken together.
_PASS_SECONDS = 1.0
# Two passes of about the same length tell nothing about the bend.
_SAME_LENGTH = 0.2
# What is left at a boundary must fall below this share of the best so far to count as progress
# (KubeVirt's VEP 248 uses the same figure).
_PROGRESS = 0.96
# So many boundaries in a row without progress, and the guest dirties as fast as it is sent.
_ITERATIONS_WITHOUT_PROGRESS = 2
# Short passes, late in a migration, waver: a plateau lasts.
_PLATEAU_SECONDS = 3.0
# Once that is so, it takes more than a little progress to believe in an end again.
_RECOVERY = 0.8


class IterationStart(NamedTuple):
    """The start of a pass but the first: its time, its number, and what it has to send.

    ``dirtied_bytes`` is what the guest dirtied in the pass before (None: not known), in which it
    ran for ``seconds``; ``was_paused``: it did not run all the while.
    """

    at: float
    iteration: int
    remaining_bytes: int
    dirtied_bytes: int | None
    seconds: float
    was_paused: bool = False


class DirtyRate(NamedTuple):
    """A pass of ``seconds`` leaves ``dirtied_bytes``; about there D(T) ~ T ** ``bend``."""

    seconds: float
    dirtied_bytes: float
    exponent: float

    def in_iteration(self, seconds: float) -> "DirtyRate":
        """A pass of other length. The shorter passes get, the straighter D becomes."""
        ratio = seconds / self.seconds
        dirtied = self.dirtied_bytes * ratio**self.exponent
        exponent = (1 + self.exponent) / 2 if ratio < 1 else self.exponent
        return DirtyRate(seconds, dirtied, exponent)


def dirtying(iterations: Sequence[IterationStart]) -> DirtyRate | None:
    """How the guest dirties its memory, by the latest passes; None if it cannot be told."""
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


def without_progress(iterations: Sequence[IterationStart]) -> bool:
    """Whether the last passes had no less to send than the best of those some time before them."""
    if len(iterations) <= _ITERATIONS_WITHOUT_PROGRESS:
        return False
    recent = iterations[-_ITERATIONS_WITHOUT_PROGRESS:]
    since = recent[-1].at - _PLATEAU_SECONDS
    earlier = [
        b.remaining_bytes for b in iterations[:-_ITERATIONS_WITHOUT_PROGRESS] if b.at <= since
    ]
    return bool(earlier) and all(b.remaining_bytes >= _PROGRESS * min(earlier) for b in recent)


def shrank(iterations: Sequence[IterationStart]) -> bool:
    """Whether the last pass has less to send than any before it."""
    best = min(iteration_start.remaining_bytes for iteration_start in iterations[:-1])
    return iterations[-1].remaining_bytes < _PROGRESS * best


def recovers(iterations: Sequence[IterationStart]) -> bool:
    """Whether passes that did not get shorter do so again: at once by much, or one by one."""
    last = iterations[-1]
    lately = [b for b in iterations if b.at >= last.at - _PLATEAU_SECONDS]
    recent = [b.remaining_bytes for b in max(lately, iterations[-4:], key=len)]
    falls = all(after <= _PROGRESS * before for before, after in itertools.pairwise(recent))
    return last.remaining_bytes <= _RECOVERY * (recent[0] if falls else min(recent[:-1]))


def _bytes_per_second(before: tuple[float, float], now: tuple[float, float]) -> float:
    """What is dirtied a second in passes like the latest.

    A shorter pass cannot leave less a second than a longer one, D being bent as it is: where it
    seems so, the guest wrote just what was still to be sent, or it has changed. The truth is taken
    to be between.
    """
    latest, earlier = now[1] / now[0], before[1] / before[0]
    return (latest + earlier) / 2 if now[0] < before[0] and latest < earlier else latest


def _measured(iterations: Sequence[IterationStart]) -> Iterator[tuple[float, float]]:
    """Yield (seconds, dirtied bytes) of a pass, newest first; short ones are averaged."""
    is_first = True
    seconds = dirtied = 0.0
    count = 0
    for iteration_start in reversed(iterations):
        if iteration_start.dirtied_bytes is None:
            break
        seconds += iteration_start.seconds
        dirtied += iteration_start.dirtied_bytes
        count += 1
        if seconds >= _PASS_SECONDS:
            yield seconds / count, dirtied / count
            is_first = False
            seconds = dirtied = 0.0
            count = 0
    if is_first and seconds > 0:
        yield seconds / count, dirtied / count


def _of_other_length(
    measured: Iterator[tuple[float, float]], latest_seconds: float
) -> tuple[float, float] | None:
    """The newest of those before the latest pass that was longer or shorter than that."""
    for seconds, dirtied_bytes in measured:
        if abs(math.log(seconds / latest_seconds)) >= _SAME_LENGTH:
            return seconds, dirtied_bytes
    return None


def _exponent(before: tuple[float, float], now: tuple[float, float]) -> float:
    """The elasticity of what is dirtied, between two passes of different lengths."""
    if min(before[1], now[1]) <= 0:
        return 1.0
    return min(1.0, max(0.0, math.log(now[1] / before[1]) / math.log(now[0] / before[0])))
