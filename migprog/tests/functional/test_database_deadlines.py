# SPDX-License-Identifier: Apache-2.0
"""The timeouts that a server gets, what a transaction may take, and what is counted of it."""

import socket
import threading
import time

import pytest
import sqlalchemy as sa

from lab.faults.relay import Relay
from migprog import objects
from migprog.core.messages import Arrival, ArrivalState, Batch
from migprog.db import deadlines
from migprog.db.reader import MOST_RECENT
from migprog.db.writer import Writer
from migprog.tests import stores

pytestmark = pytest.mark.functional

_SECONDS = 30


@pytest.fixture(scope="module", params=["mariadb", "mysqldb", "postgresql", "psycopg"])
def url(request):
    kind = stores.C_DRIVERS.get(request.param, request.param)
    url = request.getfixturevalue(f"{kind}_server").new_database()
    url = stores.by_driver(url, request.param)
    stores.ready(url).close()
    return url


@pytest.fixture
def store(url):
    store = stores.connect(url, connect=1, statement=2, transaction=2, idle_transaction=1)
    yield store
    store.close()


def test_locks_of_a_client_that_goes_silent_are_freed_by_the_server(url, store):
    first = stores.report()
    stores.store(store, first)
    with store.engine.connect() as silent:
        silent.begin()
        Writer(silent).lock_migrations([first.uuid], for_progress=True)
        patient = stores.connect(url)
        # It is ended before this one has waited in vain.
        stores.store(patient, stores.later(first))
        patient.close()
        silent.invalidate()
    assert stores.migration(store, first).sequence == 2


def test_a_statement_ends_at_the_server_in_time(url, store):
    is_mysql = store.engine.dialect.name == "mysql"
    slow = "SELECT SLEEP(30)" if is_mysql else "SELECT pg_sleep(30)"
    begun = time.monotonic()
    with pytest.raises(objects.Unavailable, match=r"^database \w+ 127\.0\.0\.1:\d+/\w* does not"):
        store.read(lambda reader: reader.connection.exec_driver_sql(slow))
    assert time.monotonic() - begun < _SECONDS


def test_read_is_repeated_after_its_connection_was_lost_unnoticed(url, store, monkeypatch):
    """A connection that was used a moment ago is not checked before it is used again."""
    monkeypatch.setattr(deadlines, "CHECKED_SECONDS", 3600.0)
    is_mysql = store.engine.dialect.name == "mysql"
    own_id = "SELECT CONNECTION_ID()" if is_mysql else "SELECT pg_backend_pid()"
    end = "KILL {}" if is_mysql else "SELECT pg_terminate_backend({}, 10000)"

    def ask(reader):
        return reader.connection.exec_driver_sql(own_id).scalar_one()

    # The second check of a connection is the first that may be left out.
    lost = [store.read(ask) for _ in range(2)][-1]
    other = stores.connect(url)
    with other.engine.connect() as connection:
        connection.exec_driver_sql(end.format(lost))
    other.close()
    assert store.read(ask) != lost


def test_changes_of_the_tables_may_take_longer(store):
    with store.unhurried() as patient, patient.writing() as connection:
        is_mysql = patient.engine.dialect.name == "mysql"
        connection.exec_driver_sql("SELECT SLEEP(3)" if is_mysql else "SELECT pg_sleep(3)")


def test_no_statement_begins_after_the_deadline_of_its_transaction(store):
    gone = threading.Event()

    def work(writer):
        gone.wait(0.1)
        while True:
            writer.connection.execute(sa.text("SELECT 1"))

    begun = time.monotonic()
    with pytest.raises(objects.Unavailable, match="has taken too long"):
        store.write(work)
    assert 2 <= time.monotonic() - begun < _SECONDS


