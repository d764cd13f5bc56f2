# SPDX-License-Identifier: Apache-2.0
"""What was measured of servers before they migrate, what that showed, and which agents measure.

New columns are nullable, so that older versions can still write.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"

_INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")
_TEXT, _UUID, _WORD = sa.String(255), sa.String(36), sa.String(32)
# Text is compared by bytes, as in the other tables: see 0001.
_COLLATIONS = ("utf8mb4_nopad_bin", "utf8mb4_0900_bin", "utf8mb4_bin")


def upgrade() -> None:
    """Add what is missing: MySQL cannot roll back what an interrupted run has done."""
    connection = op.get_bind()
    there = sa.inspect(connection)
    if "measurements_enabled" not in {each["name"] for each in there.get_columns("agents")}:
        op.add_column("agents", sa.Column("measurements_enabled", sa.Boolean))
    if "forecast_before" not in {each["name"] for each in there.get_columns("migrations")}:
        op.execute("ALTER TABLE migrations ADD COLUMN forecast_before TEXT")
    table = _measurements(_collation(connection))
    table.create(connection, checkfirst=True)
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        index.create(connection, checkfirst=True)


def _collation(connection: sa.Connection) -> str:
    """Return the first collation that the server has."""
    if connection.dialect.name != "mysql":
        return _COLLATIONS[-1]
    known = connection.execute(sa.text("SELECT collation_name FROM information_schema.collations"))
    names = {str(name) for (name,) in known}
    return next(name for name in _COLLATIONS if name in names)


def _measurements(collation: str) -> sa.Table:
    options: dict[str, Any] = {
        "mysql_engine": "InnoDB",
        "mysql_charset": "utf8mb4",
        "mysql_collate": collation,
    }
    return sa.Table(
        "measurements",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("uuid", _UUID, nullable=False),
        sa.Column("server_uuid", _UUID, nullable=False),
        sa.Column("host", _TEXT, nullable=False),
        sa.Column("measured_at", _INSTANT, nullable=False),
        sa.Column("last_reported_at", _INSTANT, nullable=False),
        sa.Column("windows", _TEXT),
        sa.Column("failure", _WORD),
        sa.Column("memory_bytes", sa.BigInteger),
        sa.Column("resident_bytes", sa.BigInteger),
        sa.Column("disk_bytes", sa.BigInteger),
        sa.Column("downtime_limit_seconds", sa.Double),
        sa.Column("has_host_devices", sa.Boolean),
        sa.Column("server_name", _TEXT),
        sa.Column("project_id", _TEXT),
        sa.Column("user_id", _TEXT),
        sa.Index("uniq_measurements_uuid", "uuid", unique=True),
        sa.Index("ix_measurements_server_uuid_id", "server_uuid", "id"),
        sqlite_autoincrement=True,
        **options,
    )
