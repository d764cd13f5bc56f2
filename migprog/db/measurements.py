# SPDX-License-Identifier: Apache-2.0
"""Every statement about measurements."""

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from migprog.db import bulk
from migprog.db.models import MEASUREMENTS
from migprog.db.reader import Reader, Row
from migprog.db.writer import Writer

# More than are kept of one server by the hosts that it may have been on.
MOST_OF_SERVER = 50


def of_server(reader: Reader, server_uuid: str) -> list[Row]:
    """Return the measurements of a server by all hosts, the newest first."""
    table = MEASUREMENTS.c
    query = sa.select(MEASUREMENTS).where(table.server_uuid == server_uuid)
    query = query.order_by(table.id.desc()).limit(MOST_OF_SERVER)
    return [dict(row) for row in reader.connection.execute(query).mappings()]


def insert(writer: Writer, rows: Sequence[Row]) -> None:
    """Insert measurements, except those that are stored already."""
    table = MEASUREMENTS.c
    query = sa.select(table.uuid).where(table.uuid.in_([row["uuid"] for row in rows]))
    stored = set(writer.connection.scalars(query))
    new = [row for row in rows if row["uuid"] not in stored]
    if new:
        writer.rows += len(new)
        writer.connection.execute(sa.insert(MEASUREMENTS), new)


def kept(writer: Writer, host: str, server_uuids: Collection[str]) -> list[tuple[int, str, bool]]:
    """Return id, server and whether it failed of each measurement by a host of some servers, the
    newest first."""
    table = MEASUREMENTS.c
    query = sa.select(table.id, table.server_uuid, table.failure.is_not(None))
    query = query.where(table.server_uuid.in_(sorted(server_uuids)), table.host == host)
    found = writer.connection.execute(query.order_by(table.id.desc()))
    return [(number, server_uuid, bool(failed)) for number, server_uuid, failed in found]


def delete(writer: Writer, ids: Sequence[int]) -> int:
    """Delete measurements by their ids; return how many."""
    return bulk.delete(writer.connection, MEASUREMENTS, "id", ids)


def old(reader: Reader, before: datetime, after_id: int, limit: int) -> list[int]:
    """Return the ids of the next measurements that were reported before ``before``."""
    table = MEASUREMENTS.c
    query = sa.select(table.id).where(table.last_reported_at < before, table.id > after_id)
    return list(reader.connection.scalars(query.order_by(table.id).limit(limit)))
