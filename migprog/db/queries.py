# SPDX-License-Identifier: Apache-2.0
"""Every statement on migrations and servers. Rows are plain dictionaries of columns."""

import functools
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from migprog.core.forecast import calibration
from migprog.core.report import LASTING
from migprog.db import bulk, migration_list, models

Row = dict[str, Any]

_MIGRATIONS: sa.Table = models.Migration.__table__  # type: ignore[assignment]
_SERVERS: sa.Table = models.Server.__table__  # type: ignore[assignment]
_HISTORY: sa.Table = models.History.__table__  # type: ignore[assignment]
_AGENTS: sa.Table = models.Agent.__table__  # type: ignore[assignment]

_DESTINATION = ("dest_compute", "dest_node", "dest_host", "arrived_at")
_IN_NOVA = ("nova_id", "nova_uuid", "nova_user_id", "nova_project_id", "nova_record")
# A migration's server, source, start and creation change only by statements of their own.
_SOURCE = ("source_compute", "source_node", "started_at")
_FIXED = ("uuid", "server_uuid", *_SOURCE, "created_at")
_FIGURES = tuple(
    name for name in migration_list.COLUMNS if name not in ("id", *_FIXED, *_DESTINATION, *_IN_NOVA)
)
# Null until a migration has ended: not written with its progress.
_FINAL = ("ended_at", "total_seconds", "downtime_seconds", "error", *calibration.FIELDS)
_PROGRESS = tuple(name for name in _FIGURES if name not in _FINAL and name not in LASTING)
# How many of a server's migrations are matched with an arrival: no server migrates more often in
# the time that clocks differ and reports are late by. It limits the scan, whatever is stored.
MOST_RECENT = 50
_SERVER = tuple(c.name for c in _SERVERS.c)
_SERVER_PROGRESS = ("progress", "sampled_at", "updated_at")
# Only the columns that decisions need: reading them is a large part of the cost of a report.
_HELD = (
    *("id", "uuid", "server_uuid", *LASTING, "source_compute", "dest_compute"),
    *("sequence", "status", "percent", "started_at", "sampled_at", "last_reported_at"),
)
# The same for ends and arrivals.
_HELD_MORE = (*_HELD, "ended_at", "arrived_at")
_SERVER_HELD = (
    *("uuid", "name", "project_id", "user_id"),
    *("migration_uuid", "migration_started_at"),
)
_WITH_AGENTS = _MIGRATIONS.outerjoin(_AGENTS, _AGENTS.c.host == _MIGRATIONS.c.source_compute)


