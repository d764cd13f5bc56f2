# SPDX-License-Identifier: Apache-2.0
"""Compute the progress in percent: the share of the time that has passed, which never falls.

A percentage that is too high stops until it is true; one that is too low is wrong for as long. So
where the remaining time is uncertain, it is computed for a guest between an idle one and one that
dirties much: exact for both as the first iteration begins, between them as it ends.
"""

import math

from migprog.core.forecast.estimate import Estimate
from migprog.core.forecast.first_iteration import first_iteration
from migprog.core.forecast.guest_pause import downtime_limit_seconds
from migprog.core.forecast.precopy import PrecopyState

MAX_UNDER_WAY = 99
# A disk is copied in steps, and a rate needs two. For so long 0 percent is not misleading.
_BEGINS_SECONDS = 10.0
# What a guest that dirties much has to send again, as a share of its first iteration; and how late
# in that iteration the percentage begins to allow for it.
_RESENT = 0.55
_LATENESS = 2.5
# Whether iterations get shorter is not known before the second iteration start: so much of the
# second iteration is expected once more.
_SECOND_ITERATION_AGAIN = 0.25


def percent(course: PrecopyState, estimate: Estimate, displayed: int | None) -> int | None:
    """Return the share of the time that has passed, in percent, at most 99; never below what was
    ``displayed`` before, None while it is not known."""
    if course.latest is None or estimate.eta_seconds is None:
        return 0 if displayed is None and _has_just_begun(course) else displayed
    elapsed = max(0.0, course.latest.at - course.started_at)
    whole = elapsed + max(0.0, estimate.eta_seconds + _correction_seconds(course))
    share = int(100 * elapsed / whole) if whole > 0 else 0
    return max(displayed or 0, min(MAX_UNDER_WAY, share))


def _has_just_begun(course: PrecopyState) -> bool:
    """Return whether the first bytes have moved, but not long enough to measure a rate."""
    latest = course.latest
    if latest is None or latest.at - course.started_at > _BEGINS_SECONDS:
        return False
    if course.memory_bytes_per_second or course.disk_bytes_per_second:
        return False
    return bool(latest.memory_processed_bytes or latest.disk_processed_bytes)


def _correction_seconds(course: PrecopyState) -> float:
    """Return what is added to the remaining time while too little is known of the guest."""
    rate = course.memory_bytes_per_second or course.disk_bytes_per_second
    if not rate or course.resent_share is not None:
        return 0.0
    if not course.iterations:
        known = first_iteration(course, rate)
        if known is None:
            return 0.0
        resent = _RESENT * math.pow(known.share, _LATENESS)
        return resent * known.whole_seconds - known.following_seconds
    last = course.iterations[-1].remaining_bytes
    if len(course.iterations) == 1 and last > rate * downtime_limit_seconds(course):
        return _SECOND_ITERATION_AGAIN * last / rate
    return 0.0
