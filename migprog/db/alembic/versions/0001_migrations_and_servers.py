# SPDX-License-Identifier: Apache-2.0
"""Migrations and servers."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None

_INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")
_UUID = sa.String(36)
_TEXT = sa.String(255)
_WORD = sa.String(32)
_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}

_metadata = sa.MetaData()

_migrations = sa.Table(
    "migrations",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("uuid", _UUID, nullable=False),
    sa.Column("server_uuid", _UUID, nullable=False),
    sa.Column("server_name", _TEXT),
    sa.Column("project_id", _TEXT),
    sa.Column("user_id", _TEXT),
    sa.Column("source_compute", _TEXT, nullable=False),
    sa.Column("source_node", _TEXT, nullable=False),
    sa.Column("dest_compute", _TEXT),
    sa.Column("dest_node", _TEXT),
    sa.Column("dest_host", _TEXT),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("status", _WORD, nullable=False),
    sa.Column("phase", _WORD, nullable=False),
    sa.Column("percent", sa.SmallInteger),
    sa.Column("eta_seconds", sa.Double),
    sa.Column("eta_low_seconds", sa.Double),
    sa.Column("eta_high_seconds", sa.Double),
    sa.Column("verdict", _WORD),
    sa.Column("reason", _TEXT),
    sa.Column("memory_total_bytes", sa.BigInteger),
    sa.Column("memory_processed_bytes", sa.BigInteger),
    sa.Column("memory_remaining_bytes", sa.BigInteger),
    sa.Column("disk_total_bytes", sa.BigInteger),
    sa.Column("disk_processed_bytes", sa.BigInteger),
    sa.Column("disk_remaining_bytes", sa.BigInteger),
    sa.Column("memory_iteration", sa.BigInteger),
    sa.Column("throughput_bytes_per_second", sa.BigInteger),
    sa.Column("dirty_bytes_per_second", sa.BigInteger),
    sa.Column("boundary_remaining_bytes", sa.BigInteger),
    sa.Column("pause_needed_seconds", sa.Double),
    sa.Column("pause_limit_seconds", sa.Double),
    sa.Column("auto_converge_percent", sa.SmallInteger),
    sa.Column("total_seconds", sa.Double),
    sa.Column("downtime_seconds", sa.Double),
    sa.Column("error", _TEXT),
    sa.Column("started_at", _INSTANT, nullable=False),
    sa.Column("sampled_at", _INSTANT, nullable=False),
    sa.Column("ended_at", _INSTANT),
    sa.Column("arrived_at", _INSTANT),
    sa.Column("heard_at", _INSTANT, nullable=False),
    sa.Column("created_at", _INSTANT, nullable=False),
    sa.Column("updated_at", _INSTANT, nullable=False),
    sa.Index("uniq_migrations_uuid", "uuid", unique=True),
    sa.Index("ix_migrations_server_uuid_id", "server_uuid", "id"),
    sa.Index("ix_migrations_project_id_id", "project_id", "id"),
    sa.Index("ix_migrations_status_id", "status", "id"),
    sa.Index("ix_migrations_source_compute_id", "source_compute", "id"),
    sa.Index("ix_migrations_dest_compute_id", "dest_compute", "id"),
    sqlite_autoincrement=True,
    **_OPTIONS,
)

_servers = sa.Table(
    "servers",
    _metadata,
    sa.Column("uuid", _UUID, primary_key=True),
    sa.Column("name", _TEXT),
    sa.Column("project_id", _TEXT),
    sa.Column("user_id", _TEXT),
    sa.Column("host", _TEXT, nullable=False),
    sa.Column("progress", sa.SmallInteger),
    sa.Column("sampled_at", _INSTANT, nullable=False),
    sa.Column("migration_uuid", _UUID, nullable=False),
    sa.Column("migration_started_at", _INSTANT, nullable=False),
    sa.Column("created_at", _INSTANT, nullable=False),
    sa.Column("updated_at", _INSTANT, nullable=False),
    **_OPTIONS,
)


def upgrade() -> None:
    """MySQL cannot undo a CREATE TABLE: what an interrupted run made is kept, the rest is made."""
    bind = op.get_bind()
    for table in (_migrations, _servers):
        table.create(bind, checkfirst=True)
        for index in table.indexes:
            index.create(bind, checkfirst=True)
