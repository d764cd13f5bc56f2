# SPDX-License-Identifier: Apache-2.0
"""Forecast a migration before it starts, by what was measured of the server and what earlier
migrations have shown.

The iterations are those of a running migration (:mod:`migprog.core.forecast.estimate`). They are
run through for each curve that fits the measurement, at several transfer rates: the times that come
out are the forecast with its range, and the share of those that end says whether it converges.
"""

import functools
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from migprog.core.forecast import before_words
from migprog.core.forecast.dirty_curve import MAX_CURVES, DirtyCurve, Fitting, fitting
from migprog.core.forecast.estimate import MIRRORS_END_SECONDS, TURN_SECONDS
from migprog.core.forecast.guest_pause import DEFAULT_DOWNTIME_LIMIT_SECONDS
from migprog.core.forecast.migration_to_come import (
    MigrationToCome,
    needed_bytes_per_second,
    run_through,
)
from migprog.core.learned import RANGE_DEVIATIONS, Learned
from migprog.core.measurement import Measurement, Window

# A migration is said to converge, or not to, where so many of its possible courses do.
_SURE = 0.8
_NORMAL = statistics.NormalDist()
# Multiples of these are evenly spaced between whole numbers, in three dimensions.
_FIRST_STEP, _SECOND_STEP, _THIRD_STEP = 0.8191725134, 0.6710436067, 0.5497004779
# How much auto-converge must slow a guest down depends on its idle time, which is not known.
_THROTTLES = (30.0, 99.0)
# How much a guest's load differs over a whole migration, as a share of what it differs from window
# to window; and how much it changes with the square root of the hours since it was measured, up to
# a limit. In deviations of a logarithm.
_LASTING_SHARE = 0.6
_LOAD_DEVIATION_OF_AN_HOUR, _MOST_LOAD_DEVIATION = 0.15, 0.8
_HOUR_SECONDS = 3600.0
# A guest whose load differs so much from window to window rests now and then. A migration ends
# then, if the rest is long enough, which the windows do not show.
_BURSTS = 0.35
# What no model of this kind has: an 80 % range of so many seconds a second.
_UNKNOWN_SHARE = 0.03
# The resident memory of QEMU itself. Where a migration runs, its counters soon show better.
_QEMU_BYTES = 36 * 2**20
# QEMU reads pages of zeros about so fast.
_ZEROS_BYTES_PER_SECOND = 2.0 * 2**30
_LOW, _HIGH = 0.1, 0.9


@dataclass(frozen=True, slots=True)
class Basis:
    """What a forecast rests on."""

    measured_at: float
    windows: tuple[Window, ...]
    learned_source: str
    learned_count: int
    learned_newest_at: float | None


@dataclass(frozen=True, slots=True)
class Before:
    """A forecast. ``converges`` is ``yes``, ``no`` or ``unknown``.

    The seconds are of the whole migration with an 80 % range, as far as it converges; all None
    if it does not, ``high_seconds`` None if it may not converge. ``..._needed_...``: with which it
    would converge; None where it does without, or where that is not known. ``helps`` are words of
    :data:`before_words.HELPS`. ``migration`` is the middle of its possible courses.
    """

    total_seconds: float | None
    low_seconds: float | None
    high_seconds: float | None
    converges: str
    downtime_needed_seconds: float | None
    bandwidth_needed_bytes_per_second: float | None
    helps: tuple[str, ...]
    message: str
    basis: Basis
    migration: MigrationToCome | None = None


def forecast_before(
    measurement: Measurement,
    learned: Learned,
    *,
    block_migration: bool,
    now: float,
    auto_converge: bool = False,
) -> Before:
    """Forecast the migration of a server from its newest measurement.

    ``block_migration``: its disks are copied, too; ``auto_converge``: QEMU may slow it down.
    """
    basis = Basis(
        measurement.measured_at,
        measurement.windows,
        learned.rate.source,
        learned.rate.count,
        learned.rate.newest_at,
    )
    fits = fitting(measurement.windows, measurement.memory_bytes)
    curves = [each.curve for each in fits]
    disk_bytes = measurement.disk_bytes if block_migration else 0
    why = before_words.unforeseeable(bool(curves), disk_bytes is None, measurement.has_host_devices)
    if why or disk_bytes is None:
        return Before(None, None, None, "unknown", None, None, (), why or "", basis)
    migration = _migration(measurement, learned, curves[0], disk_bytes, auto_converge)
    age_seconds = max(0.0, now - measurement.measured_at)
    outcomes = _outcomes(migration, fits, learned, age_seconds)
    ended = sorted(each for each in outcomes if each[0] is not None)
    converges = "unknown"
    if len(ended) >= _SURE * len(outcomes):
        converges = "yes"
    elif len(ended) <= (1 - _SURE) * len(outcomes):
        stuck = [number for seconds, number in outcomes if seconds is None]
        may_end = sum(_may_end(migration, fits[number], learned) for number in stuck)
        if len(ended) + may_end <= (1 - _SURE) * len(outcomes):
            converges = "no"
    middle = _middle(migration, curves, outcomes, converges)
    return _said(middle, learned, ended, converges, basis)


