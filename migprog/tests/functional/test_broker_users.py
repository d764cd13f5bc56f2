# SPDX-License-Identifier: Apache-2.0
"""The broker users of doc/source/broker.rst: migprog works with them, and with its password a host
can do no more than that."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

import amqp
import pytest
import requests

import migprog
from lab import soak
from lab.parts import broker, processes
from lab.parts.deployment import wait_for_output
from migprog import objects
from migprog.core.messages import Ack, Batch
from migprog.rpc import brokers
from migprog.tests import stores

pytestmark = [pytest.mark.functional, pytest.mark.timeout(180)]

_PAGE = pathlib.Path(migprog.__file__).parents[1] / "doc" / "source" / "broker.rst"
_REPORTS, _ACTIONS, _OTHER = "compute-1.example", "compute-2.example", "compute-3.example"
# Reports as an agent does, and says what the conductor answers.
_REPORT = """
import json, sys
from migprog import concurrency
concurrency.choose()
from oslo_config import cfg
from migprog import rpc
from migprog.rpc import conductor as rpcapi
cfg.CONF([], default_config_files=[sys.argv[1]], default_config_dirs=[])
conductor = rpcapi.ConductorAPI(rpc.transport(cfg.CONF), 20)
print(json.dumps(conductor.report(json.loads(sys.argv[2]), acknowledged=True)), flush=True)
"""
_LIBVIRT = pathlib.Path(soak.__file__).parent / "stand_in"
_START_SECONDS = 60.0


def _commands(name: str, host: str = "") -> list[list[str]]:
    """The arguments of rabbitmqctl in a block of the page, for a host."""
    block = re.search(rf":name: {name}\n\n((?:   .*\n)+)", _PAGE.read_text())
    assert block is not None, name
    commands = []
    for line in block[1].splitlines():
        program, *arguments = shlex.split(line)
        assert program == "rabbitmqctl", line
        is_regex = [argument.startswith("^") for argument in arguments]
        commands.append(
            [
                argument.replace("HOST", re.escape(host) if regex else host)
                for argument, regex in zip(arguments, is_regex, strict=True)
            ]
        )
    return commands


def _options(host: str, process: str, lock_path: pathlib.Path) -> dict[str, str]:
    """The options of the page, by section."""
    block = re.search(r"For all processes::\n\n((?:   .*\n|\n)+)", _PAGE.read_text())
    assert block is not None
    text = block[1].replace("HOST", host).replace("= migprog-compute", f"= {process}")
    text = text.replace("/var/lib/migprog", str(lock_path))
    sections = re.split(r"^ *\[(.*)\]\n", text, flags=re.MULTILINE)[1:]
    return {
        name: re.sub(r"^ +", "", lines, flags=re.MULTILINE)
        for name, lines in zip(sections[::2], sections[1::2], strict=True)
    }


class Site:
    """A conductor, an API and two agents, each with its user, over a broker and a database."""

    def __init__(self, broker: broker.Broker, database_url: str, directory: pathlib.Path) -> None:
        self.broker = broker
        self.directory = directory
        self.store = stores.ready(database_url)
        self._database_url = database_url
        (port,) = processes.free_ports(1)
        self.api = f"http://127.0.0.1:{port}"
        self._port = port

    def run(self, command: str, user: str, host: str, text: str):
        """A program with the page's options and a user of the broker."""
        config = self._config(command, user, host, text)
        program = pathlib.Path(sys.executable).with_name(command)
        # No libvirt is needed to speak to a broker: the soak's, with no plan, has no migrations.
        environment = os.environ | {"PYTHONPATH": str(_LIBVIRT), "MIGPROG_SOAK": str(config) + "-"}
        return processes.running(
            [str(program), "--config-file", str(config)], config.parent, environment
        )

    def run_python(self, script: str, host: str, *arguments: str):
        """A script, given a host's configuration file."""
        config = self._config("migprog-compute", host, host, "")
        command = [sys.executable, "-W", "ignore", "-c", script, str(config), *arguments]
        return processes.running(command, config.parent)

    def _config(self, command: str, user: str, host: str, text: str) -> pathlib.Path:
        directory = self.directory / f"{command}-{host}"
        directory.mkdir()
        options = _options(host, command, directory)
        options["DEFAULT"] += f"transport_url = {self.url(user)}\n"
        config = directory / "migprog.conf"
        config.write_text("".join(f"[{name}]\n{lines}" for name, lines in options.items()) + text)
        return config

    def url(self, user: str) -> str:
        return f"rabbit://{user}:SECRET@127.0.0.1:{self.broker.port}/migprog"

    def conductor(self):
        database = f"[database]\nconnection = {self._database_url}\n"
        return self.run("migprog-conductor", "migprog-conductor", "controller", database)

    def serve_api(self):
        text = (
            f"[database]\nconnection = {self._database_url}\n[api]\nauth_strategy = noauth\n"
            f"bind_port = {self._port}\nallow_actions = true\n"
        )
        return self.run("migprog-api", "migprog-api", "controller", text)

    def agent(self, host: str, allow_actions: bool):
        text = (
            f"[compute]\nconnection_uri = soak:///{host}\nhost = {host}\n"
            f"state_path = {self.directory}/state-{host}\nallow_actions = {allow_actions}\n"
            "heartbeat_interval = 1\nreport_interval = 0.5\n"
        )
        return self.run("migprog-compute", host, host, text)

    def upgrade_check(self, process: str, user: str, host: str) -> str:
        """What the check of the broker says to a process with that user, in one line."""
        config = self._config("migprog-status", user, host, "")
        text = config.read_text()
        config.write_text(text.replace("= migprog-status", f"= {process}"))
        program = pathlib.Path(sys.executable).with_name("migprog-status")
        command = [str(program), "--config-file", str(config), "--process", process]
        done = subprocess.run(
            [*command, "upgrade", "check"], capture_output=True, text=True, timeout=60
        )
        rows = [line.strip("|+- ") for line in done.stdout.splitlines()]
        return " ".join(rows).partition("Check: message broker")[2].partition("Check: ")[0]

    def connection(self, user: str) -> amqp.Connection:
        """A plain connection, for whoever does not keep to oslo.messaging."""
        connection = amqp.Connection(
            f"127.0.0.1:{self.broker.port}",
            userid=user,
            password="SECRET",
            virtual_host="migprog",
            confirm_publish=True,
        )
        connection.connect()
        return connection


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    directory = tmp_path_factory.mktemp("broker-users")
    with broker.rabbitmq() as running:
        for command in [
            *_commands("broker-controllers"),
            *_commands("broker-reports", _REPORTS),
            *_commands("broker-actions", _ACTIONS),
            *_commands("broker-reports", _OTHER),
        ]:
            running.control(*command)
        site = Site(running, f"sqlite:///{directory}/migprog.sqlite", directory)
        with (
            site.conductor() as conductor,
            site.serve_api(),
            site.agent(_REPORTS, False) as reports,
            site.agent(_ACTIONS, True) as actions,
        ):
            for program, said in (
                (conductor, "takes reports"),
                (reports, "watching the migrations"),
                (actions, "requests to abort or force-complete"),
            ):
                wait_for_output(program, said)
            yield site
        site.store.close()


