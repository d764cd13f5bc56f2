# SPDX-License-Identifier: Apache-2.0
"""What a server is expected to send again, by curves that are known before its migration begins.

The iterations are those of a migration that runs (:mod:`migprog.core.forecast.migration_to_come`).
"""

import math
from collections.abc import Iterable, Sequence

from migprog.core.forecast.before import loaded
from migprog.core.forecast.dirty_curve import MIB, DirtyCurve, fitting
from migprog.core.forecast.expectation import CURVES, Expectation
from migprog.core.forecast.first_iteration import first_iteration
from migprog.core.forecast.guest_pause import (
    DEFAULT_DOWNTIME_LIMIT_SECONDS,
    downtime_limit_seconds,
)
from migprog.core.forecast.migration_to_come import MigrationToCome, run_through
from migprog.core.forecast.precopy import SLICE_SECONDS, PrecopyState
from migprog.core.forecast.resent import Resent
from migprog.core.learned import Learned
from migprog.core.measurement import MAX_WINDOWS, Measurement, Window

_LOW, _HIGH = 0.1, 0.9
# What one sends again that does not converge, until its guest's load changes or somebody helps.
_STUCK = Resent(1.0, 3.0, 6.0)
# It is expected not to converge where no more of its curves do.
_HARDLY = 0.2
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


def resent(curves: Sequence[DirtyCurve], precopy: PrecopyState) -> Resent | None:
    """Return what a migration in its first iteration, or before it, is expected to send again at
    its present rate; None while that is not known."""
    rate = precopy.memory_bytes_per_second or precopy.known_bytes_per_second
    known = first_iteration(precopy, rate) if rate else None
    if rate is None or known is None or known.whole_seconds <= 0:
        return None
    limit, filled = downtime_limit_seconds(precopy), known.whole_seconds * rate
    shares = [_share(curve, filled, limit, rate) for curve in curves]
    ended = sorted(share for share in shares if share is not None)
    if len(ended) <= _HARDLY * len(shares):
        return _STUCK
    stuck = [max(ended[-1], _STUCK.likely)] * (len(shares) - len(ended))
    in_order = [*ended, *stuck]
    low, high = (in_order[int(share * len(in_order))] for share in (_LOW, _HIGH))
    return Resent(low, ended[len(ended) // 2], high)


def _share(curve: DirtyCurve, memory_bytes: float, limit: float, rate: float) -> float | None:
    """Return what is sent again as a share of the first iteration; None: it does not converge."""
    course = run_through(MigrationToCome(memory_bytes, 0.0, 0.0, curve, limit, 0.0), rate)
    if course.iterations_seconds is None:
        return None
    return course.iterations_seconds / max(course.first_seconds, SLICE_SECONDS)


def _standing_for(
    curves: Sequence[DirtyCurve], measured: Measurement, rate: float
) -> tuple[DirtyCurve, ...]:
    """Return a few that stand for all of them, in the order of what they send again."""
    limit = measured.downtime_limit_seconds
    limit = DEFAULT_DOWNTIME_LIMIT_SECONDS if limit is None else limit
    filled = float(measured.resident_bytes or measured.memory_bytes)

    def resent_share(curve: DirtyCurve) -> tuple[float, float]:
        share = _share(curve, filled, limit, rate)
        return math.inf if share is None else share, curve.in_iteration(filled / rate).dirtied_bytes

    in_order = sorted(curves, key=resent_share)
    places = (int((number + 0.5) / CURVES * len(in_order)) for number in range(CURVES))
    return tuple(in_order[place] for place in places) if in_order else ()
