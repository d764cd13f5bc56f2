# SPDX-License-Identifier: Apache-2.0
"""Decide whether an agent is silent: whether it has missed two of its own heartbeats, or its loop
hangs, so that it sees and reports no migration, while its heartbeats go on.

Instants are by the conductors' clock.
"""

from datetime import datetime, timedelta

HEARTBEATS_MISSED = 2
# What [compute] report_interval and heartbeat_interval allow; conductors that answer slowly stretch
# the first up to the second.
MIN_REPORT_SECONDS = 0.1
MIN_HEARTBEAT_SECONDS, MAX_HEARTBEAT_SECONDS = 1.0, 3600.0
# For an agent whose interval is not known: five heartbeats of the usual 30 s.
_UNKNOWN_SECONDS = 150.0
_AHEAD = timedelta(hours=1)
# A loop begins a turn each ten seconds or sooner: no call in it waits for another party.
LOOP_LATE_SECONDS = 45.0


def silent_after(heartbeat_seconds: float | None) -> timedelta:
    """Return how long after its last report an agent counts as silent; None: interval unknown."""
    if heartbeat_seconds is None:
        return timedelta(seconds=_UNKNOWN_SECONDS)
    return timedelta(seconds=HEARTBEATS_MISSED * bounded_heartbeat(heartbeat_seconds))


def is_silent(last_reported_at: datetime, now: datetime, heartbeat_seconds: float | None) -> bool:
    """Return whether another report should have been received since."""
    return is_old(last_reported_at, now, silent_after(heartbeat_seconds))


def hangs(loop_age_seconds: float | None) -> bool:
    """Return whether a loop that began its turn so long ago hangs or has ended; None: not known,
    the agent is older."""
    return loop_age_seconds is not None and loop_age_seconds > LOOP_LATE_SECONDS


def is_old(last_reported_at: datetime, now: datetime, after: timedelta) -> bool:
    """Return whether ``last_reported_at`` is longer ago than ``after``.

    An instant hours ahead was stored by a conductor whose clock was wrong: it counts as old. The
    clocks of two controllers may differ by less.
    """
    return now - last_reported_at > after or last_reported_at - now > max(after, _AHEAD)


def bounded_heartbeat(seconds: float) -> float:
    """Return a heartbeat interval within what an agent's options permit."""
    return min(max(seconds, MIN_HEARTBEAT_SECONDS), MAX_HEARTBEAT_SECONDS)


def bounded_interval(seconds: float) -> float:
    """Return a report interval within what an agent's options permit."""
    return min(max(seconds, MIN_REPORT_SECONDS), MAX_HEARTBEAT_SECONDS)
