# SPDX-License-Identifier: Apache-2.0
"""Arrivals that the source of a migration contradicts.

Any host can report the arrival of any server. The source's report outranks it: a host that still
copies a server's memory runs the server. So a report that the migration is running, sampled after
the arrival, undoes what only the arrival has set; the true destination's later arrival sets the
destination again.
"""

import dataclasses
from datetime import datetime, timedelta

from migprog.core.clocks import TOLERATED_SECONDS
from migprog.core.instant import to_store
from migprog.core.messages import Report
from migprog.core.record import Record
from migprog.core.status import Status

# Both hosts' clocks may be off by less than the tolerance, in opposite directions.
_MARGIN = timedelta(seconds=2 * TOLERATED_SECONDS + 1.0)


def needs_whole_record(old: Record | None, report: Report) -> bool:
    """Return whether :func:`is_contradicted` needs the whole record for ``report``."""
    return (
        old is not None
        and old.status in (Status.POST_MIGRATING, Status.COMPLETED)
        and report.status is Status.RUNNING
        and report.sequence > old.sequence
    )


def is_contradicted(old: Record, report: Report) -> bool:
    """Return whether the source's newer ``report`` contradicts the arrival in ``old``, the whole
    record."""
    if report.status is not Status.RUNNING or old.arrived_at is None:
        return False
    is_moved = old.status is Status.POST_MIGRATING or _is_completed_by_arrival(old)
    return is_moved and _is_past(to_store(report.sampled_at), old.arrived_at)


def undo_arrival(_old: Record, new: Record) -> Record:
    """Return the record ``new`` without the arrival that its report contradicts."""
    return dataclasses.replace(
        new, dest_compute=None, dest_node=None, dest_host=None, arrived_at=None
    )


def is_denied(record: Record, at: datetime) -> bool:
    """Return whether the source has reported the migration as running after the server was complete
    at its destination, at ``at``."""
    return record.status is Status.RUNNING and _is_past(record.sampled_at, at)


def _is_past(sampled_at: datetime, arrived_at: datetime) -> bool:
    """Return whether the sample is after the arrival for all tolerated clock offsets."""
    return sampled_at > arrived_at + _MARGIN


def _is_completed_by_arrival(record: Record) -> bool:
    """Return whether only the arrival says that the migration completed; an end that the source
    reports has an instant of its own."""
    return record.status is Status.COMPLETED and record.ended_at == record.arrived_at
