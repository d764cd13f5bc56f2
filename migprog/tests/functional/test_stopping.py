# SPDX-License-Identifier: Apache-2.0
"""Every process stops in good order, with a broker and while it is away; and what of actions
becomes while a broker refuses the login.

Whether a stop is held up is not measured but read: a process says so itself.
"""

import os
import pathlib
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest
import requests

from lab.hosts import Host
from lab.parts import broker, processes
from lab.parts.deployment import wait_for_output
from migprog import objects
from migprog.core.messages import Agent, Batch
from migprog.tests import stores

pytestmark = [pytest.mark.functional, pytest.mark.timeout(240)]

BIN = pathlib.Path(sys.executable).parent
HELD_UP = ("still stopping", "stop not complete", "before the start was complete")
SECRET = "S3CRET"
# The user's password is one of the two, as the test has it.
USER = "actor"


@dataclass(frozen=True)
class Site:
    """A broker that may be stopped, a database with a migration and its agent, and a libvirt."""

    broker: broker.Broker
    connection: str
    migration: str
    hosts: tuple[Host, ...]
    directory: pathlib.Path
    programs: list[processes.Program]

    def start(
        self, command: str, *groups: str, url: str | None = None, **environment: str
    ) -> processes.Program:
        text = [f"[DEFAULT]\ntransport_url = {url or self.broker.url}\n", *groups]
        config = self.directory / f"{len(self.programs)}.conf"
        config.write_text("\n".join(text))
        program = processes.Program(
            [str(BIN / command), "--config-file", str(config)],
            self.directory,
            os.environ | environment,
        )
        self.programs.append(program)
        return program

    def conductor(self, **environment: str) -> processes.Program:
        conductor = self.start("migprog-conductor", self.connection, **environment)
        wait_for_output(conductor, "takes reports")
        return conductor

    def agent(self, host: Host, *options: str, says: str, **more: str) -> processes.Program:
        lines = "\n".join(
            (
                f"[compute]\nconnection_uri = {host.uri}",
                f"state_path = {self.directory / 'state'}",
                "rpc_timeout = 2\nreport_interval = 5\nheartbeat_interval = 5",
                *options,
            )
        )
        agent = self.start("migprog-compute", lines, **more)
        wait_for_output(agent, says)
        return agent

    def api(self, **more: str) -> tuple[processes.Program, str]:
        """With the address of the migration."""
        (port,) = processes.free_ports(1)
        api = self.start(
            "migprog-api",
            self.connection,
            f"[api]\nauth_strategy = noauth\nbind_port = {port}\nallow_actions = true\n",
            **more,
        )
        processes.wait_for_port(port, 60, api)
        return api, f"http://127.0.0.1:{port}{self.migration}"


@pytest.fixture(scope="module")
def own_broker() -> Iterator[broker.Broker]:
    with broker.rabbitmq() as running:
        running.control("add_user", USER, "right")
        running.control("set_permissions", USER, ".*", ".*", ".*")
        yield running


@pytest.fixture
def site(own_broker, lab, tmp_path) -> Iterator[Site]:
    url = f"sqlite:///{tmp_path}/migprog.sqlite"
    store, report = stores.ready(url), stores.report()
    agent = Agent(
        version="1",
        started_at=1.0,
        report_interval_seconds=5.0,
        heartbeat_interval_seconds=600.0,
        migrations=1,
        actions_enabled=True,
    )
    batch = Batch(host="source", node="source.lab", reports=(report,), agent=agent)
    objects.store_batch(store, batch, time.time())
    store.close()
    site = Site(
        broker=own_broker,
        connection=f"[database]\nconnection = {url}\n",
        migration=f"/servers/{report.server_uuid}/migrations/{report.uuid}",
        hosts=tuple(lab.hosts),
        directory=tmp_path,
        programs=[],
    )
    yield site
    for program in site.programs:
        program.kill()


