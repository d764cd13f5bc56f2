# SPDX-License-Identifier: Apache-2.0
"""Reads and locks, by a handful of statements, the records that batches may change."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from migprog.core import arrivals, contradiction, newer_words, same_job
from migprog.core import status as core_status
from migprog.core.acceptance import KnownAgent
from migprog.core.forecast.verdict import Verdict
from migprog.core.instant import to_store
from migprog.core.messages import Batch, Report
from migprog.core.notices import Before
from migprog.core.record import NO_SOURCE, Record
from migprog.core.server_record import ServerRecord
from migprog.core.status import Status
from migprog.db.writer import Writer
from migprog.objects import rows


@dataclass(slots=True)
class LockedRecords:
    """Migrations and servers by UUID, locked; and what else decisions need.

    Of a migration only the values that its reports and arrivals need are read. ``arrival_only`` are
    the arrival-only records of new migrations' servers; ``same_start`` records of the same sources
    whose jobs began when those of new migrations did; ``heartbeats`` the intervals of sources'
    agents, by the UUIDs of migrations; ``agents`` the senders' stored agents, by host. ``before``
    has what notifications are decided by, where it was asked for; ``verdicts`` the stored ones.
    """

    migrations: dict[str, Record] = field(default_factory=dict)
    servers: dict[str, ServerRecord] = field(default_factory=dict)
    agents: dict[str, KnownAgent] = field(default_factory=dict)
    arrival_only: list[Record] = field(default_factory=list)
    same_start: list[Record] = field(default_factory=list)
    heartbeats: dict[str, float | None] = field(default_factory=dict)
    before: dict[str, Before] = field(default_factory=dict)
    verdicts: dict[str, Verdict | None] = field(default_factory=dict)


def read(writer: Writer, batches: Sequence[Batch], for_notices: bool = False) -> LockedRecords:
    """Read and lock what the batches may change. Migrations are locked before servers."""
    found = LockedRecords()
    reports = [(batch.host, report) for batch in batches for report in batch.reports]
    uuids = {report.uuid for _host, report in reports}
    whole = {report.uuid for _host, report in reports if report.status is Status.UNKNOWN}
    servers = {report.server_uuid for _host, report in reports}
    for batch in batches:
        if batch.arrivals:
            matches = _find_matches(writer, batch)
            found.heartbeats |= matches
            uuids |= set(matches)
            if any(arrival.complete for arrival in batch.arrivals):
                whole |= set(matches)
            servers |= {arrival.server_uuid for arrival in batch.arrivals}
    are_progress = not any(batch.arrivals for batch in batches) and all(
        report.status in core_status.IN_PROGRESS for _host, report in reports
    )
    locked = writer.lock_migrations(uuids, for_progress=are_progress, for_notices=for_notices)
    if for_notices:
        found.before = {uuid: rows.to_before(row) for uuid, row in locked.items()}
    found.verdicts = {uuid: newer_words.verdict(row["verdict"]) for uuid, row in locked.items()}
    found.migrations = {uuid: rows.to_record(row) for uuid, row in locked.items()}
    whole |= {uuid for uuid, row in locked.items() if not rows.has_known_status(row)}
    whole |= {
        report.uuid
        for _host, report in reports
        if _needs_whole_record(found.migrations.get(report.uuid), report)
    }
    found.migrations |= whole_records(writer, whole)
    locked_servers = writer.lock_servers(servers)
    found.servers = {uuid: rows.to_server(row) for uuid, row in locked_servers.items()}
    known = writer.known_agents({batch.host for batch in batches if batch.agent is not None})
    found.agents = {host: rows.to_known_agent(row) for host, row in known.items()}
    _read_records_of_jobs(
        writer, found, [each for each in reports if each[1].uuid not in found.migrations]
    )
    return found


def whole_records(writer: Writer, uuids: Iterable[str]) -> dict[str, Record]:
    """Return by UUID the whole records of those that exist, locked."""
    found = writer.whole_migrations(uuids)
    return {uuid: rows.to_record(row) for uuid, row in found.items()}


def _needs_whole_record(old: Record | None, report: Report) -> bool:
    is_completed_again = (
        old is not None
        and (old.status, report.status) == (Status.COMPLETED, Status.COMPLETED)
        and report.sequence > old.sequence
    )
    return is_completed_again or contradiction.needs_whole_record(old, report)


def _find_matches(writer: Writer, batch: Batch) -> dict[str, float | None]:
    """Return the migrations that may have brought what arrived, with the heartbeat intervals of
    their sources: found without a lock; checked again after they are locked."""
    times = [to_store(arrival.at) for arrival in batch.arrivals]
    return writer.migrations_to_match(
        {arrival.server_uuid for arrival in batch.arrivals},
        not_from=batch.host,
        started_before=max(times) + arrivals.CLOCK_SKEW,
        ended_after=min(times) - arrivals.LATE_ARRIVAL,
        ended=core_status.ENDED,
    )


def _read_records_of_jobs(
    writer: Writer, found: LockedRecords, new: Sequence[tuple[str, Report]]
) -> None:
    """Read records of new migrations' jobs: arrival-only ones, and those under other UUIDs.

    Their servers are locked, so no other transaction can insert one meanwhile.
    """
    if not new:
        return
    starts = [to_store(report.started_at) for _host, report in new]
    of_jobs = writer.migrations_of_jobs(
        {report.server_uuid for _host, report in new},
        no_source=NO_SOURCE,
        sources={host for host, _report in new},
        started_after=min(starts) - same_job.SAME_START,
        started_before=max(starts) + same_job.SAME_START,
    )
    # Of those that are locked, the locked values count.
    locked = {row["uuid"] for row in of_jobs} & set(found.migrations)
    found.migrations |= whole_records(writer, locked)
    for row in of_jobs:
        found.heartbeats[row["uuid"]] = row["heartbeat_seconds"]
        is_arrival_only = row["source_compute"] == NO_SOURCE
        records = found.arrival_only if is_arrival_only else found.same_start
        records.append(rows.to_record(row))
