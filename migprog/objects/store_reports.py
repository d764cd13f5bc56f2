# SPDX-License-Identifier: Apache-2.0
"""Stores hosts' batches: one transaction and a handful of statements, whatever their size."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from migprog.core import downsampling
from migprog.core import status as core_status
from migprog.core.refusal import Refusal, Why
from migprog.core.report import Ack, Agent, Arrival, Batch, Report
from migprog.db import engine as db
from migprog.db import queries
from migprog.objects import acceptance, disputed, held, merge, resolve_arrivals, same_job
from migprog.objects import history as history_object
from migprog.objects.instant import to_store
from migprog.objects.merge import Row

LOG = logging.getLogger(__name__)
# Refusals that the acknowledgement has. Of the others the agent needs to know nothing.
_IN_ACK = frozenset({Why.FOREIGN, Why.SEQUENCE, Why.INSTANT})


@dataclass(frozen=True, slots=True)
class ReceivedBatch:
    """A batch and when it was received, in seconds since the epoch by our own clock."""

    batch: Batch
    at: float


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a batch.

    ``ack`` is the answer to its sender. ``reports``: how many of its reports changed the store.
    ``ends``: the last report of each migration that it ended, or whose arrival it resolved.
    ``appeared``: the first report of each new migration. ``refused``: the entries not accepted.
    """

    ack: Ack
    reports: int = 0
    ends: tuple[Report, ...] = ()
    appeared: tuple[Report, ...] = ()
    refused: tuple[Refusal, ...] = ()


def store_batch(store: db.Store, batch: Batch, last_reported_at: float) -> Stored:
    """Store one batch that was received at ``last_reported_at``; see :func:`store_batches`."""
    return store_batches(store, [ReceivedBatch(batch, last_reported_at)])[0]


def store_batches(store: db.Store, received: Sequence[ReceivedBatch]) -> list[Stored]:
    """Store batches in the order in which they were received; return what became of each.

    Each migration's row is written once. Reports that are late or repeated, or that the status
    table does not allow, change nothing and are not refused: repeated they would change nothing
    either. What the sender may not report is refused (:mod:`migprog.objects.acceptance`).
    Raises :class:`db.Unavailable`; then nothing of any batch is stored.
    """
    if not any(each.batch.reports or each.batch.arrivals or each.batch.agent for each in received):
        return [Stored(Ack()) for _ in received]
    stored = store.write(lambda writer: _Storing(writer, received).run())
    for each, what in zip(received, stored, strict=True):
        for end in what.ends:
            LOG.info(
                "migration %s of server %s ended: %s, %s s; reported by host %r",
                *(end.uuid, end.server_uuid, end.status, end.total_seconds, each.batch.host),
            )
    return stored


