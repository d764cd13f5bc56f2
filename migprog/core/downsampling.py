# SPDX-License-Identifier: Apache-2.0
"""Which reports of a migration are kept as its history: of each step of its time the first.

A step is a second at first and gets twice as long each time that the migration's age has doubled.
Of the points that are then in one step again the first is kept: so at most :data:`MOST_POINTS` are,
of a migration of any length, and half of that at least if it was told of so often.
"""

import math
from collections.abc import Iterable

MOST_POINTS = 128


def step_seconds(age_seconds: float) -> int:
    """How long a step is at a migration's age: 1, 2, 4, ..."""
    return 1 << max(0, _whole(age_seconds).bit_length() - MOST_POINTS.bit_length() + 1)


def number(age_seconds: float) -> int:
    """The number of the step that is under way at an age: the second at which it began."""
    age = _whole(age_seconds)
    return age - age % step_seconds(age)


def is_kept(before_seconds: float, now_seconds: float) -> bool:
    """Whether a report at the age of ``now_seconds`` is the first of its step; the one before was
    at ``before_seconds``."""
    return number(now_seconds) > number(before_seconds)


def has_outgrown(before_seconds: float, now_seconds: float) -> bool:
    """Whether steps are longer now than before: then points are to be dropped."""
    return step_seconds(now_seconds) > step_seconds(before_seconds)


def dropped(numbers: Iterable[int], age_seconds: float) -> list[int]:
    """Of the numbers of points those that are not the first of their step, at an age."""
    step = step_seconds(age_seconds)
    seen: set[int] = set()
    behind = []
    for each in sorted(numbers):
        if each // step in seen:
            behind.append(each)
        seen.add(each // step)
    return behind


def _whole(seconds: float) -> int:
    # A clock may have been set back behind the start.
    return max(0, math.floor(seconds))
