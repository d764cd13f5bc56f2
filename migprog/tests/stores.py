# SPDX-License-Identifier: Apache-2.0
"""Stores and reports for tests."""

import contextlib
import dataclasses
import datetime
import functools
import pathlib
import tempfile
import time
import uuid
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg

from migprog import objects
from migprog.core.messages import Ack, Arrival, ArrivalState, Batch, Report
from migprog.core.nova_match import NovaMigration
from migprog.core.status import Phase, Status
from migprog.db import connections, schema

_TEN_DAYS = 10 * 86_400
# Some weeks ago, to the microsecond: no database may cut it. Conductors that go by the real clock
# refuse what began more than a year ago, so it is no fixed day; each process of a test run has the
# same.
START = (time.time() // _TEN_DAYS - 3) * _TEN_DAYS + 0.123456


def connect(url: str | None, **timeouts: int) -> objects.Store:
    """A store without tables; ``timeouts`` are options of [database_timeouts]."""
    conf = cfg.ConfigOpts()
    connections.register_opts(conf)
    conf([], default_config_files=[], default_config_dirs=[])
    conf.set_override("connection", url, "database")
    for name, value in timeouts.items():
        conf.set_override(name, value, "database_timeouts")
    return objects.connect(conf)


def ready(url: str, **timeouts: int) -> objects.Store:
    """A store with its tables; a new SQLite file is a copy of one that was made before."""
    at = sa.make_url(url)
    path = pathlib.Path(at.database or "")
    # Without a path it is in memory; a file may have been made by the test.
    if at.get_backend_name() == "sqlite" and not at.query and not path.exists():
        path.touch(0o600)
        path.write_bytes(empty_sqlite())
        return connect(url, **timeouts)
    store = connect(url, **timeouts)
    schema.sync(store)
    return store


@functools.cache
def empty_sqlite() -> bytes:
    """An SQLite file with our tables."""
    with tempfile.TemporaryDirectory(prefix="migprog-") as directory:
        path = pathlib.Path(directory, "empty.sqlite")
        with contextlib.closing(connect(f"sqlite:///{path}")) as store:
            schema.sync(store)
            with store.engine.connect() as connection:
                # Otherwise what was written last is in a file beside it.
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.read_bytes()


def report(
    sequence: int = 1,
    status: Status = Status.RUNNING,
    *,
    started_at: float = START,
    **values: Any,
) -> Report:
    """A report with what it needs; each sequence has a sample of its own."""
    needed = {
        "uuid": str(uuid.uuid4()),
        "server_uuid": str(uuid.uuid4()),
        "phase": Phase.MEMORY_ITERATIONS,
        "sampled_at": started_at + sequence,
    }
    return Report(sequence=sequence, status=status, started_at=started_at, **(needed | values))


def later(
    old: Report, sequence: int | None = None, status: Status | None = None, **values: Any
) -> Report:
    """The next report of the same migration."""
    sequence = old.sequence + 1 if sequence is None else sequence
    return dataclasses.replace(
        old,
        sequence=sequence,
        status=status or old.status,
        **({"sampled_at": old.started_at + sequence} | values),
    )


def arrival(
    server_uuid: str, at: float = START + 5, state: ArrivalState = ArrivalState.INCOMING
) -> Arrival:
    return Arrival(server_uuid=server_uuid, at=at, state=state)


def store(
    store: objects.Store,
    *entries: Report | Arrival,
    host: str = "source",
    last_reported_at: float | None = None,
) -> Ack:
    """Store entries as one batch of ``host``; unless said otherwise it is received 100 s after
    :data:`START`, or as soon as the latest of them can be told."""
    latest = (each.at if isinstance(each, Arrival) else each.sampled_at for each in entries)
    if last_reported_at is None:
        ends = (getattr(each, "ended_at", None) or 0.0 for each in entries)
        last_reported_at = max((START + 100, *latest, *ends))
    return objects.store_batch(
        store,
        Batch(
            host=host,
            node=f"{host}.example.org",
            address="192.0.2.7",
            reports=tuple(entry for entry in entries if isinstance(entry, Report)),
            arrivals=tuple(entry for entry in entries if isinstance(entry, Arrival)),
        ),
        last_reported_at,
    ).ack


def nova_record(report: Report, number: int = 17, **values: Any) -> NovaMigration:
    """Nova's record of the migration that is reported, asked for by an admin."""
    known = {
        "id": number,
        "uuid": str(uuid.uuid4()),
        "server_uuid": report.server_uuid,
        "migration_type": "live-migration",
        "status": "running",
        "user_id": "admin",
        "project_id": "admins",
        "source_compute": "source",
        "source_node": "source.example.org",
        "dest_compute": "dest",
        "dest_node": "dest.example.org",
        "dest_host": None,
        "old_instance_type_id": 3,
        "new_instance_type_id": 3,
        "created_at": at(report.started_at) - datetime.timedelta(seconds=2),
        "updated_at": None,
    }
    return NovaMigration(**(known | values))


def migration(store: objects.Store, report: Report) -> objects.Migration:
    return objects.Migration.get(store, report.server_uuid, report.uuid)


def at(seconds: float) -> datetime.datetime:
    """A report's instant as an object has it."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def lasting(migration: objects.Migration) -> dict[str, Any]:
    """What does not depend on when and how often it was reported."""
    passing = {"id", "last_reported_at", "created_at", "updated_at"}
    return {k: v for k, v in dataclasses.asdict(migration).items() if k not in passing}


@contextlib.contextmanager
def statements(store: objects.Store) -> Iterator[list[str]]:
    """The statements that the store sends while the block lasts."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    sa.event.listen(store.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(store.engine, "before_cursor_execute", note)


# C drivers, and the database server of each.
C_DRIVERS = {"mysqldb": "mariadb", "psycopg": "postgresql"}


def by_driver(url: str, driver: str) -> str:
    """The same URL by one of :data:`C_DRIVERS`; unchanged for a server's name."""
    dialect, _, rest = url.partition("+")
    return f"{dialect}+{driver}:{rest.partition(':')[2]}" if driver in C_DRIVERS else url
