# SPDX-License-Identifier: Apache-2.0
"""How a migration that has not begun goes at some transfer rate: the iterations are those of the
running forecast (:mod:`migprog.core.forecast.estimate`)."""

import math
from typing import NamedTuple

from migprog.core.forecast.dirty_curve import DirtyCurve
from migprog.core.forecast.estimate import (
    MIRRORS_END_SECONDS,
    TURN_SECONDS,
    iterations_seconds,
)
from migprog.core.forecast.precopy import SLICE_SECONDS
from migprog.core.forecast.throttling import THROTTLE_ENOUGH, throttled_seconds

# Iterations that differ by less than this share are as long as each other.
_SAME_LEVEL = 0.01
# The limits of the search for the bandwidth that is needed, and its steps.
_MOST_RATES, _SEARCH_STEPS = 256.0, 16


class MigrationToCome(NamedTuple):
    """A migration to come. ``memory_bytes`` are those that are not zeros, ``scan_seconds`` the
    time that the zeros take, ``disk_bytes`` what is copied before the memory;
    ``overhead_seconds`` all that is beside the transfer. Auto-converge, where it may slow the guest
    down, needs a throttle of ``enough_percent``."""

    memory_bytes: float
    disk_bytes: float
    scan_seconds: float
    curve: DirtyCurve
    downtime_limit_seconds: float
    overhead_seconds: float
    auto_converge: bool = False
    enough_percent: float = THROTTLE_ENOUGH


class Course(NamedTuple):
    """How a migration goes at some rate. ``iterations_seconds``: after the first; None: it does
    not converge. ``level_bytes`` is what then remains at the start of each iteration."""

    first_seconds: float
    iterations_seconds: float | None
    level_bytes: float | None = None

    @property
    def seconds(self) -> float | None:
        return (
            None
            if self.iterations_seconds is None
            else self.first_seconds + self.iterations_seconds
        )


def run_through(migration: MigrationToCome, bytes_per_second: float) -> Course:
    """Return how a migration goes at a constant rate, by the iterations of the running forecast."""
    limit, curve, rate = migration.downtime_limit_seconds, migration.curve, bytes_per_second
    copy_seconds = migration.memory_bytes / rate + migration.scan_seconds
    first = copy_seconds + migration.disk_bytes / rate
    first += TURN_SECONDS + MIRRORS_END_SECONDS if migration.disk_bytes else 0.0
    # QEMU collects what was dirtied as soon as the rest fits the downtime limit.
    length = max(0.0, copy_seconds - limit + SLICE_SECONDS / 2)
    left = curve.dirtied_in(max(length, SLICE_SECONDS))
    left = min(left, migration.memory_bytes)
    if left <= limit * rate:
        return Course(first, min(left / rate, SLICE_SECONDS))
    most = max(0.0, copy_seconds - limit)
    following = iterations_seconds(curve, length, -SLICE_SECONDS / 2, most, rate)
    if following is not None:
        return Course(first, following)
    level = level_bytes_of(migration, left, rate)
    if level <= limit * rate:
        # The whole working set fits: it is sent once more.
        return Course(first, level / rate)
    if migration.auto_converge:
        return Course(first, _throttled_seconds(migration, level, rate), level)
    return Course(first, None, level)


def _throttled_seconds(migration: MigrationToCome, level: float, rate: float) -> float:
    iteration_seconds = max(0.0, level / rate - migration.downtime_limit_seconds)
    return throttled_seconds(0.0, iteration_seconds, migration.enough_percent)


def level_bytes_of(migration: MigrationToCome, left: float, rate: float) -> float:
    """Return what remains at the start of iterations that get no shorter, the first of which has
    ``left`` bytes to send.

    An iteration leaves what fits the downtime limit, and what the guest dirties meanwhile: in all
    no more than the guest ever writes.
    """
    curve, fits = migration.curve, migration.downtime_limit_seconds * rate
    most = min(curve.working_set_bytes, migration.memory_bytes)
    for _ in range(_SEARCH_STEPS):
        length = max(SLICE_SECONDS / 2, (left - fits) / rate)
        again = min(most, fits + curve.dirtied_in(length))
        if again >= most or abs(again - left) <= _SAME_LEVEL * left:
            return again
        left = again
    return left


def needed_bytes_per_second(migration: MigrationToCome, bytes_per_second: float) -> float | None:
    """Return the least rate from this one on with which it converges by itself; None if there is
    none up to 256 times as much."""
    alone = migration._replace(auto_converge=False)

    def converges(factor: float) -> bool:
        return run_through(alone, bytes_per_second * factor).iterations_seconds is not None

    low, high = 1.0, _MOST_RATES
    if converges(low):
        return bytes_per_second
    if not converges(high):
        return None
    for _ in range(_SEARCH_STEPS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if converges(middle) else (middle, high)
    return bytes_per_second * high
