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
# A migration's server, source, start and first mention never change, but by statements for that.
_SOURCE = ("source_compute", "source_node", "started_at")
_FIXED = ("uuid", "server_uuid", *_SOURCE, "created_at")
_FIGURES = tuple(
    name for name in migration_list.COLUMNS if name not in ("id", *_FIXED, *_DESTINATION, *_IN_NOVA)
)
# Null until a migration has ended: no need to write them with every step on its way.
_FINAL = ("ended_at", "total_seconds", "downtime_seconds", "error", *calibration.FIELDS)
_PROGRESS = tuple(name for name in _FIGURES if name not in _FINAL and name not in LASTING)
# Of a server's migrations, those that may have brought what arrives: no server migrates more often
# within the time that clocks differ and agents are late by. Whoever may send to the broker can make
# any number of records of one server.
MOST_RECENT = 50
_SERVER = tuple(c.name for c in _SERVERS.c)
_SERVER_PROGRESS = ("progress", "sampled_at", "updated_at")
# What it takes to decide, and no more: reading it is a good part of the cost of a report.
_HELD = (
    *("id", "uuid", "server_uuid", *LASTING, "source_compute", "dest_compute"),
    *("sequence", "status", "percent", "started_at", "sampled_at", "last_reported_at"),
)
# The same where there is more than progress.
_HELD_MORE = (*_HELD, "ended_at", "arrived_at")
_SERVER_HELD = (
    *("uuid", "name", "project_id", "user_id"),
    *("migration_uuid", "migration_started_at"),
)
_WITH_AGENTS = _MIGRATIONS.outerjoin(_AGENTS, _AGENTS.c.host == _MIGRATIONS.c.source_compute)


