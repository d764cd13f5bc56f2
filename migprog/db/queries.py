# SPDX-License-Identifier: Apache-2.0
"""Every statement on migrations and servers. Rows are plain dictionaries of columns."""

import functools
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from migprog.core import calibration
from migprog.core import status as core_status
from migprog.db import many, models

Row = dict[str, Any]

_MIGRATIONS: sa.Table = models.Migration.__table__  # type: ignore[assignment]
_SERVERS: sa.Table = models.Server.__table__  # type: ignore[assignment]

_DESTINATION = ("dest_compute", "dest_node", "dest_host", "arrived_at")
# A migration's server, source and first mention never change.
_FIXED = ("uuid", "server_uuid", "source_compute", "source_node", "created_at")
_FIGURES = tuple(c.name for c in _MIGRATIONS.c if c.name not in ("id", *_FIXED, *_DESTINATION))
# Null until a migration has ended: no need to write them with every step on its way.
_FINAL = ("ended_at", "total_seconds", "downtime_seconds", "error", *calibration.FIELDS)
_UNDER_WAY = tuple(name for name in _FIGURES if name not in _FINAL)
_SERVER = tuple(c.name for c in _SERVERS.c)
# What it takes to decide, and no more: reading it is a good part of the cost of a report.
_HELD = (
    *("id", "uuid", "server_uuid", "server_name", "project_id", "user_id"),
    *("source_compute", "dest_compute", "sequence", "status", "percent"),
    *("started_at", "sampled_at", "ended_at", "arrived_at"),
)
_SERVER_HELD = (
    *("uuid", "name", "project_id", "user_id"),
    *("migration_uuid", "migration_started_at", "created_at"),
)


