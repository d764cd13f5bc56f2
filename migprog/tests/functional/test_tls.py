# SPDX-License-Identifier: Apache-2.0
"""A broker and databases that take nothing but TLS, by the options that the documentation shows."""

import contextlib
import pathlib
import tempfile
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from lab.hosts import Guest
from lab.parts import broker, databases
from lab.parts.deployment import Deployment, wait_for_output
from migprog import objects
from migprog.tests import stores
from migprog.tests.functional.tls import Authority

pytestmark = [pytest.mark.functional, pytest.mark.timeout(200)]
RUN: dict[str, Callable[..., contextlib.AbstractContextManager[databases.Server]]] = {
    "mariadb": databases.mariadb,
    "postgresql": databases.postgresql,
}
CA = {"mariadb": "ssl_ca", "postgresql": "sslrootcert"}
IN_THE_CLEAR = {"mariadb": {"ssl_disabled": "true"}, "postgresql": {"sslmode": "disable"}}
SHOWS_CIPHER = {
    "mariadb": "SHOW STATUS LIKE 'Ssl_cipher'",
    "postgresql": "SELECT pid, cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
}


@pytest.fixture(scope="module")
def directory() -> Iterator[pathlib.Path]:
    """Where other users may look, such as PostgreSQL's."""
    with tempfile.TemporaryDirectory(prefix="migprog-tls-") as made:
        path = pathlib.Path(made)
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="module")
def authority(directory: pathlib.Path) -> Authority:
    return Authority(directory / "ours")


@pytest.fixture(scope="module")
def another(directory: pathlib.Path) -> Authority:
    return Authority(directory / "another")


@pytest.fixture(scope="module")
def tls_broker(authority: Authority) -> Iterator[broker.Broker]:
    with broker.rabbitmq(authority.issue("broker")) as running:
        yield running


def messaging(authority: Authority, trusted: Authority) -> str:
    client = authority.issue("client", "agent.example.org")
    return (
        "[oslo_messaging_rabbit]\nssl = true\n"
        f"ssl_ca_file = {trusted.certificate}\n"
        f"ssl_cert_file = {client.certificate}\nssl_key_file = {client.key}\n"
    )


def cipher(store: objects.Store, kind: str) -> str:
    with store.engine.connect() as connection:
        return connection.execute(sa.text(SHOWS_CIPHER[kind])).one()[1]


def refused(url: sa.URL) -> str:
    """Why a database cannot be asked."""
    text = url.render_as_string(hide_password=False)
    with (
        contextlib.closing(stores.connect(text)) as store,
        pytest.raises(objects.Unavailable) as caught,
    ):
        store.read(lambda reader: reader.agent("host"))
    return str(caught.value)


@pytest.mark.parametrize("kind", RUN)
def test_a_database(kind: str, authority: Authority, another: Authority) -> None:
    with RUN[kind](tls=authority.issue(kind)) as server:
        url = server.new_database()
        with contextlib.closing(stores.ready(url)) as store:
            assert cipher(store, kind)
            first = stores.report()
            stores.store(store, first)
            assert stores.migration(store, first).uuid == first.uuid
        # Signed by somebody else; by another name; and asked in the clear.
        asked = sa.make_url(url)
        ca = {
            name: str(another.certificate) for name in asked.query if "ca" in name or "cert" in name
        }
        assert "certificate verify failed" in refused(asked.update_query_dict(ca))
        assert "localhost" in refused(asked.set(host="localhost"))
        assert refused(asked.set(query=IN_THE_CLEAR[kind]))


def test_all_of_it(
    lab, authority: Authority, tls_broker: broker.Broker, tmp_path: pathlib.Path
) -> None:
    url = tls_broker.url
    with databases.mariadb(tls=authority.issue("mariadb")) as server:
        database = server.new_database()
        text = messaging(authority, authority)
        with Deployment(tmp_path, url, database, "threading", text) as deployment:
            for host in lab.hosts:
                deployment.agent(host)
            guest = Guest(name="by-tls", memory_mib=32, fill_mib=16, working_set_mib=1)
            moved = lab.start_guest(lab.hosts[0], guest)
            lab.migrate(moved, lab.hosts[0], lab.hosts[1]).wait(60)
            record = deployment.wait_for_end(moved.uuid)
            assert (record["status"], record["dest_compute"]) == ("completed", "lab-b")
            lab.destroy_guest(moved)


@pytest.mark.parametrize("concurrency", ["eventlet", "threading"])
def test_broker_with_another_hosts_certificate_is_refused(
    concurrency: str,
    lab,
    authority: Authority,
    another: Authority,
    tls_broker: broker.Broker,
    tmp_path: pathlib.Path,
) -> None:
    """Whoever looks into the log sees what is wrong, and watching goes on."""
    text = messaging(authority, another)
    deployment = Deployment(tmp_path, tls_broker.url, "sqlite://", concurrency, text)
    try:
        agent = deployment.agent(lab.hosts[0])
        wait_for_output(agent, "certificate verify failed")
    finally:
        deployment.__exit__()
