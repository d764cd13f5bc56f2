# SPDX-License-Identifier: Apache-2.0
"""Notifications by a real RabbitMQ, from real conductors and a real API to the page's consumer.

The broker's users, permissions and policy are those of the pages.
"""

import contextlib
import json
import pathlib
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

import migprog
from lab.parts import processes
from lab.parts.broker import Broker
from lab.parts.deployment import wait_for_output
from migprog.core.forecast.verdict import Verdict
from migprog.core.messages import Agent, Batch, Report
from migprog.core.status import Phase, Status
from migprog.tests import notifications, stores
from migprog.tests.fixtures import migrations
from migprog.tests.store_cases.advice import ADVICE

pytestmark = [pytest.mark.functional, pytest.mark.timeout(180)]

_ROOT = pathlib.Path(migprog.__file__).parents[1]
_DOC = _ROOT / "doc/source"
_LISTEN = _ROOT / "etc/examples/notifications/listen.py"
_SECONDS = 60.0
_HOST = "compute-1"
_ON = "[notifications]\nenabled = true\n"
_OPTIONS = """
[DEFAULT]
transport_url = rabbit://{user}:SECRET@127.0.0.1:{port}/migprog
control_exchange = amq.topic
[oslo_messaging_rabbit]
amqp_durable_queues = true
use_queue_manager = true
hostname = {host}
processname = {process}
[oslo_concurrency]
lock_path = {directory}
"""
# Reports batches as an agent does, one after the other.
_REPORT = """
import json, sys
from migprog import concurrency
concurrency.choose()
from oslo_config import cfg
from migprog import rpc
from migprog.rpc import conductor
cfg.CONF([], default_config_files=[sys.argv[1]], default_config_dirs=[])
api = conductor.ConductorAPI(rpc.transport(cfg.CONF), 60)
for each in json.loads(sys.argv[2]):
    print(json.dumps(api.report(each, acknowledged=True)), flush=True)
"""
# Accepts each request, as an agent does.
_ACCEPT = """
import sys
from migprog import concurrency
concurrency.choose()
import oslo_messaging as messaging
from oslo_config import cfg
from migprog import rpc
from migprog.core.agent_answer import Answer
from migprog.rpc import compute

class Endpoint:
    target = messaging.Target(version=compute.VERSION)
    def abort(self, ctxt, migration=None):
        return Answer().to_wire()

cfg.CONF([], default_config_files=[sys.argv[1]], default_config_dirs=[])
server = rpc.server(rpc.transport(cfg.CONF), compute.TOPIC, sys.argv[2], [Endpoint()])
server.start()
print("accepting", flush=True)
server.wait()
"""


def _commands(page: str, name: str) -> list[list[str]]:
    """The arguments of rabbitmqctl in a block of a page."""
    block = re.search(rf":name: {name}\n\n((?:   .*\n)+)", (_DOC / page).read_text())
    assert block is not None, name
    commands = [shlex.split(line) for line in block[1].splitlines()]
    assert all(program == "rabbitmqctl" for program, *_ in commands)
    return [arguments for _, *arguments in commands]


