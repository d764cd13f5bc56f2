# SPDX-License-Identifier: Apache-2.0
"""What a migration is expected to send again, by curves that were known before it began.

The iterations are those of a migration that runs (:mod:`migprog.core.forecast.migration_to_come`).
"""

from collections.abc import Sequence

from migprog.core.forecast.dirty_curve import DirtyCurve
from migprog.core.forecast.first_iteration import first_iteration
from migprog.core.forecast.guest_pause import downtime_limit_seconds
from migprog.core.forecast.migration_to_come import MigrationToCome, run_through
from migprog.core.forecast.precopy import SLICE_SECONDS, PrecopyState
from migprog.core.forecast.resent import Resent

_LOW, _HIGH = 0.1, 0.9
# What one sends again that does not converge, until its guest's load changes or somebody helps.
_STUCK = Resent(1.0, 3.0, 6.0)
# It is expected not to converge where no more of its curves do.
_HARDLY = 0.2


def resent(curves: Sequence[DirtyCurve], precopy: PrecopyState) -> Resent | None:
    """Return what a migration in its first iteration, or before it, is expected to send again at
    its present rate; None while that is not known."""
    rate = precopy.memory_bytes_per_second or precopy.known_bytes_per_second
    known = first_iteration(precopy, rate) if rate else None
    if rate is None or known is None or known.whole_seconds <= 0:
        return None
    limit, filled = downtime_limit_seconds(precopy), known.whole_seconds * rate
    shares = [resent_share(curve, filled, limit, rate) for curve in curves]
    ended = sorted(share for share in shares if share is not None)
    if len(ended) <= _HARDLY * len(shares):
        return _STUCK
    stuck = [max(ended[-1], _STUCK.likely)] * (len(shares) - len(ended))
    in_order = [*ended, *stuck]
    low, high = (in_order[int(share * len(in_order))] for share in (_LOW, _HIGH))
    return Resent(low, ended[len(ended) // 2], high)


def resent_share(curve: DirtyCurve, memory_bytes: float, limit: float, rate: float) -> float | None:
    """Return what is sent again as a share of the first iteration; None: it does not converge."""
    course = run_through(MigrationToCome(memory_bytes, 0.0, 0.0, curve, limit, 0.0), rate)
    if course.iterations_seconds is None:
        return None
    return course.iterations_seconds / max(course.first_seconds, SLICE_SECONDS)
