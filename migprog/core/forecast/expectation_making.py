# SPDX-License-Identifier: Apache-2.0
"""Make what is expected of a migration before it begins: its rate, and curves of its guest."""

import math
from collections.abc import Iterable, Sequence

from migprog.core.forecast.before import loaded
from migprog.core.forecast.dirty_curve import MIB, DirtyCurve, fitting
from migprog.core.forecast.expectation import CURVES, Expectation
from migprog.core.forecast.foreseen_resent import resent_share
from migprog.core.forecast.guest_pause import DEFAULT_DOWNTIME_LIMIT_SECONDS
from migprog.core.learned import Learned
from migprog.core.measurement import MAX_WINDOWS, Measurement, Window

# QEMU computes its dirty rate once a second at most: what it says of shorter iterations is of
# others, too.
_LEAST_SECONDS, _MOST_SECONDS = 1.0, 600.0


def expectation(measured: Measurement | None, learned: Learned, age_seconds: float) -> Expectation:
    """Return what is expected of the migration of a server that was measured so long ago; None: it
    was not measured."""
    rate, curves = learned.rate, tuple[DirtyCurve, ...]()
    if measured is not None:
        curves = _standing_for(
            list(loaded(fitting(measured.windows, measured.memory_bytes), age_seconds)),
            measured,
            rate.bytes_per_second,
        )
    if rate.source == "default":
        return Expectation(curves=curves)
    return Expectation(rate.bytes_per_second, rate.spread, learned.overhead_seconds, curves)


def windows_of(iterations: Iterable[tuple[int | None, int | None]]) -> tuple[Window, ...]:
    """Return what the iterations of a server's last migration show, as if it had been measured.

    ``iterations``: of each what remained at its start, and QEMU's dirty rate then, in bytes and
    bytes a second: so the one before took their quotient.
    """
    found = {}
    for remaining, dirtied_per_second in iterations:
        if not remaining or not dirtied_per_second:
            continue
        seconds = remaining / dirtied_per_second
        if _LEAST_SECONDS <= seconds <= _MOST_SECONDS:
            found[remaining] = Window(round(seconds, 3), dirtied_per_second // MIB)
    return tuple(sorted(list(found.values())[:MAX_WINDOWS], key=lambda window: window.seconds))


def _standing_for(
    curves: Sequence[DirtyCurve], measured: Measurement, rate: float
) -> tuple[DirtyCurve, ...]:
    """Return a few that stand for all of them, in the order of what they send again."""
    limit = measured.downtime_limit_seconds
    limit = DEFAULT_DOWNTIME_LIMIT_SECONDS if limit is None else limit
    filled = float(measured.resident_bytes or measured.memory_bytes)

    def order(curve: DirtyCurve) -> tuple[float, float]:
        share = resent_share(curve, filled, limit, rate)
        return math.inf if share is None else share, curve.in_iteration(filled / rate).dirtied_bytes

    in_order = sorted(curves, key=order)
    places = (int((number + 0.5) / CURVES * len(in_order)) for number in range(CURVES))
    return tuple(in_order[place] for place in places) if in_order else ()
