# SPDX-License-Identifier: Apache-2.0
"""The statements that find and remove what has not been told of for long."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from migprog.db import models

_Migration, _Server, _History, _Agent = (
    *(models.Migration, models.Server),
    *(models.History, models.Agent),
)


def count(connection: sa.Connection, before: datetime) -> tuple[int, int, int]:
    """Migrations, servers and agents."""
    migrations = sa.select(_Migration.uuid).where(_Migration.heard_at < before)
    servers = sa.select(_Server.uuid).where(_Server.migration_uuid.in_(migrations))
    agents = sa.select(_Agent.host).where(_Agent.heard_at < before)
    found = [
        connection.scalar(sa.select(sa.func.count()).select_from(rows.subquery()))
        for rows in (migrations, servers, agents)
    ]
    return found[0] or 0, found[1] or 0, found[2] or 0


def migrations(
    connection: sa.Connection, before: datetime, behind_id: int, limit: int
) -> list[tuple[int, str]]:
    """Numbers and UUIDs of the next ``limit`` migrations, behind a number.

    They are about as old as their numbers: the way to them leads over few that are not.
    """
    query = sa.select(_Migration.id, _Migration.uuid)
    query = query.where(_Migration.id > behind_id, _Migration.heard_at < before)
    found = connection.execute(query.order_by(_Migration.id).limit(limit))
    return [(row.id, row.uuid) for row in found]


def remove_migrations(
    connection: sa.Connection, uuids: Sequence[str], before: datetime
) -> tuple[int, int]:
    """Remove those of these that are still as old, with their histories and the servers that they
    speak for; how many migrations and servers. Locked in the order that conductors keep."""
    query = sa.select(_Migration.id, _Migration.uuid, _Migration.server_uuid)
    query = query.where(_Migration.uuid.in_(sorted(uuids)), _Migration.heard_at < before)
    locked = connection.execute(query.order_by(_Migration.uuid).with_for_update()).all()
    ids = [row.id for row in locked]
    connection.execute(sa.delete(_History).where(_History.migration_id.in_(ids)))
    gone = connection.execute(sa.delete(_Migration).where(_Migration.id.in_(ids)))
    mute = connection.execute(
        sa.delete(_Server).where(
            _Server.uuid.in_(sorted(row.server_uuid for row in locked)),
            _Server.migration_uuid.in_([row.uuid for row in locked]),
        )
    )
    return _rows(gone), _rows(mute)


def remove_agents(connection: sa.Connection, before: datetime) -> int:
    return _rows(connection.execute(sa.delete(_Agent).where(_Agent.heard_at < before)))


def _rows(result: Any) -> int:
    count: int = result.rowcount
    return count