class Reader:
    """Reads in one transaction. ``connection`` is for this package's other modules."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection

    def _rows(self, query: sa.Select[Any]) -> list[Row]:
        return [dict(row) for row in self.connection.execute(query).mappings()]

    def _row(self, query: sa.Select[Any]) -> Row | None:
        row = self.connection.execute(query).mappings().first()
        return None if row is None else dict(row)

    def migration(self, names: Sequence[str], **columns: Any) -> Row | None:
        """Return the columns ``names`` of the migration whose ``columns`` have these values."""
        return self._row(migration_list.select(names).filter_by(**columns))

    def migrations(
        self, names: Sequence[str], asked: migration_list.ListFilter, limit: int
    ) -> list[Row]:
        """Return the columns ``names`` of at most ``limit`` migrations.

        Where more have changed than can be sorted at once, a scan in the list's order usually fills
        the page.
        """
        dialect, most = self.connection.dialect.name, None
        if asked.is_by_change and not asked.is_few:
            changed = self.connection.scalar(migration_list.changed(asked, dialect)) or 0
            if changed <= migration_list.MAX_SORTED:
                most = migration_list.MAX_SORTED
            else:
                rows = self._rows(migration_list.among_the_first(names, asked, limit, dialect))
                if len(rows) == limit:
                    return rows
        return self._rows(migration_list.statement(names, asked, limit, dialect, most))

    def server(self, uuid: str, project_id: str | None = None) -> Row | None:
        """Return a server; with a ``project_id``, only if it is that project's."""
        query = sa.select(_SERVERS).where(_SERVERS.c.uuid == uuid)
        if project_id is not None:
            query = query.where(_SERVERS.c.project_id == project_id)
        return self._row(query)

    def history(self, migration_id: int) -> list[str]:
        """Return the points of a migration in order."""
        table = _HISTORY.c
        query = sa.select(table.point).where(table.migration_id == migration_id)
        return list(self.connection.scalars(query.order_by(table.number)))

    def agent(self, host: str) -> Row | None:
        return self._row(sa.select(_AGENTS).where(_AGENTS.c.host == host))

    def agents(self, *, limit: int, after_host: str | None = None) -> list[Row]:
        """Return agents in the order of their hosts' names."""
        query = sa.select(_AGENTS).order_by(_AGENTS.c.host).limit(limit)
        if after_host is not None:
            query = query.where(_AGENTS.c.host > after_host)
        return self._rows(query)

    def servers_now(
        self,
        *,
        limit: int = 1,
        uuid: str | None = None,
        after_uuid: str | None = None,
        name: str | None = None,
        project_id: str | None = None,
    ) -> list[Row]:
        """Return servers in the order of their UUIDs; a filter that is None does not apply.

        ``migration_status`` is the status of a server's newest migration; null when it is purged.
        """
        table = _SERVERS.c
        asked = []
        if uuid is not None:
            asked.append(table.uuid == uuid)
        if after_uuid is not None:
            asked.append(table.uuid > after_uuid)
        if name is not None:
            asked.append(table.name == name)
        if project_id is not None:
            asked.append(table.project_id == project_id)
        status = _MIGRATIONS.c.status.label("migration_status")
        both = _SERVERS.outerjoin(_MIGRATIONS, _MIGRATIONS.c.uuid == table.migration_uuid)
        query = sa.select(_SERVERS, status).select_from(both)
        return self._rows(query.where(*asked).order_by(table.uuid).limit(limit))

    def unnamed_in_nova(
        self, in_progress: Collection[str], ended: Collection[str], since: datetime, limit: int
    ) -> list[tuple[str, str]]:
        """Return the server's and the migration's UUID of migrations whose record in Nova is not
        known: at most ``limit`` of those in progress, and as many of those that have ended
        ``since``, the newest of each. ``in_progress`` and ``ended`` are their statuses."""
        table = _MIGRATIONS.c
        query = sa.select(table.server_uuid, table.uuid).where(table.nova_record.is_(None))
        found: list[sa.Row[tuple[str, str]]] = []
        for statuses, newest, *more in (
            (in_progress, table.id),
            (ended, table.ended_at, table.ended_at >= since),
        ):
            of_these = query.where(table.status.in_(sorted(statuses)), *more)
            found += self.connection.execute(of_these.order_by(newest.desc()).limit(limit)).all()
        return [(server_uuid, uuid) for server_uuid, uuid in found]

    def migrations_to_match(
        self,
        server_uuids: Iterable[str],
        *,
        not_from: str,
        started_before: datetime,
        ended_after: datetime,
        ended: Collection[str],
    ) -> dict[str, float | None]:
        """Return these servers' migrations from other hosts that were in progress in a window of
        time, by either end: by UUID, the heartbeat interval of the source's agent, if known.

        ``ended`` are the statuses of those not in progress. Only the newest :data:`MOST_RECENT` of
        each server are read.
        """
        table = _MIGRATIONS.c
        newest = (
            sa.select(
                table.id,
                sa.func.row_number()
                .over(partition_by=table.server_uuid, order_by=table.id.desc())
                .label("number"),
            )
            .where(table.server_uuid.in_(sorted(server_uuids)))
            .subquery()
        )
        query = sa.select(table.uuid, _AGENTS.c.heartbeat_seconds).select_from(
            _WITH_AGENTS.join(newest, newest.c.id == table.id)
        )
        found = self.connection.execute(
            query.where(
                newest.c.number <= MOST_RECENT,
                table.source_compute != not_from,
                table.started_at <= started_before,
                sa.or_(
                    table.status.not_in(sorted(ended)),
                    sa.func.coalesce(table.ended_at, table.sampled_at) >= ended_after,
                    table.arrived_at >= ended_after,
                ),
            )
        )
        return {row.uuid: row.heartbeat_seconds for row in found}

    def reported_arrivals(
        self, server_uuid: str, *, not_from: str, since: datetime
    ) -> list[tuple[str | None, datetime | None]]:
        """Return destination and time of arrival, by the destination's clock, of the server's
        migrations from other hosts that were reported since an instant.

        Only the newest :data:`MOST_RECENT` of the server are read.
        """
        table = _MIGRATIONS.c
        newest = (
            sa.select(
                table.dest_compute, table.arrived_at, table.source_compute, table.last_reported_at
            )
            .where(table.server_uuid == server_uuid)
            .order_by(table.id.desc())
            .limit(MOST_RECENT)
            .subquery()
        )
        query = sa.select(newest.c.dest_compute, newest.c.arrived_at).where(
            newest.c.source_compute != not_from, newest.c.last_reported_at >= since
        )
        return [(host, at) for host, at in self.connection.execute(query)]

    def migrations_of_jobs(
        self,
        server_uuids: Iterable[str],
        *,
        no_source: str,
        sources: Iterable[str],
        started_after: datetime,
        started_before: datetime,
    ) -> list[Row]:
        """Return these servers' migrations whose source is ``no_source``, and those from
        ``sources`` that began within a window of time; all columns, and the heartbeat interval of
        the source's agent, if known."""
        table = _MIGRATIONS.c
        query = migration_list.select(migration_list.COLUMNS).add_columns(
            _AGENTS.c.heartbeat_seconds
        )
        return self._rows(
            query.select_from(_WITH_AGENTS).where(
                table.server_uuid.in_(sorted(server_uuids)),
                sa.or_(
                    table.source_compute == no_source,
                    sa.and_(
                        table.source_compute.in_(sorted(sources)),
                        table.started_at.between(started_after, started_before),
                    ),
                ),
            )
        )


