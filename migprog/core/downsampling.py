# SPDX-License-Identifier: Apache-2.0
"""Select which reports of a migration are stored as its history: the first of each time step.

A step is a second at first and doubles each time that the migration's age has doubled. Of the
points that are then in one step, the first remains: so there are at most :data:`MOST_POINTS`
of a migration of any length, and at least half of that if it was reported so often.
"""

import math
from collections.abc import Iterable

MOST_POINTS = 128


def step_seconds(age_seconds: float) -> int:
    """Return how long a step is at a migration's age: 1, 2, 4, ..."""
    return 1 << max(0, _whole(age_seconds).bit_length() - MOST_POINTS.bit_length() + 1)


def number(age_seconds: float) -> int:
    """Return the number of the step at an age: the second at which it began."""
    age = _whole(age_seconds)
    return age - age % step_seconds(age)


def is_kept(before_seconds: float, now_seconds: float) -> bool:
    """Return whether a report at the age of ``now_seconds`` is the first of its step; the one
    before was at ``before_seconds``."""
    return number(now_seconds) > number(before_seconds)


def has_outgrown(before_seconds: float, now_seconds: float) -> bool:
    """Return whether steps are longer now than before: then points must be dropped."""
    return step_seconds(now_seconds) > step_seconds(before_seconds)


def dropped(numbers: Iterable[int], age_seconds: float) -> list[int]:
    """Return the numbers of points that are not the first of their step, at an age."""
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