def _migration(
    measurement: Measurement,
    learned: Learned,
    curve: DirtyCurve,
    disk_bytes: int,
    auto_converge: bool,
) -> MigrationToCome:
    total = measurement.memory_bytes
    filled = float(total)
    if measurement.resident_bytes is not None:
        filled = min(filled, max(0.0, measurement.resident_bytes - _QEMU_BYTES))
    limit = measurement.downtime_limit_seconds
    return MigrationToCome(
        memory_bytes=filled,
        disk_bytes=float(disk_bytes),
        scan_seconds=(total - filled) / _ZEROS_BYTES_PER_SECOND,
        curve=curve,
        downtime_limit_seconds=DEFAULT_DOWNTIME_LIMIT_SECONDS if limit is None else limit,
        overhead_seconds=learned.overhead_seconds,
        auto_converge=auto_converge,
    )


def _outcomes(
    migration: MigrationToCome, fits: Sequence[Fitting], learned: Learned, age_seconds: float
) -> list[tuple[float | None, int]]:
    """Return the seconds of each possible precopy (None: it does not converge) with the number of
    its curve; each is as probable as any other."""
    rate = learned.rate
    rate_deviation = math.log1p(rate.spread) / RANGE_DEVIATIONS
    found: list[tuple[float | None, int]] = []
    for number, curve in enumerate(loaded(fits, age_seconds)):
        at = rate.bytes_per_second * math.exp(rate_deviation * _spaced(number, _SECOND_STEP))
        low, high = _THROTTLES
        throttle = low + (high - low) * ((number * _THIRD_STEP) % 1.0)
        one = migration._replace(curve=curve, enough_percent=throttle)
        precopy = run_through(one, at)
        seconds = precopy.seconds
        found.append((None if seconds is None else seconds + migration.overhead_seconds, number))
    return found


def _may_end(migration: MigrationToCome, fit: Fitting, learned: Learned) -> bool:
    """Return whether a guest that writes in bursts would let a migration end while it rests."""
    if fit.load_spread < _BURSTS:
        return False
    rests = fit.curve.faster(math.exp(-RANGE_DEVIATIONS * fit.load_spread))
    course = run_through(migration._replace(curve=rests), learned.rate.bytes_per_second)
    return course.iterations_seconds is not None


def loaded(fits: Sequence[Fitting], age_seconds: float) -> Iterator[DirtyCurve]:
    """Yield the curve of each with the load that the guest may have during a migration, so long
    after it was measured."""
    aged = _LOAD_DEVIATION_OF_AN_HOUR * math.sqrt(age_seconds / _HOUR_SECONDS)
    aged = min(_MOST_LOAD_DEVIATION, aged)
    for number, (curve, load_spread) in enumerate(fits):
        load_deviation = math.hypot(_LASTING_SHARE * load_spread, aged)
        yield curve.faster(math.exp(load_deviation * _spaced(number, _FIRST_STEP)))


@functools.lru_cache(maxsize=3 * MAX_CURVES)
def _spaced(number: int, step: float) -> float:
    """Return values of a normal distribution that fill it evenly, in deviations."""
    return _NORMAL.inv_cdf((0.5 + number * step) % 1.0 or 0.5)


def _middle(
    migration: MigrationToCome,
    curves: Sequence[DirtyCurve],
    outcomes: Sequence[tuple[float | None, int]],
    converges: str,
) -> MigrationToCome:
    """Return the precopy in the middle of those that fit the verdict."""
    ended = sorted(each for each in outcomes if each[0] is not None)
    if converges == "no" or not ended:
        stuck = [number for seconds, number in outcomes if seconds is None]
        by_pace = sorted(stuck, key=lambda number: curves[number].bytes_per_second)
        return migration._replace(curve=curves[by_pace[len(by_pace) // 2]])
    return migration._replace(curve=curves[ended[len(ended) // 2][1]])


def _said(
    migration: MigrationToCome,
    learned: Learned,
    ended: Sequence[tuple[float | None, int]],
    converges: str,
    basis: Basis,
) -> Before:
    rate = learned.rate.bytes_per_second
    level = run_through(migration._replace(auto_converge=False), rate).level_bytes
    downtime = None if level is None else level / rate
    needed = None if level is None else needed_bytes_per_second(migration, rate)
    low = middle = high = None
    if converges != "no" and ended:
        turn = TURN_SECONDS + MIRRORS_END_SECONDS if migration.disk_bytes else 0.0
        low, middle, high = _range([each for each, _ in ended if each is not None], learned, turn)
    if converges == "unknown":
        high = None
    helps = (
        () if converges == "yes" else before_words.helps(downtime, needed, migration.auto_converge)
    )
    message = before_words.message(
        converges, (low, middle, high), migration, rate, downtime, needed
    )
    return Before(middle, low, high, converges, downtime, needed, helps, message, basis, migration)


def _range(
    seconds: Sequence[float], learned: Learned, turn_seconds: float
) -> tuple[float, float, float]:
    """Return the middle of sorted times with an 80 % range.

    It may take ``turn_seconds`` more or less: some migrations make no pause between their disks and
    the memory.
    """
    count = len(seconds)
    low, middle, high = (seconds[int(share * count)] for share in (_LOW, 0.5, _HIGH))
    more = math.hypot(_UNKNOWN_SHARE * middle, learned.overhead_spread_seconds, turn_seconds)
    return (
        max(0.0, middle - math.hypot(middle - low, more)),
        middle,
        middle + math.hypot(high - middle, more),
    )
