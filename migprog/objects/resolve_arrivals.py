# SPDX-License-Identifier: Apache-2.0
"""Resolves arrivals: ends that only the destination's agent saw. Pure.

An end that the source has reported is never changed. Where it has reported none, its last figures
are of a migration in progress, and the destination's final ones are newer.
"""

import dataclasses
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from migprog.core import liveness, newer_words
from migprog.core.forecast import calibration
from migprog.core.forecast.verdict import Verdict
from migprog.core.report import ARRIVAL_FIGURES, LASTING, Arrival, Batch, Report
from migprog.core.status import ENDED, IN_PROGRESS, Phase, Status
from migprog.objects import disks
from migprog.objects.instant import from_store, to_store

Row = dict[str, Any]

# After an arrival has been reported for so long, and no source reported its migration, the arrival
# makes a record of its own. A source that could not report tries again twice as often.
_UNMATCHED_SECONDS = 60.0
# The source of an arrival-only record.
NO_SOURCE = ""
# For the UUIDs of arrival-only records: the same for the same arrival, in all conductors.
_NAMESPACE = uuid.UUID("0f0ec1a2-3c19-4f0a-9a5e-0d7f2a4d7c55")
# Two hosts' clocks may differ by so much.
CLOCK_SKEW = timedelta(seconds=60)
# Instants reported of the same arrival differ by less; two arrivals are seconds apart.
SAME_ARRIVAL = timedelta(seconds=1)
_FAILED_ARRIVAL = "the destination saw the migration fail; the source reported nothing"
# By the source's status: the status of an arrival-only record that is of another migration.
_EXCLUDED = {
    Status.COMPLETED: Status.UNKNOWN,
    Status.FAILED: Status.COMPLETED,
    Status.CANCELLED: Status.COMPLETED,
}
# Columns that keep their value where an end that no agent saw has none.
_KEPT = (
    *(*ARRIVAL_FIGURES, "verdict_reason", "verdict_message"),
    *("throughput_bytes_per_second", "dirty_bytes_per_second"),
    *("iteration_start_remaining_bytes", "downtime_needed_seconds", "downtime_limit_seconds"),
    *("bandwidth_needed_bytes_per_second", "cpu_throttle_percent"),
    *("vfio_transferred_bytes", "disks"),
    *calibration.FIELDS,
)
# Columns that a source reports of a completed migration.
_OF_THE_END = ("ended_at", *_KEPT)


def unknown(old: Row, new: Row) -> Row:
    """Return the row after its source reported in ``new`` that it does not know the end.

    ``old`` should be the whole row. Where the server was complete at its destination, the migration
    has completed.
    """
    if old["status"] == Status.POST_MIGRATING:
        return _completed(
            old | {name: new[name] for name in ("sequence", "last_reported_at", "updated_at")}
        )
    row = old | new
    row |= {name: old.get(name) for name in _KEPT if new[name] is None}
    return row | {"sampled_at": max(old["sampled_at"], new["sampled_at"])}


def arrived(
    row: Row,
    arrival: Arrival,
    before: datetime | None,
    at: datetime,
    now: datetime,
    heartbeat_seconds: float | None,
) -> Row:
    """Return the row after a complete arrival at ``at``; unchanged if it is not the whole row.

    ``before`` is the arrival that the row has already, ``heartbeat_seconds`` the interval of its
    source's agent, None where unknown. An unknown end becomes completed; a known end gets missing
    final figures. While the source may still report the end, the status is post-migrating.
    """
    if not (arrival.complete and is_whole(row) and _is_its_job(row, arrival, before, at)):
        return row
    status = Status(row["status"])
    figures = {
        name: value
        for name in ARRIVAL_FIGURES
        if (value := getattr(arrival, name)) is not None
        and (status is not Status.COMPLETED or row[name] is None)
    }
    if figures and status is not Status.COMPLETED:
        figures["sampled_at"] = max(at, row["sampled_at"])
    row = row | figures
    if status is Status.UNKNOWN:
        return _completed(row)
    if status is Status.COMPLETED and before is not None and row["ended_at"] == before:
        return row | {"ended_at": at}
    if status in IN_PROGRESS:
        is_silent = liveness.is_silent(row["last_reported_at"], now, heartbeat_seconds)
        return _completed(row) if is_silent else row | {"status": Status.POST_MIGRATING.value}
    return row


def may_be_arrival_only(arrival: Arrival) -> bool:
    """Return whether an arrival that matches no migration may make an arrival-only record: it is
    complete, and old enough that no source will report the migration."""
    is_complete = bool(arrival.complete) and arrival.total_seconds is not None
    is_complete |= arrival.gone_after_seconds is not None
    return is_complete and (arrival.unmatched_seconds or 0.0) >= _UNMATCHED_SECONDS


def began_at(arrival: Arrival) -> datetime:
    """Return when the job of an arrival began; its figures should be known."""
    return to_store(arrival.at) - timedelta(seconds=arrival.total_seconds or 0.0)


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


