# SPDX-License-Identifier: Apache-2.0
"""Merges reports and arrivals into rows. Pure: rows in, rows out.

The same reports result in the same rows, in any order and however often they are received.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from migprog.core import liveness
from migprog.core import status as core_status
from migprog.core.forecast import calibration
from migprog.core.report import LASTING, Agent, Arrival, ArrivalState, Batch, Report
from migprog.core.status import Status
from migprog.objects import acceptance, disks, disputed, resolve_arrivals
from migprog.objects.instant import to_store
from migprog.objects.resolve_arrivals import CLOCK_SKEW, SAME_ARRIVAL

Row = dict[str, Any]

# An arrival is reported late where the broker was away, and its host has a clock of its own.
LATE_ARRIVAL = timedelta(minutes=5)

# Columns that identify a server, and the migration that its progress is of.
_IDENTITY = ("name", "project_id", "user_id", "migration_uuid")
_COPIED = (
    *("uuid", "server_uuid", "sequence", "verdict_message", "error"),
    *("eta_seconds", "eta_low_seconds", "eta_high_seconds"),
    *("memory_total_bytes", "memory_processed_bytes", "memory_remaining_bytes"),
    *("disk_total_bytes", "disk_processed_bytes", "disk_remaining_bytes"),
    *("memory_iteration", "throughput_bytes_per_second", "dirty_bytes_per_second"),
    *("iteration_start_remaining_bytes", "downtime_needed_seconds", "downtime_limit_seconds"),
    "bandwidth_needed_bytes_per_second",
    *("cpu_throttle_percent", "total_seconds", "downtime_seconds", "vfio_transferred_bytes"),
    *calibration.FIELDS,
)


def report(
    old: Row | None, new: Report, host: str, node: str, last_reported_at: datetime
) -> Row | None:
    """Return the migration's row after a report of the source ``host``; None: no change.

    Only a newer report whose status may follow the stored one is applied. Names and start stay as
    first reported.
    """
    is_contradicted = old is not None and disputed.is_contradicted(old, new)
    if old is not None and not (
        new.sequence > old["sequence"] and (is_contradicted or _may_follow(new, old))
    ):
        return None
    row = {name: getattr(new, name) for name in _COPIED}
    row |= {
        "status": new.status.value,
        "phase": new.phase.value,
        "verdict": new.verdict and new.verdict.value,
        "verdict_reason": new.verdict_reason and new.verdict_reason.value,
        "percent": new.percent,
        "disks": disks.to_store(new.disks),
        "started_at": to_store(new.started_at),
        "sampled_at": to_store(new.sampled_at),
        "ended_at": to_store(new.ended_at),
        "last_reported_at": last_reported_at,
        "updated_at": last_reported_at,
    }
    row |= {name: getattr(new, name) for name in LASTING}
    row |= _order_instants(old, row)
    if old is None:
        return row | {"source_compute": host, "source_node": node, "created_at": last_reported_at}
    # The 100 % of a completion that proves wrong do not count.
    if not (is_contradicted and old["status"] == Status.COMPLETED):
        row["percent"] = max(
            (percent for percent in (old["percent"], new.percent) if percent is not None),
            default=None,
        )
    row |= {name: old[name] for name in LASTING if old[name] is not None}
    if new.status is Status.UNKNOWN:
        return resolve_arrivals.unknown(old, row)
    if is_contradicted:
        return disputed.undo_arrival(old, row)
    if old["status"] == Status.COMPLETED:
        return resolve_arrivals.completed_further(old, row)
    return old | row


def _order_instants(old: Row | None, new: Row) -> Row:
    """Return a migration's instants: the start as first reported, and none before it.

    Where the new sample is older than the stored start, a clock was set back: then the start comes
    from the new report, whose instants are all by one clock.
    """
    started_at, sampled_at, ended_at = new["started_at"], new["sampled_at"], new["ended_at"]
    if old is not None and not started_at <= sampled_at < old["started_at"]:
        started_at = old["started_at"]
    return {
        "started_at": started_at,
        "sampled_at": max(started_at, sampled_at),
        "ended_at": ended_at and max(started_at, ended_at),
    }


def _may_follow(new: Report, old: Row) -> bool:
    before = Status(old["status"])
    if before is Status.COMPLETED:
        # Its arrival may have set that before its source reported the end.
        return new.status is before and resolve_arrivals.is_whole(old)
    # The destination set post-migrating; a source that cancels the migration knows better.
    called_back = before is Status.POST_MIGRATING and new.status is Status.CANCELLED
    return called_back or core_status.may_follow(new.status, before)


def is_progress(old: Row | None, new: Row) -> bool:
    """Return whether ``new`` differs from ``old`` by progress alone: the migration is still in
    progress, and its names are the same."""
    return (
        old is not None
        and new["status"] in core_status.IN_PROGRESS
        and all(new[name] == old[name] for name in LASTING)
    )


def ages(old: Row, new: Row) -> tuple[float, float]:
    """Return the seconds from a migration's start to the samples of its old and its new row."""
    before, now = (row["sampled_at"] - old["started_at"] for row in (old, new))
    return before.total_seconds(), now.total_seconds()


def server(old: Row | None, migration: Row, now: datetime) -> Row | None:
    """Return the server's row after its migration changed; None: no change.

    A server's row shows its newest migration. A migration whose source and end are both unknown is
    not shown. A server never changes its project: another project's migration is not shown.
    """
    if old is not None and not _is_shown(old, migration, now):
        return None
    known = old or {"name": None, "project_id": None, "user_id": None, "created_at": now}
    row = known | {
        "uuid": migration["server_uuid"],
        "name": migration["server_name"] or known["name"],
        "project_id": known["project_id"] or migration["project_id"],
        "user_id": known["user_id"] or migration["user_id"],
        "host": migration["source_compute"],
        "progress": migration["percent"],
        "sampled_at": migration["sampled_at"],
        "migration_uuid": migration["uuid"],
        "migration_started_at": migration["started_at"],
        "updated_at": now,
    }
    if migration["status"] == Status.COMPLETED:
        row["host"] = migration.get("dest_compute") or row["host"]
    return row