class _Storing:
    """One run of the transaction: rows as locked, and as they will be written."""

    def __init__(self, writer: queries.Writer, received: Sequence[ReceivedBatch]) -> None:
        self._writer = writer
        self._received: list[ReceivedBatch] = []
        # By the batches' positions.
        self._refused: list[list[Refusal]] = []
        for each in received:
            batch, refused = acceptance.by_our_clock(each.batch, each.at)
            self._received.append(replace(each, batch=batch))
            self._refused.append(refused)
        # By UUID: current rows, and which to write. Of ``_changed`` and ``_servers_changed`` all
        # columns are written, of the others those that change with progress.
        self._migrations: dict[str, Row] = {}
        self._servers: dict[str, Row] = {}
        self._reported: set[str] = set()
        # Arrival-only records of the servers of new migrations; and, by their new UUIDs, those into
        # which a late source's report is merged.
        self._arrival_only: list[Row] = []
        # Records of the same sources whose jobs began when those of new migrations did.
        self._rivals: list[Row] = []
        # The heartbeat intervals of sources' agents, by the UUIDs of migrations.
        self._heartbeats: dict[str, float | None] = {}
        self._merged_late: set[str] = set()
        self._restarted: set[str] = set()
        self._changed: set[str] = set()
        self._named: set[str] = set()
        # Points of histories by migration and number; of those to thin out, the age in seconds.
        self._points: dict[tuple[int, int], Row] = {}
        self._outgrown: dict[int, float] = {}
        # As stored, and to write.
        self._known_agents: dict[str, Row] = {}
        self._agents: dict[str, Row] = {}
        self._servers_to_write: set[str] = set()
        self._servers_changed: set[str] = set()

    def run(self) -> list[Stored]:
        self._lock()
        known_servers = set(self._servers)
        stored = [
            self._batch(each.batch, to_store(each.at), refused)
            for each, refused in zip(self._received, self._refused, strict=True)
        ]
        self._write(known_servers)
        return stored

    def _lock(self) -> None:
        uuids, servers, whole = set[str](), set[str](), set[str]()
        progress = True
        for each in self._received:
            progress &= not each.batch.arrivals
            progress &= all(
                report.status in core_status.IN_PROGRESS for report in each.batch.reports
            )
            uuids |= {report.uuid for report in each.batch.reports}
            servers |= {report.server_uuid for report in each.batch.reports}
            whole |= {r.uuid for r in each.batch.reports if r.status is core_status.Status.UNKNOWN}
            if each.batch.arrivals:
                matches = self._find_matches(each.batch)
                uuids |= matches
                if any(arrival.complete for arrival in each.batch.arrivals):
                    whole |= matches
                servers |= {arrival.server_uuid for arrival in each.batch.arrivals}
        self._migrations = self._writer.lock_migrations(uuids, for_progress=progress)
        reports = [
            (each.batch.host, report) for each in self._received for report in each.batch.reports
        ]
        whole |= {report.uuid for _host, report in reports if self._is_completed_again(report)}
        whole |= {
            r.uuid
            for _host, r in reports
            if disputed.needs_whole_row(self._migrations.get(r.uuid), r)
        }
        whole |= held.with_unknown_status(self._migrations)
        self._migrations |= self._writer.whole_migrations(whole)
        rows = held.with_known_values(self._migrations.values())
        self._migrations = {row["uuid"]: row for row in rows}
        self._servers = self._writer.lock_servers(servers)
        self._known_agents = self._writer.known_agents(
            {each.batch.host for each in self._received if each.batch.agent is not None}
        )
        self._look_for_records([each for each in reports if each[1].uuid not in self._migrations])

    def _is_completed_again(self, report: Report) -> bool:
        completed = core_status.Status.COMPLETED
        old = self._migrations.get(report.uuid)
        return (
            report.status is completed
            and old is not None
            and old["status"] == completed
            and report.sequence > old["sequence"]
        )

    def _look_for_records(self, new: Sequence[tuple[str, Report]]) -> None:
        """Read records of new migrations' jobs: arrival-only ones, and those under other UUIDs.

        Their servers are locked, so no other transaction can insert one meanwhile.
        """
        if not new:
            return
        starts = [to_store(report.started_at) for _host, report in new]
        records = self._writer.migrations_of_jobs(
            {report.server_uuid for _host, report in new},
            no_source=resolve_arrivals.NO_SOURCE,
            sources={host for host, _report in new},
            started_after=min(starts) - same_job.SAME_START,
            started_before=max(starts) + same_job.SAME_START,
        )
        for record in held.with_known_values(records):
            self._heartbeats[record["uuid"]] = record.pop("heartbeat_seconds")
            is_arrival_only = record["source_compute"] == resolve_arrivals.NO_SOURCE
            (self._arrival_only if is_arrival_only else self._rivals).append(record)

    def _find_matches(self, batch: Batch) -> set[str]:
        """Return the migrations that may have brought what arrived: found without a lock; checked
        again after they are locked."""
        times = [to_store(arrival.at) for arrival in batch.arrivals]
        matches = self._writer.migrations_to_match(
            {arrival.server_uuid for arrival in batch.arrivals},
            not_from=batch.host,
            started_before=max(times) + merge.CLOCK_SKEW,
            ended_after=min(times) - merge.LATE_ARRIVAL,
            ended=core_status.ENDED,
        )
        self._heartbeats |= matches
        return set(matches)

    def _batch(self, batch: Batch, now: datetime, refused: list[Refusal]) -> Stored:
        accepted: set[str] = set()
        applied = 0
        ends: list[Report] = []
        appeared: list[Report] = []
        if batch.agent is not None:
            self._agent(batch.agent, batch, now, refused)
        for report in sorted(
            batch.reports, key=lambda report: (report.started_at, report.sequence)
        ):
            refusal = acceptance.foreign(self._migrations.get(report.uuid), report, batch.host, now)
            if refusal is not None:
                refused.append(refusal)
                continue
            accepted.add(report.uuid)
            its = self._of_its_record(report, batch, now, refused)
            if its is None:
                continue
            before = self._migrations.get(its.uuid)
            changed = self._report(its, batch, now, refused)
            after = self._migrations.get(its.uuid)
            if not changed or after is None:
                continue
            applied += 1
            if before is None:
                appeared.append(its)
            is_end = its.status in core_status.ENDED and its.uuid not in self._merged_late
            if is_end and (before is None or before["status"] != after["status"]):
                ends.append(replace(its, status=core_status.Status(after["status"])))
        arrived = [
            arrival.server_uuid
            for arrival in sorted(batch.arrivals, key=lambda arrival: arrival.at)
            if self._arrival(arrival, batch, now, ends)
        ]
        in_ack = {r.entry: r.text for r in refused if r.why in _IN_ACK}
        destinations = {
            uuid: host
            for uuid in accepted
            if (host := self._migrations.get(uuid, {}).get("dest_compute")) is not None
        }
        ack = Ack(tuple(dict.fromkeys(arrived)), in_ack, destinations)
        return Stored(ack, applied, tuple(ends), tuple(appeared), tuple(refused))

    def _agent(self, agent: Agent, batch: Batch, now: datetime, refused: list[Refusal]) -> None:
        old = self._agents.get(batch.host) or self._known_agents.get(batch.host)
        refusal = acceptance.impostor(old, agent.key, batch.host, now)
        if refusal is None:
            self._agents[batch.host] = merge.agent(agent, batch.host, batch.node, now)
        else:
            refused.append(refusal)

    def _of_its_record(
        self, report: Report, batch: Batch, now: datetime, refused: list[Refusal]
    ) -> Report | None:
        """Return the report under the UUID of its job's record; None if it is to be ignored."""
        if report.uuid in self._migrations:
            return report
        new = [row for row in self._migrations.values() if "id" not in row]
        known = [row | self._migrations.get(row["uuid"], {}) for row in self._rivals]
        record = same_job.known([*new, *known], report, batch.host)
        if record is None:
            return report
        uuid = record["uuid"]
        text = f"server {report.server_uuid} has it as migration {uuid}"
        refused.append(Refusal(Why.DUPLICATE, f"reports[{report.uuid}]", text))
        if not same_job.counts(record, report, now, self._heartbeats.get(uuid)):
            return None
        if uuid not in self._migrations:
            rows = held.with_known_values(self._writer.whole_migrations([uuid]).values())
            self._migrations |= {row["uuid"]: row for row in rows}
        row = self._migrations.get(uuid)
        if row is None:
            return None
        return replace(report, uuid=uuid, sequence=row["sequence"] + 1)

    def _report(self, report: Report, batch: Batch, now: datetime, refused: list[Refusal]) -> bool:
        """Apply a report; return whether it changes the store."""
        old = self._migrations.get(report.uuid)
        new = merge.report(old, report, batch.host, batch.node, now)
        if new is None:
            return False
        alone = (
            None
            if old
            else resolve_arrivals.match_late_source(self._arrival_only, report, batch.host)
        )
        if alone is not None:
            if report.status not in core_status.ENDED:
                return False
            old = alone | self._migrations.get(alone["uuid"], {})
            new = resolve_arrivals.merge_late_source(old, new)
            self._merge_late(alone, report.uuid)
        self._migrations[report.uuid] = new
        self._reported.add(report.uuid)
        if old is not None and new["started_at"] != old["started_at"]:
            self._restarted.add(report.uuid)
        is_undone = old is not None and disputed.is_contradicted(old, report)
        if is_undone or not merge.is_progress(old, new):
            self._changed.add(report.uuid)
        if is_undone:
            self._named.add(report.uuid)
            self._servers_changed.add(report.server_uuid)
        if old is not None and "id" in old:
            self._keep_point(old, new, report)
        self._update_server(new, now)
        server = self._servers[report.server_uuid]
        if old is None and merge.is_of_another_project(server, new):
            text = f"project_id: {report.project_id!r} must be the server's"
            refused.append(Refusal(Why.PROJECT, f"reports[{report.uuid}]", text))
        return True

    def _merge_late(self, alone: Row, uuid: str) -> None:
        """Rename an arrival-only record to the UUID that its source has reported."""
        was = alone["uuid"]
        self._arrival_only.remove(alone)
        self._merged_late.add(uuid)
        self._migrations.pop(was, None)
        for uuids in (self._reported, self._changed, self._named):
            if was in uuids:
                uuids.remove(was)
                uuids.add(uuid)
        server = self._servers.get(alone["server_uuid"])
        if server is not None and server["migration_uuid"] == was:
            self._servers[server["uuid"]] = server | {"migration_uuid": uuid}

    def _keep_point(self, old: Row, new: Row, report: Report) -> None:
        before, now = merge.ages(old, new)
        if downsampling.is_kept(before, now):
            key = new["id"], downsampling.number(now)
            self._points[key] = {
                "migration_id": key[0],
                "number": key[1],
                "point": history_object.written(report),
            }
        if downsampling.has_outgrown(before, now):
            self._outgrown[new["id"]] = now

    def _arrival(self, arrival: Arrival, batch: Batch, now: datetime, ends: list[Report]) -> bool:
        """Apply an arrival; return whether it is resolved, so that the agent need not repeat it.

        An end that it determines is added to ``ends``.
        """
        old = merge.match(self._migrations.values(), arrival, batch.host)
        if old is None:
            return self._unmatched_arrival(arrival, batch, now, ends)
        heartbeat_seconds = self._heartbeats.get(old["uuid"])
        new = merge.destination(old, arrival, batch, now, heartbeat_seconds)
        if new is not None:
            self._migrations[new["uuid"]] = new
            self._named.add(new["uuid"])
            if resolve_arrivals.is_whole(new) and arrival.complete:
                self._reported.add(new["uuid"])
                self._changed.add(new["uuid"])
                if resolve_arrivals.is_resolved(new, arrival) and new["status"] != old["status"]:
                    ends.append(resolve_arrivals.end_of(new))
            self._update_server(new, now)
        return resolve_arrivals.is_resolved(new or old, arrival)

    def _unmatched_arrival(
        self, arrival: Arrival, batch: Batch, now: datetime, ends: list[Report]
    ) -> bool:
        """Apply an arrival that matches no migration; return whether it is resolved: an
        arrival-only record exists, or none is needed."""
        uuid = arrival.server_uuid
        if not resolve_arrivals.may_be_arrival_only(arrival):
            return False
        reported = self._writer.reported_arrivals(
            uuid, not_from=batch.host, since=resolve_arrivals.earliest_report(arrival)
        )
        if resolve_arrivals.may_be_reported(arrival, batch.host, reported):
            return arrival.gone_after_seconds is not None
        new = resolve_arrivals.arrival_only(arrival, batch, self._servers.get(uuid), now)
        known = self._migrations | self._writer.lock_migrations([new["uuid"]], for_progress=True)
        if new["uuid"] in known:
            # An earlier transaction made it; the arrival does not match its own record.
            return True
        self._migrations[new["uuid"]] = new
        self._arrival_only.append(new)
        self._reported.add(new["uuid"])
        ends.append(resolve_arrivals.end_of(new))
        self._update_server(new, now)
        return True

    def _update_server(self, migration: Row, now: datetime) -> None:
        uuid = migration["server_uuid"]
        old = self._servers.get(uuid)
        row = merge.server(old, migration, now)
        if row is None:
            return
        self._servers[uuid] = row
        self._servers_to_write.add(uuid)
        if uuid not in self._servers_changed and not merge.is_servers_progress(old, row, migration):
            self._servers_changed.add(uuid)

    def _write(self, known_servers: Collection[str]) -> None:
        writer, migrations, servers = self._writer, self._migrations, self._servers
        known = {uuid for uuid in self._reported | self._named if "id" in migrations[uuid]}
        writer.insert_migrations([migrations[u] for u in sorted(self._reported - known)])
        writer.insert_servers(
            [servers[u] for u in sorted(self._servers_to_write - set(known_servers))]
        )
        reported = self._reported & known
        to_update = self._servers_to_write & set(known_servers)
        writer.update_sources([migrations[u] for u in sorted(self._merged_late & known)])
        writer.update_starts([migrations[u] for u in sorted(self._restarted & known)])
        for progress in (True, False):
            writer.update_migrations(
                [migrations[u] for u in sorted(reported) if (u in self._changed) is not progress],
                for_progress=progress,
            )
        writer.update_destinations([migrations[u] for u in sorted(self._named & known)])
        for progress in (True, False):
            writer.update_servers(
                [
                    servers[u]
                    for u in sorted(to_update)
                    if (u in self._servers_changed) is not progress
                ],
                for_progress=progress,
            )
        self._write_history()
        writer.put_agents([self._agents[host] for host in sorted(self._agents)])

    def _write_history(self) -> None:
        self._writer.put_history([self._points[key] for key in sorted(self._points)])
        numbers = self._writer.history_numbers(self._outgrown)
        self._writer.drop_history(
            [
                (each, number)
                for each, age in sorted(self._outgrown.items())
                for number in downsampling.dropped(numbers[each], age)
            ]
        )
