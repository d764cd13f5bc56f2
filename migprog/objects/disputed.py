# SPDX-License-Identifier: Apache-2.0
"""Arrivals that the source of a migration contradicts. Pure: rows in, rows out.

Any host can say that any server has arrived with it. The source knows better: whoever still copies
a server's memory has it. So its word that a migration is running, sampled after the arrival, undoes
what the arrival alone has told; the true destination's later arrival names the destination again.
"""

from datetime import datetime, timedelta
from typing import Any

from migprog.core.clocks import TOLERATED_SECONDS
from migprog.core.report import Report
from migprog.core.status import Status
from migprog.objects.instant import to_store

Row = dict[str, Any]

# Both hosts' clocks count as right while they are off by less than this, each in its own direction.
_MARGIN = timedelta(seconds=2 * TOLERATED_SECONDS + 1.0)
_NO_DESTINATION = dict.fromkeys(("dest_compute", "dest_node", "dest_host", "arrived_at"))


def may_be(old: Row | None, report: Report) -> bool:
    """Whether it takes the whole row to decide if ``report`` contradicts an arrival."""
    return (
        old is not None
        and old["status"] in (Status.POST_MIGRATING, Status.COMPLETED)
        and report.status is Status.RUNNING
        and report.sequence > old["sequence"]
    )


def is_contradicted(old: Row, report: Report) -> bool:
    """Whether its source's newer ``report`` shows that the server of ``old`` has not arrived where
    and when the row says. That takes the whole row."""
    if report.status is not Status.RUNNING or old.get("arrived_at") is None:
        return False
    is_moved = old["status"] == Status.POST_MIGRATING or _is_completed_by_arrival(old)
    return is_moved and _is_past(to_store(report.sampled_at), old["arrived_at"])


def undone(old: Row, row: Row) -> Row:
    """The row of ``old`` after its source has told ``row``, which contradicts the arrival."""
    return old | row | _NO_DESTINATION


def is_denied(row: Row, at: datetime) -> bool:
    """Whether its source has told already that a migration went on after the server had arrived for
    good at ``at``."""
    return row["status"] == Status.RUNNING and _is_past(row["sampled_at"], at)


def _is_past(sampled_at: datetime, arrived_at: datetime) -> bool:
    """Whether it is after the arrival whatever both hosts' clocks show within what is tolerated."""
    return sampled_at > arrived_at + _MARGIN


def _is_completed_by_arrival(row: Row) -> bool:
    """Whether a migration has completed by its arrival's word alone; what its source tells of its
    end has an instant of its own."""
    return row["status"] == Status.COMPLETED and row.get("ended_at") == row["arrived_at"]
