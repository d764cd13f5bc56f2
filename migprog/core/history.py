# SPDX-License-Identifier: Apache-2.0
"""Which reports of a migration are kept as its history: of each step of its time the first.

A step is a second at first and gets twice as long each time that the migration's age has doubled.
Points that are then too close are dropped: of a migration of any length at most :data:`MOST_POINTS`
are kept, half of that at least if it was told of so often, evenly over its time.
"""

import math

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


def outgrown(before_seconds: float, now_seconds: float) -> int | None:
    """The step of now if it is longer than before: points whose number is no multiple of it go."""
    step = step_seconds(now_seconds)
    return step if step > step_seconds(before_seconds) else None


def _whole(seconds: float) -> int:
    # A clock may have been set back behind the start.
    return max(0, math.floor(seconds))
