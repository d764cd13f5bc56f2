# SPDX-License-Identifier: Apache-2.0
"""What real processes write, and how they end, when a broker or a database is away or refuses.

How many lines are written must not depend on how long it lasts: each case waits for many failures
and then counts.
"""

import os
import pathlib
import signal
import subprocess
import sys

import pytest
import requests

from lab.parts import broker, databases, processes
from lab.parts.deployment import wait_for_output
from migprog.tests import stores

pytestmark = [pytest.mark.functional, pytest.mark.timeout(240)]

BIN = pathlib.Path(sys.executable).parent
SECRET = "S3CRET"
# Reports for four hosts for as long as it lives, and says of each what became of it.
_REPORTING = """
import sys, threading, time
from oslo_config import cfg
from migprog import conf, rpc
from migprog.rpc import conductor as rpcapi
from migprog.core.messages import Batch
from migprog.tests import stores

config = conf.load(["--config-file", sys.argv[1]], "reporting")
conductor = rpcapi.ConductorAPI(rpc.transport(config), 3)

def report(number):
    sent = stores.report()
    while True:
        sent = stores.later(sent)
        batch = Batch(host=f"h{number}", node=f"h{number}", reports=(sent,)).to_wire()
        try:
            conductor.report(batch, acknowledged=number % 2 == 0)
            print("stored" if number % 2 == 0 else "sent", flush=True)
        except rpcapi.Unreachable:
            print("failed", flush=True)
        time.sleep(0.1)

for number in range(4):
    threading.Thread(target=report, args=(number,), daemon=True).start()
threading.Event().wait()
"""

# Its first call is one that waits for an answer.
_CALLING = """
import sys
from migprog import conf, rpc
from migprog.rpc import conductor as rpcapi

config = conf.load(["--config-file", sys.argv[1]], "calling")
conductor = rpcapi.ConductorAPI(rpc.transport(config), 1)
while True:
    try:
        conductor.report({}, acknowledged=True)
    except rpcapi.Unreachable as error:
        print("failed:", error, flush=True)
"""


@pytest.fixture(scope="module")
def own_broker():
    """One that may be stopped: others share the session's."""
    with broker.rabbitmq() as running:
        yield running


@pytest.fixture(scope="module")
def own_mariadb():
    with databases.mariadb() as running:
        yield running


@pytest.fixture
def start(tmp_path):
    """Starts a command with a configuration; it is gone after the test."""
    started: list[processes.Program] = []

    def start(command, *groups, **environment):
        config = tmp_path / f"{len(started)}.conf"
        config.write_text("\n".join(groups))
        # "-W error" would stop at what libraries say to each other.
        started.append(
            processes.Program(
                [str(BIN / command), "--config-file", str(config)],
                tmp_path,
                os.environ | environment,
            )
        )
        return started[-1]

    yield start
    for program in started:
        program.kill()


@pytest.fixture
def reporting(tmp_path):
    """Starts a process that reports all the time."""
    started = []

    def report(*groups):
        config = tmp_path / "reporting.conf"
        config.write_text("\n".join(groups))
        command = [sys.executable, "-W", "ignore", "-c", _REPORTING, str(config)]
        started.append(processes.Program(command, tmp_path))
        return started[-1]

    yield report
    for program in started:
        program.kill()


def transport(url: str) -> str:
    return f"[DEFAULT]\ntransport_url = {url}\n"


def connection(url: str) -> str:
    return f"[database]\nconnection = {url}\n"


def with_password(url: str, name: str = "guest") -> str:
    return url.replace(f"{name}:guest@", f"{name}:{SECRET}@")


def said(program: processes.Program) -> list[str]:
    """All lines so far; never with a password or a traceback."""
    text = program.output()
    assert SECRET not in text
    assert "Traceback" not in text
    return text.splitlines()


def ends_with(program: processes.Program) -> list[str]:
    """The lines of a program that ends by itself with exit status 1."""
    processes.wait_for(lambda: program.process.poll() is not None, 60, "it to end")
    assert program.process.returncode == 1
    return said(program)