def test_agents_report_themselves_with_their_own_users(site):
    def reported():
        return {agent.host: agent for agent in objects.Agent.list(site.store, limit=10)}

    processes.wait_for(lambda: reported().keys() >= {_REPORTS, _ACTIONS}, 30.0, "both agents")
    assert reported()[_ACTIONS].actions_enabled
    assert not reported()[_REPORTS].actions_enabled


def test_a_report_is_acknowledged_to_a_host_that_only_reports(site):
    report = stores.report()
    batch = Batch(host=_OTHER, node=_OTHER, reports=(report,)).to_wire()
    with site.run_python(_REPORT, _OTHER, json.dumps(batch)) as program:
        assert program.process.wait(_START_SECONDS) == 0, program.output()
    assert Ack.from_wire(json.loads(program.output().splitlines()[-1])).refused == {}
    assert stores.migration(site.store, report).source_compute == _OTHER


def test_an_action_is_answered_by_a_host_with_actions(site):
    """It is refused, as that host has no such migration: that is the agent's answer."""
    report = stores.report()
    stores.store(site.store, report, host=_ACTIONS, last_reported_at=time.time())
    path = f"/servers/{report.server_uuid}/migrations/{report.uuid}"
    answer = requests.delete(f"{site.api}{path}", timeout=30)
    assert answer.status_code == requests.codes.conflict, answer.text