class Writer(Reader):
    """Reads and writes in one transaction.

    All transactions lock migrations before servers, and each in the order of their UUIDs: so
    conductors wait for each other, and rarely deadlock. ``rows`` counts the rows written.
    """

    def __init__(self, connection: sa.Connection) -> None:
        super().__init__(connection)
        self.rows = 0

    def lock_migrations(self, uuids: Iterable[str], for_progress: bool) -> dict[str, Row]:
        """Lock and return by UUID those that exist; only the columns that decisions need."""
        return self._lock(_MIGRATIONS, _HELD if for_progress else _HELD_MORE, uuids)

    def whole_migrations(self, uuids: Iterable[str]) -> dict[str, Row]:
        """Return by UUID those that exist, which should be locked already; all columns."""
        return self._lock(_MIGRATIONS, migration_list.COLUMNS, uuids)

    def lock_servers(self, uuids: Iterable[str]) -> dict[str, Row]:
        """Lock and return by UUID those that exist; only the columns that decisions need."""
        return self._lock(_SERVERS, _SERVER_HELD, uuids)

    def _lock(
        self, table: sa.Table, columns: tuple[str, ...], uuids: Iterable[str]
    ) -> dict[str, Row]:
        wanted = sorted(set(uuids))
        if not wanted:
            return {}
        found = self.connection.execute(locking(table, columns), {"uuids": wanted})
        rows = (dict(zip(columns, values, strict=True)) for values in found)
        return {row["uuid"]: row for row in rows}

    def insert_migrations(self, rows: Sequence[Row]) -> None:
        """Insert migrations. Columns that a row lacks are null."""
        self._insert(_MIGRATIONS, (*_FIXED, *_FIGURES, *_DESTINATION), rows)

    def insert_servers(self, rows: Sequence[Row]) -> None:
        """Insert servers."""
        self._insert(_SERVERS, _SERVER, rows)

    def _insert(self, table: sa.Table, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
        self.rows += len(rows)
        if rows:
            values = [{name: row.get(name) for name in columns} for row in rows]
            self.connection.execute(sa.insert(table), values)

    def update_migrations(self, rows: Sequence[Row], for_progress: bool) -> None:
        """Update locked migrations, except their destinations. ``for_progress``: only columns that
        change with progress."""
        self._update(_MIGRATIONS, "id", _PROGRESS if for_progress else _FIGURES, rows)

    def update_sources(self, rows: Sequence[Row]) -> None:
        """Update UUIDs, sources and starts of arrival-only records; the server is locked."""
        self._update(_MIGRATIONS, "id", ("uuid", *_SOURCE), rows)

    def update_starts(self, rows: Sequence[Row]) -> None:
        """Update the starts of locked migrations, which were by a wrong clock."""
        self._update(_MIGRATIONS, "id", ("started_at",), rows)

    def update_destinations(self, rows: Sequence[Row]) -> None:
        """Update only the destinations of locked migrations."""
        self._update(_MIGRATIONS, "id", (*_DESTINATION, "updated_at"), rows)

    def name_in_nova(self, uuid: str, values: Row) -> bool:
        """Store Nova's ids and record of a migration; return False if it is purged, or another one
        has them."""
        table = _MIGRATIONS.c
        others = sa.select(table.id).where(
            table.nova_uuid == values["nova_uuid"], table.uuid != uuid
        )
        if self._row(others) is not None:
            return False
        named = sa.update(_MIGRATIONS).where(table.uuid == uuid)
        rows: int = self.connection.execute(named.values(values)).rowcount
        self.rows += rows
        return rows > 0

    def update_servers(self, rows: Sequence[Row], for_progress: bool) -> None:
        """Update locked servers; ``for_progress``: only their progress."""
        whole = tuple(name for name in _SERVER if name not in ("uuid", "created_at"))
        self._update(_SERVERS, "uuid", _SERVER_PROGRESS if for_progress else whole, rows)

    def _update(
        self, table: sa.Table, key: str, changed: tuple[str, ...], rows: Sequence[Row]
    ) -> None:
        self.rows += len(rows)
        bulk.update(self.connection, table, key, changed, rows)

    def put_history(self, rows: Sequence[Row]) -> None:
        """Insert or replace points of locked migrations."""
        self._put(_HISTORY, ("migration_id", "number"), rows)

    def history_numbers(self, migration_ids: Collection[int]) -> dict[int, list[int]]:
        """Return the numbers of the points of each of these migrations."""
        numbers: dict[int, list[int]] = {each: [] for each in migration_ids}
        if numbers:
            table = _HISTORY.c
            query = sa.select(table.migration_id, table.number)
            query = query.where(table.migration_id.in_(sorted(numbers)))
            for migration_id, number in self.connection.execute(query):
                numbers[migration_id].append(number)
        return numbers

    def drop_history(self, points: Sequence[tuple[int, int]]) -> None:
        """Delete points, by their migrations and numbers."""
        if points:
            table = _HISTORY.c
            which = sa.tuple_(table.migration_id, table.number).in_(points)
            self.connection.execute(sa.delete(_HISTORY).where(which))

    def known_agents(self, hosts: Collection[str]) -> dict[str, Row]:
        """Return by host what identifies the stored agents. Nothing is locked."""
        if not hosts:
            return {}
        table = _AGENTS.c
        columns = table.host, table.key_digest, table.last_reported_at, table.heartbeat_seconds
        query = sa.select(*columns).where(table.host.in_(hosts))
        return {row["host"]: row for row in self._rows(query)}

    def put_agents(self, rows: Sequence[Row]) -> None:
        """Insert or replace agents, which should be in the order of their hosts."""
        self._put(_AGENTS, ("host",), rows)

    def _put(self, table: sa.Table, keys: tuple[str, ...], rows: Sequence[Row]) -> None:
        self.rows += len(rows)
        bulk.put(self.connection, table, keys, rows)


@functools.cache
def locking(table: sa.Table, columns: tuple[str, ...]) -> sa.Select[Any]:
    """Return the query that locks the rows of ``uuids`` in the order of their UUIDs."""
    uuid = table.c.uuid
    query = sa.select(*(table.c[name] for name in columns))
    query = query.where(uuid.in_(sa.bindparam("uuids", expanding=True))).order_by(uuid)
    # In a small table MySQL would read, and lock, every row, in another order.
    index = "PRIMARY" if uuid.primary_key else "uniq_migrations_uuid"
    return query.with_hint(table, f"FORCE INDEX ({index})", "mysql").with_for_update()