def wait_for_more(program: processes.Program, word: str, count: int) -> None:
    before = program.output().count(word)
    processes.wait_for(
        lambda: program.output().count(word) >= before + count, 90, f"{count} times {word!r}"
    )


def stop(program: processes.Program) -> None:
    program.process.send_signal(signal.SIGTERM)
    program.process.wait(60)


@pytest.fixture
def sqlite(tmp_path):
    url = f"sqlite:///{tmp_path}/migprog.sqlite"
    stores.ready(url).close()
    return connection(url)


def test_conductor_whose_broker_login_is_refused_ends_with_one_line(own_broker, start, sqlite):
    (line,) = ends_with(
        start("migprog-conductor", transport(with_password(own_broker.url)), sqlite)
    )
    assert line.startswith(
        f"migprog-conductor: [DEFAULT] transport_url: message broker 127.0.0.1:{own_broker.port}, "
        "virtual host /: refuses the login of [DEFAULT] transport_url, wrong user or password: "
    )


def test_conductor_whose_virtual_host_is_missing_ends_with_one_line(own_broker, start, sqlite):
    (line,) = ends_with(start("migprog-conductor", transport(f"{own_broker.url}nowhere"), sqlite))
    assert "virtual host nowhere: refuses the login" in line
    assert "no such virtual host" in line


@pytest.mark.parametrize("command", ["migprog-conductor", "migprog-api"])
def test_service_whose_database_login_is_refused_ends_with_one_line(
    command, own_broker, own_mariadb, start
):
    url = own_mariadb.new_database().replace("root@", f"migprog:{SECRET}@")
    api = "[api]\nauth_strategy = noauth\nbind_port = 0\n"
    lines = ends_with(start(command, transport(own_broker.url), connection(url), api))
    assert lines[-1].startswith(f"{command}: [database] connection: database mysql 127.0.0.1:")
    assert "Access denied for user 'migprog'" in lines[-1]
    assert len(lines) <= 2


@pytest.mark.parametrize("command", ["migprog-conductor", "migprog-compute"])
def test_service_without_a_broker_in_its_configuration_does_not_start(command, start, sqlite):
    (line,) = ends_with(start(command, sqlite if command == "migprog-conductor" else ""))
    assert line.startswith(f"{command}: [DEFAULT] transport_url: is not set")


def test_conductor_waits_for_a_database_that_is_away_and_logs_it(own_broker, start, tmp_path):
    url = f"mysql+pymysql://migprog:{SECRET}@127.0.0.1:1/migprog"
    conductor = start("migprog-conductor", transport(own_broker.url), connection(url))
    wait_for_output(conductor, "next try in 2.0 s")
    (line,) = said(conductor)
    assert "database mysql 127.0.0.1:1/migprog: does not serve: Can't connect" in line
    stop(conductor)
    assert "waiting for: database mysql 127.0.0.1:1/migprog" in said(conductor)[-1]
    assert conductor.process.returncode == 0


def test_database_that_goes_away_is_two_lines_however_many_reports_fail(
    own_mariadb, own_broker, start, reporting
):
    url = own_mariadb.new_database()
    stores.ready(url).close()
    groups = transport(own_broker.url), connection(url)
    conductor = start("migprog-conductor", *groups)
    wait_for_output(conductor, "takes reports")
    source = reporting(*groups)
    wait_for_more(source, "stored", 4)
    own_mariadb.program.kill()
    wait_for_output(conductor, "does not serve")
    wait_for_more(source, "failed", 6)
    own_mariadb.start_again()
    wait_for_output(conductor, "works again")
    wait_for_more(source, "stored", 4)
    address = f"database mysql {url.rpartition('@')[2].partition('?')[0]}: "
    about = [line for line in said(conductor) if address in line]
    assert len(about) <= 3
    assert "reports wait in the agents" in about[0]
    assert len(said(conductor)) <= 6
    source.kill()
    stop(conductor)


