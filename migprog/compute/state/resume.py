# SPDX-License-Identifier: Apache-2.0
"""Find out from a server's first readings what became of a migration with a checkpoint."""

from collections.abc import Mapping
from typing import Any

from migprog.core import job_start
from migprog.core.checkpoint import (
    LEFT_BEHIND,
    LEFT_GONE,
    LEFT_RUNNING,
    Checkpoint,
    is_same_job,
)
from migprog.core.forecast import job_sample
from migprog.core.forecast.job_sample import JobState
from migprog.core.monitor import Monitor
from migprog.core.observation import Reading


def look(
    monitor: Monitor, checkpoint: Checkpoint, reading: Reading, epoch_offset_seconds: float
) -> bool:
    """Pass what a reading shows to the monitor of ``checkpoint``; return whether the job in the
    reading is another migration, which is not watched yet.

    ``epoch_offset_seconds`` added to a time of the monotonic clock gives seconds since the epoch. A
    reading that failed says nothing.
    """
    stats, at = reading.stats, reading.at
    if reading.gone:
        if stats is not None and _is_its_end(checkpoint, stats, at):
            monitor.job_completed(stats, at)
        # If it ended just now, the events of its end say more.
        monitor.lost(LEFT_GONE, at, certain=False)
    elif stats is None:
        return False
    elif job_sample.outgoing_job(stats) is JobState.NONE:
        monitor.lost(LEFT_RUNNING, at, certain=False)
    elif not _is_same(checkpoint, stats, at, epoch_offset_seconds):
        monitor.lost(LEFT_BEHIND, at, certain=True)
        return True
    else:
        monitor.runs_still(reading.phase)
    return False


def _is_same(
    checkpoint: Checkpoint, stats: Mapping[str, Any], at: float, epoch_offset_seconds: float
) -> bool:
    started_clock = job_start.began_at(stats, at)
    return started_clock is None or is_same_job(
        checkpoint, started_clock, epoch_offset_seconds + started_clock
    )


def _is_its_end(checkpoint: Checkpoint, stats: Mapping[str, Any], at: float) -> bool:
    """Return whether statistics of a server's last job are surely this one's, and it succeeded.

    They do not show when the job ended: it began at the latest by assuming that it ended now.
    """
    if not job_sample.is_completed_migration(stats) or not job_sample.is_outgoing(stats):
        return False
    began_at = job_start.began_at(stats, at)
    return began_at is not None and job_start.is_no_later(began_at, checkpoint.seen_clock)