_KEYS = ("migprog-conductor", "migprog-conductor.#", "#", "*", f"migprog-compute.{_OTHER}")
_QUEUES = (
    *("migprog-conductor", "migprog-conductor.controller", "migprog-conductor_fanout"),
    *(f"migprog-compute.{_OTHER}", f"reply_{_OTHER}:migprog-compute:1"),
    *("reply_controller:migprog-api:1", "of-my-own"),
)
_OWN = "the own queue"
# Methods of a channel, and their arguments.
_ATTEMPTS: dict[str, tuple[str, list[object]]] = {
    **{
        f"{method} {queue}": (method, [queue])
        for queue in _QUEUES
        for method in ("queue_declare", "basic_consume", "basic_get", "queue_delete", "queue_purge")
    },
    **{f"bind its own queue by {key}": ("queue_bind", [_OWN, "amq.topic", key]) for key in _KEYS},
    "bind the conductors' queue": ("queue_bind", ["migprog-conductor", "migprog-compute_fanout"]),
    "bind an exchange": (
        "exchange_bind",
        ["migprog-compute_fanout", "amq.topic", "migprog-conductor"],
    ),
    "delete the exchange": ("exchange_delete", ["amq.topic"]),
    "delete the conductors' exchange": ("exchange_delete", ["migprog-conductor_fanout"]),
    "declare an exchange": ("exchange_declare", ["of-my-own", "topic"]),
    **{
        f"publish by {key}": ("basic_publish", [amqp.Message("{}"), "amq.topic", key])
        for key in (f"migprog-compute.{_ACTIONS}", f"migprog-compute.{_OTHER}", "migprog-compute")
    },
    "publish to all conductors": (
        "basic_publish",
        [amqp.Message("{}"), "migprog-conductor_fanout"],
    ),
}


@pytest.mark.parametrize("host", [_REPORTS, _ACTIONS])
@pytest.mark.parametrize("attempt", _ATTEMPTS)
def test_a_host_can_neither_act_as_a_conductor_nor_as_another_host(site, attempt, host):
    own = f"migprog-compute.{host}" if host == _ACTIONS else f"reply_{host}:migprog-compute:1"
    method, arguments = _ATTEMPTS[attempt]
    arguments = [own if argument is _OWN else argument for argument in arguments]
    with site.connection(host) as connection, pytest.raises(amqp.AccessRefused) as raised:
        getattr(connection.channel(), method)(*arguments)
    # In RabbitMQ's own words, which are not those of a wrong password.
    cause = brokers.cause(raised.value)
    assert cause.is_refusal
    assert cause.text.startswith(
        "the user of [DEFAULT] transport_url is logged in and lacks a permission for "
    )


def test_a_host_that_only_reports_cannot_publish_to_a_queue(site):
    """By the default exchange, which has no topic permissions. A host with actions can: it answers
    by that exchange."""
    for queue in (f"migprog-compute.{_ACTIONS}", "migprog-conductor"):
        with site.connection(_REPORTS) as connection, pytest.raises(amqp.AccessRefused):
            connection.channel().basic_publish(amqp.Message("{}"), "", queue)


def test_upgrade_check_accepts_each_user_for_its_process(site):
    command = site.upgrade_check
    says = command("migprog-conductor", "migprog-conductor", "checked-1")
    assert "Result: Success" in says
    assert "this user may not send reports, so no conductor was asked" in says
    says = command("migprog-compute", _REPORTS, _REPORTS)
    assert "connected; " in says
    # Who has only the API's user there cannot report, and is told why.
    says = command("migprog-compute", "migprog-api", "checked-2")
    assert "lacks a permission for Basic.publish: ACCESS_REFUSED - access to topic" in says
