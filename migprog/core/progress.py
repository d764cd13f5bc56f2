# SPDX-License-Identifier: Apache-2.0
"""Compute the progress in percent: the share of the time that has passed, which never falls.

A percentage that is too high stands still until time catches up; one that is too low stays behind
as long. So where the time left is uncertain, it is computed for a guest between an idle one and
one that dirties much: exact for both as the first iteration begins, between them as it ends.
"""

import math

from migprog.core.forecast.estimate import Estimate
from migprog.core.forecast.first_iteration import MAX_RESENT, first_iteration
from migprog.core.forecast.guest_pause import downtime_limit_seconds
from migprog.core.forecast.precopy import PrecopyState

MAX_UNDER_WAY = 99
# A disk is copied in steps, and a rate needs two. For so long 0 percent is not misleading.
_BEGINS_SECONDS = 10.0
# How late in the first iteration the percentage begins to allow for a guest that dirties much.
_LATENESS = 2.5
# Whether iterations get shorter is not known before the second iteration start: so much of the
# second iteration is expected once more.
_SECOND_ITERATION_AGAIN = 0.25

# A percentage is displayed until the next report: for a second, or the schedule's step, or the
# report interval. It is computed for the middle of that time, so that it is early as often as late,
# of a server whose iterations to come are known: of others an estimate is more often too short.
_LEAST_LEAD_SECONDS, _LEAD_SHARE, _MOST_LEAD_SECONDS = 0.5, 0.02, 5.0


def percent(precopy: PrecopyState, estimate: Estimate, displayed: int | None) -> int | None:
    """Return the share of the time that has passed, in percent, at most 99; never below what was
    ``displayed`` before, None while it is not known."""
    if precopy.latest is None or estimate.eta_seconds is None:
        return 0 if displayed is None and _has_just_begun(precopy) else displayed
    elapsed = max(0.0, precopy.latest.at - precopy.started_at)
    whole = elapsed + max(0.0, estimate.eta_seconds + _correction_seconds(precopy, estimate))
    share = int(100 * (elapsed + _lead_seconds(precopy, whole)) / whole) if whole > 0 else 0
    return max(displayed or 0, min(MAX_UNDER_WAY, share))


def _lead_seconds(precopy: PrecopyState, whole: float) -> float:
    """Return half of the time for which a percentage is displayed, of a migration that takes
    ``whole`` seconds; 0 where the estimate is often too short."""
    rate = _rate(precopy)
    if not rate or precopy.iterations or not precopy.expected_resent(rate).is_known:
        return 0.0
    return max(_LEAST_LEAD_SECONDS, min(_LEAD_SHARE * whole, _MOST_LEAD_SECONDS))


def _has_just_begun(precopy: PrecopyState) -> bool:
    """Return whether the first bytes have moved, but not long enough to measure a rate."""
    latest = precopy.latest
    if latest is None or latest.at - precopy.started_at > _BEGINS_SECONDS:
        return False
    if precopy.memory_bytes_per_second or precopy.disk_bytes_per_second:
        return False
    return bool(latest.memory_processed_bytes or latest.disk_processed_bytes)


def _rate(precopy: PrecopyState) -> float | None:
    return precopy.memory_bytes_per_second or precopy.disk_bytes_per_second


def _correction_seconds(precopy: PrecopyState, estimate: Estimate) -> float:
    """Return what is added to the time left while too little is known of the guest."""
    rate = _rate(precopy)
    if not rate or (precopy.iterations and precopy.resent.is_known):
        return 0.0
    if not precopy.iterations:
        known = estimate.first_iteration or first_iteration(precopy, rate)
        if known is None:
            return 0.0
        least, _, most = precopy.expected_resent(rate)
        resent = least + (most - least) * math.pow(known.share, _LATENESS)
        return min(MAX_RESENT, resent) * known.whole_seconds - known.following_seconds
    last = precopy.iterations[-1].remaining_bytes
    if len(precopy.iterations) == 1 and last > rate * downtime_limit_seconds(precopy):
        return _SECOND_ITERATION_AGAIN * last / rate
    return 0.0