def test_a_connection_that_failed_is_replaced(store):
    def work(reader):
        return reader.connection.execute(sa.text("SELECT 7")).scalar_one()

    is_mysql = store.engine.dialect.name == "mysql"
    whoami = "SELECT CONNECTION_ID()" if is_mysql else "SELECT pg_backend_pid()"
    number = store.read(lambda reader: reader.connection.execute(sa.text(whoami)).scalar_one())
    kill = f"KILL {number}" if is_mysql else f"SELECT pg_terminate_backend({number})"
    with sa.create_engine(store.engine.url, poolclass=sa.NullPool).connect() as other:
        other.exec_driver_sql(kill)
    assert store.read(work) == 7


def test_silent_server_ends_a_statement_in_time_and_blocks_no_other_thread(url):
    """A driver that keeps the GIL while it waits would stop the other thread, too."""
    with Relay(sa.make_url(url).port) as relay:
        via = sa.make_url(url).set(port=relay.port).render_as_string(hide_password=False)
        store = stores.connect(via, connect=1, statement=2, transaction=4)
        ended = threading.Event()
        turns = 0

        def turn():
            nonlocal turns
            while not ended.wait(0.01):
                turns += 1

        def work(reader):
            reader.connection.exec_driver_sql("SELECT 1")
            relay.silence()
            thread.start()
            reader.connection.exec_driver_sql("SELECT 2")

        thread = threading.Thread(target=turn)
        begun = time.monotonic()
        with pytest.raises(objects.Unavailable):
            store.read(work)
        ended.set()
        thread.join(_SECONDS)
        assert time.monotonic() - begun < _SECONDS
        # It has had three seconds.
        assert turns > 3
        # By another connection.
        objects.Migration.list(store, limit=1)
        store.close()


def test_server_that_accepts_and_never_greets_is_given_up(url):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        via = sa.make_url(url).set(port=mute.getsockname()[1])
        store = stores.connect(via.render_as_string(hide_password=False), connect=1)
        begun = time.monotonic()
        with pytest.raises(objects.Unavailable):
            objects.Migration.list(store, limit=1)
        assert time.monotonic() - begun < _SECONDS


def test_each_thread_has_its_own_deadline(store):
    """Another thread reads meanwhile."""
    ending = threading.Event()
    reading = threading.Semaphore(0)

    def read():
        while not ending.is_set():
            objects.Migration.list(store, limit=1)
            reading.release()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        costs = []
        for _ in range(5):
            assert reading.acquire(timeout=_SECONDS)
            with store.counting() as cost:
                stores.store(store, stores.report())
            costs.append((cost.statements, cost.rows))
    finally:
        ending.set()
        thread.join(_SECONDS)
    assert costs == [costs[0]] * 5
    assert costs[0][1] == 2


def test_an_arrival_looks_at_the_newest_migrations_of_its_server(store):
    server_uuid, now = stores.report().server_uuid, stores.START + 100
    reports = tuple(
        stores.report(server_uuid=server_uuid, started_at=stores.START - 1000 + 10 * number)
        for number in range(MOST_RECENT + 30)
    )
    for some in (reports[:30], reports[30:]):
        objects.store_batch(store, Batch("src", "src", reports=some), now)
    met = store.read(
        lambda reader: reader.migrations_to_match(
            [server_uuid],
            not_from="dst",
            started_before=stores.at(now).replace(tzinfo=None),
            ended_after=stores.at(stores.START).replace(tzinfo=None),
            ended=["completed"],
        )
    )
    assert set(met) == {report.uuid for report in reports[-MOST_RECENT:]}
    heard_of = store.read(
        lambda reader: reader.reported_arrivals(
            server_uuid, not_from="dst", since=stores.at(stores.START).replace(tzinfo=None)
        )
    )
    assert len(heard_of) == MOST_RECENT
    arrival = Arrival(server_uuid=server_uuid, at=now, state=ArrivalState.INCOMING)
    objects.store_batch(store, Batch("dst", "dst", arrivals=(arrival,)), now)
    assert stores.migration(store, reports[-1]).dest_compute == "dst"
