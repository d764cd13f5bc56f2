# SPDX-License-Identifier: Apache-2.0
"""The tables are brought up to date while conductors store: of the version before, and our own."""

import contextlib
import datetime
import itertools
import threading

import pytest
import sqlalchemy as sa

from lab.parts import processes
from migprog import objects
from migprog.core import merge, server_update
from migprog.core.status import Status
from migprog.db import schema
from migprog.objects import rows
from migprog.tests import stores

pytestmark = pytest.mark.functional

_NOW = datetime.datetime(2026, 9, 1, 12)  # noqa: DTZ001 as the database keeps it


class _Conductor:
    """Stores without a pause, until the block ends; ``told`` is what was stored, by UUID."""

    def __init__(self, url):
        self._store = stores.connect(url)
        self._ending = threading.Event()
        self._errors: list[BaseException] = []
        self.told: dict[str, tuple[object, int]] = {}

    @contextlib.contextmanager
    def storing(self):
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._ending.set()
            thread.join()
            self._store.close()
        assert self._errors == []

    def goes_on(self, more=10):
        """Wait until it has stored some more."""
        wanted = len(self.told) + more
        processes.wait_for(
            lambda: self._errors or len(self.told) >= wanted, 30, "the conductor to store"
        )

    def _run(self):
        try:
            before = None
            while not self._ending.is_set():
                new = stores.report(percent=1, server_name="web 🐎")
                self._tell(new, before)
                if before is not None:
                    self.told[before.uuid] = before, 2
                self.told[new.uuid] = new, 1
                before = new
        except BaseException as error:
            self._errors.append(error)

    def _tell(self, new, before):
        """A new migration, and the next report of the one before."""
        told = [stores.later(before, percent=2)] if before else []
        stores.store(self._store, new, *told)


class _ConductorOfThen(_Conductor):
    """One that knows the columns that there were when it was started, and no others."""

    def __init__(self, url):
        super().__init__(url)
        then = sa.MetaData()
        then.reflect(self._store.engine, only=["migrations", "servers"])
        self._migrations, self._servers = then.tables["migrations"], then.tables["servers"]

    def _tell(self, new, before):
        def work(writer):
            record = merge.report(None, new, "source", "node", _NOW)
            server = server_update.update(None, record, _NOW)
            self._insert(writer, self._migrations, rows.from_record(record))
            self._insert(writer, self._servers, rows.from_server(server))
            if before is not None:
                later = sa.update(self._migrations).where(self._migrations.c.uuid == before.uuid)
                writer.connection.execute(later.values(percent=2, sequence=2))

        self._store.write(work)

    def _insert(self, writer, table, row):
        known = {name: value for name, value in row.items() if name in table.c and name != "id"}
        writer.connection.execute(sa.insert(table).values(known))


def _nothing_is_lost(store, told):
    assert told
    for report, sequence in told.values():
        stored, server = (
            stores.migration(store, report),
            objects.Server.get(store, report.server_uuid),
        )
        assert (stored.sequence, stored.percent) == (sequence, sequence)
        assert stored.started_at == stores.at(report.started_at)
        assert stored.server_name == server.name == "web 🐎"


@pytest.fixture(params=["mariadb", "postgresql", "sqlite"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/migprog.sqlite"
    return request.getfixturevalue(f"{request.param}_server").new_database()


VERSIONS = schema.versions()
# Each step from the first on, and from each of the others at once.
WAYS = [
    pytest.param(VERSIONS, id="step by step"),
    pytest.param(VERSIONS[-2:], id=f"from {VERSIONS[-2]}"),
    *(
        pytest.param([start, VERSIONS[-1]], id=f"from {start}", marks=pytest.mark.long)
        for start in VERSIONS[1:-2]
    ),
]


@pytest.mark.parametrize("way", WAYS)
def test_a_conductor_of_another_version_stores_while_the_tables_change(url, way):
    start, *versions = way
    store = stores.connect(url)
    schema.sync(store, to=start)
    conductor = _ConductorOfThen(url)
    with conductor.storing():
        conductor.goes_on()
        for version in versions:
            schema.sync(store, to=version)
            assert schema.version(store) == version
            conductor.goes_on()
    _nothing_is_lost(store, conductor.told)
    # And this version goes on with what the other began.
    report, sequence = next(iter(conductor.told.values()))
    ended = stores.later(report, sequence=sequence + 1, status=Status.COMPLETED)
    stores.store(store, ended)
    assert stores.migration(store, ended).status is Status.COMPLETED
    store.close()


def test_again_and_again(url):
    store = stores.ready(url)
    conductor = _Conductor(url)
    with conductor.storing():
        for _ in itertools.repeat(None, 3):
            conductor.goes_on()
            schema.sync(store)
        conductor.goes_on()
    _nothing_is_lost(store, conductor.told)
    store.close()
