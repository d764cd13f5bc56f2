# SPDX-License-Identifier: Apache-2.0
"""Storing what a host told: one transaction and a handful of statements, whatever the size."""

import logging
from collections.abc import Collection
from datetime import datetime

from migprog.core import status as core_status
from migprog.core.report import Ack, Arrival, Batch, Report
from migprog.core.status import Status
from migprog.db import api as db
from migprog.db import queries
from migprog.objects import merge
from migprog.objects.instant import to_store
from migprog.objects.merge import Row

LOG = logging.getLogger(__name__)


def store_batch(store: db.Store, batch: Batch, heard_at: float) -> Ack:
    """Store a batch that was heard at ``heard_at`` (seconds since the epoch, our own clock).

    Reports that are late or repeated, or that the status table does not allow, change nothing and
    count as stored: there is nothing to be won by telling them again.
    Raises :class:`db.Unavailable`; nothing of the batch is stored then.
    """
    if not (batch.reports or batch.arrivals):
        return Ack()
    storing = store.write(lambda writer: _Storing(writer, batch, to_store(heard_at)).run())
    for row in storing.ended():
        LOG.info(
            "migration %s of server %s from %r ended: %s, %s s",
            *(row["uuid"], row["server_uuid"], row["source_compute"]),
            *(row["status"], row["total_seconds"]),
        )
    return Ack(stored=storing.settled, arrived=tuple(storing.arrived))


class _Storing:
    """One run of the transaction: rows as they were locked and as they become."""

    def __init__(self, writer: queries.Writer, batch: Batch, now: datetime) -> None:
        self._writer = writer
        self._batch = batch
        self._now = now
        # By UUID: rows as they stand, and which of them to write.
        self._migrations: dict[str, Row] = {}
        self._servers: dict[str, Row] = {}
        self._reported: set[str] = set()
        self._named: set[str] = set()
        self._told: set[str] = set()
        self.settled: dict[str, int] = {}
        self.arrived: dict[str, None] = {}

    def run(self) -> "_Storing":
        self._lock()
        known, known_servers = set(self._migrations), set(self._servers)
        for report in sorted(self._batch.reports, key=lambda report: report.sequence):
            self._report(report)
        for arrival in sorted(self._batch.arrivals, key=lambda arrival: arrival.at):
            self._arrival(arrival)
        self._write(known, known_servers)
        return self

    def ended(self) -> list[Row]:
        """The migrations that ended with this batch."""
        rows = (self._migrations[uuid] for uuid in sorted(self._reported))
        return [row for row in rows if Status(row["status"]) in core_status.ENDED]

    def _lock(self) -> None:
        batch, writer = self._batch, self._writer
        uuids = {report.uuid for report in batch.reports}
        servers = {report.server_uuid for report in batch.reports}
        if batch.arrivals:
            arrived = {arrival.server_uuid for arrival in batch.arrivals}
            times = [to_store(arrival.at) for arrival in batch.arrivals]
            # Found without a lock and judged again under it.
            uuids |= set(
                writer.migrations_met(
                    arrived,
                    not_from=batch.host,
                    started_before=max(times) + merge.CLOCK_SKEW,
                    ended_after=min(times) - merge.LATE_ARRIVAL,
                    ended=core_status.ENDED,
                )
            )
            servers |= arrived
        self._migrations = writer.lock_migrations(uuids)
        self._servers = writer.lock_servers(servers)

    def _report(self, report: Report) -> None:
        old = self._migrations.get(report.uuid)
        new = merge.report(old, report, self._batch.host, self._batch.node, self._now)
        self.settled[report.uuid] = max(
            report.sequence, old["sequence"] if old else 0, self.settled.get(report.uuid, 0)
        )
        if new is not None:
            self._migrations[report.uuid] = new
            self._reported.add(report.uuid)
            self._tell_server(new)

    def _arrival(self, arrival: Arrival) -> None:
        batch = self._batch
        old = merge.met(self._migrations.values(), arrival, batch.host)
        if old is None:
            return
        self.arrived[arrival.server_uuid] = None
        new = merge.destination(old, arrival, batch.host, batch.node, batch.address, self._now)
        if new is not None:
            self._migrations[new["uuid"]] = new
            self._named.add(new["uuid"])
            self._tell_server(new)

    def _tell_server(self, migration: Row) -> None:
        uuid = migration["server_uuid"]
        row = merge.server(self._servers.get(uuid), migration, self._now)
        if row is not None:
            self._servers[uuid] = row
            self._told.add(uuid)

    def _write(self, known: Collection[str], known_servers: Collection[str]) -> None:
        writer, migrations, servers = self._writer, self._migrations, self._servers
        writer.insert_migrations([migrations[u] for u in sorted(self._reported - set(known))])
        writer.update_migrations([migrations[u] for u in sorted(self._reported & set(known))])
        writer.update_destinations([migrations[u] for u in sorted(self._named & set(known))])
        writer.insert_servers([servers[u] for u in sorted(self._told - set(known_servers))])
        writer.update_servers([servers[u] for u in sorted(self._told & set(known_servers))])