def _is_shown(server: Row, migration: Row, now: datetime) -> bool:
    if not (migration["source_compute"] or migration["status"] == Status.COMPLETED):
        return False
    if is_of_another_project(server, migration):
        return False
    if server["migration_uuid"] == migration["uuid"]:
        return True
    # Stored before hosts' clocks were corrected: it would hide all others until that instant.
    is_absurd = server["migration_started_at"] > now + CLOCK_SKEW
    newest = server["migration_started_at"], server["migration_uuid"]
    return is_absurd or _age(migration) >= newest


def is_of_another_project(server: Row, migration: Row) -> bool:
    """Return whether both have a project, and not the same."""
    new, known = migration["project_id"], server["project_id"]
    return None not in (new, known) and new != known


def is_servers_progress(old: Row | None, new: Row, migration: Row) -> bool:
    """Return whether a server's row became ``new`` by its migration's progress alone."""
    return (
        old is not None
        and migration["status"] in core_status.IN_PROGRESS
        and all(new[name] == old[name] for name in _IDENTITY)
    )


def match(migrations: Iterable[Row], arrival: Arrival, host: str) -> Row | None:
    """Return the migration that an arrival at ``host`` is of, or None: the server's newest from
    another host that was in progress at that time, within the clocks' tolerance."""
    at = to_store(arrival.at)
    candidates = (
        row
        for row in migrations
        if row["server_uuid"] == arrival.server_uuid
        and row["source_compute"] != host
        and row["started_at"] <= at + CLOCK_SKEW
        and _may_have_arrived(row, arrival, at, host)
    )
    return max(candidates, key=_age, default=None)


def destination(
    old: Row, arrival: Arrival, batch: Batch, now: datetime, heartbeat_seconds: float | None
) -> Row | None:
    """Return the migration's row after an arrival at the host of ``batch``; None: no change.

    ``heartbeat_seconds`` is the interval of its source's agent, None where unknown. The latest
    arrival sets the destination, in whatever order they are received; where none was seen, the host
    on which the server was found. A complete arrival determines the end.
    """
    at = to_store(arrival.at)
    before = old.get("arrived_at")
    if before is not None and before > now + CLOCK_SKEW:
        # Stored by a conductor whose clock has been set back since.
        before = None
    if (
        before is not None
        and old["dest_compute"] == batch.host
        and abs(at - before) <= SAME_ARRIVAL
    ):
        # A repeated arrival may differ by as much as the correction of its host's clock.
        at = max(at, before)
    if before is not None and (arrival.found or at < before):
        return None
    is_silent = liveness.is_silent(old["last_reported_at"], now, heartbeat_seconds)
    if arrival.complete and not is_silent and disputed.is_denied(old, at):
        return None
    new = old
    if at != before:
        new = old | {
            "dest_compute": batch.host,
            "dest_node": batch.node,
            "dest_host": batch.address,
            "arrived_at": at,
        }
    new = resolve_arrivals.arrived(new, arrival, before, at, now, heartbeat_seconds)
    return None if new == old else new | {"updated_at": now}


def agent(agent: Agent, host: str, node: str, last_reported_at: datetime) -> Row:
    """Return the row of the agent of ``host``; intervals are limited to what its options allow."""
    row = dataclasses.asdict(agent) | {
        "host": host,
        "node": node,
        "interval_seconds": liveness.bounded_interval(agent.interval_seconds),
        "heartbeat_seconds": liveness.bounded_heartbeat(agent.heartbeat_seconds),
        "started_at": to_store(agent.started_at),
        "last_reported_at": last_reported_at,
    }
    return row | {"key_digest": acceptance.digest(row.pop("key"))}


def _may_have_arrived(row: Row, arrival: Arrival, at: datetime, host: str) -> bool:
    status = Status(row["status"])
    if status in core_status.IN_PROGRESS and status is not Status.POST_MIGRATING:
        return True
    # A migration to another host is not this one, which has not been reported yet.
    if row.get("dest_compute") not in (None, host):
        return False
    if status is Status.POST_MIGRATING:
        return True
    if _is_anothers(row, arrival, at):
        return False
    ended_at: datetime = row["ended_at"] or row["sampled_at"]
    if arrival.state is ArrivalState.INCOMING:
        return ended_at >= at
    if status not in (Status.COMPLETED, Status.UNKNOWN):
        return False
    # By this host's own clock it came here by this job, whatever the source's clock shows.
    is_known = row.get("arrived_at") is not None and arrival.total_seconds is not None
    return is_known or ended_at >= at - LATE_ARRIVAL


def _is_anothers(row: Row, arrival: Arrival, at: datetime) -> bool:
    """Return whether ``row`` is of an earlier arrival here, and the migration of this one has not
    been reported yet. Both instants are by the same host's clock."""
    before: datetime | None = row.get("arrived_at")
    if before is None or arrival.found:
        return False
    took = timedelta(0)
    if arrival.state is ArrivalState.RESUMED:
        took = (row["ended_at"] or row["sampled_at"]) - row["started_at"]
        if arrival.total_seconds is not None:
            took = timedelta(seconds=arrival.total_seconds)
    return before < at - took - SAME_ARRIVAL


def _age(migration: Mapping[str, Any]) -> tuple[datetime, str]:
    """Return a key by which a server's newer migration is the greater."""
    return migration["started_at"], migration["uuid"]
