# SPDX-License-Identifier: Apache-2.0
"""Stores hosts' batches: one transaction and a handful of statements, whatever their size."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from migprog.core import (
    acceptance,
    arrival_only,
    arrivals,
    contradiction,
    merge,
    notices,
    same_job,
    server_update,
)
from migprog.core import status as core_status
from migprog.core.duration import describe
from migprog.core.entry_refusal import EntryRefusal, RefusalReason
from migprog.core.instant import to_store
from migprog.core.messages import Ack, Agent, Arrival, Batch, Report
from migprog.core.record import Record
from migprog.db import engine as db
from migprog.db.writer import Writer
from migprog.objects import locked_records, measurements, rows
from migprog.objects.changes import Changes

LOG = logging.getLogger(__name__)
# Refusals that the acknowledgement has. Of the others the agent needs to know nothing.
_IN_ACK = frozenset({RefusalReason.FOREIGN, RefusalReason.SEQUENCE, RefusalReason.INSTANT})


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
    ``events``: what to notify others of, if that was asked for.
    """

    ack: Ack
    reports: int = 0
    ends: tuple[Report, ...] = ()
    appeared: tuple[Report, ...] = ()
    refused: tuple[EntryRefusal, ...] = ()
    events: tuple[notices.Event, ...] = ()


def store_batch(store: db.Store, batch: Batch, last_reported_at: float) -> Stored:
    """Store one batch that was received at ``last_reported_at``; see :func:`store_batches`."""
    return store_batches(store, [ReceivedBatch(batch, last_reported_at)])[0]


def store_batches(
    store: db.Store, received: Sequence[ReceivedBatch], for_notices: bool = False
) -> list[Stored]:
    """Store batches in the order in which they were received; return what became of each.

    Each migration's row is written once. Reports that are late or repeated, or that the status
    table does not allow, change nothing and are not refused: repeated they would change nothing
    either. What the sender may not report is refused (:mod:`migprog.core.acceptance`).
    ``for_notices``: return the events to notify others of, too.
    Raises :class:`db.Unavailable`; then nothing of any batch is stored.
    """
    if not any(
        each.batch.reports or each.batch.arrivals or each.batch.agent or each.batch.measurements
        for each in received
    ):
        return [Stored(Ack()) for _ in received]
    stored = store.write(lambda writer: _Storing(writer, received, for_notices).run())
    for each, what in zip(received, stored, strict=True):
        for end in what.ends:
            took = "" if end.total_seconds is None else f" after {describe(end.total_seconds)}"
            LOG.info(
                "migration %s of server %s ended: %s%s; reported by host %r",
                *(end.uuid, end.server_uuid, end.status, took, each.batch.host),
            )
    return stored


