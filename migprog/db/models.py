# SPDX-License-Identifier: Apache-2.0
"""The tables. The migrations in ``alembic/versions`` build the same, and a test compares them.

Instants are UTC without a zone, to the microsecond. Text is compared by its bytes on all three
databases (MySQL's default would take "A" for "a"; its utf8mb4_bin, in which tables are made, still
takes "a " for "a": the migrations choose the server's collation that does not). There are no
foreign keys: the conductor is the only writer, and rows may be purged in any order.
"""

from datetime import datetime
from typing import Annotated

from sqlalchemy import (
    BigInteger,
    Computed,
    DateTime,
    Double,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    types,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# MySQL's plain DATETIME is cut to seconds.
INSTANT = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")
OPTIONS = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    # Without it SQLite gives the id of a purged row to the next one.
    "sqlite_autoincrement": True,
}
# Of tables without ids.
_OPTIONS_OF_KEYED = {k: v for k, v in OPTIONS.items() if k != "sqlite_autoincrement"}
MAX_POINT = 512
# The ends of the lists' indexes, after the project or nothing.
LIST_INDEXES = (
    ("status", "id"),
    ("source_compute", "status", "id"),
    ("dest_compute", "status", "id"),
    ("user_id", "status", "id"),
    ("status", "started_at", "id"),
    ("status", "ended_at", "id"),
    ("status", "ended_updated_at", "id"),
)
# For the Nova-compatible API alone: by who requested the migration.
NOVA_INDEXES = (
    ("nova_user_id", "status", "id"),
    ("nova_user_id", "nova_project_id", "status", "id"),
    ("nova_project_id", "status", "id"),
    ("nova_project_id", "status", "ended_updated_at", "id"),
)
_IF_ENDED = (
    "CASE WHEN status IN ('cancelled', 'completed', 'failed', 'unknown') THEN updated_at END"
)

Uuid = Annotated[str, mapped_column(String(36))]
Text = Annotated[str, mapped_column(String(255))]
# Of SHA-256, in hexadecimal.
Digest = Annotated[str, mapped_column(String(64))]
LongText = Annotated[str, mapped_column(types.Text)]
Word = Annotated[str, mapped_column(String(32))]
Count = Annotated[int, mapped_column(BigInteger)]
Percent = Annotated[int, mapped_column(SmallInteger)]
Seconds = Annotated[float, mapped_column(Double)]
Instant = Annotated[datetime, mapped_column(INSTANT)]


class Base(DeclarativeBase):
    pass


class Migration(Base):
    """One live migration, in progress or ended.

    ``last_reported_at``, ``created_at``, ``updated_at``: the conductor's clock; other instants: the
    hypervisor's. ``arrived_at``: of the arrival that set the destination.
    """

    __tablename__ = "migrations"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    uuid: Mapped[Uuid]
    server_uuid: Mapped[Uuid]
    server_name: Mapped[Text | None]
    project_id: Mapped[Text | None]
    user_id: Mapped[Text | None]
    source_compute: Mapped[Text]
    source_node: Mapped[Text]
    dest_compute: Mapped[Text | None]
    dest_node: Mapped[Text | None]
    dest_host: Mapped[Text | None]

    # Nova's ids, where [nova] is configured.
    nova_id: Mapped[int | None]
    nova_uuid: Mapped[Uuid | None]
    # Who requested it, and the rest of Nova's record: JSON, see objects/nova_record.py.
    nova_user_id: Mapped[Text | None]
    nova_project_id: Mapped[Text | None]
    nova_record: Mapped[LongText | None]

    sequence: Mapped[Count]
    status: Mapped[Word]
    phase: Mapped[Word]
    percent: Mapped[Percent | None]
    eta_seconds: Mapped[Seconds | None]
    eta_low_seconds: Mapped[Seconds | None]
    eta_high_seconds: Mapped[Seconds | None]
    verdict: Mapped[Word | None]
    verdict_reason: Mapped[Word | None]
    verdict_message: Mapped[Text | None]

    memory_total_bytes: Mapped[Count | None]
    memory_processed_bytes: Mapped[Count | None]
    memory_remaining_bytes: Mapped[Count | None]
    disk_total_bytes: Mapped[Count | None]
    disk_processed_bytes: Mapped[Count | None]
    disk_remaining_bytes: Mapped[Count | None]
    memory_iteration: Mapped[Count | None]
    throughput_bytes_per_second: Mapped[Count | None]
    dirty_bytes_per_second: Mapped[Count | None]
    iteration_start_remaining_bytes: Mapped[Count | None]
    downtime_needed_seconds: Mapped[Seconds | None]
    bandwidth_needed_bytes_per_second: Mapped[Count | None]
    downtime_limit_seconds: Mapped[Seconds | None]
    expected_downtime_seconds: Mapped[Seconds | None]
    cpu_throttle_percent: Mapped[Percent | None]
    vfio_transferred_bytes: Mapped[Count | None]
    # JSON: see objects/disks.py. It is of at most 32 disks.
    disks: Mapped[LongText | None]
    # JSON: see objects/advice.py. It is of at most 20 entries.
    advice: Mapped[LongText | None]
    # JSON: see core/operator_actions.py. It is of at most 10 entries.
    actions: Mapped[LongText | None]
    # JSON: see objects/forecast_before.py.
    forecast_before: Mapped[LongText | None]

    total_seconds: Mapped[Seconds | None]
    downtime_seconds: Mapped[Seconds | None]
    error: Mapped[Text | None]

    eta_at_25_seconds: Mapped[Seconds | None]
    eta_error_at_25_seconds: Mapped[Seconds | None]
    eta_in_range_at_25: Mapped[bool | None]
    eta_at_50_seconds: Mapped[Seconds | None]
    eta_error_at_50_seconds: Mapped[Seconds | None]
    eta_in_range_at_50: Mapped[bool | None]
    eta_at_75_seconds: Mapped[Seconds | None]
    eta_error_at_75_seconds: Mapped[Seconds | None]
    eta_in_range_at_75: Mapped[bool | None]

    started_at: Mapped[Instant]
    sampled_at: Mapped[Instant]
    ended_at: Mapped[Instant | None]
    arrived_at: Mapped[Instant | None]
    last_reported_at: Mapped[Instant]
    created_at: Mapped[Instant]
    updated_at: Mapped[Instant]
    # An index on updated_at would change with each report; this changes only with ended
    # migrations. The database computes it, so that older conductors need not set it.
    ended_updated_at: Mapped[Instant | None] = mapped_column(INSTANT, Computed(_IF_ENDED))

    # Lists are ordered by id, newest first, or by an instant that is written once. Each index
    # serves one filter, with the project or without, of one status, in one order:
    # db/migration_list.py.
    __table_args__ = (
        Index("uniq_migrations_uuid", "uuid", unique=True),
        Index("uniq_migrations_nova_uuid", "nova_uuid", unique=True),
        Index("ix_migrations_server_uuid_id", "server_uuid", "id"),
        Index("ix_migrations_project_id_id", "project_id", "id"),
        *(
            Index(f"ix_migrations_{'_'.join(columns)}", *columns)
            for project in ((), ("project_id",))
            for end in LIST_INDEXES
            for columns in ((*project, *end),)
        ),
        *(Index(f"ix_migrations_{'_'.join(columns)}", *columns) for columns in NOVA_INDEXES),
        OPTIONS,
    )


