# SPDX-License-Identifier: Apache-2.0
"""Find out from a server's first readings what became of a migration with a checkpoint."""

from collections.abc import Mapping
from typing import Any

from migprog.core import checkpoint, job_start
from migprog.core.checkpoint import Checkpoint
from migprog.core.forecast import job_sample
from migprog.core.forecast.job_sample import JobState
from migprog.core.monitor import Monitor
from migprog.core.observation import Reading


def look(monitor: Monitor, saved: Checkpoint, reading: Reading, epoch: float) -> bool:
    """Pass what a reading shows to the monitor of ``saved``; return whether the job in the reading
    is another migration, which is not watched yet.

    ``epoch`` added to a time of the monotonic clock gives seconds since the epoch. A reading that
    failed says nothing.
    """
    stats, at = reading.stats, reading.at
    if reading.gone:
        if stats is not None and _is_its_end(saved, stats, at):
            monitor.job_completed(stats, at)
        # If it ended just now, the events of its end say more.
        monitor.lost(checkpoint.LEFT_GONE, at, certain=False)
    elif stats is None:
        return False
    elif job_sample.outgoing_job(stats) is JobState.NONE:
        monitor.lost(checkpoint.LEFT_RUNNING, at, certain=False)
    elif not _is_same(saved, stats, at, epoch):
        monitor.lost(checkpoint.LEFT_BEHIND, at, certain=True)
        return True
    else:
        monitor.runs_still(reading.phase)
    return False


def _is_same(saved: Checkpoint, stats: Mapping[str, Any], at: float, epoch: float) -> bool:
    started_clock = job_start.began_at(stats, at)
    return started_clock is None or checkpoint.is_same_job(
        saved, started_clock, epoch + started_clock
    )


def _is_its_end(saved: Checkpoint, stats: Mapping[str, Any], at: float) -> bool:
    """Return whether statistics of a server's last job are surely this one's, and it succeeded.

    They do not show when the job ended: it began at the latest by assuming that it ended now.
    """
    if not job_sample.is_completed_migration(stats) or not job_sample.is_outgoing(stats):
        return False
    began_at = job_start.began_at(stats, at)
    return began_at is not None and job_start.is_no_later(began_at, saved.seen_clock)