class _Storing:
    """One run of the transaction: reads records, applies the rules of core/, writes the changes."""

    def __init__(
        self, writer: Writer, received: Sequence[ReceivedBatch], for_notices: bool
    ) -> None:
        self._writer = writer
        self._for_notices = for_notices
        # Of the batch that is applied.
        self._events: list[notices.Event] = []
        by_our_clock = [acceptance.by_our_clock(each.batch, each.at) for each in received]
        # With the entries of each that are refused for their instants.
        self._received = [
            (batch, to_store(each.at), refused)
            for each, (batch, refused) in zip(received, by_our_clock, strict=True)
        ]
        self._known = locked_records.read(writer, [batch for batch, _ in by_our_clock], for_notices)
        self._migrations = self._known.migrations
        self._servers = self._known.servers
        self._changes = Changes()

    def run(self) -> list[Stored]:
        stored = [self._apply(batch, now, refused) for batch, now, refused in self._received]
        self._changes.write(self._writer, self._migrations, self._servers)
        for batch, now, _refused in self._received:
            measurements.put(self._writer, batch.host, batch.measurements, now)
        return stored

    def _apply(self, batch: Batch, now: datetime, refused: list[EntryRefusal]) -> Stored:
        accepted: set[str] = set()
        applied = 0
        ends: list[Report] = []
        appeared: list[Report] = []
        self._events = []
        if batch.agent is not None:
            self._apply_agent(batch.agent, batch, now, refused)
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
            after = self._apply_report(its, batch, now, refused)
            if after is None:
                continue
            applied += 1
            if before is None:
                appeared.append(its)
            is_end = its.status in core_status.ENDED and its.uuid not in self._changes.merged_late
            if is_end and (before is None or before.status != after.status):
                ends.append(replace(its, status=after.status))
        arrived = [
            arrival.server_uuid
            for arrival in sorted(batch.arrivals, key=lambda arrival: arrival.at)
            if self._apply_arrival(arrival, batch, now, ends)
        ]
        in_ack = {r.entry: r.text for r in refused if r.reason in _IN_ACK}
        destinations = {
            uuid: record.dest_compute
            for uuid in accepted
            if (record := self._migrations.get(uuid)) is not None
            and record.dest_compute is not None
        }
        ack = Ack(tuple(dict.fromkeys(arrived)), in_ack, destinations)
        events = tuple(self._events)
        return Stored(ack, applied, tuple(ends), tuple(appeared), tuple(refused), events)

    def _apply_agent(
        self, agent: Agent, batch: Batch, now: datetime, refused: list[EntryRefusal]
    ) -> None:
        old = self._known.agents.get(batch.host)
        refusal = acceptance.impostor(old, agent.key, batch.host, now)
        if refusal is None:
            row = rows.from_agent(agent, batch.host, batch.node, now)
            self._changes.agents[batch.host] = row
            self._known.agents[batch.host] = rows.to_known_agent(row)
        else:
            refused.append(refusal)

    def _of_its_record(
        self, report: Report, batch: Batch, now: datetime, refused: list[EntryRefusal]
    ) -> Report | None:
        """Return the report under the UUID of its job's record; None if it is to be ignored."""
        if report.uuid in self._migrations:
            return report
        new = [record for record in self._migrations.values() if record.id is None]
        stored = [self._migrations.get(each.uuid, each) for each in self._known.same_start]
        record = same_job.known([*new, *stored], report, batch.host)
        if record is None:
            return report
        uuid = record.uuid
        text = f"server {report.server_uuid} has it as migration {uuid}"
        refused.append(EntryRefusal(RefusalReason.DUPLICATE, f"reports[{report.uuid}]", text))
        if not same_job.counts(record, report, now, self._known.heartbeats.get(uuid)):
            return None
        if uuid not in self._migrations:
            self._migrations |= locked_records.whole_records(self._writer, [uuid])
        if uuid not in self._migrations:
            return None
        return replace(report, uuid=uuid, sequence=self._migrations[uuid].sequence + 1)

    def _apply_report(
        self, report: Report, batch: Batch, now: datetime, refused: list[EntryRefusal]
    ) -> Record | None:
        """Apply a report; return its migration's record; None if nothing changes."""
        old = self._migrations.get(report.uuid)
        new = merge.report(old, report, batch.host, batch.node, now)
        if new is None:
            return None
        late = (
            None
            if old
            else arrival_only.match_late_source(self._known.arrival_only, report, batch.host)
        )
        if late is not None:
            if report.status not in core_status.ENDED:
                return None
            old = self._migrations.get(late.uuid, late)
            new = arrival_only.merge_late_source(old, new)
            self._rename(late, report.uuid)
        uuid, changes = report.uuid, self._changes
        self._migrations[uuid] = new
        self._notice(old, new)
        changes.reported.add(uuid)
        if old is not None and new.started_at != old.started_at:
            changes.restarted.add(uuid)
        is_undone = old is not None and contradiction.is_contradicted(old, report)
        if is_undone or not merge.is_progress(old, new):
            changes.more_than_progress.add(uuid)
        if is_undone:
            changes.arrived.add(uuid)
            changes.servers_more_than_progress.add(report.server_uuid)
        if old is not None:
            known = old.get("verdict") if old.figures else self._known.verdicts.get(uuid)
            changes.add_point(old, new, report, known)
        self._update_server(new, now)
        server = self._servers[report.server_uuid]
        if old is None and server_update.is_of_another_project(server, new):
            text = f"project_id: {report.project_id!r} must be the server's"
            refused.append(EntryRefusal(RefusalReason.PROJECT, f"reports[{report.uuid}]", text))
        return new

    def _rename(self, late: Record, uuid: str) -> None:
        """Give an arrival-only record the UUID that its source has reported."""
        self._known.arrival_only.remove(late)
        self._migrations.pop(late.uuid, None)
        self._changes.merged_late.add(uuid)
        self._changes.rename(late.uuid, uuid)
        server = self._servers.get(late.server_uuid)
        if server is not None and server.migration_uuid == late.uuid:
            self._servers[server.uuid] = replace(server, migration_uuid=uuid)

    def _apply_arrival(
        self, arrival: Arrival, batch: Batch, now: datetime, ends: list[Report]
    ) -> bool:
        """Apply an arrival; return whether it is resolved, so that the agent need not repeat it.

        An end that it decides is added to ``ends``.
        """
        old = arrivals.match(self._migrations.values(), arrival, batch.host)
        if old is None:
            return self._apply_unmatched(arrival, batch, now, ends)
        new = arrivals.merge(old, arrival, batch, now, self._known.heartbeats.get(old.uuid))
        if new is not None:
            self._migrations[new.uuid] = new
            self._notice(old, new)
            self._changes.arrived.add(new.uuid)
            if new.is_whole and arrival.complete:
                self._changes.reported.add(new.uuid)
                self._changes.more_than_progress.add(new.uuid)
                if arrivals.is_resolved(new, arrival) and new.status != old.status:
                    ends.append(arrivals.end_of(new))
            self._update_server(new, now)
        return arrivals.is_resolved(new or old, arrival)

    def _apply_unmatched(
        self, arrival: Arrival, batch: Batch, now: datetime, ends: list[Report]
    ) -> bool:
        """Apply an arrival that matches no migration; return whether it is resolved: an
        arrival-only record exists, or none is needed."""
        uuid = arrival.server_uuid
        if not arrival_only.is_due(arrival):
            return False
        reported = self._writer.reported_arrivals(
            uuid, not_from=batch.host, since=arrival_only.earliest_report(arrival)
        )
        if arrival_only.may_be_reported(arrival, batch.host, reported):
            return arrival.gone_after_seconds is not None
        new = arrival_only.make(arrival, batch, self._servers.get(uuid), now)
        if new.uuid in self._migrations or self._writer.lock_migrations(
            [new.uuid], for_progress=True
        ):
            # An earlier transaction made it; the arrival does not match its own record.
            return True
        self._migrations[new.uuid] = new
        self._notice(None, new)
        self._known.arrival_only.append(new)
        self._changes.reported.add(new.uuid)
        ends.append(arrivals.end_of(new))
        self._update_server(new, now)
        return True

    def _notice(self, old: Record | None, new: Record) -> None:
        if not self._for_notices:
            return
        before = None
        if old is not None:
            # Of a record that has changed in this transaction, its present values count.
            before = notices.Before.of(old) if old.figures else self._known.before[old.uuid]
        self._events += notices.between(before, new)

    def _update_server(self, migration: Record, now: datetime) -> None:
        uuid = migration.server_uuid
        old = self._servers.get(uuid)
        new = server_update.update(old, migration, now)
        if new is None:
            return
        self._servers[uuid] = new
        self._changes.servers.add(uuid)
        if not server_update.is_progress(old, new, migration):
            self._changes.servers_more_than_progress.add(uuid)