class Server(Base):
    """A server, as the last sample of its newest migration shows it."""

    __tablename__ = "servers"

    uuid: Mapped[Uuid] = mapped_column(primary_key=True)
    name: Mapped[Text | None]
    project_id: Mapped[Text | None]
    user_id: Mapped[Text | None]
    host: Mapped[Text]
    progress: Mapped[Percent | None]
    sampled_at: Mapped[Instant]
    migration_uuid: Mapped[Uuid]
    migration_started_at: Mapped[Instant]
    created_at: Mapped[Instant]
    updated_at: Mapped[Instant]

    # Lists are in the order of uuid.
    __table_args__ = (
        Index("ix_servers_host_uuid", "host", "uuid"),
        Index("ix_servers_name_uuid", "name", "uuid"),
        Index("ix_servers_project_id_uuid", "project_id", "uuid"),
        Index("ix_servers_project_id_name_uuid", "project_id", "name", "uuid"),
        _OPTIONS_OF_KEYED,
    )


class History(Base):
    """A point of a migration's history: see core/downsampling.py for its number.

    ``point`` is a list in JSON, of what objects/history.py says: it is written with progress and
    read as a whole, never searched.
    """

    __tablename__ = "history"

    migration_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    number: Mapped[Count] = mapped_column(primary_key=True, autoincrement=False)
    point: Mapped[str] = mapped_column(String(MAX_POINT))

    __table_args__ = (_OPTIONS_OF_KEYED,)


class Measurement(Base):
    """What a host has measured of one of its servers; ``windows`` is a list in JSON, see
    objects/measurements.py. ``failure``: why there is none.

    ``measured_at`` is by the hypervisor's clock, ``last_reported_at`` by the conductor's.
    """

    __tablename__ = "measurements"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    uuid: Mapped[Uuid]
    server_uuid: Mapped[Uuid]
    host: Mapped[Text]
    measured_at: Mapped[Instant]
    last_reported_at: Mapped[Instant]
    windows: Mapped[Text | None]
    failure: Mapped[Word | None]
    memory_bytes: Mapped[Count | None]
    resident_bytes: Mapped[Count | None]
    disk_bytes: Mapped[Count | None]
    downtime_limit_seconds: Mapped[Seconds | None]
    has_host_devices: Mapped[bool | None]
    server_name: Mapped[Text | None]
    project_id: Mapped[Text | None]
    user_id: Mapped[Text | None]

    # Hosts are few for each server: the index of servers serves both together.
    __table_args__ = (
        Index("uniq_measurements_uuid", "uuid", unique=True),
        Index("ix_measurements_server_uuid_id", "server_uuid", "id"),
        Index("ix_measurements_host_id", "host", "id"),
        OPTIONS,
    )


class Agent(Base):
    """An agent, by its last heartbeat. ``servers``: those that run on its host."""

    __tablename__ = "agents"

    host: Mapped[Text] = mapped_column(primary_key=True)
    node: Mapped[Text]
    version: Mapped[Word]
    started_at: Mapped[Instant]
    interval_seconds: Mapped[Seconds]
    heartbeat_seconds: Mapped[Seconds]
    migrations: Mapped[int]
    servers: Mapped[int | None]
    servers_memory_bytes: Mapped[Count | None]
    actions_enabled: Mapped[bool | None]
    measurements_enabled: Mapped[bool | None]
    last_reported_at: Mapped[Instant]
    key_digest: Mapped[Digest | None]
    loop_age_seconds: Mapped[Seconds | None]

    __table_args__ = (_OPTIONS_OF_KEYED,)


# The tables, for statements.
MIGRATIONS: Table = Migration.__table__  # type: ignore[assignment]
SERVERS: Table = Server.__table__  # type: ignore[assignment]
HISTORY: Table = History.__table__  # type: ignore[assignment]
MEASUREMENTS: Table = Measurement.__table__  # type: ignore[assignment]
AGENTS: Table = Agent.__table__  # type: ignore[assignment]