class Site:
    """Where processes of a virtual host with the pages' users run."""

    def __init__(self, broker: Broker, directory: pathlib.Path) -> None:
        self.broker = broker
        self._directory = directory
        self._number = 0
        self._database = f"[database]\nconnection = sqlite:///{directory}/migprog.sqlite\n"
        self.store = stores.ready(f"sqlite:///{directory}/migprog.sqlite")
        self.api_port, self.metrics_port = processes.free_ports(2)

    def config(self, user: str, process: str, text: str = "") -> pathlib.Path:
        self._number += 1
        directory = self._directory / f"{process}-{self._number}"
        directory.mkdir()
        path = directory / "migprog.conf"
        host = f"host-{self._number}"
        values = {"user": user, "process": process, "host": host, "directory": directory}
        path.write_text(_OPTIONS.format(port=self.broker.port, **values) + text)
        return path

    @contextlib.contextmanager
    def conductor(self, text: str = _ON) -> Iterator[processes.Program]:
        config = self.config("migprog-conductor", "migprog-conductor", self._database + text)
        with self._run("migprog-conductor", config) as program:
            wait_for_output(program, "takes reports")
            yield program

    @contextlib.contextmanager
    def api(self) -> Iterator[str]:
        options = f"auth_strategy = noauth\nbind_port = {self.api_port}\nallow_actions = true\n"
        text = f"{self._database}[api]\n{options}{_ON}"
        with self._run("migprog-api", self.config("migprog-api", "migprog-api", text)) as program:
            processes.wait_for_port(self.api_port, _SECONDS, program)
            yield f"http://127.0.0.1:{self.api_port}"

    def _run(self, command: str, config: pathlib.Path) -> Any:
        program = pathlib.Path(sys.executable).with_name(command)
        return processes.running([str(program), "--config-file", str(config)], config.parent)

    def run_python(self, user: str, script: str, *arguments: str) -> Any:
        config = self.config(user, "migprog-compute")
        command = [sys.executable, "-W", "ignore", "-c", script, str(config), *arguments]
        return processes.running(command, config.parent)

    def report(self, *batches: Batch) -> list[dict[str, Any]]:
        """Report batches one after the other; return the answers."""
        wire = json.dumps([each.to_wire() for each in batches])
        with self.run_python("agents", _REPORT, wire) as program:
            assert program.process.wait(_SECONDS) == 0, program.output()
        return [json.loads(line) for line in program.output().splitlines() if line[:1] == "{"]

    def listener(self) -> Any:
        config = self.config("consumer", "listen")
        command = [sys.executable, "-W", "ignore", str(_LISTEN), "--config-file", str(config)]
        return processes.running(command, config.parent)

    def messages(self) -> dict[str, int]:
        """How many messages wait in each queue of notifications."""
        listed = subprocess.run(
            ["rabbitmqctl", "-q", "list_queues", "-p", "migprog", "name", "messages"],
            env=self.broker.environment,
            check=True,
            capture_output=True,
            text=True,
        )
        rows = (line.split() for line in listed.stdout.splitlines()[1:])
        return {name: int(count) for name, count in rows if name.startswith("migprog_notif")}


