# SPDX-License-Identifier: Apache-2.0
"""Whether two agents of one host report the same job under two UUIDs.

They do where a second agent runs on a hypervisor, or an agent has lost its state directory and was
started again. A server has one job at a time, and libvirt has its start: the stored record is the
job's, and a report under another UUID makes no second one. Such reports are not lost: an end ends
the record, and once the agent that made the record is silent, the other's reports continue it.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from migprog.core import liveness
from migprog.core.instant import to_store
from migprog.core.messages import Report
from migprog.core.record import Record, nearest
from migprog.core.status import ENDED, IN_PROGRESS, Status

# Each agent computes the start from its own sample.
SAME_START = timedelta(seconds=1)


def known(records: Iterable[Record], report: Report, host: str) -> Record | None:
    """Return the record among ``records``, whole ones, of the job that ``host`` reports under a new
    UUID; None if there is none.

    A record with the report's own UUID was inserted since this transaction looked for it. It is not
    another agent's: the insert fails, and the transaction is repeated.
    """
    started_at = to_store(report.started_at)
    its = (
        record
        for record in records
        if record.uuid != report.uuid
        and (record.server_uuid, record.source_compute) == (report.server_uuid, host)
        and record.apart(started_at) < SAME_START
        and not _is_apart(record, report)
    )
    return nearest(its, started_at)


def counts(record: Record, report: Report, now: datetime, heartbeat_seconds: float | None) -> bool:
    """Return whether the other agent's report is applied to the record."""
    if record.status not in IN_PROGRESS:
        return record.status is Status.UNKNOWN and report.status in ENDED
    return report.status in ENDED or liveness.is_silent(
        record.last_reported_at, now, heartbeat_seconds
    )


def _is_apart(record: Record, report: Report) -> bool:
    """Return whether they are two jobs, one after the other."""
    if report.ended_at is not None and to_store(report.ended_at) < record.started_at:
        return True
    ended_at = record.ended_at
    if record.status in IN_PROGRESS or ended_at is None:
        return False
    if to_store(report.started_at) > ended_at:
        return True
    # An agent that lost its job ends it as unknown, and continues under another UUID.
    goes_on = report.status in IN_PROGRESS
    return goes_on and (
        record.status is Status.UNKNOWN or to_store(report.sampled_at) > ended_at + SAME_START
    )
