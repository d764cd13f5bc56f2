# SPDX-License-Identifier: Apache-2.0
"""Records of migrations of which only the destination's agent knows: arrival-only records.

1. A complete arrival that no migration matches, and that has been reported for a minute, makes a
   record of its own: completed, or unknown where the migration failed.
2. None is made where a source has reported a migration that may have brought it.
3. When the source reports the end after all, its report is merged into that record.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from migprog.core import arrivals
from migprog.core.arrivals import CLOCK_SKEW, SAME_ARRIVAL, began_at
from migprog.core.forecast.verdict import Verdict
from migprog.core.instant import to_store
from migprog.core.messages import ARRIVAL_FIGURES, LASTING, Arrival, Batch, Report
from migprog.core.record import FIGURES, NO_SOURCE, Record, nearest, values
from migprog.core.server_record import ServerRecord
from migprog.core.status import Phase, Status

# After an arrival has been reported for so long, and no source reported its migration, the arrival
# makes a record of its own. A source that could not report tries again twice as often.
_UNMATCHED_SECONDS = 60.0
# For the UUIDs of arrival-only records: the same for the same arrival, in all conductors.
_NAMESPACE = uuid.UUID("0f0ec1a2-3c19-4f0a-9a5e-0d7f2a4d7c55")
_FAILED_ARRIVAL = "the destination saw the migration fail; the source reported nothing"
# By the source's status: the status of an arrival-only record that is of another migration.
_EXCLUDED = {
    Status.COMPLETED: Status.UNKNOWN,
    Status.FAILED: Status.COMPLETED,
    Status.CANCELLED: Status.COMPLETED,
}


def is_due(arrival: Arrival) -> bool:
    """Return whether an arrival that matches no migration may make an arrival-only record: it is
    complete, and old enough that no source will report the migration."""
    is_complete = bool(arrival.complete) and arrival.total_seconds is not None
    is_complete |= arrival.gone_after_seconds is not None
    return is_complete and (arrival.unmatched_seconds or 0.0) >= _UNMATCHED_SECONDS


def earliest_report(arrival: Arrival) -> datetime:
    """Return when its source may first have reported the migration of an arrival.

    A failed one leaves no other trace, so the hosts' clocks may differ there.
    """
    at = began_at(arrival)
    return at if arrival.gone_after_seconds is None else at - CLOCK_SKEW


def may_be_reported(
    arrival: Arrival, host: str, reported: Iterable[tuple[str | None, datetime | None]]
) -> bool:
    """Return whether a source may have reported the migration of an arrival at ``host``.

    ``reported`` has the destination and the time of arrival, where known, of each migration that
    may be it. One that arrived here at another time, by the same clock, is not.
    """
    at = to_store(arrival.at)
    return any(
        arrival.gone_after_seconds is None
        or where != host
        or arrived_at is None
        or abs(arrived_at - at) <= SAME_ARRIVAL
        for where, arrived_at in reported
    )


def make(arrival: Arrival, batch: Batch, server: ServerRecord | None, now: datetime) -> Record:
    """Return an arrival-only record: the source is unknown, and the status is completed, or unknown
    where the migration failed for whatever reason."""
    at = to_store(arrival.at)
    ended_at = at + timedelta(seconds=arrival.gone_after_seconds or 0.0)
    record = Record(
        uuid=str(uuid.uuid5(_NAMESPACE, f"{arrival.server_uuid} {batch.host} {at}")),
        server_uuid=arrival.server_uuid,
        server_name=None if server is None else server.name,
        project_id=None if server is None else server.project_id,
        user_id=None if server is None else server.user_id,
        source_compute=NO_SOURCE,
        dest_compute=batch.host,
        dest_node=batch.node,
        dest_host=batch.address,
        sequence=0,
        status=Status.UNKNOWN,
        started_at=began_at(arrival),
        sampled_at=ended_at,
        ended_at=ended_at,
        arrived_at=at,
        last_reported_at=now,
        created_at=now,
        updated_at=now,
        figures=dict.fromkeys(FIGURES) | {name: getattr(arrival, name) for name in ARRIVAL_FIGURES},
    )
    if arrival.gone_after_seconds is None:
        return arrivals.completed(record)
    return record.changed(
        {
            "phase": Phase.DONE,
            "verdict": Verdict.ENDED,
            "total_seconds": arrival.gone_after_seconds,
            "error": _FAILED_ARRIVAL,
        }
    )


def match_late_source(records: Iterable[Record], report: Report, host: str) -> Record | None:
    """Return the arrival-only record of the migration that its source ``host`` reports for the
    first time now, or None."""
    excluded = _EXCLUDED.get(report.status)
    started_at = to_store(report.started_at)
    its = (
        record
        for record in records
        if (record.server_uuid, record.source_compute) == (report.server_uuid, NO_SOURCE)
        and record.dest_compute != host
        and record.status is not excluded
        and record.apart(started_at) <= CLOCK_SKEW
    )
    return nearest(its, started_at)


def merge_late_source(record: Record, new: Record) -> Record:
    """Return an arrival-only record after its late source has reported the end.

    ``new`` is the record that the report alone would make. What the source does not know stays.
    """
    taken = values(new, ("uuid", "source_compute", "source_node", "started_at"))
    taken |= values(new, ("sequence", "last_reported_at", "updated_at"))
    taken |= values(new, LASTING, known=True)
    if (new.status, record.status) == (Status.UNKNOWN, Status.COMPLETED):
        return record.changed(taken)
    kept = values(record, ("percent", *ARRIVAL_FIGURES), known=True)
    names = ("status", "percent", "sampled_at", "ended_at", *FIGURES)
    taken |= {n: value for n, value in values(new, names).items() if n not in kept}
    taken |= values(new, kept, known=True)
    return record.changed(taken)
