# SPDX-License-Identifier: Apache-2.0
"""The queries for the servers of a host."""

from collections.abc import Collection

import sqlalchemy as sa

from migprog.db import models
from migprog.db.reader import Reader, Row

_MIGRATIONS: sa.Table = models.Migration.__table__  # type: ignore[assignment]
_SERVERS: sa.Table = models.Server.__table__  # type: ignore[assignment]
_MEASUREMENTS: sa.Table = models.Measurement.__table__  # type: ignore[assignment]


def by_migrations(reader: Reader, host: str, limit: int) -> set[str]:
    """Return servers that are on a host by their newest migrations, at most ``limit``."""
    table = _SERVERS.c
    query = sa.select(table.uuid).where(table.host == host).order_by(table.uuid).limit(limit)
    return set(reader.connection.scalars(query))


def by_measurements(reader: Reader, host: str, limit: int) -> set[str]:
    """Return servers that a host has measured, or tried to: the latest ``limit``."""
    table = _MEASUREMENTS.c
    newest = sa.func.max(table.id)
    query = sa.select(table.server_uuid).where(table.host == host).group_by(table.server_uuid)
    return set(reader.connection.scalars(query.order_by(newest.desc()).limit(limit)))


def places(reader: Reader, server_uuids: Collection[str]) -> dict[str, Row]:
    """Return by server what its newest migration shows; null what has been purged."""
    if not server_uuids:
        return {}
    table, move = _SERVERS.c, _MIGRATIONS.c
    both = _SERVERS.outerjoin(_MIGRATIONS, move.uuid == table.migration_uuid)
    query = sa.select(
        *(table.uuid, table.name, table.host, table.sampled_at, table.migration_started_at),
        *(move.status, move.source_compute, move.dest_compute),
    )
    query = query.select_from(both).where(table.uuid.in_(sorted(server_uuids)))
    found = reader.connection.execute(query).mappings()
    return {row["uuid"]: dict(row) for row in found}


def measurements(reader: Reader, server_uuids: Collection[str], limit: int) -> list[Row]:
    """Return the measurements of some servers by all hosts, the newest first."""
    if not server_uuids:
        return []
    table = _MEASUREMENTS.c
    query = sa.select(_MEASUREMENTS).where(table.server_uuid.in_(sorted(server_uuids)))
    found = reader.connection.execute(query.order_by(table.id.desc()).limit(limit)).mappings()
    return [dict(row) for row in found]
