# SPDX-License-Identifier: Apache-2.0
"""Ends that the source's agent could not see, settled by what the destination's knows. Pure.

A source that has told how it ended is never overruled. Where it has not, the last that it told are
figures of a migration on its way, and the final ones of the destination are newer.
"""

import dataclasses
from datetime import datetime, timedelta
from typing import Any

from migprog.core import calibration
from migprog.core.report import ARRIVAL_FIGURES, Arrival, Report
from migprog.core.status import ENDED, IN_PROGRESS, Phase, Status
from migprog.core.verdict import Verdict
from migprog.objects.instant import from_store

Row = dict[str, Any]

# Two hosts' clocks may differ by so much.
CLOCK_SKEW = timedelta(seconds=60)
# A source that has not told of a migration for so long, several heartbeats, will not tell its end.
_SILENCE = timedelta(seconds=150)
# What is not told of an end that nobody saw stays as it was.
_KEPT = (
    *(*ARRIVAL_FIGURES, "reason", "throughput_bytes_per_second", "dirty_bytes_per_second"),
    *("boundary_remaining_bytes", "pause_needed_seconds", "pause_limit_seconds"),
    *("bandwidth_needed_bytes_per_second", "auto_converge_percent"),
    *calibration.FIELDS,
)


def unknown(old: Row, new: Row) -> Row:
    """The row after its source has told that it does not know the end; ``new`` is what it told.

    ``old`` should be the whole row. Where the server was seen to be complete at its destination,
    that is the end.
    """
    if old["status"] == Status.POST_MIGRATING:
        return _completed(old | {"sequence": new["sequence"], "heard_at": new["heard_at"]})
    row = old | new
    row |= {name: old.get(name) for name in _KEPT if new[name] is None}
    return row | {"sampled_at": max(old["sampled_at"], new["sampled_at"])}


def arrived(row: Row, arrival: Arrival, at: datetime, now: datetime) -> Row:
    """The row after its server has arrived for good, at ``at``. It stays as it is if not whole.

    An end that is not known is settled; one that is known gets the final figures that are missing.
    While the source may still tell its end it is only known that the server is over there.
    """
    if not (arrival.complete and is_whole(row) and _is_its_job(row, arrival, at)):
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
    if status in IN_PROGRESS:
        is_silent = now - row["heard_at"] >= _SILENCE
        return _completed(row) if is_silent else row | {"status": Status.POST_MIGRATING.value}
    return row


def is_whole(row: Row) -> bool:
    """Whether more of a row is there than what it takes to decide."""
    return "heard_at" in row


def end_of(row: Row) -> Report:
    """The last report of a migration whose end its destination has settled, as if it had come from
    its source; the whole row."""
    values = {field.name: row[field.name] for field in dataclasses.fields(Report)}
    for name in ("started_at", "sampled_at", "ended_at"):
        values[name] = from_store(row[name]).timestamp()
    values |= {"status": Status(row["status"]), "phase": Phase(row["phase"])}
    return Report(**values | {"verdict": Verdict(row["verdict"])})


def is_settled(row: Row, arrival: Arrival) -> bool:
    """Whether there is nothing to be won by telling the arrival again."""
    return not arrival.complete or row["status"] in ENDED


def _is_its_job(row: Row, arrival: Arrival, at: datetime) -> bool:
    """Whether the job that brought the server began when the migration did, if that is told."""
    if arrival.total_seconds is None:
        return True
    started_at = at - timedelta(seconds=arrival.total_seconds)
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
