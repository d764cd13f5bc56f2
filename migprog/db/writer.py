# SPDX-License-Identifier: Apache-2.0
"""Lock, insert and update migrations, servers and agents; write and drop points of history.

:mod:`.purge` deletes all of these, and :mod:`.measurements` writes measurements.
"""

import functools
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from migprog.core.forecast import calibration
from migprog.core.messages import LASTING
from migprog.db import bulk, migration_list
from migprog.db.models import AGENTS, HISTORY, MIGRATIONS, SERVERS
from migprog.db.reader import Reader, Row

_DESTINATION = ("dest_compute", "dest_node", "dest_host", "arrived_at")
_IN_NOVA = ("nova_id", "nova_uuid", "nova_user_id", "nova_project_id", "nova_record")
# A migration's server, source, start and creation change only by statements of their own.
_SOURCE = ("source_compute", "source_node", "started_at")
_FIXED = ("uuid", "server_uuid", *_SOURCE, "created_at")
_FIGURES = tuple(
    name
    for name in migration_list.COLUMNS
    if name not in ("id", "forecast_before", *_FIXED, *_DESTINATION, *_IN_NOVA)
)
# Null until a migration has ended: not written with its progress.
_FINAL = ("ended_at", "total_seconds", "downtime_seconds", "error", *calibration.FIELDS)
_PROGRESS = tuple(name for name in _FIGURES if name not in _FINAL and name not in LASTING)
_SERVER = tuple(c.name for c in SERVERS.c)
_SERVER_PROGRESS = ("progress", "sampled_at", "updated_at")
# Only the columns that decisions need: reading them is a large part of the cost of a report.
_HELD = (
    *("id", "uuid", "server_uuid", *LASTING, "source_compute", "dest_compute"),
    *("sequence", "status", "percent", "started_at", "sampled_at", "last_reported_at"),
    "verdict",
)
# The same for ends and arrivals.
_HELD_MORE = (*_HELD, "ended_at", "arrived_at")
# What notifications need besides. Advice is long, and rare.
_HELD_FOR_NOTICES = ("advice", "nova_id", "nova_uuid")
_SERVER_HELD = (
    *("uuid", "name", "project_id", "user_id"),
    *("migration_uuid", "migration_started_at"),
)
# In one statement. PostgreSQL nests the pairs, and refuses some thousands: "stack depth limit".
_MOST_POINTS = 500


