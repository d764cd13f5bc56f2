# SPDX-License-Identifier: Apache-2.0
import contextlib
import pathlib
import sqlite3
import threading
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import autogenerate
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from migprog import exception, objects
from migprog.core.forecast.verdict import Verdict
from migprog.core.forecast.verdict_reason import VerdictReason
from migprog.core.messages import Report
from migprog.core.status import Phase, Status
from migprog.db import migration_list, models, schema
from migprog.objects import Migration, Server
from migprog.tests import stores


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/migprog.sqlite"


def test_models_are_what_the_migrations_make(url):
    with stores.ready(url).engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert autogenerate.compare_metadata(context, models.Base.metadata) == []


def test_versions_are_those_of_the_scripts():
    """Files are named by their versions, so that nothing but a sync needs alembic."""
    directory = pathlib.Path(schema.__file__).parent / "alembic"
    scripts = list(ScriptDirectory(directory).walk_revisions())
    assert schema.versions() == [script.revision for script in scripts][::-1]


def test_sync_may_be_repeated(url):
    store = stores.connect(url)
    assert schema.version(store) is None
    schema.sync(store)
    report = stores.report()
    stores.store(store, report)
    schema.sync(store)
    assert schema.version(store) == schema.head()
    assert stores.migration(store, report)


def test_sync_goes_on_where_another_was_cut_short(url):
    store = stores.ready(url)
    with store.writing() as connection:
        connection.execute(sa.text("DROP TABLE servers"))
        connection.execute(sa.text("DROP INDEX ix_migrations_status_id"))
        connection.execute(sa.text("ALTER TABLE migrations DROP COLUMN verdict_reason"))
        connection.execute(sa.text("ALTER TABLE migrations DROP COLUMN advice"))
        connection.execute(sa.text("ALTER TABLE agents DROP COLUMN loop_age_seconds"))
        connection.execute(sa.text("ALTER TABLE migrations DROP COLUMN forecast_before"))
        connection.execute(sa.text("ALTER TABLE agents DROP COLUMN measurements_enabled"))
        connection.execute(sa.text("ALTER TABLE migrations DROP COLUMN expected_downtime_seconds"))
        connection.execute(sa.text("DROP INDEX ix_measurements_server_uuid_id"))
        connection.execute(sa.text("DROP INDEX ix_measurements_host_id"))
        connection.execute(sa.text("DELETE FROM alembic_version"))
    schema.sync(store)
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert autogenerate.compare_metadata(context, models.Base.metadata) == []


def test_sync_by_several_at_once(url):
    errors = []

    def sync():
        try:
            schema.sync(stores.connect(url))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=sync) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_file_that_another_is_writing_can_be_read(url):
    """Also before it is one whose readers and writers do not wait for each other."""
    with contextlib.closing(sqlite3.connect(sa.make_url(url).database)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert schema.version(stores.connect(url)) is None


def test_newer_tables_serve(url):
    """Services are upgraded one by one: a version that this program does not know is newer."""
    store = stores.ready(url)
    with store.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    objects.check_version(store)


def test_older_tables_do_not_serve(url):
    store = stores.connect(url)
    schema.sync(store, to="0001")
    with pytest.raises(exception.ConfigError, match=r"of version 0001, .*run migprog-manage db"):
        objects.check_version(store)


def test_no_tables_do_not_serve(url):
    with pytest.raises(exception.ConfigError, match="run migprog-manage db sync"):
        objects.check_version(stores.connect(url))


def test_objects_have_every_column():
    tables = models.Base.metadata.tables
    assert set(Migration.__slots__) == set(migration_list.COLUMNS)
    assert set(Server.__slots__) == set(tables["servers"].columns.keys())


def test_every_field_of_a_report_has_its_column():
    assert set(Report.__slots__) <= set(models.Base.metadata.tables["migrations"].columns.keys())


def test_words_fit():
    column_type: Any = models.Base.metadata.tables["migrations"].c.status.type
    words = [*Status, *Phase, *Verdict, *VerdictReason]
    assert max(map(len, words)) <= column_type.length