def started(site: Site, **environment: str) -> dict[str, processes.Program]:
    """One of each kind, and an agent with actions beside; each has connected to its broker."""
    conductor = site.conductor(**environment)
    agent = site.agent(site.hosts[0], says="watching the migrations", **environment)
    acting = site.agent(
        site.hosts[1], "allow_actions = true", says="migrations are accepted", **environment
    )
    api, address = site.api(**environment)
    assert requests.delete(address, timeout=60).status_code == 503
    return {address: api, "agent": agent, "acting": acting, "conductor": conductor}


def stop(programs: Iterable[processes.Program]) -> None:
    """They stop when they are asked to, and nothing has held them up."""
    for program in programs:
        program.process.send_signal(signal.SIGTERM)
    for program in programs:
        assert program.process.wait(60) == 0, program.output()
        said = program.output()
        assert "SIGTERM: stopping" in said
        assert not [words for words in HELD_UP if words in said], said
        assert "Traceback" not in said


def test_processes_that_are_idle_stop_in_good_order(site):
    stop(started(site).values())


@pytest.mark.parametrize(
    "concurrency", [pytest.param("eventlet", marks=pytest.mark.long), "threading"]
)
def test_processes_stop_in_good_order_while_their_broker_is_away(site, concurrency):
    programs = started(site, MIGPROG_CONCURRENCY=concurrency)
    site.broker.control("stop_app")
    try:
        for name, program in programs.items():
            if name.startswith("http"):
                assert requests.delete(name, timeout=60).status_code == 503
            else:
                wait_for_output(program, "cannot connect")
        stop(programs.values())
    finally:
        site.broker.control("start_app")


def with_password(site: Site, password: str) -> str:
    return site.broker.url.replace("guest:guest@", f"{USER}:{password}@")


@pytest.mark.parametrize(("password", "may"), [(SECRET, ".*"), ("right", "^$")])
def test_action_is_answered_503_where_the_broker_refuses(site, password, may):
    site.broker.control("change_password", USER, "right")
    site.broker.control("set_permissions", USER, may, may, may)
    try:
        api, address = site.api(url=with_password(site, password))
        answer = requests.delete(address, timeout=60)
    finally:
        site.broker.control("set_permissions", USER, ".*", ".*", ".*")
    assert answer.status_code == 503, answer.text
    said = api.output()
    assert "refuses the login" in said or "ACCESS_REFUSED" in said
    assert "Traceback" not in said and SECRET not in said


def test_agent_listens_as_soon_as_the_broker_takes_its_login(site):
    site.broker.control("change_password", USER, SECRET)
    agent = site.agent(
        site.hosts[0],
        "allow_actions = true",
        says="queue migprog-compute",
        url=with_password(site, "right"),
    )
    site.broker.control("change_password", USER, "right")
    wait_for_output(agent, "migrations are accepted")
    lines = [line for line in agent.output().splitlines() if "queue migprog-compute." in line]
    assert "refuses the login" in lines[0] and "next try in" in lines[0]
    assert "neither aborted nor forced to complete" in lines[0]
    assert "works again" in lines[-1]
    assert "Traceback" not in agent.output() and len(lines) == 2


def test_agent_reports_actions_enabled_once_the_broker_permits_it(site):
    site.broker.control("change_password", USER, "right")
    # It may report, and gets the answers; the queue of its actions it may not declare.
    not_that = "^(?!migprog-compute).*$"
    site.broker.control("set_permissions", USER, not_that, ".*", ".*")
    store = stores.connect(site.connection.partition(" = ")[2].strip())

    def actions_enabled() -> list[bool | None]:
        agents = objects.Agent.every(store)
        return [each.actions_enabled for each in agents if each.host != "source"]

    try:
        site.conductor()
        agent = site.agent(
            site.hosts[0],
            "allow_actions = true",
            says="is logged in and lacks a permission for ",
            url=with_password(site, "right"),
        )
        processes.wait_for(lambda: actions_enabled() == [False], 60, "the agent's heartbeat")
        assert "wrong user or password" not in agent.output()
        site.broker.control("set_permissions", USER, ".*", ".*", ".*")
        processes.wait_for(lambda: actions_enabled() == [True], 90, "the agent to take actions")
    finally:
        site.broker.control("set_permissions", USER, ".*", ".*", ".*")
        store.close()
