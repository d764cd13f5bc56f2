# SPDX-License-Identifier: Apache-2.0
"""Translate what is seen of a migration into rows of a recording (see format.py), and back."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from migprog.core import libvirt_abi
from migprog.core.fields import MAX_TEXT
from migprog.core.forecast.guest_pause import DEFAULT_DOWNTIME_LIMIT_SECONDS
from migprog.core.measurement import Measurement
from migprog.core.observation import (
    Iteration,
    JobCompleted,
    JobEvent,
    Lifecycle,
    Observation,
    Reading,
)
from migprog.recording.format import Recording, Row, is_number


def to_row(seen: Observation) -> tuple[str, Row] | None:
    """Return the kind and the values of the row, without its time; None if it is not recorded."""
    match seen:
        case Reading(stats=None):
            code = {} if seen.error_code is None else {"code": seen.error_code}
            return "sample", {"error": (seen.error or "")[:MAX_TEXT], **code}
        case Reading(stats=stats, downtime_limit_seconds=limit_seconds):
            limit = {} if limit_seconds is None else {"downtime_limit_ms": limit_seconds * 1e3}
            copies = [dataclasses.astuple(disk) for disk in seen.disks or ()]
            disks = {"disks": copies} if copies else {}
            seconds = seen.vcpu_time_seconds
            vcpus = {} if seconds is None else {"vcpu_time_seconds": seconds}
            return "sample", {"stats": dict(stats or {}), **limit, **disks, **vcpus}
        case Iteration(number=number):
            return "event", {"event": "iteration", "iteration": number}
        case Lifecycle(event=code, detail=detail):
            return "event", {"event": "lifecycle", "code": code, "detail": detail}
        case JobCompleted(stats=stats):
            return "event", {"event": "job_completed", "stats": dict(stats)}
        case JobEvent(qemu_status=str(status)):
            return "event", {"event": "qemu_migration", "status": status}
    return None


def measurement_row(measurement: Measurement, started_at: float) -> Row:
    """Return the row of what was measured before the migration began, which was ``started_at`` by
    the measurement's clock."""
    facts = dataclasses.asdict(measurement)
    del facts["measured_at"]
    return {
        "kind": "measurement",
        "t": round(measurement.measured_at - started_at, 3),
        **facts,
        "windows": [[each.seconds, each.dirty_mib_per_second] for each in measurement.windows],
    }


def from_row(
    row: Row, server_uuid: str, downtime_limit_seconds: float | None = None
) -> Observation | None:
    """Return what was seen; None for a row of anything else.

    ``downtime_limit_seconds`` is the downtime limit in force, for a sample.
    """
    at: dict[str, Any] = {"server_uuid": server_uuid, "at": row["t"]}
    match row:
        case {"kind": "sample", "stats": stats}:
            at["downtime_limit_seconds"] = downtime_limit_seconds
            seconds = row.get("vcpu_time_seconds")
            at["vcpu_time_seconds"] = seconds if is_number(seconds) else None
            return Reading(**at, stats=stats, disks=row.get("disks"))
        case {"kind": "sample", "error": error}:
            code = row.get("code")
            gone = code in libvirt_abi.GONE
            return Reading(**at, error=str(error), error_code=code, gone=gone)
        case {"kind": "event", "event": "iteration"}:
            return Iteration(**at, number=row.get("iteration", 0))
        case {"kind": "event", "event": "lifecycle", "code": code, "detail": detail}:
            return Lifecycle(**at, event=code, detail=detail)
        case {"kind": "event", "event": "job_completed", "stats": stats}:
            return JobCompleted(**at, stats=stats)
        case {"kind": "event", "event": "qemu_migration", "status": str(status)}:
            return JobEvent(**at, qemu_status=status)
    return None


def observations(
    recording: Recording, server_uuid: str
) -> Iterator[tuple[float, Observation | None]]:
    """Yield each row's time with what was seen then, if anything, in order.

    A sample has the downtime limit that was in force, which an agent reads with each of them: the
    one recorded last.
    """
    limit_ms: Any = recording.header.get("downtime_ms")
    limit_seconds = limit_ms / 1000 if is_number(limit_ms) else DEFAULT_DOWNTIME_LIMIT_SECONDS
    for row in recording.rows:
        is_change = row["kind"] == "action" and row.get("action") == "downtime"
        limit_ms = row.get("arg") if is_change else row.get("downtime_limit_ms")
        if is_number(limit_ms):
            limit_seconds = limit_ms / 1000
        yield row["t"], from_row(row, server_uuid, limit_seconds)
