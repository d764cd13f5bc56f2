# SPDX-License-Identifier: Apache-2.0
"""The history of each migration, and the agents.

New tables stand in nobody's way: programs of before do not know them.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0003"

_INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")
_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}

_metadata = sa.MetaData()

sa.Table(
    "history",
    _metadata,
    sa.Column("migration_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("point", sa.String(512), nullable=False),
    **_OPTIONS,
)
sa.Table(
    "agents",
    _metadata,
    sa.Column("host", sa.String(255), primary_key=True),
    sa.Column("node", sa.String(255), nullable=False),
    sa.Column("version", sa.String(32), nullable=False),
    sa.Column("started_at", _INSTANT, nullable=False),
    sa.Column("interval_seconds", sa.Double, nullable=False),
    sa.Column("heartbeat_seconds", sa.Double, nullable=False),
    sa.Column("migrations", sa.Integer, nullable=False),
    sa.Column("servers", sa.Integer),
    sa.Column("servers_memory_bytes", sa.BigInteger),
    sa.Column("heard_at", _INSTANT, nullable=False),
    **_OPTIONS,
)


def upgrade() -> None:
    """MySQL cannot undo a CREATE TABLE: what an interrupted run made is kept."""
    _metadata.create_all(op.get_bind())
