# SPDX-License-Identifier: Apache-2.0
"""The tables and their indexes."""

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
_IF_ENDED = (
    "CASE WHEN status IN ('cancelled', 'completed', 'failed', 'unknown') THEN updated_at END"
)
# An index for each filter and order of the lists, with the project or without, by status.
_ENDS = (
    ("status", "id"),
    ("source_compute", "status", "id"),
    ("dest_compute", "status", "id"),
    ("user_id", "status", "id"),
    ("status", "started_at", "id"),
    ("status", "ended_at", "id"),
    ("status", "ended_updated_at", "id"),
)
_LIST_INDEXES = (
    *_ENDS,
    *(("project_id", *columns) for columns in _ENDS),
    ("nova_user_id", "status", "id"),
    ("nova_user_id", "nova_project_id", "status", "id"),
    ("nova_project_id", "status", "id"),
    ("nova_project_id", "status", "ended_updated_at", "id"),
)
# Text is compared by bytes; utf8mb4_bin takes 'red ' for 'red'. MariaDB's, MySQL's, and that of
# servers too old for both.
_COLLATIONS = ("utf8mb4_nopad_bin", "utf8mb4_0900_bin", "utf8mb4_bin")


def upgrade() -> None:
    """Create what is missing: MySQL cannot roll back the CREATE TABLE of an interrupted run."""
    bind = op.get_bind()
    for table in _tables(_collation(bind)).sorted_tables:
        table.create(bind, checkfirst=True)
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            index.create(bind, checkfirst=True)


def _collation(bind: sa.Connection) -> str:
    """Return the first collation that the server has."""
    if bind.dialect.name != "mysql":
        return _COLLATIONS[-1]
    known = bind.execute(sa.text("SELECT collation_name FROM information_schema.collations"))
    names = {str(name) for (name,) in known}
    return next(name for name in _COLLATIONS if name in names)


def _index(table: str, columns: tuple[str, ...]) -> sa.Index:
    return sa.Index(f"ix_{table}_{'_'.join(columns)}", *columns)


def _tables(collation: str) -> sa.MetaData:
    metadata = sa.MetaData()
    options: dict[str, Any] = {
        "mysql_engine": "InnoDB",
        "mysql_charset": "utf8mb4",
        "mysql_collate": collation,
    }
    sa.Table(
        "migrations",
        metadata,
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
        sa.Column("nova_id", sa.Integer),
        sa.Column("nova_uuid", _UUID),
        sa.Column("nova_user_id", _TEXT),
        sa.Column("nova_project_id", _TEXT),
        sa.Column("nova_record", sa.Text),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("status", _WORD, nullable=False),
        sa.Column("phase", _WORD, nullable=False),
        sa.Column("percent", sa.SmallInteger),
        sa.Column("eta_seconds", sa.Double),
        sa.Column("eta_low_seconds", sa.Double),
        sa.Column("eta_high_seconds", sa.Double),
        sa.Column("verdict", _WORD),
        sa.Column("verdict_message", _TEXT),
        sa.Column("memory_total_bytes", sa.BigInteger),
        sa.Column("memory_processed_bytes", sa.BigInteger),
        sa.Column("memory_remaining_bytes", sa.BigInteger),
        sa.Column("disk_total_bytes", sa.BigInteger),
        sa.Column("disk_processed_bytes", sa.BigInteger),
        sa.Column("disk_remaining_bytes", sa.BigInteger),
        sa.Column("memory_iteration", sa.BigInteger),
        sa.Column("throughput_bytes_per_second", sa.BigInteger),
        sa.Column("dirty_bytes_per_second", sa.BigInteger),
        sa.Column("iteration_start_remaining_bytes", sa.BigInteger),
        sa.Column("downtime_needed_seconds", sa.Double),
        sa.Column("bandwidth_needed_bytes_per_second", sa.BigInteger),
        sa.Column("downtime_limit_seconds", sa.Double),
        sa.Column("cpu_throttle_percent", sa.SmallInteger),
        sa.Column("vfio_transferred_bytes", sa.BigInteger),
        sa.Column("disks", sa.Text),
        sa.Column("total_seconds", sa.Double),
        sa.Column("downtime_seconds", sa.Double),
        sa.Column("error", _TEXT),
        sa.Column("eta_at_25_seconds", sa.Double),
        sa.Column("eta_error_at_25_seconds", sa.Double),
        sa.Column("eta_in_range_at_25", sa.Boolean),
        sa.Column("eta_at_50_seconds", sa.Double),
        sa.Column("eta_error_at_50_seconds", sa.Double),
        sa.Column("eta_in_range_at_50", sa.Boolean),
        sa.Column("eta_at_75_seconds", sa.Double),
        sa.Column("eta_error_at_75_seconds", sa.Double),
        sa.Column("eta_in_range_at_75", sa.Boolean),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("sampled_at", _INSTANT, nullable=False),
        sa.Column("ended_at", _INSTANT),
        sa.Column("arrived_at", _INSTANT),
        sa.Column("last_reported_at", _INSTANT, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.Column("ended_updated_at", _INSTANT, sa.Computed(_IF_ENDED)),
        sa.Index("ix_migrations_project_id_id", "project_id", "id"),
        sa.Index("ix_migrations_server_uuid_id", "server_uuid", "id"),
        sa.Index("uniq_migrations_nova_uuid", "nova_uuid", unique=True),
        sa.Index("uniq_migrations_uuid", "uuid", unique=True),
        *(_index("migrations", columns) for columns in _LIST_INDEXES),
        sqlite_autoincrement=True,
        **options,
    )
    sa.Table(
        "servers",
        metadata,
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
        sa.Index("ix_servers_name_uuid", "name", "uuid"),
        sa.Index("ix_servers_project_id_name_uuid", "project_id", "name", "uuid"),
        sa.Index("ix_servers_project_id_uuid", "project_id", "uuid"),
        **options,
    )
    sa.Table(
        "history",
        metadata,
        sa.Column("migration_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("point", sa.String(512), nullable=False),
        **options,
    )
    sa.Table(
        "agents",
        metadata,
        sa.Column("host", _TEXT, primary_key=True),
        sa.Column("node", _TEXT, nullable=False),
        sa.Column("version", _WORD, nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("interval_seconds", sa.Double, nullable=False),
        sa.Column("heartbeat_seconds", sa.Double, nullable=False),
        sa.Column("migrations", sa.Integer, nullable=False),
        sa.Column("servers", sa.Integer),
        sa.Column("servers_memory_bytes", sa.BigInteger),
        sa.Column("actions_enabled", sa.Boolean),
        sa.Column("last_reported_at", _INSTANT, nullable=False),
        sa.Column("key_digest", sa.String(64)),
        **options,
    )
    return metadata
