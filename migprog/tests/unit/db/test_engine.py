# SPDX-License-Identifier: Apache-2.0
import contextlib
import os
import sqlite3
import stat
import threading
import types
from typing import Any

import pytest
import sqlalchemy as sa
from oslo_db.exception import DBDuplicateEntry

from migprog import concurrency, exception, objects
from migprog.db import deadlines, schema
from migprog.tests import stores


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/migprog.sqlite"


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        ("mysql+pymysql://u:p@h/d?ssl_ca=/ca.pem", {"ssl": {"ca": "/ca.pem"}}),
        ("mysql+mysqldb://u:p@h/d?ssl_ca=/ca.pem", {"ssl": {"ca": "/ca.pem"}}),
        (
            "postgresql+psycopg2://u:p@h/d?sslmode=verify-full&sslrootcert=/ca.pem",
            {"sslmode": "verify-full", "sslrootcert": "/ca.pem"},
        ),
        (
            "postgresql+psycopg://u:p@h/d?sslmode=verify-full&sslrootcert=/ca.pem",
            {"sslmode": "verify-full", "sslrootcert": "/ca.pem"},
        ),
    ],
)
def test_tls_options_reach_the_driver(connection, expected):
    engine = stores.connect(connection).engine
    _, told = engine.dialect.create_connect_args(engine.url)
    assert told | expected == told


@pytest.mark.parametrize(
    ("connection", "says"),
    [
        (None, "is not set"),
        ("", "is not set"),
        ("no URL with a secret", "is not a database URL"),
        ("oracle://host/name", "must be one of: mysql, postgresql, sqlite"),
        ("mariadb+pymysql://host/name", "must be one of"),
        ("mysql+nodriver://host/name", "mysql"),
    ],
)
def test_an_impossible_connection_names_the_option(connection, says):
    with pytest.raises(exception.ConfigError, match=r"^\[database\] connection: ") as raised:
        stores.connect(connection)
    assert says in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "charset"),
    [
        ("mysql+pymysql://u:p@host/name", "utf8mb4"),
        ("mysql+pymysql://u:p@host/name?charset=utf8mb3", "utf8mb3"),
    ],
)
def test_mysql_takes_all_text(url, charset):
    assert stores.connect(url).engine.url.query["charset"] == charset


class Connection:
    """A driver's connection: it has attributes."""


