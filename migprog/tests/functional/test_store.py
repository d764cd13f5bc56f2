# SPDX-License-Identifier: Apache-2.0
"""The store on real databases, each started for these tests."""

import dataclasses
import threading

import pytest
import sqlalchemy as sa
from alembic import autogenerate
from alembic.runtime.migration import MigrationContext
from sqlalchemy.dialects import mysql

from lab.parts import databases
from migprog import objects
from migprog.db import models, schema
from migprog.tests import stores
from migprog.tests.store_cases import Cases
from migprog.tests.store_cases.purge import Purging

pytestmark = pytest.mark.functional


@pytest.fixture(
    scope="module",
    params=["mariadb", "mysqldb", "postgresql", pytest.param("psycopg", marks=pytest.mark.long)],
)
def server(request):
    kind = stores.C_DRIVERS.get(request.param, request.param)
    running = request.getfixturevalue(f"{kind}_server")
    by_driver = stores.by_driver(running.admin_url, request.param)
    return dataclasses.replace(running, admin_url=by_driver)


@pytest.fixture(scope="module")
def store(server):
    store = stores.ready(server.new_database())
    yield store
    store.close()


@pytest.fixture(scope="module")
def other_store(store):
    store = stores.connect(store.engine.url.render_as_string(hide_password=False))
    yield store
    store.close()


class TestStore(Cases):
    pass


class TestPurge(Purging):
    @pytest.fixture(scope="class")
    def used(self, server):
        store = stores.ready(server.new_database())
        yield store
        store.close()

    @pytest.fixture
    def store(self, used):
        """Without a row; to make the tables takes longer than most of these tests."""
        with used.engine.begin() as connection:
            for table in reversed(models.Base.metadata.sorted_tables):
                connection.execute(sa.delete(table))
        return used

    @pytest.fixture
    def other_store(self, store):
        store = stores.connect(store.engine.url.render_as_string(hide_password=False))
        yield store
        store.close()


def test_bytes_sent_to_mariadb_do_not_grow(mariadb):
    """SQLAlchemy counts a statement for many rows as one, whatever the driver makes of it."""
    store = stores.ready(mariadb)
    firsts = [stores.report() for _ in range(200)]
    stores.store(store, *firsts)
    sent = {}
    for sequence, size in enumerate((1, 20, 200), 2):
        before = _questions(store)
        told = [stores.later(first, sequence=sequence) for first in firsts[:size]]
        stores.store(store, *told)
        sent[size] = _questions(store) - before
    assert len(set(sent.values())) == 1, sent
    store.close()


def _questions(store) -> int:
    """Statements that MariaDB has executed so far."""
    with store.engine.connect() as connection:
        return int(connection.exec_driver_sql("SHOW GLOBAL STATUS LIKE 'Questions'").one()[1])


def test_models_are_what_the_migrations_make(store):
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert autogenerate.compare_metadata(context, models.Base.metadata) == []


def test_instants_and_text_on_mariadb(mariadb):
    """What the comparison of alembic does not look at."""
    store = stores.ready(mariadb)
    inspector = sa.inspect(store.engine)
    for table in models.Base.metadata.sorted_tables:
        options = inspector.get_table_options(table.name)
        # Compared to the last byte, blanks at the end included.
        name = "mariadb_collate" if "mariadb_collate" in options else "mysql_collate"
        assert options[name] == "utf8mb4_nopad_bin"
        for column in inspector.get_columns(table.name):
            if column["name"].endswith("_at"):
                assert isinstance(column["type"], mysql.DATETIME)
                assert column["type"].fsp == 6
    store.close()


def test_sync_by_several_at_once(server):
    url = server.new_database()
    errors = []

    def sync() -> None:
        store = stores.connect(url)
        try:
            schema.sync(store)
        except Exception as error:
            errors.append(error)
        store.close()

    threads = [threading.Thread(target=sync) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    store = stores.connect(url)
    assert schema.version(store) == schema.head()
    store.close()


@pytest.mark.parametrize("kind", sorted(databases.RUN))
def test_a_database_that_is_gone_is_unavailable(kind):
    with databases.RUN[kind]() as server:
        store = stores.ready(server.new_database())
        first = stores.report()
        stores.store(store, first)
        server.program.kill()
        with pytest.raises(objects.Unavailable):
            stores.migration(store, first)
        with pytest.raises(objects.Unavailable):
            stores.store(store, stores.later(first))


def test_cut_connections_are_replaced(server, store):
    first = stores.report()
    stores.store(store, first)
    if store.engine.dialect.name == "mysql":
        with store.engine.connect() as connection:
            mine = connection.exec_driver_sql("SELECT connection_id()").scalar_one()
        server.execute(f"KILL {mine}")
    else:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{store.engine.url.database}'"
        )
    stores.store(store, stores.later(first))
    assert stores.migration(store, first).sequence == 2
