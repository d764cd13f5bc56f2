# SPDX-License-Identifier: Apache-2.0
"""Ends that the source's agent could not see, settled by what the destination's knows. Pure.

A source that has told how it ended is never overruled. Where it has not, the last that it told are
figures of a migration on its way, and the final ones of the destination are newer.
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

# A migration whose arrival has been told for so long, while no source told of it, is known by its
# arrival alone. A source that could not tell tries again twice as often.
_UNTOLD_SECONDS = 60.0
# Instead of a source that nobody knows.
NO_SOURCE = ""
# Whoever makes such a record of the same arrival makes the same one.
_NAMESPACE = uuid.UUID("0f0ec1a2-3c19-4f0a-9a5e-0d7f2a4d7c55")
# Two hosts' clocks may differ by so much.
CLOCK_SKEW = timedelta(seconds=60)
# A server is on its way for some seconds; what is told of the same arrival differs by less.
SAME_ARRIVAL = timedelta(seconds=1)
_CAME_TO_NOTHING = "its destination saw it come to nothing, and its source told nothing of it"
# What a record made by an arrival says, if it is not that of a migration which ended so.
_EXCLUDED = {
    Status.COMPLETED: Status.UNKNOWN,
    Status.FAILED: Status.COMPLETED,
    Status.CANCELLED: Status.COMPLETED,
}
# What is not told of an end that nobody saw stays as it was.
_KEPT = (
    *(*ARRIVAL_FIGURES, "verdict_reason", "verdict_message"),
    *("throughput_bytes_per_second", "dirty_bytes_per_second"),
    *("iteration_start_remaining_bytes", "downtime_needed_seconds", "downtime_limit_seconds"),
    *("bandwidth_needed_bytes_per_second", "cpu_throttle_percent"),
    *("vfio_transferred_bytes", "disks"),
    *calibration.FIELDS,
)
# What a source tells of a migration that has completed.
_OF_THE_END = ("ended_at", *_KEPT)


def unknown(old: Row, new: Row) -> Row:
    """The row after its source has told that it does not know the end; ``new`` is what it told.

    ``old`` should be the whole row. Where the server was seen to be complete at its destination,
    that is the end.
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
    """The row after its server has arrived for good, at ``at``. It stays as it is if not whole.

    ``before`` is the arrival that it knew already, ``heartbeat_seconds`` the interval of its
    source's agent, None where that is unknown.
    An end that is not known is settled; one that is known gets the final figures that are missing.
    While the source may still tell its end it is only known that the server is over there.
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


def may_be_untold(arrival: Arrival) -> bool:
    """Whether an arrival that found no migration tells enough to make a record of one, which
    nobody else will tell of any more."""
    is_told = bool(arrival.complete) and arrival.total_seconds is not None
    is_told |= arrival.gone_after_seconds is not None
    return is_told and (arrival.unmatched_seconds or 0.0) >= _UNTOLD_SECONDS


def began_at(arrival: Arrival) -> datetime:
    """When the job began that brought a server, of whose arrival the figures are known, or would
    have brought it."""
    return to_store(arrival.at) - timedelta(seconds=arrival.total_seconds or 0.0)


def heard_of_since(arrival: Arrival) -> datetime:
    """Since when its source has told of it, if it has. What came to nothing leaves no other trace:
    there hosts' clocks may differ."""
    at = began_at(arrival)
    return at if arrival.gone_after_seconds is None else at - CLOCK_SKEW


def may_be_told(
    arrival: Arrival, host: str, heard_of: Iterable[tuple[str | None, datetime | None]]
) -> bool:
    """Whether its source may have told of what arrived at ``host``: migrations are ``heard_of``, of
    which this is known where and when the server arrived.

    One that is known to have arrived here at another time, by the same clock, is another.
    """
    at = to_store(arrival.at)
    return any(
        arrival.gone_after_seconds is None
        or where != host
        or arrived_at is None
        or abs(arrived_at - at) <= SAME_ARRIVAL
        for where, arrived_at in heard_of
    )


def untold(arrival: Arrival, batch: Batch, server: Row | None, now: datetime) -> Row:
    """The row of a migration by its arrival alone: its source is not known. It completed, or it
    came to nothing, for whatever reason."""
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
        "error": _CAME_TO_NOTHING,
    }


def told_late(rows: Iterable[Row], report: Report, host: str) -> Row | None:
    """Of records made by their arrivals, that of the migration of which its source ``host`` tells
    for the first time now."""
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


def adopted(row: Row, new: Row) -> Row:
    """The record that its arrival made, after its source has told its end in ``new``, which is what
    that makes of a migration that nobody knew. What the source cannot tell is as it was."""
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
    """The row of a migration that has completed after its own source has told that, too, in
    ``new``; None: there is nothing new in it. ``old`` should be the whole row.

    Where the arrival had to settle the end, the source's final figures take the place of those that
    it told on the way, and of the arrival's. What nobody told stays as it was.
    """
    ended_at, arrived_at = old["ended_at"], old["arrived_at"]
    by_arrival = None not in (ended_at, arrived_at) and abs(ended_at - arrived_at) <= SAME_ARRIVAL
    told = {
        name: new[name]
        for name in _OF_THE_END
        if new[name] is not None and (by_arrival or old[name] is None)
    }
    if all(old[name] == value for name, value in told.items()):
        return None
    if by_arrival:
        told["sampled_at"] = new["sampled_at"]
    named = {name: new[name] for name in LASTING}
    return (
        old
        | told
        | named
        | {name: new[name] for name in ("sequence", "last_reported_at", "updated_at")}
    )


def is_whole(row: Row) -> bool:
    """Whether more of a row is there than what it takes to decide."""
    return "created_at" in row


def end_of(row: Row) -> Report:
    """The last report of a migration whose end its destination has settled, as if it had come from
    its source; the whole row."""
    values = {field.name: row[field.name] for field in dataclasses.fields(Report)}
    for name in ("started_at", "sampled_at", "ended_at"):
        values[name] = from_store(row[name]).timestamp()
    values |= {"status": Status(row["status"]), "phase": Phase(row["phase"])}
    values |= {
        "verdict": newer_words.verdict(row["verdict"]),
        "verdict_reason": newer_words.verdict_reason(row["verdict_reason"]),
    }
    return Report(**values | {"disks": disks.from_store(row["disks"])})


def is_settled(row: Row, arrival: Arrival) -> bool:
    """Whether there is nothing to be won by telling the arrival again."""
    return not arrival.complete or row["status"] in ENDED


def _is_its_job(row: Row, arrival: Arrival, before: datetime | None, at: datetime) -> bool:
    """Whether the job that brought the server began when the migration did, if that is told; or
    brought what is known to have begun to arrive by it, whatever the source's clock shows."""
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
