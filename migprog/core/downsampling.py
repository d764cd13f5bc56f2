# SPDX-License-Identifier: Apache-2.0
"""Select which reports of a migration are stored as its history.

1. The first report of each time step. A step is a second at first and doubles each time that the
   migration's age has doubled; of the points that are then in one step, the first remains. So
   there are at most :data:`MOST_POINTS` of a migration of any length, and at least half of that if
   it was reported so often.
2. A report with another verdict than the one before, however short that lasts. Steps of these are
   longer (:data:`MOST_CHANGES`): in each remain the last change to a bad verdict and the last one
   to another. A verdict that flaps for a day has as many points as one that flaps for a minute.

Points of the first kind have the number of the second at which their step began; those of the
second kind have numbers below 0.
"""

import math
from collections.abc import Iterable

MOST_POINTS = 128
# Of each kind: changes to a bad verdict, and to another.
MOST_CHANGES = 32


def step_seconds(age_seconds: float, most: int = MOST_POINTS) -> int:
    """Return how long a step is at a migration's age: 1, 2, 4, ...; ``most`` steps since its
    start."""
    return _step_seconds(_whole(age_seconds), most)


def number(age_seconds: float, most: int = MOST_POINTS) -> int:
    """Return the number of the step at an age: the second at which it began."""
    age = _whole(age_seconds)
    return age - age % _step_seconds(age, most)


def change_number(age_seconds: float, is_bad: bool) -> int:
    """Return the number of a change of the verdict; ``is_bad``: to one that is bad."""
    return -1 - 2 * number(age_seconds, MOST_CHANGES) - (not is_bad)


def is_kept(before_seconds: float, now_seconds: float) -> bool:
    """Return whether a report at the age of ``now_seconds`` is the first of its step; the one
    before was at ``before_seconds``."""
    return number(now_seconds) > number(before_seconds)


def kept_number(
    before_seconds: float, now_seconds: float, has_turned: bool, is_bad: bool
) -> int | None:
    """Return the number under which a report at the age of ``now_seconds`` is kept; None: it is
    not. ``has_turned``: its verdict is another one than before, ``is_bad``: and a bad one."""
    if has_turned:
        return change_number(now_seconds, is_bad)
    return number(now_seconds) if is_kept(before_seconds, now_seconds) else None


def has_outgrown(before_seconds: float, now_seconds: float) -> bool:
    """Return whether steps are longer now than before: then points must be dropped."""
    before, now = _whole(before_seconds), _whole(now_seconds)
    # No step grows without it; it is asked for each report.
    return now.bit_length() > before.bit_length() and any(
        _step_seconds(now, most) > _step_seconds(before, most)
        for most in (MOST_POINTS, MOST_CHANGES)
    )


def dropped(numbers: Iterable[int], age_seconds: float) -> list[int]:
    """Return the numbers of points that share their step with one that remains, at an age."""
    step, change_step = step_seconds(age_seconds), step_seconds(age_seconds, MOST_CHANGES)
    seen: set[tuple[int, int]] = set()
    behind = []
    # Of points the first comes first, of changes, by their negative numbers, the last.
    for each in sorted(numbers):
        second, kind = divmod(-1 - each, 2) if each < 0 else (each, -1)
        its = kind, second // (change_step if each < 0 else step)
        if its in seen:
            behind.append(each)
        seen.add(its)
    return behind


def _step_seconds(age: int, most: int) -> int:
    return 1 << max(0, age.bit_length() - most.bit_length() + 1)


def _whole(seconds: float) -> int:
    # A clock may have been set back behind the start.
    return max(0, math.floor(seconds))
