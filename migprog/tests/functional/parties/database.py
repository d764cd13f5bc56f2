# SPDX-License-Identifier: Apache-2.0
"""A database: a real one behind a relay."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from falcon import testing

from lab.faults.relay import Relay
from lab.parts import processes
from lab.parts.databases import Server
from migprog import objects
from migprog.api import app
from migprog.conductor.batcher import ReportBatcher
from migprog.conductor.storing import make_store_batches
from migprog.core.messages import Batch
from migprog.tests import stores
from migprog.tests.functional.parties.table import SHORT, cell
from migprog.tests.unit.api.conftest import client_of, configuration


@dataclass(frozen=True)
class Database:
    """``server``'s empty database behind ``relay``, as conductor and API reach it."""

    server: Server
    url: str
    relay: Relay

    def store(self, port: int | None = None) -> objects.Store:
        via = sa.make_url(self.url).set(port=port or self.relay.port)
        return stores.connect(
            via.render_as_string(hide_password=False),
            connect=int(SHORT.connect),
            statement=int(SHORT.statement),
            transaction=int(SHORT.transaction),
        )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Have every statement on migrations wait."""
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        is_mysql = engine.dialect.name == "mysql"
        lock = "LOCK TABLES migrations WRITE" if is_mysql else "LOCK TABLE migrations"
        with engine.connect() as connection, connection.begin():
            connection.exec_driver_sql(lock)
            try:
                yield
            finally:
                if is_mysql:
                    connection.exec_driver_sql("UNLOCK TABLES")


@contextlib.contextmanager
def database(server: Server) -> Iterator[Database]:
    url = server.new_database()
    stores.ready(url).close()
    with Relay(sa.make_url(url).port or 0) as relay:
        yield Database(server, url, relay)


@contextlib.contextmanager
def _intake(store: objects.Store) -> Iterator[ReportBatcher]:
    intake = ReportBatcher(make_store_batches(store))
    intake.start()
    try:
        yield intake
    finally:
        intake.stop()
        store.close()


def _batch() -> Batch:
    return Batch(host="h", node="n", reports=(stores.report(),))


def _refuses_to_store(intake: ReportBatcher) -> None:
    try:
        intake.store(_batch())
    except objects.Unavailable:
        return
    raise AssertionError("it was stored")


def _client(store: objects.Store) -> testing.TestClient:
    return client_of(app.create(configuration("sqlite://"), store))


def _asked(store: objects.Store, code: int) -> None:
    client = _client(store)
    try:
        for path in ("/migrations", "/healthcheck"):
            begun = time.monotonic()
            status = client.simulate_get(path).status_code
            assert status == code, f"{path}: {status} after {time.monotonic() - begun:.1f} s"
    finally:
        store.close()


_AGAIN = "stores nothing; agents keep unacknowledged reports and send them again"


@cell(
    *("database", "away", "conductor"),
    "logs it; " + _AGAIN,
    lambda t: t.transaction + t.connect,
)
def _(database: Database) -> None:
    database.relay.cut()
    with _intake(database.store()) as intake:
        _refuses_to_store(intake)
        database.relay.mend(forgotten=True)
        intake.store(_batch())


@cell("database", "away", "API", "503, also for /healthcheck", lambda t: t.connect)
def _(database: Database) -> None:
    database.relay.cut()
    _asked(database.store(), 503)


@cell("database", "refuses", "conductor", "logs it; " + _AGAIN, lambda t: t.transaction)
def _(database: Database) -> None:
    (port,) = processes.free_ports(1)
    with _intake(database.store(port)) as intake:
        _refuses_to_store(intake)


@cell("database", "refuses", "API", "503, also for /healthcheck", lambda t: 0.0)
def _(database: Database) -> None:
    (port,) = processes.free_ports(1)
    _asked(database.store(port), 503)


@cell(
    *("database", "silent", "conductor"),
    "closes the silent connection and stores on a new one",
    lambda t: t.connect,
)
def _(database: Database) -> None:
    with _intake(database.store()) as intake:
        intake.store(_batch())
        database.relay.silence()
        intake.store(_batch())


@cell(
    *("database", "silent", "API"),
    "closes the silent connection and answers by a new one",
    lambda t: t.connect,
)
def _(database: Database) -> None:
    store = database.store()
    objects.Migration.list(store, limit=1)
    database.relay.silence()
    _asked(store, 200)


@cell(
    *("database", "slow", "conductor"),
    "cancels the statement, its transaction and its locks; " + _AGAIN,
    lambda t: t.transaction + t.statement + 1,
)
def _(database: Database) -> None:
    with _intake(database.store()) as intake:
        intake.store(_batch())
        with database.locked():
            _refuses_to_store(intake)
        intake.store(_batch())


@cell("database", "slow", "API", "503, also for /healthcheck", lambda t: t.statement + 1)
def _(database: Database) -> None:
    store = database.store()
    objects.Migration.list(store, limit=1)
    with database.locked():
        _asked(store, 503)
