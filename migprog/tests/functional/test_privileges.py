# SPDX-License-Identifier: Apache-2.0
"""Each process with a database user that may do what it has to do, and no more: as hardening.rst
tells operators to grant it."""

import pathlib
import re

import pytest
import sqlalchemy as sa

from migprog import SERVICE_TYPE, objects
from migprog.api import app
from migprog.api.microversion import HEADER
from migprog.core.messages import Batch
from migprog.core.status import Status
from migprog.db import schema
from migprog.tests import stores
from migprog.tests.store_cases.agents import AGENT
from migprog.tests.stores import START
from migprog.tests.unit.api.conftest import client_of, configuration

pytestmark = pytest.mark.functional

_PAGE = pathlib.Path(__file__).resolve().parents[3] / "doc/source/hardening.rst"
_DATABASE = "migprog"


def _statements(kind):
    """Those that the page has for MariaDB, or for PostgreSQL, without the host of its users."""
    block = re.search(rf"(?s)\.\. code-block:: {kind}\n\n(.*?)\n(?=\S)", _PAGE.read_text())
    assert block, f"no block for {kind}"
    return [line.strip().removesuffix(";") for line in block[1].splitlines() if line.strip()]


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def users(request):
    """The URL of each user by its name, in a database whose tables ``migprog_manage`` has made."""
    kind = "mariadb" if request.param == "mysql" else "postgresql"
    server = request.getfixturevalue(f"{kind}_server")
    server.execute(f"CREATE DATABASE {_DATABASE}")
    admin = sa.make_url(server.admin_url).set(database=_DATABASE)
    engine = sa.create_engine(admin, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        for statement in _statements(request.param):
            connection.exec_driver_sql(statement.replace("%", "%%"))
    urls = {
        name: admin.set(username=f"migprog_{name}", password="SECRET").render_as_string(
            hide_password=False
        )
        for name in ("manage", "conductor", "api")
    }
    stores.ready(urls["manage"]).close()
    yield urls
    server.drop_database(_DATABASE)


def _denied(work):
    with pytest.raises(Exception, match="denied"):
        work()


def test_conductor_and_purge(users):
    store = stores.connect(users["conductor"])
    objects.check_version(store)
    first = stores.report(percent=1)
    told = Batch(host="a", node="a", reports=(first,), agent=AGENT)
    for last_reported_at in (START, START + 1):
        objects.store_batch(store, told, last_reported_at)
    stores.store(store, *(stores.later(first, sequence=n) for n in range(2, 9)), host="a")
    stores.store(
        store, stores.later(first, sequence=9), stores.arrival(first.server_uuid), host="a"
    )
    stores.store(store, stores.arrival(first.server_uuid), host="dest")
    stores.store(store, stores.later(first, sequence=20, status=Status.COMPLETED), host="a")
    purged = objects.purge(store, stores.at(START + 9_999), now=stores.at(START + 9_999))
    assert (purged.migrations, purged.servers, purged.agents) == (1, 1, 1)
    with store.engine.connect() as connection:
        _denied(lambda: connection.exec_driver_sql("CREATE TABLE other (a integer)"))
    store.close()


def test_api(users):
    writer, store = stores.connect(users["conductor"]), stores.connect(users["api"])
    report = stores.report(percent=5)
    objects.store_batch(writer, Batch(host="a", node="a", reports=(report,), agent=AGENT), START)
    client = client_of(app.create(configuration(users["api"]), store))
    server = f"/servers/{report.server_uuid}"
    here = f"{server}/migrations/{report.uuid}"
    for path in ("/migrations", server, f"{server}/migrations", here, f"{here}/history", "/agents"):
        assert client.simulate_get(path).status_code == 200, path
    headers = {HEADER: f"{SERVICE_TYPE} latest"}
    assert client.simulate_get(f"{here}/summary", headers=headers).status_code == 200
    _denied(lambda: stores.store(store, stores.report()))
    _denied(
        lambda: objects.purge(
            store, stores.at(START + 9_999), now=stores.at(START + 9_999), in_progress_too=True
        )
    )
    writer.close()
    store.close()


def test_manage(users):
    store = stores.connect(users["manage"])
    schema.sync(store)
    assert schema.version(store) == schema.head()
    store.close()
