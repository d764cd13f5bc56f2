# SPDX-License-Identifier: Apache-2.0
"""Decide when a libvirt job began: one rule with one tolerance for all that compare jobs.

A server has one job at a time. So a job that began no later than a migration was last seen is that
migration, and one that began later is another.
"""

from collections.abc import Mapping
from typing import Any

from migprog.core.forecast import job_sample

# libvirt counts the time of a job in whole milliseconds.
_TOLERANCE_SECONDS = 0.01


def began_at(stats: Mapping[str, Any], at: float) -> float | None:
    """Return when the job with the statistics ``stats``, read at ``at``, began; None: not known.

    Both are seconds of one clock. libvirt gives 0 for a job's time where the clock was set back
    behind the job's start, until the job ends.
    """
    elapsed_ms = stats.get("time_elapsed")
    if elapsed_ms is None or (elapsed_ms == 0 and job_sample.has_begun(stats)):
        return None
    return float(at - elapsed_ms / 1000)


def is_no_later(began_at: float, instant: float) -> bool:
    """Return whether a job that began at ``began_at`` had begun at ``instant``."""
    return began_at <= instant + _TOLERANCE_SECONDS


def is_migration_seen(stats: Mapping[str, Any], at: float, seen_at: float) -> bool:
    """Return whether a server's job, read at ``at``, is the outgoing migration seen at ``seen_at``.

    A server has one job at a time, so it is the same if the job had begun by then. Seconds of one
    monotonic clock.
    """
    if job_sample.outgoing_job(stats) is not job_sample.JobState.ACTIVE:
        return False
    began = began_at(stats, at)
    return began is None or is_no_later(began, seen_at)
