# SPDX-License-Identifier: Apache-2.0
"""Arrivals that the source of a migration contradicts. Pure: rows in, rows out.

Any host can report the arrival of any server. The source's report outranks it: a host that still
copies a server's memory runs the server. So a report that the migration is running, sampled after
the arrival, undoes what only the arrival has set; the true destination's later arrival sets the
destination again.
"""

from datetime import datetime, timedelta
from typing import Any

from migprog.core.clocks import TOLERATED_SECONDS
from migprog.core.report import Report
from migprog.core.status import Status
from migprog.objects.instant import to_store

Row = dict[str, Any]

# Both hosts' clocks may be off by less than the tolerance, in opposite directions.
_MARGIN = timedelta(seconds=2 * TOLERATED_SECONDS + 1.0)
_NO_DESTINATION = dict.fromkeys(("dest_compute", "dest_node", "dest_host", "arrived_at"))


def needs_whole_row(old: Row | None, report: Report) -> bool:
    """Return whether :func:`is_contradicted` needs the whole row for ``report``."""
    return (
        old is not None
        and old["status"] in (Status.POST_MIGRATING, Status.COMPLETED)
        and report.status is Status.RUNNING
        and report.sequence > old["sequence"]
    )


def is_contradicted(old: Row, report: Report) -> bool:
    """Return whether the source's newer ``report`` contradicts the arrival in ``old``, the whole
    row."""
    if report.status is not Status.RUNNING or old.get("arrived_at") is None:
        return False
    is_moved = old["status"] == Status.POST_MIGRATING or _is_completed_by_arrival(old)
    return is_moved and _is_past(to_store(report.sampled_at), old["arrived_at"])


def undo_arrival(old: Row, row: Row) -> Row:
    """Return ``old`` with its source's ``row``, and without the arrival that this contradicts."""
    return old | row | _NO_DESTINATION


def is_denied(row: Row, at: datetime) -> bool:
    """Return whether the source has reported the migration as running after the server was complete
    at its destination, at ``at``."""
    return row["status"] == Status.RUNNING and _is_past(row["sampled_at"], at)


def _is_past(sampled_at: datetime, arrived_at: datetime) -> bool:
    """Return whether the sample is after the arrival for all tolerated clock offsets."""
    return sampled_at > arrived_at + _MARGIN


def _is_completed_by_arrival(row: Row) -> bool:
    """Return whether only the arrival says that the migration completed; an end that the source
    reports has an instant of its own."""
    return row["status"] == Status.COMPLETED and row.get("ended_at") == row["arrived_at"]
