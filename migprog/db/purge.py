# SPDX-License-Identifier: Apache-2.0
"""The statements of the purge, for some hundred migrations at a time.

They go through migrations by id, the oldest first: that needs no index which every report would
have to update.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from migprog.db import bulk
from migprog.db.models import AGENTS, HISTORY, MIGRATIONS, SERVERS
from migprog.db.reader import Reader, Row
from migprog.db.writer import Writer, locking

# The columns that decisions need.
_SEEN = ("id", "uuid", "server_uuid", "status", "last_reported_at", "created_at")


class WithThem(NamedTuple):
    """How many records are deleted together with some migrations."""

    points: int
    servers: int


def page(reader: Reader, after_id: int, limit: int) -> list[Row]:
    """Return the next migrations in the order of their ids, not locked."""
    table = MIGRATIONS.c
    query = sa.select(*(table[name] for name in _SEEN)).where(table.id > after_id)
    found = reader.connection.execute(query.order_by(table.id).limit(limit))
    return [dict(row) for row in found.mappings()]


def lock(writer: Writer, uuids: Collection[str]) -> list[Row]:
    """Lock these migrations in the order of their UUIDs; return the same columns."""
    if not uuids:
        return []
    found = writer.connection.execute(locking(MIGRATIONS, _SEEN), {"uuids": sorted(uuids)})
    return [dict(zip(_SEEN, values, strict=True)) for values in found]


def count(reader: Reader, migrations: Sequence[Row]) -> WithThem:
    """Return what would be deleted with these migrations."""
    if not migrations:
        return WithThem(0, 0)
    points = sa.select(sa.func.count()).select_from(HISTORY)
    points = points.where(HISTORY.c.migration_id.in_([row["id"] for row in migrations]))
    servers = sa.select(sa.func.count()).select_from(SERVERS)
    servers = servers.where(
        SERVERS.c.uuid.in_({row["server_uuid"] for row in migrations}),
        SERVERS.c.migration_uuid.in_([row["uuid"] for row in migrations]),
    )
    return WithThem(*(reader.connection.execute(each).scalar_one() for each in (points, servers)))


def delete(writer: Writer, migrations: Sequence[Row]) -> WithThem:
    """Delete locked migrations, their histories, and the servers whose newest migration is one of
    them; a server that migrated again stays."""
    if not migrations:
        return WithThem(0, 0)
    connection = writer.connection
    wanted = sorted({row["server_uuid"] for row in migrations})
    held = connection.execute(locking(SERVERS, ("uuid", "migration_uuid")), {"uuids": wanted}).all()
    uuids = {row["uuid"] for row in migrations}
    servers = sorted(uuid for uuid, migration_uuid in held if migration_uuid in uuids)
    ids = sorted(row["id"] for row in migrations)
    points = bulk.delete(connection, HISTORY, "migration_id", ids)
    bulk.delete(connection, MIGRATIONS, "id", ids)
    return WithThem(points, bulk.delete(connection, SERVERS, "uuid", servers))


def silent_agents(reader: Reader, before: datetime) -> list[str]:
    """Return the hosts whose agents last reported before ``before``."""
    table = AGENTS.c
    query = sa.select(table.host).where(table.last_reported_at < before).order_by(table.host)
    return list(reader.connection.scalars(query))


def delete_agents(writer: Writer, hosts: Sequence[str], before: datetime) -> int:
    """Delete these hosts' agents unless they have reported meanwhile; return how many."""
    table = AGENTS.c
    query = sa.select(table.host).where(table.host.in_(hosts), table.last_reported_at < before)
    locked = writer.connection.scalars(query.order_by(table.host).with_for_update())
    return bulk.delete(writer.connection, AGENTS, "host", list(locked))