@pytest.fixture(scope="module")
def site(rabbitmq_broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    for command in [
        *_commands("broker.rst", "broker-controllers"),
        *_commands("notifications.rst", "notifications-users"),
        ["add_user", "agents", "SECRET"],
        ["set_permissions", "-p", "migprog", "agents", ".*", ".*", ".*"],
    ]:
        rabbitmq_broker.control(*command)
    # The broker ends with the session.
    site = Site(rabbitmq_broker, tmp_path_factory.mktemp("notifications"))
    yield site
    site.store.close()


def _batch(*reports: Report, agent: Agent | None = None) -> Batch:
    return Batch(host=_HOST, node=f"{_HOST}.lab", reports=reports, agent=agent)


def _received(listener: processes.Program) -> list[dict[str, Any]]:
    """What the consumer has printed, each checked by its schema."""
    lines = [json.loads(line) for line in listener.output().splitlines() if line[:1] == "{"]
    for each in lines:
        each["data"] = notifications.check(each["event_type"], each["payload"])
    return lines


def test_consumer_gets_each_event_of_a_migration_once(site: Site) -> None:
    """Two conductors, and each report twice, before the broker has the queues, and after."""
    first = migrations.running(1, server_name="web 🐎")
    worse = stores.later(first, **migrations.NOT_CONVERGING, sampled_at=time.time())
    advised = stores.later(worse, advice=({**ADVICE, "at": time.time()},))
    end = migrations.ended(advised, Status.FAILED, error="refused")
    agent = Agent(
        version="1",
        started_at=time.time() - 60,
        report_interval_seconds=10.0,
        heartbeat_interval_seconds=30.0,
        migrations=1,
        actions_enabled=True,
    )
    with site.conductor(), site.conductor():
        # So many that both conductors get some.
        site.report(*[_batch(first, agent=agent)] * 4)
        with (
            site.listener() as listener,
            site.run_python("agents", _ACCEPT, _HOST) as accepting,
            site.api() as api,
        ):
            wait_for_output(listener, "listening")
            wait_for_output(accepting, "accepting")
            site.report(*[_batch(each) for each in (worse, advised) for _ in range(4)])
            path = f"/servers/{first.server_uuid}/migrations/{first.uuid}"
            answer = requests.delete(f"{api}{path}", timeout=30)
            assert answer.status_code == requests.codes.accepted, answer.text
            site.report(*[_batch(end)] * 4)

            def all_received() -> bool:
                listener.check()
                return len(_received(listener)) >= 5

            processes.wait_for(all_received, _SECONDS, "five notifications")
            processes.wait_for(lambda: sum(site.messages().values()) == 0, _SECONDS, "empty queues")
            received = _received(listener)
    by_type = {
        (each["event_type"].partition(".")[2], each["priority"], each["data"]["status"])
        for each in received
    }
    assert by_type == {
        ("start", "info", "running"),
        ("verdict_changed", "warn", "running"),
        ("action", "warn", "running"),
        ("action", "info", "running"),
        ("end", "error", "failed"),
    }
    assert len(received) == 5
    assert {each["data"]["server_name"] for each in received} == {"web 🐎"}
    words = {
        (each["data"]["action"]["action"], each["data"]["action"]["by"])
        for each in received
        if "action" in each["data"]
    }
    assert words == {("raise-downtime", "steering"), ("abort", "operator")}
    (final,) = (each["data"] for each in received if each["event_type"].endswith(".end"))
    assert (final["error"], final["downtime_seconds"]) == ("refused", 0.04)


@contextlib.contextmanager
def _silent_party() -> Iterator[int]:
    """The port of somebody who accepts connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("how", ["away", "silent"])
def test_broker_of_notifications_holds_up_no_report(site: Site, how: str) -> None:
    """Reports are acknowledged, the conductor stops in time, and its log says which broker it
    is."""
    with contextlib.ExitStack() as stack:
        port = processes.free_ports(1)[0]
        if how == "silent":
            port = stack.enter_context(_silent_party())
        other = f"rabbit://guest:SECRET@127.0.0.1:{port}/"
        text = f"{_ON}[oslo_messaging_notifications]\ntransport_url = {other}\n"
        metrics = f"[conductor]\nmetrics_bind_port = {site.metrics_port}\n"
        conductor = stack.enter_context(site.conductor(text + metrics))
        reports = [stores.report(started_at=time.time() - 60) for _ in range(50)]
        answers = site.report(*map(_batch, reports))
        assert [each["refused"] for each in answers] == [{}] * len(reports)
        wait_for_output(conductor, f"notifications by message broker 127.0.0.1:{port}")
        served = requests.get(f"http://127.0.0.1:{site.metrics_port}/metrics", timeout=10).text
        assert 'migprog_notifications_total{event="start",outcome="sent"} 0.0' in served
        assert conductor.stop() == 0
        log = conductor.output()
    assert "SECRET" not in log
    # The broker of reports works all the time.
    failed = [line for line in log.splitlines() if " WARNING " in line or " ERROR " in line]
    assert [line for line in failed if f"127.0.0.1:{port}" not in line] == []
    assert "Traceback" not in log


def test_upgrade_check_connects_to_the_broker_of_notifications(site: Site) -> None:
    def check(user: str, password: str) -> str:
        url = f"rabbit://{user}:{password}@127.0.0.1:{site.broker.port}/migprog"
        text = f"{_ON}[oslo_messaging_notifications]\ntransport_url = {url}\n"
        config = site.config("migprog-conductor", "migprog-status", text)
        program = pathlib.Path(sys.executable).with_name("migprog-status")
        words = ["--config-file", str(config), "--process", "migprog-conductor"]
        command = [str(program), *words, "upgrade", "check", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        found = {each["check"]: each["details"] for each in json.loads(done.stdout)["checks"]}
        return found["notifications"]

    where = f"notifications by message broker 127.0.0.1:{site.broker.port}, virtual host migprog"
    assert check("migprog-conductor", "SECRET") == (
        f"{where}: connected; see that a consumer reads migprog_notifications"
    )
    assert check("migprog-conductor", "wrong").startswith(
        f"{where}: refuses the login of [oslo_messaging_notifications] transport_url, wrong user "
        "or password"
    )


def test_nothing_is_sent_unless_enabled(site: Site) -> None:
    before = site.messages()
    with site.conductor(""):
        first = stores.report(started_at=time.time() - 60, verdict=Verdict.COPYING)
        end = {"phase": Phase.DONE, "ended_at": time.time()}
        site.report(_batch(first), _batch(stores.later(first, status=Status.FAILED, **end)))
    assert site.messages() == before


def test_queues_without_readers_do_not_grow_beyond_the_pages_limit(site: Site) -> None:
    (policy,) = _commands("notifications.rst", "notifications-limit")
    limited = [each.replace("100000", "3") for each in policy]
    limited[limited.index("/")] = "migprog"
    site.broker.control(*limited)
    with site.conductor() as conductor:
        reports = [stores.report(started_at=time.time() - 60) for _ in range(10)]
        site.report(*map(_batch, reports))
        processes.wait_for(
            lambda: site.messages().get("migprog_notifications.info") == 3, _SECONDS, "the limit"
        )
        assert conductor.stop() == 0
    assert site.messages()["migprog_notifications.info"] == 3