class Reader:
    """Reads in one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def _rows(self, query: sa.Select[Any]) -> list[Row]:
        return [dict(row) for row in self._connection.execute(query).mappings()]

    def _row(self, query: sa.Select[Any]) -> Row | None:
        row = self._connection.execute(query).mappings().first()
        return None if row is None else dict(row)

    def migration(self, **columns: Any) -> Row | None:
        """The one whose columns have these values."""
        return self._row(sa.select(_MIGRATIONS).filter_by(**columns))

    def migrations(
        self,
        *,
        limit: int,
        below_id: int | None = None,
        host: str | None = None,
        statuses: Collection[str] | None = None,
        changed_since: datetime | None = None,
        changed_before: datetime | None = None,
        **columns: Any,
    ) -> list[Row]:
        """Newest first. ``host``: at either end; changed: at that instant, too. What is None is not
        asked for, columns neither.

        No index serves the instants of a change and ``user_id`` yet: asked for alone, they read the
        table from its newest row on until ``limit`` are found.
        """
        table = _MIGRATIONS.c
        asked = [table[name] == value for name, value in columns.items() if value is not None]
        if host is not None:
            asked.append(sa.or_(table.source_compute == host, table.dest_compute == host))
        if statuses is not None:
            asked.append(table.status.in_(sorted(statuses)))
        if changed_since is not None:
            asked.append(table.updated_at >= changed_since)
        if changed_before is not None:
            asked.append(table.updated_at <= changed_before)
        if below_id is not None:
            asked.append(table.id < below_id)
        return self._rows(
            sa.select(_MIGRATIONS).where(*asked).order_by(table.id.desc()).limit(limit)
        )

    def server(self, uuid: str) -> Row | None:
        return self._row(sa.select(_SERVERS).where(_SERVERS.c.uuid == uuid))

    def servers_now(
        self,
        *,
        limit: int = 1,
        uuid: str | None = None,
        after_uuid: str | None = None,
        name: str | None = None,
    ) -> list[Row]:
        """Servers by their UUIDs, with the status of the migration that speaks for each as
        ``migration_status``; null when that has been purged. What is None is not asked for.

        No index serves ``name``: that reads the table of servers, which has one short row each.
        """
        table = _SERVERS.c
        asked = []
        if uuid is not None:
            asked.append(table.uuid == uuid)
        if after_uuid is not None:
            asked.append(table.uuid > after_uuid)
        if name is not None:
            asked.append(table.name == name)
        status = _MIGRATIONS.c.status.label("migration_status")
        both = _SERVERS.outerjoin(_MIGRATIONS, _MIGRATIONS.c.uuid == table.migration_uuid)
        query = sa.select(_SERVERS, status).select_from(both)
        return self._rows(query.where(*asked).order_by(table.uuid).limit(limit))

    def migrations_met(
        self,
        server_uuids: Iterable[str],
        *,
        not_from: str,
        started_before: datetime,
        ended_after: datetime,
        ended: Collection[str],
    ) -> list[str]:
        """The UUIDs of these servers' migrations from other hosts that were under way in a window
        of time; ``ended`` are the statuses of those that are not under way."""
        table = _MIGRATIONS.c
        return list(
            self._connection.scalars(
                sa.select(table.uuid).where(
                    table.server_uuid.in_(sorted(server_uuids)),
                    table.source_compute != not_from,
                    table.started_at <= started_before,
                    sa.or_(
                        table.status.not_in(sorted(ended)),
                        sa.func.coalesce(table.ended_at, table.sampled_at) >= ended_after,
                    ),
                )
            )
        )


class Writer(Reader):
    """Reads and writes in one transaction.

    Everybody locks migrations before servers and each in the order of their UUIDs: so two
    conductors wait for each other at worst, and seldom deadlock.
    """

    def lock_migrations(self, uuids: Iterable[str]) -> dict[str, Row]:
        """By UUID, those that exist; only the columns that it takes to decide."""
        return self._lock(_MIGRATIONS, _HELD, uuids)

    def lock_servers(self, uuids: Iterable[str]) -> dict[str, Row]:
        """By UUID, those that exist; only the columns that it takes to decide."""
        return self._lock(_SERVERS, _SERVER_HELD, uuids)

    def _lock(
        self, table: sa.Table, columns: tuple[str, ...], uuids: Iterable[str]
    ) -> dict[str, Row]:
        wanted = sorted(set(uuids))
        if not wanted:
            return {}
        rows = self._connection.execute(_locking(table, columns), {"uuids": wanted})
        return {row["uuid"]: dict(row) for row in rows.mappings()}

    def insert_migrations(self, rows: Sequence[Row]) -> None:
        """New ones. What a row does not name is null."""
        self._insert(_MIGRATIONS, (*_FIXED, *_FIGURES, *_DESTINATION), rows)

    def insert_servers(self, rows: Sequence[Row]) -> None:
        """New ones."""
        self._insert(_SERVERS, _SERVER, rows)

    def _insert(self, table: sa.Table, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
        if rows:
            values = [{name: row.get(name) for name in columns} for row in rows]
            self._connection.execute(sa.insert(table), values)

    def update_migrations(self, rows: Sequence[Row]) -> None:
        """Locked ones: new figures, nothing of the destination."""
        ended = [row for row in rows if row["status"] in core_status.ENDED]
        under_way = [row for row in rows if row["status"] not in core_status.ENDED]
        many.update(self._connection, _MIGRATIONS, "id", _UNDER_WAY, under_way)
        many.update(self._connection, _MIGRATIONS, "id", _FIGURES, ended)

    def update_destinations(self, rows: Sequence[Row]) -> None:
        """Locked ones: the destination and nothing else."""
        many.update(self._connection, _MIGRATIONS, "id", (*_DESTINATION, "updated_at"), rows)

    def update_servers(self, rows: Sequence[Row]) -> None:
        """Locked ones: all but what never changes."""
        changed = tuple(name for name in _SERVER if name not in ("uuid", "created_at"))
        many.update(self._connection, _SERVERS, "uuid", changed, rows)


@functools.cache
def _locking(table: sa.Table, columns: tuple[str, ...]) -> sa.Select[Any]:
    """The rows of ``uuids`` in their order, for writing."""
    uuid = table.c.uuid
    query = sa.select(*(table.c[name] for name in columns))
    query = query.where(uuid.in_(sa.bindparam("uuids", expanding=True))).order_by(uuid)
    # In a small table MySQL would rather read, and lock, every row in another order.
    index = "PRIMARY" if uuid.primary_key else "uniq_migrations_uuid"
    return query.with_hint(table, f"FORCE INDEX ({index})", "mysql").with_for_update()
