# SPDX-License-Identifier: Apache-2.0
"""Guests drawn by chance whose measurement and migration are computed: no guest runs.

A guest goes round and round its working set, so what it dirties in any time is known. QEMU sends at
the bandwidth, looks each tenth of a second whether the rest fits the downtime limit, and then
collects what was dirtied.
"""

import math
import random

from lab.before import guests, sampled
from lab.before.bench import Tried
from lab.before.guests import DOWNTIME_SECONDS, Drawn
from lab.before.trial import Seen
from migprog.core.forecast.before import Before, forecast_before
from migprog.core.learned import Completed, Learned, learn
from migprog.core.measurement import Measurement, together

_MIB = 2**20
_SLICE_SECONDS = 0.1
_TURN_SECONDS = 0.5
_BOUND_SECONDS = 50.0
# What migrations of the lab take beside the transfer.
_LEAST_OVERHEAD, _MOST_OVERHEAD = 0.3, 0.7


def try_all(rng: random.Random, count: int) -> list[Tried]:
    """Try so many guests, without those that auto-converge slows down: that is not computed."""
    drawn = guests.draw(rng, [guests.draw_bandwidth(rng) for _ in range(count)])
    return [_try(rng, each) for each in drawn if not each.auto_converge]


def _try(rng: random.Random, drawn: Drawn) -> Tried:
    measurement = _measurement(rng, drawn)
    learned = learned_of(rng, drawn.bandwidth_mib_s, measurement.measured_at)
    before = _forecast(measurement, learned, drawn)
    if before.converges == "unknown":
        measurement = together(_measurement(rng, drawn), measurement)
        before = _forecast(measurement, learned, drawn)
    return Tried(drawn, measurement, before, learned.rate.bytes_per_second, migrate(rng, drawn))


def _measurement(rng: random.Random, drawn: Drawn) -> Measurement:
    return sampled.measurement(
        rng,
        memory_mib=drawn.memory_mib,
        fill_mib=drawn.fill_mib,
        working_set_mib=drawn.working_set_mib,
        segments=drawn.segments,
        disk_mib=drawn.disk_mib,
        downtime_limit_seconds=_limit_seconds(drawn),
    )


def _forecast(measurement: Measurement, learned: Learned, drawn: Drawn) -> Before:
    return forecast_before(
        measurement,
        learned,
        block_migration=bool(drawn.disk_mib),
        now=measurement.measured_at,
    )


def learned_of(rng: random.Random, bandwidth_mib_s: float, now: float) -> Learned:
    """Return what three migrations of quiet guests have shown."""
    rate = bandwidth_mib_s * _MIB
    rows = [
        Completed(
            "a",
            "b",
            now - 100.0 * number,
            rate * rng.uniform(0.99, 1.01),
            5.0,
            rng.uniform(_LEAST_OVERHEAD, _MOST_OVERHEAD),
        )
        for number in (1, 2, 3)
    ]
    return learn(rows, "a", "b", now)


def migrate(rng: random.Random, drawn: Drawn) -> Seen:
    """Compute a migration that begins at any time of the guest's segments."""
    rate, limit_mib = drawn.bandwidth_mib_s, drawn.bandwidth_mib_s * _limit_seconds(drawn)
    begins_at = rng.uniform(0.0, sum(ms for ms, _ in drawn.segments) / 1000)
    seconds = drawn.disk_mib / rate + (_TURN_SECONDS if drawn.disk_mib else 0.0)
    left_mib, iteration = float(drawn.fill_mib), 1
    while left_mib > limit_mib:
        slices = max(1, math.ceil((left_mib - limit_mib) / rate / _SLICE_SECONDS))
        length = slices * _SLICE_SECONDS
        dirtied = sampled.written_mib(drawn.segments, begins_at + seconds, length)
        dirtied = min(float(drawn.working_set_mib), dirtied)
        seconds += length
        if seconds > drawn.first_iteration_seconds + _BOUND_SECONDS:
            return Seen(False, seconds, None, None, None, iteration, None)
        left_mib = max(0.0, left_mib - rate * length) + dirtied
        if iteration > 1:
            # What was not sent is a part of the working set, too.
            left_mib = min(float(drawn.working_set_mib), left_mib)
        iteration += 1
    seconds += left_mib / rate + rng.uniform(_LEAST_OVERHEAD, _MOST_OVERHEAD)
    return Seen(True, seconds, None, None, None, iteration, None)


def _limit_seconds(drawn: Drawn) -> float:
    return drawn.downtime_ms / 1000 if drawn.downtime_ms else DOWNTIME_SECONDS
