# SPDX-License-Identifier: Apache-2.0
"""How far is it: the share of the time that has passed, as one number that never goes back.

A number that is too high stands still until it is true; one that is too low is wrong as long. So
where the time left may be anything, the number is that of a guest between a quiet one and one that
dirties a good deal: exact for both as the first pass begins, between them as it ends.
"""

import math

from migprog.core.forecast.estimate import Estimate
from migprog.core.forecast.first_iteration import first_iteration
from migprog.core.forecast.guest_pause import downtime_limit_seconds
from migprog.core.forecast.precopy import PrecopyState

MAX_UNDER_WAY = 99
# A disk is copied in steps, and two are needed for a pace. Up to here nothing is lost by 0 percent.
_BEGINS_SECONDS = 10.0
# What a guest that dirties a good deal has to send again, as a share of its first pass; and how
# late in that pass the number begins to allow for it.
_RESENT = 0.55
_LATENESS = 2.5
# Whether passes get shorter is not known before the second boundary: so much of the second pass is
# expected again.
_SECOND_PASS_AGAIN = 0.25


def percent(course: PrecopyState, estimate: Estimate, displayed: int | None) -> int | None:
    """Return the share of the time that has passed, in percent; never below what was ``displayed``
    before, at most 99, None while it is not known."""
    if course.latest is None or estimate.eta_seconds is None:
        return 0 if displayed is None and _has_just_begun(course) else displayed
    elapsed = max(0.0, course.latest.at - course.started_at)
    whole = elapsed + max(0.0, estimate.eta_seconds + _correction_seconds(course))
    share = int(100 * elapsed / whole) if whole > 0 else 0
    return max(displayed or 0, min(MAX_UNDER_WAY, share))


def _has_just_begun(course: PrecopyState) -> bool:
    """Return whether the first bytes have moved, and too little time has passed to tell a pace."""
    latest = course.latest
    if latest is None or latest.at - course.started_at > _BEGINS_SECONDS:
        return False
    if course.memory_bytes_per_second or course.disk_bytes_per_second:
        return False
    return bool(latest.memory_processed_bytes or latest.disk_processed_bytes)


def _correction_seconds(course: PrecopyState) -> float:
    """Return what is added to the time left, while too little is known of the guest."""
    pace = course.memory_bytes_per_second or course.disk_bytes_per_second
    if not pace or course.resent_share is not None:
        return 0.0
    if not course.iterations:
        known = first_iteration(course, pace)
        if known is None:
            return 0.0
        resent = _RESENT * math.pow(known.share, _LATENESS)
        return resent * known.whole_seconds - known.following_seconds
    last = course.iterations[-1].remaining_bytes
    if len(course.iterations) == 1 and last > pace * downtime_limit_seconds(course):
        return _SECOND_PASS_AGAIN * last / pace
    return 0.0
