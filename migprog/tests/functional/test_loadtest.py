# SPDX-License-Identifier: Apache-2.0
"""The load test against a real broker and a real database, in its shortest form."""

import contextlib
import json
import pathlib
import subprocess
import sys

import oslo_messaging as messaging
import pytest
import sqlalchemy as sa

from lab.parts import processes
from migprog import conf, rpc
from migprog.rpc import conductor as conductor_rpc
from migprog.tests import documents, stores

pytestmark = [pytest.mark.functional, pytest.mark.timeout(300)]

_COMMAND = str(pathlib.Path(sys.executable).with_name("migprog-loadtest"))
_SHORT = ["--hosts", "4", "--per-host", "5", "--interval", "1", "--seconds", "5"]


@pytest.fixture
def database(request):
    """The URL of a database with tables, a MariaDB's unless a test says otherwise."""
    url = request.getfixturevalue(getattr(request, "param", "mariadb"))
    stores.ready(url).close()
    return url


@pytest.fixture
def config(rabbitmq_broker, database, tmp_path):
    """A configuration file that names them."""
    path = tmp_path / "migprog.conf"
    path.write_text(
        f"[DEFAULT]\ntransport_url = {rabbitmq_broker.url}\n[database]\nconnection = {database}\n"
    )
    return path


@pytest.fixture
def load_test(rabbitmq_broker, config):
    """Runs the command against them; gives its process when it has ended."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [_COMMAND, "--config-file", str(config), *words],
            capture_output=True,
            text=True,
            timeout=200,
            env=rabbitmq_broker.environment,
        )

    return run


def virtual_hosts(broker) -> set[str]:
    done = subprocess.run(
        ["rabbitmqctl", "--quiet", "list_vhosts"],
        capture_output=True,
        text=True,
        timeout=60,
        env=broker.environment,
        check=True,
    )
    return set(done.stdout.split())


def waiting(broker, virtual_host: str) -> int:
    """How many messages wait in the conductors' queue."""
    done = subprocess.run(
        ["rabbitmqctl", "--quiet", "-p", virtual_host, "list_queues", "name", "messages"],
        capture_output=True,
        text=True,
        timeout=60,
        env=broker.environment,
        check=True,
    )
    counts = dict(line.split() for line in done.stdout.splitlines() if line.strip())
    return int(counts["migprog-conductor"])


def databases(url: str) -> set[str]:
    engine = sa.create_engine(url)
    names = set(sa.inspect(engine).get_schema_names())
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            names = set(connection.scalars(sa.text("SELECT datname FROM pg_database")))
    engine.dispose()
    return names


def rows(url: str) -> int:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        count = connection.exec_driver_sql("SELECT count(*) FROM migrations").scalar_one()
    engine.dispose()
    return count


@pytest.mark.parametrize(
    "database",
    ["mariadb", pytest.param("postgresql", marks=pytest.mark.long)],
    indirect=True,
)
def test_load_test_measures_the_cost_of_an_interval(load_test, rabbitmq_broker, database):
    before = virtual_hosts(rabbitmq_broker), databases(database)
    # So short that in any few seconds some begin and end, whose changes are to be seen.
    done = load_test(*_SHORT, "--migration-seconds", "20", "--json", "-")
    assert done.returncode == 0, done.stderr
    known = json.loads(done.stdout)
    assert (known["migrations"], known["interval_seconds"]) == (20, 1.0)
    # Each of them at each interval, where the machine keeps up.
    assert 0 < known["updates_per_second"] <= 40
    for name in ("agent", "conductor", "broker", "database", "total"):
        assert known["cpu_ms_per_update"][name] > 0, name
    for name in ("age_ms", "change_age_ms"):
        assert 0 < known[name]["p50"] <= known[name]["p95"] <= known[name]["p99"], name
    assert known["age_ms"]["p50"] < 30_000
    # Each host has five migrations, and tells of them together.
    # On a slow machine changes, which have answers, make up more of the messages.
    assert 0.1 < known["messages_per_update"] < 3
    assert 200 < known["bytes_per_update"] < 3000
    assert known["messages_failed"] == 0
    assert known["ends"]["reported"] == known["ends"]["stored"]
    assert (virtual_hosts(rabbitmq_broker), databases(database)) == before
    assert rows(database) == 0
    assert "measuring" in done.stderr