def test_broker_that_goes_away_is_a_few_lines_with_its_address(
    own_broker, start, reporting, sqlite
):
    groups = transport(own_broker.url), sqlite
    conductor = start("migprog-conductor", *groups)
    wait_for_output(conductor, "takes reports")
    source = reporting(*groups)
    wait_for_more(source, "stored", 4)
    # It has messages at hand when its connection breaks.
    conductor.process.send_signal(signal.SIGSTOP)
    wait_for_more(source, "sent", 4)
    own_broker.control("stop_app")
    conductor.process.send_signal(signal.SIGCONT)
    wait_for_more(source, "failed", 6)
    own_broker.control("start_app")
    wait_for_more(source, "stored", 4)
    wait_for_output(conductor, "works again")
    lines = said(conductor)
    address = f"message broker 127.0.0.1:{own_broker.port}, virtual host /: "
    assert [line for line in lines[1:] if address not in line] == []
    assert len(lines) <= 8
    source.kill()


def test_agent_whose_login_is_refused_continues_and_logs_once(own_broker, lab, start, tmp_path):
    (port,) = processes.free_ports(1)
    agent = start(
        "migprog-compute",
        transport(with_password(own_broker.url)),
        f"[compute]\nconnection_uri = {lab.hosts[0].uri}\nstate_path = {tmp_path / 'state'}\n"
        f"report_interval = 5\nheartbeat_interval = 5\nmetrics_bind_port = {port}\n",
    )
    wait_for_output(agent, "refuses the login")

    def has_failed_often() -> bool:
        text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
        (line,) = (
            x for x in text.splitlines() if x.startswith('migprog_messages_total{outcome="f')
        )
        return float(line.split()[-1]) >= 4

    processes.wait_for(has_failed_often, 60, "four failures")
    refusals = [line for line in said(agent) if "refuses the login" in line]
    assert len(refusals) == 1
    assert f"message broker 127.0.0.1:{own_broker.port}, virtual host /: " in refusals[0]
    assert "ERROR" in refusals[0] and "reports wait in this agent; check the " in refusals[0]
    assert len(said(agent)) <= 6
    stop(agent)


def test_call_fails_in_time_where_the_broker_was_never_reached(tmp_path):
    (port,) = processes.free_ports(1)
    config = tmp_path / "calling.conf"
    config.write_text(transport(f"rabbit://guest:guest@127.0.0.1:{port}/"))
    command = [sys.executable, "-W", "ignore", "-c", _CALLING, str(config)]
    with processes.running(command, tmp_path) as calling:
        # As many calls as may hang, and one more.
        wait_for_more(calling, "failed: message broker", 5)


def check(config: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "migprog-status"), "--config-file", str(config), *arguments, "upgrade", "check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("password", "port", "says"),
    [(SECRET, None, "refuses the login"), ("guest", 1, "cannot connect")],
)
def test_check_fails_where_the_broker_refuses_or_is_away(
    own_broker, tmp_path, password, port, says
):
    config = tmp_path / "agent.conf"
    url = f"rabbit://guest:{password}@127.0.0.1:{port or own_broker.port}/"
    config.write_text(transport(url))
    done = check(config, "--process", "migprog-compute")
    assert done.returncode == 2
    assert says in " ".join(done.stdout.replace("|", " ").split())
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize("database", ["mariadb", "postgresql"])
def test_check_says_that_a_user_may_only_read(database, request, own_broker, tmp_path):
    url = request.getfixturevalue(database)
    server = request.getfixturevalue(f"{database}_server")
    stores.ready(url).close()
    name = url.rpartition("/")[2]
    reader = f"reader_{name}"
    if database == "mariadb":
        server.execute(f"CREATE USER {reader}@'%' IDENTIFIED BY '{SECRET}'")
        server.execute(f"GRANT SELECT ON {name}.* TO {reader}@'%'")
        url = url.replace("root@", f"{reader}:{SECRET}@")
    else:
        server.execute(f"CREATE ROLE {reader} LOGIN IN ROLE pg_read_all_data")
        url = url.replace("postgres@", f"{reader}@")
    config = tmp_path / "controller.conf"
    config.write_text(
        transport(own_broker.url) + connection(url) + "[api]\nauth_strategy = noauth\n"
    )
    assert check(config, "--process", "migprog-api").returncode == 0
    done = check(config)
    assert done.returncode == 1
    text = " ".join(done.stdout.replace("|", " ").split())
    assert "this user may not write, which migprog-conductor needs" in text
    assert SECRET not in text
