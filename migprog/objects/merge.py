# SPDX-License-Identifier: Apache-2.0
"""What a report or an arrival makes of the rows there are. Pure: rows in, rows out.

Whatever the order in which reports come, and however often, the same rows result.
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

# An arrival is told late when the broker was away, and by a clock of its own.
LATE_ARRIVAL = timedelta(minutes=5)

# What says of a server which it is, and by which migration its progress is known.
_NAMING = ("name", "project_id", "user_id", "migration_uuid")
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
    """The migration's row after a report of the source ``host``; None: it changes nothing.

    Only a newer report counts, and only along the status table. What lasts, its names and its
    start, stays as it was first told.
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
    row |= _in_order(old, row)
    if old is None:
        return row | {"source_compute": host, "source_node": node, "created_at": last_reported_at}
    # The percentage of an end that has not come does not count.
    if not (is_contradicted and old["status"] == Status.COMPLETED):
        row["percent"] = max(
            (percent for percent in (old["percent"], new.percent) if percent is not None),
            default=None,
        )
    row |= {name: old[name] for name in LASTING if old[name] is not None}
    if new.status is Status.UNKNOWN:
        return resolve_arrivals.unknown(old, row)
    if is_contradicted:
        return disputed.undone(old, row)
    if old["status"] == Status.COMPLETED:
        return resolve_arrivals.completed_further(old, row)
    return old | row


def _in_order(old: Row | None, told: Row) -> Row:
    """A migration's instants. Its start stays as it was first told, and all else follows that.

    Where the sample that is told now is from before it, a clock was set back meanwhile: what is
    told with the sample is by one clock.
    """
    started_at, sampled_at, ended_at = told["started_at"], told["sampled_at"], told["ended_at"]
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
        # Its arrival may have settled that before its source could tell.
        return new.status is before and resolve_arrivals.is_whole(old)
    # That it has moved is its destination's word; where the source has called it back, it has not.
    called_back = before is Status.POST_MIGRATING and new.status is Status.CANCELLED
    return called_back or core_status.may_follow(new.status, before)


def is_progress(old: Row | None, new: Row) -> bool:
    """Whether the migration's row became ``new`` by progress alone: it is still under way, and
    known by the same names."""
    return (
        old is not None
        and new["status"] in core_status.IN_PROGRESS
        and all(new[name] == old[name] for name in LASTING)
    )


def ages(old: Row, new: Row) -> tuple[float, float]:
    """Seconds from a migration's start to the sample of its row before, and to that of its new."""
    before, now = (row["sampled_at"] - old["started_at"] for row in (old, new))
    return before.total_seconds(), now.total_seconds()


def server(old: Row | None, migration: Row, now: datetime) -> Row | None:
    """The server's row after its migration changed; None: it changes nothing.

    Its newest migration speaks for it, and no other; one of which nobody knows from where it came,
    or whether anything became of it, only where nothing is known. A server never changes its
    project: a migration of another project's does not speak for it.
    """
    if old is not None and not _speaks(old, migration, now):
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


def _speaks(server: Row, migration: Row, now: datetime) -> bool:
    if not (migration["source_compute"] or migration["status"] == Status.COMPLETED):
        return False
    if is_of_another_project(server, migration):
        return False
    if server["migration_uuid"] == migration["uuid"]:
        return True
    # Of before hosts' clocks were corrected: it would keep all others from speaking until then.
    is_absurd = server["migration_started_at"] > now + CLOCK_SKEW
    newest = server["migration_started_at"], server["migration_uuid"]
    return is_absurd or _age(migration) >= newest


def is_of_another_project(server: Row, migration: Row) -> bool:
    """Whether both tell a project, and not the same."""
    told, known = migration["project_id"], server["project_id"]
    return None not in (told, known) and told != known


def is_servers_progress(old: Row | None, new: Row, migration: Row) -> bool:
    """The same of a server's row, which became ``new`` by its migration."""
    return (
        old is not None
        and migration["status"] in core_status.IN_PROGRESS
        and all(new[name] == old[name] for name in _NAMING)
    )


def met(migrations: Iterable[Row], arrival: Arrival, host: str) -> Row | None:
    """The migration that brought the server to ``host``: its newest from elsewhere that was under
    way when it arrived, give or take the clocks."""
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
    """The migration's row after an arrival at the host of ``batch``; None: it changes nothing.
    ``heartbeat_seconds`` is the interval of its source's agent, None where that is unknown.

    The latest arrival names the destination, in whatever order they are told; where none was seen,
    the host where it was found does. One for good settles how it ended.
    """
    at = to_store(arrival.at)
    before = old.get("arrived_at")
    if before is not None and before > now + CLOCK_SKEW:
        # By the clock of a conductor that was set back since.
        before = None
    if (
        before is not None
        and old["dest_compute"] == batch.host
        and abs(at - before) <= SAME_ARRIVAL
    ):
        # What is told again may differ by as much as its clock's correction does.
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


def agent(told: Agent, host: str, node: str, last_reported_at: datetime) -> Row:
    """The row of the agent of ``host``; its intervals are bounded by what its options allow."""
    row = dataclasses.asdict(told) | {
        "host": host,
        "node": node,
        "interval_seconds": liveness.bounded_interval(told.interval_seconds),
        "heartbeat_seconds": liveness.bounded_heartbeat(told.heartbeat_seconds),
        "started_at": to_store(told.started_at),
        "last_reported_at": last_reported_at,
    }
    return row | {"key_digest": acceptance.digest(row.pop("key"))}


def _may_have_arrived(row: Row, arrival: Arrival, at: datetime, host: str) -> bool:
    status = Status(row["status"])
    if status in core_status.IN_PROGRESS and status is not Status.POST_MIGRATING:
        return True
    # One that has ended elsewhere is not the one that comes here, which nobody has reported yet.
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
    # It came here as its job began, by this host's own clock; whatever the source's shows.
    is_known = row.get("arrived_at") is not None and arrival.total_seconds is not None
    return is_known or ended_at >= at - LATE_ARRIVAL


def _is_anothers(row: Row, arrival: Arrival, at: datetime) -> bool:
    """Whether the server had arrived here by a migration that has ended before the one began that
    brings it now, which nobody has reported yet. Both instants are by the same host's clock."""
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
    """Of two migrations of a server the greater is the newer."""
    return migration["started_at"], migration["uuid"]