def test_idle_hosts_report_by_connections_of_their_own(load_test, config):
    with config.open("a") as file:
        file.write("[compute]\nreport_interval = 1\nheartbeat_interval = 2\n")
    idle = ["--idle-hosts", "3", "--idle-connections", "3"]
    done = load_test(*idle, "--hosts", "1", "--interval", "1", "--seconds", "4", "--json", "-")
    assert done.returncode == 0, done.stderr
    known = json.loads(done.stdout)
    assert (known["agents"]["stored"], known["heartbeats_failed"]) == (4, 0)
    assert known["heartbeats_per_second"] > 0
    # Beside them, of the host that migrates.
    assert known["at_broker"]["connections"] >= 9
    assert known["at_broker"]["queues"] >= 9


def test_heartbeats_that_no_conductor_takes_expire_by_the_pages_limit(rabbitmq_broker, config):
    """And a call that waits for an answer is answered under that limit."""
    named, url = "migprog-limited", f"{rabbitmq_broker.url}migprog-limited"
    rabbitmq_broker.control("add_vhost", named)
    rabbitmq_broker.control("set_permissions", "-p", named, "guest", ".*", ".*", ".*")
    ours = {"-p migprog": f"-p {named}", "60000": "100"}
    documents.run("sizing.rst", "sizing-limit", ours, rabbitmq_broker.environment)
    config_of = conf.load(["--config-file", str(config)], "migprog-loadtest")
    transport = rpc.transport(config_of, url)
    client = conductor_rpc.ConductorAPI(transport, 30.0)

    class Endpoint:
        target = messaging.Target(version=conductor_rpc.VERSION)

        def report(self, ctxt, batch):
            return {"answered": True}

    def serving():
        server = rpc.server(transport, conductor_rpc.TOPIC, "c", [Endpoint()])
        server.start()
        return server

    server = serving()
    assert client.report({}, acknowledged=True) == {"answered": True}
    server.stop()
    server.wait()
    for _ in range(3):
        client.report({}, acknowledged=False)
    processes.wait_for(lambda: waiting(rabbitmq_broker, named) == 0, 60, "all have expired")
    server = serving()
    assert client.report({}, acknowledged=True) == {"answered": True}
    server.stop()
    server.wait()
    transport.cleanup()
    rabbitmq_broker.control("delete_vhost", named)


@pytest.mark.long
def test_a_sweep_is_a_table_in_place(load_test, database, tmp_path):
    out = tmp_path / "figures.json"
    words = ["--in-place", "--sweep", "1,2", "--seconds", "3", "--hosts", "2", "--json", str(out)]
    done = load_test(*words)
    assert done.returncode == 0, done.stderr
    assert [each["interval_seconds"] for each in json.loads(out.read_text())] == [1.0, 2.0]
    lines = {line[:37].strip(): line[37:].split() for line in done.stdout.splitlines()}
    assert lines["interval, s"] == ["1", "2"]
    assert rows(database) == 0, "it removes what it stored"


@contextlib.contextmanager
def conductor(config: pathlib.Path, directory: pathlib.Path):
    command = str(pathlib.Path(_COMMAND).with_name("migprog-conductor"))
    with processes.running([command, "--config-file", str(config)], directory) as program:
        processes.wait_for(lambda: "takes reports" in program.output(), 60, "a conductor")
        yield


def test_conductors_at_work_are_left_alone(load_test, config, tmp_path):
    nobody = load_test("--in-place", "--conductors", "0", "--hosts", "1", "--seconds", "1")
    assert nobody.returncode == 1
    assert "no conductor answers there" in nobody.stderr
    with conductor(config, tmp_path):
        refused = load_test("--in-place", *_SHORT)
    assert refused.returncode == 1
    assert "--in-place: conductors are running there" in refused.stderr


# By their name: there may be no others.
@pytest.mark.alone
@pytest.mark.long
def test_conductors_at_work_are_measured_where_that_is_asked_for(load_test, config, tmp_path):
    with conductor(config, tmp_path):
        measured = load_test("--in-place", "--conductors", "0", *_SHORT, "--json", "-")
    assert measured.returncode == 0, measured.stderr
    known = json.loads(measured.stdout)
    assert known["cpu_ms_per_update"]["conductor"] > 0
    assert known["sql_per_batch"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--conductors", "0"], "--conductors: 0 must go with --in-place"),
        (["--transport-url", "fake://"], "transport_url: 'fake' must be: rabbit"),
        (["--interval", "0.01"], "interval_seconds: 0.01 must be from 0.1"),
        (["--recordings", "/nowhere"], "/nowhere: No such file"),
        (["--database", "mysql+pymysql://x@127.0.0.1:1/x"], "[database] connection: "),
    ],
)
def test_impossible_options_are_one_line(load_test, words, said):
    done = load_test(*words)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