def test_idle_connection_is_checked_again_only_after_a_moment(monkeypatch):
    now, checked = [100.0], []

    def ping(connection):
        checked.append(connection)
        return True

    monkeypatch.setattr(deadlines, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    engine = types.SimpleNamespace(dialect=types.SimpleNamespace(do_ping=ping))
    deadlines._ping_rarely(engine)
    first, second = Connection(), Connection()
    for each in (first, first, second):
        assert engine.dialect.do_ping(each)
    assert checked == [first, second]
    now[0] += deadlines.CHECKED_SECONDS
    assert engine.dialect.do_ping(first)
    assert checked == [first, second, first]


@pytest.mark.parametrize("kind", ["DATETIME", "TIMESTAMP"])
def test_pymysql_reads_instants_by_the_standard_library(kind):
    dialect = stores.connect("mysql+pymysql://u:p@host/name").engine.dialect
    driver, parameters = dialect.loaded_dbapi, dict[str, Any]()
    for prepare in dialect.dispatch.do_connect:
        prepare(dialect, None, [], parameters)
    number = getattr(driver.FIELD_TYPE, kind)
    theirs = driver.converters.conversions[number]
    ours = parameters["conv"][number]
    assert ours is not theirs
    for text in ("2026-11-27 19:30:05", "2026-11-27 19:30:05.123456", "0000-00-00 00:00:00", "x"):
        assert ours(text) == theirs(text)


@pytest.mark.parametrize(
    ("url", "instead"),
    [("mysql+mysqldb://u:p@host/name", "pymysql"), ("postgresql+psycopg://u:p@h/n", "psycopg2")],
)
def test_drivers_in_c_are_refused_on_eventlet(url, instead, monkeypatch):
    monkeypatch.setattr(concurrency, "is_green", lambda: True)
    with pytest.raises(exception.ConfigError, match=rf"waits in C .* use {instead}, or threads"):
        stores.connect(url)


def test_nothing_is_opened_before_it_is_used(tmp_path):
    stores.connect(f"sqlite:///{tmp_path}/migprog.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_error_without_tables_says_what_to_do(url):
    with pytest.raises(objects.Unavailable, match="run migprog-manage db sync"):
        objects.Migration.list(stores.connect(url))


def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path):
    store = stores.connect(f"sqlite:///{tmp_path}/no/such/folder/migprog.sqlite")
    with pytest.raises(objects.Unavailable, match=r"unable to open database file$"):
        objects.Migration.list(store)


def test_readers_do_not_wait_for_the_writer(url):
    store = stores.ready(url)
    first = stores.report()
    stores.store(store, first)
    with store.writing() as connection:
        connection.execute(sa.text("UPDATE migrations SET sequence = 99"))
        assert stores.migration(stores.connect(url), first).sequence == 1
    assert stores.migration(store, first).sequence == 99


def test_writers_wait_for_each_other(url):
    store = stores.ready(url)
    report = stores.report()
    outside = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    outside.execute("BEGIN IMMEDIATE")
    thread = threading.Thread(target=stores.store, args=(store, report))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    outside.execute("COMMIT")
    thread.join(30)
    assert stores.migration(store, report)


def test_sync_waits_for_another_process_longer_than_a_transaction_may(url):
    stores.ready(url).close()
    store = stores.connect(url, statement=1, transaction=1)
    outside = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    errors = []

    def sync():
        try:
            schema.sync(store)
        except objects.Unavailable as error:
            errors.append(error)

    thread = threading.Thread(target=sync)
    with contextlib.closing(outside):
        outside.execute("BEGIN IMMEDIATE")
        thread.start()
        with pytest.raises(objects.Unavailable):
            stores.store(stores.connect(url, statement=1, transaction=1), stores.report())
        thread.join(0.3)
        assert thread.is_alive() and not errors
    thread.join(60)
    assert not thread.is_alive() and not errors


def test_a_lost_race_is_run_again(url):
    """Two conductors have each found that a migration is new."""
    store = stores.ready(url)
    report = stores.report()
    runs = []

    def work(writer):
        known = writer.lock_migrations([report.uuid], for_progress=True)
        runs.append(set(known))
        if len(runs) == 1:
            raise DBDuplicateEntry
        return len(runs)

    assert store.write(work) == 2


def test_an_error_of_ours_is_not_run_again(url):
    runs = []

    def work(_writer):
        runs.append(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stores.ready(url).write(work)
    assert len(runs) == 1


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_a_file_of_sqlite_is_readable_for_its_owner_alone(tmp_path, umask):
    before = os.umask(umask)
    try:
        store = stores.connect(f"sqlite:///{tmp_path}/migprog.sqlite")
        schema.sync(store)
        stores.store(store, stores.report())
        # What SQLite keeps beside it is there as long as somebody uses it.
        with store.engine.connect() as connection:
            connection.execute(sa.text("SELECT 1 FROM migrations"))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        store.close()
    finally:
        os.umask(before)
    names = ("migprog.sqlite", "migprog.sqlite-wal", "migprog.sqlite-shm")
    assert modes == dict.fromkeys(names, 0o600)


def test_the_mode_of_a_file_that_is_there_is_its_owners_business(tmp_path):
    path = tmp_path / "migprog.sqlite"
    path.touch(0o640)
    path.chmod(0o640)
    stores.ready(f"sqlite:///{path}").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_file_that_is_no_database_is_one_that_does_not_serve(tmp_path):
    path = tmp_path / "x.sqlite"
    path.write_bytes(b"root:x:0:0:root:/root:/bin/bash\n" * 100)
    store = stores.connect(f"sqlite:///{path}")
    with pytest.raises(objects.Unavailable, match="file is not a database"):
        list(objects.Agent.every(store))
    store.close()