def arrival_only(arrival: Arrival, batch: Batch, server: Row | None, now: datetime) -> Row:
    """Return the row of an arrival-only record: the source is unknown, and the status is completed,
    or unknown where the migration failed for whatever reason."""
    at = to_store(arrival.at)
    ended_at = at + timedelta(seconds=arrival.gone_after_seconds or 0.0)
    row: Row = dict.fromkeys(field.name for field in dataclasses.fields(Report))
    row |= {name: getattr(arrival, name) for name in ARRIVAL_FIGURES}
    row |= {
        "uuid": str(uuid.uuid5(_NAMESPACE, f"{arrival.server_uuid} {batch.host} {at}")),
        "server_uuid": arrival.server_uuid,
        "sequence": 0,
        "source_compute": NO_SOURCE,
        "source_node": NO_SOURCE,
        "dest_compute": batch.host,
        "dest_node": batch.node,
        "dest_host": batch.address,
        "started_at": began_at(arrival),
        "sampled_at": ended_at,
        "arrived_at": at,
        "last_reported_at": now,
        "created_at": now,
        "updated_at": now,
    }
    if server is not None:
        row |= {"server_name": server["name"]}
        row |= {name: server[name] for name in ("project_id", "user_id")}
    if arrival.gone_after_seconds is None:
        return _completed(row)
    return row | {
        "status": Status.UNKNOWN.value,
        "phase": Phase.DONE.value,
        "verdict": Verdict.ENDED.value,
        "ended_at": ended_at,
        "total_seconds": arrival.gone_after_seconds,
        "error": _FAILED_ARRIVAL,
    }


def match_late_source(rows: Iterable[Row], report: Report, host: str) -> Row | None:
    """Return the arrival-only record among ``rows`` of the migration that its source ``host``
    reports for the first time now, or None."""
    excluded = _EXCLUDED.get(report.status)
    started_at = to_store(report.started_at)

    def apart(row: Row) -> timedelta:
        return abs(row["started_at"] - started_at)

    its = (
        row
        for row in rows
        if (row["server_uuid"], row["source_compute"]) == (report.server_uuid, NO_SOURCE)
        and row["dest_compute"] != host
        and row["status"] != excluded
        and apart(row) <= CLOCK_SKEW
    )
    return min(its, key=apart, default=None)


def merge_late_source(row: Row, new: Row) -> Row:
    """Return an arrival-only record after its late source has reported the end.

    ``new`` is the row that the report alone would make. What the source does not know stays.
    """
    row = row | {
        name: new[name] for name in ("uuid", "source_compute", "source_node", "started_at")
    }
    if (new["status"], row["status"]) == (Status.UNKNOWN, Status.COMPLETED):
        names = (
            "sequence",
            "last_reported_at",
            "updated_at",
            *(n for n in LASTING if new[n] is not None),
        )
        return row | {name: new[name] for name in names}
    kept = ("percent", *ARRIVAL_FIGURES, *LASTING)
    as_it_was = {name: row[name] for name in kept if row[name] is not None and new[name] is None}
    return row | new | as_it_was | {"created_at": row["created_at"]}


def completed_further(old: Row, new: Row) -> Row | None:
    """Return the row of a completed migration after its source reported the completion in ``new``;
    None: no change. ``old`` should be the whole row.

    Where the arrival had set the end, the source's final figures replace its earlier ones and the
    arrival's. Figures that are missing in ``new`` stay.
    """
    ended_at, arrived_at = old["ended_at"], old["arrived_at"]
    by_arrival = None not in (ended_at, arrived_at) and abs(ended_at - arrived_at) <= SAME_ARRIVAL
    final = {
        name: new[name]
        for name in _OF_THE_END
        if new[name] is not None and (by_arrival or old[name] is None)
    }
    if all(old[name] == value for name, value in final.items()):
        return None
    if by_arrival:
        final["sampled_at"] = new["sampled_at"]
    named = {name: new[name] for name in LASTING}
    return (
        old
        | final
        | named
        | {name: new[name] for name in ("sequence", "last_reported_at", "updated_at")}
    )


def is_whole(row: Row) -> bool:
    """Return whether a row has all columns, not only those that decisions need."""
    return "created_at" in row


def end_of(row: Row) -> Report:
    """Return the last report of a migration whose end the destination determined, as its source
    would have sent it; ``row`` is the whole row."""
    values = {field.name: row[field.name] for field in dataclasses.fields(Report)}
    for name in ("started_at", "sampled_at", "ended_at"):
        values[name] = from_store(row[name]).timestamp()
    values |= {"status": Status(row["status"]), "phase": Phase(row["phase"])}
    values |= {
        "verdict": newer_words.verdict(row["verdict"]),
        "verdict_reason": newer_words.verdict_reason(row["verdict_reason"]),
    }
    return Report(**values | {"disks": disks.from_store(row["disks"])})


def is_resolved(row: Row, arrival: Arrival) -> bool:
    """Return whether an arrival is resolved: repeated it would change nothing."""
    return not arrival.complete or row["status"] in ENDED


def _is_its_job(row: Row, arrival: Arrival, before: datetime | None, at: datetime) -> bool:
    """Return whether an arrival's job is the migration's: both began at the same time, or the
    arrival that the row has was during the job, whatever the source's clock shows. True where the
    job's start is unknown."""
    if arrival.total_seconds is None:
        return True
    started_at = began_at(arrival)
    if before is not None and started_at - SAME_ARRIVAL <= before < at:
        return True
    return abs(started_at - row["started_at"]) <= CLOCK_SKEW


def _completed(row: Row) -> Row:
    return row | {
        "status": Status.COMPLETED.value,
        "phase": Phase.DONE.value,
        "verdict": Verdict.ENDED.value,
        "percent": 100,
        "ended_at": row["arrived_at"],
        "eta_seconds": None,
        "eta_low_seconds": None,
        "eta_high_seconds": None,
        "error": None,
    }