class Writer(Reader):
    """Reads and writes in one transaction.

    All transactions lock migrations before servers, and each in the order of their UUIDs: so
    conductors wait for each other, and rarely deadlock. ``rows`` counts the rows written.
    """

    def __init__(self, connection: sa.Connection) -> None:
        super().__init__(connection)
        self.rows = 0

    def lock_migrations(
        self, uuids: Iterable[str], for_progress: bool, for_notices: bool = False
    ) -> dict[str, Row]:
        """Lock and return by UUID those that exist; only the columns that decisions need, and those
        that notifications need if ``for_notices``."""
        columns = _HELD if for_progress else _HELD_MORE
        if for_notices:
            columns = (*columns, *_HELD_FOR_NOTICES)
        return self._lock(MIGRATIONS, columns, uuids)

    def whole_migrations(self, uuids: Iterable[str]) -> dict[str, Row]:
        """Return by UUID those that exist, which should be locked already; all columns."""
        return self._lock(MIGRATIONS, migration_list.COLUMNS, uuids)

    def lock_servers(self, uuids: Iterable[str]) -> dict[str, Row]:
        """Lock and return by UUID those that exist; only the columns that decisions need."""
        return self._lock(SERVERS, _SERVER_HELD, uuids)

    def _lock(
        self, table: sa.Table, columns: tuple[str, ...], uuids: Iterable[str]
    ) -> dict[str, Row]:
        wanted = sorted(set(uuids))
        if not wanted:
            return {}
        found: Iterable[Sequence[Any]]
        if self.connection.dialect.name == "mysql" and columns is not migration_list.COLUMNS:
            # Not by SQLAlchemy's expanding parameters, which cost as much as the driver. Types that
            # it would convert are among all columns only.
            begin, end = _locking_mysql(table, columns)
            marks = ", ".join(["%s"] * len(wanted))
            found = self.connection.exec_driver_sql(begin + marks + end, tuple(wanted))
        else:
            found = self.connection.execute(locking(table, columns), {"uuids": wanted})
        rows = (dict(zip(columns, values, strict=True)) for values in found)
        return {row["uuid"]: row for row in rows}

    def insert_migrations(self, rows: Sequence[Row]) -> None:
        """Insert migrations. Columns that a row lacks are null."""
        self._insert(MIGRATIONS, (*_FIXED, *_FIGURES, *_DESTINATION), rows)

    def insert_servers(self, rows: Sequence[Row]) -> None:
        """Insert servers."""
        self._insert(SERVERS, _SERVER, rows)

    def _insert(self, table: sa.Table, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
        self.rows += len(rows)
        if rows:
            values = [{name: row.get(name) for name in columns} for row in rows]
            self.connection.execute(sa.insert(table), values)

    def update_migrations(self, rows: Sequence[Row], for_progress: bool) -> None:
        """Update locked migrations, except their destinations. ``for_progress``: only columns that
        change with progress."""
        self._update(MIGRATIONS, "id", _PROGRESS if for_progress else _FIGURES, rows)

    def update_sources(self, rows: Sequence[Row]) -> None:
        """Update UUIDs, sources and starts of arrival-only records; the server is locked."""
        self._update(MIGRATIONS, "id", ("uuid", *_SOURCE), rows)

    def update_starts(self, rows: Sequence[Row]) -> None:
        """Update the starts of locked migrations, which were by a wrong clock."""
        self._update(MIGRATIONS, "id", ("started_at",), rows)

    def update_destinations(self, rows: Sequence[Row]) -> None:
        """Update only the destinations of locked migrations."""
        self._update(MIGRATIONS, "id", (*_DESTINATION, "updated_at"), rows)

    def name_in_nova(self, uuid: str, values: Row) -> bool:
        """Store Nova's ids and record of a migration; return False if it is purged, or another one
        has them."""
        table = MIGRATIONS.c
        others = sa.select(table.id).where(
            table.nova_uuid == values["nova_uuid"], table.uuid != uuid
        )
        if self._row(others) is not None:
            return False
        return self.set_of_migration(uuid, values)

    def set_of_migration(self, uuid: str, values: Row) -> bool:
        """Set columns of a migration that no report sets; return False if it is purged."""
        named = sa.update(MIGRATIONS).where(MIGRATIONS.c.uuid == uuid)
        rows: int = self.connection.execute(named.values(values)).rowcount
        self.rows += rows
        return rows > 0

    def update_servers(self, rows: Sequence[Row], for_progress: bool) -> None:
        """Update locked servers; ``for_progress``: only their progress."""
        whole = tuple(name for name in _SERVER if name not in ("uuid", "created_at"))
        self._update(SERVERS, "uuid", _SERVER_PROGRESS if for_progress else whole, rows)

    def _update(
        self, table: sa.Table, key: str, changed: tuple[str, ...], rows: Sequence[Row]
    ) -> None:
        self.rows += len(rows)
        bulk.update(self.connection, table, key, changed, rows)

    def put_history(self, rows: Sequence[Row]) -> None:
        """Insert or replace points of locked migrations."""
        self._put(HISTORY, ("migration_id", "number"), rows)

    def history_numbers(self, migration_ids: Collection[int]) -> dict[int, list[int]]:
        """Return the numbers of the points of each of these migrations."""
        numbers: dict[int, list[int]] = {each: [] for each in migration_ids}
        if numbers:
            table = HISTORY.c
            query = sa.select(table.migration_id, table.number)
            query = query.where(table.migration_id.in_(sorted(numbers)))
            for migration_id, number in self.connection.execute(query):
                numbers[migration_id].append(number)
        return numbers

    def drop_history(self, points: Sequence[tuple[int, int]]) -> None:
        """Delete points, by their migrations and numbers."""
        table = HISTORY.c
        for first in range(0, len(points), _MOST_POINTS):
            some = points[first : first + _MOST_POINTS]
            which = sa.tuple_(table.migration_id, table.number).in_(some)
            self.connection.execute(sa.delete(HISTORY).where(which))

    def known_agents(self, hosts: Collection[str]) -> dict[str, Row]:
        """Return by host what identifies the stored agents. Nothing is locked."""
        if not hosts:
            return {}
        table = AGENTS.c
        columns = table.host, table.key_digest, table.last_reported_at, table.heartbeat_seconds
        query = sa.select(*columns).where(table.host.in_(hosts))
        return {row["host"]: row for row in self._rows(query)}

    def put_agents(self, rows: Sequence[Row]) -> None:
        """Insert or replace agents, which should be in the order of their hosts."""
        self._put(AGENTS, ("host",), rows)

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


@functools.cache
def _locking_mysql(table: sa.Table, columns: tuple[str, ...]) -> tuple[str, str]:
    """Return what stands before and after the UUIDs in :func:`locking`'s query."""
    text = str(locking(table, columns).compile(dialect=mysql.dialect()))
    begin, marks, end = text.partition("(__[POSTCOMPILE_uuids])")
    assert marks
    return f"{begin}(", f"){end}"
