# SPDX-License-Identifier: Apache-2.0
"""How a guest dirties its memory, by what it left at the boundaries.

A pass of T seconds leaves D(T) bytes to the next. Guests write the same pages again and again, so D
bends: locally D(T) ~ T ** a, with a = 1 for a guest that has not come round yet and a = 0 for one
that has dirtied all that it ever does.
"""

import math
from dataclasses import dataclass

from migprog.core.course import Boundary, Course

_GUESSED_BEND = 0.9
# D was bent between the last two passes; it is straighter between the next two.
_BEND_TRUST = 0.2
# Passes are told apart where they last so long; shorter ones are taken together.
_PASS_SECONDS = 1.0
# A pass that leaves more than this share of what it sent hardly gets anywhere.
MAX_RATIO = 0.95
# Two passes of about the same length tell nothing about the bend.
_SAME_LENGTH = 0.2
_BEND_OF_SAME_LENGTH = 0.9


@dataclass(frozen=True, slots=True)
class Dirtying:
    """A pass of ``seconds`` leaves ``dirtied_bytes``; about there D(T) ~ T ** ``bend``."""

    seconds: float
    dirtied_bytes: float
    bend: float

    def in_pass(self, seconds: float) -> "Dirtying":
        """A pass of other length. The shorter passes get, the straighter D becomes."""
        ratio = seconds / self.seconds
        dirtied = self.dirtied_bytes * ratio**self.bend
        bend = (1 + self.bend) / 2 if ratio < 1 else self.bend
        return Dirtying(seconds, dirtied, bend)

    @property
    def bytes_per_second(self) -> float:
        return self.dirtied_bytes / self.seconds


def dirtying(course: Course) -> Dirtying | None:
    """How the guest dirties its memory, by the latest passes; None before the first boundary."""
    latest = _measured(course.boundaries)
    if not latest:
        return None
    now = latest[0]
    if len(latest) == 1:
        return Dirtying(*now, _GUESSED_BEND)
    before = latest[1]
    bend = 1 - _BEND_TRUST * (1 - _bend(before, now))
    return Dirtying(now[0], now[0] * _bytes_per_second(before, now), bend)


def _bytes_per_second(before: tuple[float, float], now: tuple[float, float]) -> float:
    """What is dirtied a second in passes like the latest.

    A shorter pass cannot leave less a second than a longer one, D being bent as it is: where it
    seems so, the guest wrote just what was still to be sent, or it has changed. The truth is taken
    to be between.
    """
    latest, earlier = now[1] / now[0], before[1] / before[0]
    return (latest + earlier) / 2 if now[0] < before[0] and latest < earlier else latest


def _measured(boundaries: tuple[Boundary, ...]) -> list[tuple[float, float]]:
    """(seconds, dirtied bytes) of a pass, newest first; short ones are averaged."""
    found: list[tuple[float, float]] = []
    seconds = dirtied = 0.0
    count = 0
    for index in range(len(boundaries) - 1, 0, -1):
        boundary = boundaries[index]
        if boundary.dirtied_bytes is None:
            break
        seconds += boundary.at - boundaries[index - 1].at
        dirtied += boundary.dirtied_bytes
        count += 1
        if seconds >= _PASS_SECONDS or index == 1:
            if seconds > 0:
                found.append((seconds / count, dirtied / count))
            seconds = dirtied = 0.0
            count = 0
        if len(found) == 2:
            break
    if not found and seconds > 0:
        found.append((seconds / count, dirtied / count))
    return found


def _bend(before: tuple[float, float], now: tuple[float, float]) -> float:
    """The elasticity of what is dirtied, between two passes of different lengths."""
    if min(*before, *now) <= 0:
        return _GUESSED_BEND
    length = math.log(now[0] / before[0])
    if abs(length) < _SAME_LENGTH:
        return _BEND_OF_SAME_LENGTH
    return min(1.0, max(0.0, math.log(now[1] / before[1]) / length))
