# SPDX-License-Identifier: Apache-2.0
"""Query migrations, servers, history and agents. Rows are plain dictionaries of columns.

The queries for the servers of a host are in :mod:`.host_servers`, those for the purge in
:mod:`.purge`, and those for measurements in :mod:`.measurements`.
"""

import functools
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from migprog.db import migration_list
from migprog.db.models import AGENTS, HISTORY, MIGRATIONS, SERVERS

Row = dict[str, Any]


# How many of a server's migrations are matched with an arrival: no server migrates more often in
# the time that clocks differ and reports are late by. It limits the scan, whatever is stored.
MOST_RECENT = 50
# Values in one statement.
_MAX_IDS = 1000
_WITH_AGENTS = MIGRATIONS.outerjoin(AGENTS, AGENTS.c.host == MIGRATIONS.c.source_compute)


class Reader:
    """Reads in one transaction. ``connection`` is for this package's other modules."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection

    def _rows(self, query: sa.Select[Any]) -> list[Row]:
        result = self.connection.execute(query)
        names = tuple(result.keys())
        return [dict(zip(names, row, strict=True)) for row in result]

    def _row(self, query: sa.Select[Any], values: Row | None = None) -> Row | None:
        row = self.connection.execute(query, values).mappings().first()
        return None if row is None else dict(row)

    def migration(self, names: Sequence[str], **columns: Any) -> Row | None:
        """Return the columns ``names`` of the migration whose ``columns`` have these values."""
        return self._row(migration_list.one(tuple(names), tuple(columns)), columns)

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

    def migrations_of_ids(self, names: Sequence[str], ids: Collection[int]) -> list[Row]:
        """Return the columns ``names`` of those of these migrations that exist."""
        found: list[Row] = []
        in_order = sorted(ids)
        for first in range(0, len(in_order), _MAX_IDS):
            some = in_order[first : first + _MAX_IDS]
            found += self._rows(migration_list.select(names).where(MIGRATIONS.c.id.in_(some)))
        return found

    def server(self, uuid: str, project_id: str | None = None) -> Row | None:
        """Return a server; with a ``project_id``, only if it is that project's."""
        query = sa.select(SERVERS).where(SERVERS.c.uuid == uuid)
        if project_id is not None:
            query = query.where(SERVERS.c.project_id == project_id)
        return self._row(query)

    def history(self, migration_id: int) -> list[str]:
        """Return the points of a migration, in no order."""
        table = HISTORY.c
        query = sa.select(table.point).where(table.migration_id == migration_id)
        return list(self.connection.scalars(query))

    def agent(self, host: str) -> Row | None:
        return self._row(sa.select(AGENTS).where(AGENTS.c.host == host))

    def agents(self, *, limit: int, after_host: str | None = None) -> list[Row]:
        """Return agents in the order of their hosts' names."""
        query = sa.select(AGENTS).order_by(AGENTS.c.host).limit(limit)
        if after_host is not None:
            query = query.where(AGENTS.c.host > after_host)
        return self._rows(query)

    def count_agents(self) -> tuple[int, float | None]:
        """Return how many agents there are, and the least heartbeat interval of them."""
        query = sa.select(sa.func.count(), sa.func.min(AGENTS.c.heartbeat_seconds))
        count, least_seconds = self.connection.execute(query).one()
        return count, least_seconds

    def heartbeats(
        self,
        *,
        before: datetime | None = None,
        or_after: datetime | None = None,
        or_loop_age_seconds: float | None = None,
    ) -> list[tuple[str, datetime, float, float | None]]:
        """Return host, instant of the last report, heartbeat interval and age of the loop of
        agents, in the order of their hosts' names. With ``before``: only of those that last
        reported before it or after ``or_after``, or whose loop is older than that."""
        table = AGENTS.c
        columns = table.host, table.last_reported_at, table.heartbeat_seconds
        query = sa.select(*columns, table.loop_age_seconds).order_by(table.host)
        if before is not None:
            query = query.where(
                sa.or_(
                    table.last_reported_at < before,
                    table.last_reported_at > or_after,
                    table.loop_age_seconds > or_loop_age_seconds,
                )
            )
        return [(host, at, beat, age) for host, at, beat, age in self.connection.execute(query)]

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
        table = SERVERS.c
        asked = []
        if uuid is not None:
            asked.append(table.uuid == uuid)
        if after_uuid is not None:
            asked.append(table.uuid > after_uuid)
        if name is not None:
            asked.append(table.name == name)
        if project_id is not None:
            asked.append(table.project_id == project_id)
        status = MIGRATIONS.c.status.label("migration_status")
        both = SERVERS.outerjoin(MIGRATIONS, MIGRATIONS.c.uuid == table.migration_uuid)
        query = sa.select(SERVERS, status).select_from(both)
        return self._rows(query.where(*asked).order_by(table.uuid).limit(limit))

    def unnamed_in_nova(
        self, in_progress: Collection[str], ended: Collection[str], since: datetime, limit: int
    ) -> list[tuple[str, str]]:
        """Return the server's and the migration's UUID of migrations whose record in Nova is not
        known: at most ``limit`` of those in progress, and as many of those that have ended
        ``since``, the newest of each. ``in_progress`` and ``ended`` are their statuses."""
        table = MIGRATIONS.c
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
        found = self.connection.execute(
            _to_match(),
            {
                "servers": sorted(server_uuids),
                "not_from": not_from,
                "started_before": started_before,
                "ended": sorted(ended),
                "ended_after": ended_after,
            },
        )
        return {row.uuid: row.heartbeat_seconds for row in found}

    def reported_arrivals(
        self, server_uuid: str, *, not_from: str, since: datetime
    ) -> list[tuple[str | None, datetime | None]]:
        """Return destination and time of arrival, by the destination's clock, of the server's
        migrations from other hosts that were reported since an instant.

        Only the newest :data:`MOST_RECENT` of the server are read.
        """
        table = MIGRATIONS.c
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
        table = MIGRATIONS.c
        query = migration_list.select(migration_list.COLUMNS).add_columns(
            AGENTS.c.heartbeat_seconds
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


@functools.cache
def _to_match() -> sa.Select[Any]:
    """Return the query of :meth:`Reader.migrations_to_match`: to make it costs more than to run it,
    and each host whose servers begin to arrive asks."""
    table = MIGRATIONS.c
    newest = (
        sa.select(
            table.id,
            sa.func.row_number()
            .over(partition_by=table.server_uuid, order_by=table.id.desc())
            .label("number"),
        )
        .where(table.server_uuid.in_(sa.bindparam("servers", expanding=True)))
        .subquery()
    )
    joined = _WITH_AGENTS.join(newest, newest.c.id == table.id)
    ended_after = sa.bindparam("ended_after", type_=table.ended_at.type)
    return (
        sa.select(table.uuid, AGENTS.c.heartbeat_seconds)
        .select_from(joined)
        .where(
            newest.c.number <= MOST_RECENT,
            table.source_compute != sa.bindparam("not_from"),
            table.started_at <= sa.bindparam("started_before"),
            sa.or_(
                table.status.not_in(sa.bindparam("ended", expanding=True)),
                sa.func.coalesce(table.ended_at, table.sampled_at) >= ended_after,
                table.arrived_at >= ended_after,
            ),
        )
    )