class Reader:
    """Reads in one transaction. ``connection`` is for the other modules of this package."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection

    def _rows(self, query: sa.Select[Any]) -> list[Row]:
        return [dict(row) for row in self.connection.execute(query).mappings()]

    def _row(self, query: sa.Select[Any]) -> Row | None:
        row = self.connection.execute(query).mappings().first()
        return None if row is None else dict(row)

    def migration(self, names: Sequence[str], **columns: Any) -> Row | None:
        """The columns ``names`` of the one whose ``columns`` have these values."""
        return self._row(migration_list.select(names).filter_by(**columns))

    def migrations(
        self, names: Sequence[str], asked: migration_list.ListFilter, limit: int
    ) -> list[Row]:
        """The columns ``names`` of at most ``limit``.

        Where more have changed than can be sorted at once, the page is usually full of those
        that come first in the list's order."""
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
        """With a ``project_id``, only if it is that project's."""
        query = sa.select(_SERVERS).where(_SERVERS.c.uuid == uuid)
        if project_id is not None:
            query = query.where(_SERVERS.c.project_id == project_id)
        return self._row(query)

    def history(self, migration_id: int) -> list[str]:
        """The points of a migration, in order."""
        table = _HISTORY.c
        query = sa.select(table.point).where(table.migration_id == migration_id)
        return list(self.connection.scalars(query.order_by(table.number)))

    def agent(self, host: str) -> Row | None:
        return self._row(sa.select(_AGENTS).where(_AGENTS.c.host == host))

    def agents(self, *, limit: int, after_host: str | None = None) -> list[Row]:
        """By the names of their hosts."""
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
        """Servers by their UUIDs, with the status of the migration that speaks for each as
        ``migration_status``; null when that has been purged. What is None is not asked for."""
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

    def unnamed_in_nova(self, statuses: Collection[str], limit: int) -> list[tuple[str, str]]:
        """The UUIDs of servers and migrations whose record in Nova is not known, the newest; by
        their statuses, which few have."""
        table = _MIGRATIONS.c
        query = sa.select(table.server_uuid, table.uuid).where(
            table.status.in_(sorted(statuses)), table.nova_record.is_(None)
        )
        found = self.connection.execute(query.order_by(table.id.desc()).limit(limit))
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
        """The UUIDs of these servers' migrations from other hosts that were under way in a window
        of time, by either end, each with the heartbeat interval of its source's agent, if known;
        ``ended`` are the statuses of those that are not under way. Only the newest
        :data:`MOST_RECENT` of each server are looked at."""
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
        """Of the server's migrations from other hosts that were heard of since an instant, where
        and when it arrived, by the destination's clock. Only its newest :data:`MOST_RECENT`
        migrations are looked at."""
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
        """These servers' migrations whose source is ``no_source``, and those from ``sources`` that
        began within a window of time; every column, and the heartbeat interval of the source's
        agent, if known."""
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

    Everybody locks migrations before servers and each in the order of their UUIDs: so two
    conductors wait for each other at worst, and seldom deadlock. ``rows`` counts those written.
    """

    def __init__(self, connection: sa.Connection) -> None:
        super().__init__(connection)
        self.rows = 0

    def lock_migrations(self, uuids: Iterable[str], for_progress: bool) -> dict[str, Row]:
        """By UUID, those that exist; only the columns that it takes to decide."""
        return self._lock(_MIGRATIONS, _HELD if for_progress else _HELD_MORE, uuids)

    def whole_migrations(self, uuids: Iterable[str]) -> dict[str, Row]:
        """By UUID, those that exist, of those that are locked already; every column."""
        return self._lock(_MIGRATIONS, migration_list.COLUMNS, uuids)

    def lock_servers(self, uuids: Iterable[str]) -> dict[str, Row]:
        """By UUID, those that exist; only the columns that it takes to decide."""
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
        """New ones. What a row does not name is null."""
        self._insert(_MIGRATIONS, (*_FIXED, *_FIGURES, *_DESTINATION), rows)

    def insert_servers(self, rows: Sequence[Row]) -> None:
        """New ones."""
        self._insert(_SERVERS, _SERVER, rows)

    def _insert(self, table: sa.Table, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
        self.rows += len(rows)
        if rows:
            values = [{name: row.get(name) for name in columns} for row in rows]
            self.connection.execute(sa.insert(table), values)

    def update_migrations(self, rows: Sequence[Row], for_progress: bool) -> None:
        """Locked ones: new figures, nothing of the destination. ``for_progress``: none that only
        the end fills, and none that stay as they are."""
        self._update(_MIGRATIONS, "id", _PROGRESS if for_progress else _FIGURES, rows)

    def update_sources(self, rows: Sequence[Row]) -> None:
        """Ones that their arrivals made, as their sources know them; the server is locked."""
        self._update(_MIGRATIONS, "id", ("uuid", *_SOURCE), rows)

    def update_starts(self, rows: Sequence[Row]) -> None:
        """Locked ones: when they began, which a clock that was wrong had told."""
        self._update(_MIGRATIONS, "id", ("started_at",), rows)

    def update_destinations(self, rows: Sequence[Row]) -> None:
        """Locked ones: the destination and nothing else."""
        self._update(_MIGRATIONS, "id", (*_DESTINATION, "updated_at"), rows)

    def name_in_nova(self, uuid: str, values: Row) -> bool:
        """Give a migration Nova's names, with all that is known by them; False: it is gone, or
        another one has them."""
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
        """Locked ones: all but what never changes; or their progress and nothing else."""
        whole = tuple(name for name in _SERVER if name not in ("uuid", "created_at"))
        self._update(_SERVERS, "uuid", _SERVER_PROGRESS if for_progress else whole, rows)

    def _update(
        self, table: sa.Table, key: str, changed: tuple[str, ...], rows: Sequence[Row]
    ) -> None:
        self.rows += len(rows)
        bulk.update(self.connection, table, key, changed, rows)

    def put_history(self, rows: Sequence[Row]) -> None:
        """Points of migrations that are locked."""
        self._put(_HISTORY, ("migration_id", "number"), rows)

    def history_numbers(self, migration_ids: Collection[int]) -> dict[int, list[int]]:
        """The numbers of the points of each of these migrations."""
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
        """What there is of agents to know them again by, by their hosts. Nothing is locked."""
        if not hosts:
            return {}
        table = _AGENTS.c
        columns = table.host, table.key_digest, table.last_reported_at, table.heartbeat_seconds
        query = sa.select(*columns).where(table.host.in_(hosts))
        return {row["host"]: row for row in self._rows(query)}

    def put_agents(self, rows: Sequence[Row]) -> None:
        """In the order of their hosts."""
        self._put(_AGENTS, ("host",), rows)

    def _put(self, table: sa.Table, keys: tuple[str, ...], rows: Sequence[Row]) -> None:
        self.rows += len(rows)
        bulk.put(self.connection, table, keys, rows)


@functools.cache
def locking(table: sa.Table, columns: tuple[str, ...]) -> sa.Select[Any]:
    """The rows of ``uuids`` in their order, for writing."""
    uuid = table.c.uuid
    query = sa.select(*(table.c[name] for name in columns))
    query = query.where(uuid.in_(sa.bindparam("uuids", expanding=True))).order_by(uuid)
    # In a small table MySQL would rather read, and lock, every row in another order.
    index = "PRIMARY" if uuid.primary_key else "uniq_migrations_uuid"
    return query.with_hint(table, f"FORCE INDEX ({index})", "mysql").with_for_update()
