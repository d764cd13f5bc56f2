# SPDX-License-Identifier: Apache-2.0
"""The README's three steps and the commands of ``doc/source/install.rst``, to the letter, and those
of the operator's guides that need all parts.

Only the names of the servers, the passwords and the paths are other ones.
"""

import json
import os
import pathlib
import re
import shlex
import socket
import subprocess
import sys

import pytest
import requests

from lab.parts import broker, keystone, processes
from lab.parts.deployment import wait_for_output
from lab.parts.keystone import PASSWORD, of_project
from migprog.tests import documents
from migprog.tests.functional import nova_clients

pytestmark = [pytest.mark.functional, pytest.mark.timeout(280)]

ROOT = pathlib.Path(__file__).resolve().parents[3]
BIN = pathlib.Path(sys.executable).parent
README = (ROOT / "README.rst").read_text()
INSTALL = (ROOT / "doc/source/install.rst").read_text()
INTERVAL = (ROOT / "doc/source/interval.rst").read_text()
SECRET = "s3cret"


def after(page: str, heading: str) -> str:
    """The block of indented lines that comes first after ``heading``."""
    rest = page.partition(heading)[2]
    assert rest, heading
    block = re.search(r"(?m)^\n((?: {3,}\S.*\n|\n)+)", rest.partition("::")[2])
    assert block
    return "\n".join(line.strip() for line in block[1].splitlines())


def good_start(process: str, places: dict[str, str]) -> str:
    """What the page says that a process writes when all is well, with our names and ports."""
    lines = after(INSTALL.partition("How to see that it works")[2], f" the {process}")
    text = " ".join(lines.split())
    for theirs, ours in places.items():
        text = text.replace(theirs, ours)
    return text


def sql(page: str, dialect: str) -> list[str]:
    text = page.partition(f".. code-block:: {dialect}\n")[2]
    block = re.search(r"\n((?: {3,}\S.*\n)+)", text)
    assert block
    return [line.strip().rstrip(";").replace("SECRET", SECRET) for line in block[1].splitlines()]


def run(command: list[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def rabbit():
    with broker.rabbitmq() as running:
        for line in after(INSTALL, "On a node of RabbitMQ").splitlines():
            if line:
                words = shlex.split(line.replace("SECRET", SECRET))
                run(words, dict(running.environment))
        yield running


@pytest.fixture
def cloud(keystone_files):
    with keystone.serving(keystone_files, keystone_files) as identity:
        identity.new_endpoint("identity", identity.url)
        identity.new_project("service")
        commands = [
            line.replace("SECRET", SECRET).removeprefix("openstack ")
            for line in after(INSTALL, "as a user of the service project").splitlines()
            if line
        ]
        admin = nova_clients.Login(identity.url, "admin", PASSWORD, "admin")
        for answer in nova_clients.run_openstack(admin, *commands):
            assert answer.code == 0, answer.err
            assert SECRET not in answer.out + answer.err
        yield identity


@pytest.fixture(scope="module")
def made(mariadb_server, postgresql_server):
    """Where the database and the user of the page were made, by dialect."""
    servers = {"mysql": mariadb_server, "postgresql": postgresql_server}
    for dialect, server in servers.items():
        for statement in sql(INSTALL, dialect):
            server.execute(statement)
    yield {
        dialect: server.admin_url.rpartition("@")[2].partition("/")[0]
        for dialect, server in servers.items()
    }
    for server in servers.values():
        server.drop_database("migprog")


@pytest.mark.parametrize("dialect", ["mysql", "postgresql"])
def test_database_and_user_of_the_page_take_the_tables(dialect, made, tmp_path):
    driver = {"mysql": "mysql+pymysql", "postgresql": "postgresql+psycopg2"}[dialect]
    url = f"{driver}://migprog:{SECRET}@{made[dialect]}/migprog"
    config = tmp_path / "migprog.conf"
    config.write_text(f"[database]\nconnection = {url}\n")
    said = run([str(BIN / "migprog-manage"), "--config-file", str(config), "db", "sync"])
    assert "the database is now at version" in said


class Guides:
    """The commands of the operator's guides on a controller, with its configuration."""

    def __init__(self, config: pathlib.Path, directory: pathlib.Path) -> None:
        self._config = config
        self._directory = directory

    def _run(self, page: str, name: str, environment: dict[str, str] | None = None) -> str:
        text = documents.script(page, name, {})
        commands = set(re.findall(r"migprog-(?:manage|status)", text))
        ours = {each: f"{each} --config-file {self._config}" for each in commands}
        return documents.run(page, name, ours, environment)

    def read_by_token(self, port: int, login: dict[str, str]) -> None:
        environment = {f"OS_{name.upper()}": value for name, value in login.items()}
        environment["OS_IDENTITY_API_VERSION"] = "3"
        ours = {"localhost:8790": f"127.0.0.1:{port}"}
        shown = documents.run("README.rst", "readme-curl", ours, environment)
        assert json.loads(shown)["migrations"] == []

    def operate(self) -> None:
        """Several pages have the same commands: each is run once."""
        blocks = (
            documents.block("troubleshooting.rst", "trouble-first"),
            documents.block("firewall.rst", "firewall-check"),
            documents.block("upgrade.rst", "upgrade-check"),
            documents.block("upgrade.rst", "upgrade-sync"),
            documents.block("upgrade.rst", "upgrade-agents"),
            documents.block("operate.rst", "operate-check"),
            documents.block("operate.rst", "operate-purge"),
        )
        said = {
            command: run(self._ours(command))
            for command in dict.fromkeys(each for block in blocks for each in block.commands())
        }
        assert not [command for command, text in said.items() if "Failure" in text]
        purged = [text for command, text in said.items() if " purge " in command]
        assert ["would delete" in text for text in purged] == [True, False]

    def _ours(self, command: str) -> list[str]:
        program, *arguments = shlex.split(command)
        return [str(BIN / program), "--config-file", str(self._config), *arguments]

    def change_the_interval(
        self, agent: processes.Program, config: pathlib.Path, host: str
    ) -> None:
        """As the page says; ``systemctl`` is a program that knows this agent alone."""
        block = re.search(r":name: interval-conf\n\n((?: +\S.*\n)+)", INTERVAL)
        (wanted,) = re.findall(r"report_interval = (\d+)", block[1])
        config.write_text(config.read_text() + f"report_interval = {wanted}\n")
        systemctl = self._directory / "bin" / "systemctl"
        systemctl.parent.mkdir()
        systemctl.write_text(
            '#!/bin/sh\n[ "$*" = "kill --signal=HUP migprog-compute" ] && '
            f"exec kill -HUP {agent.process.pid}\n"
        )
        systemctl.chmod(0o755)
        path = f"{systemctl.parent}:{os.environ['PATH']}"
        self._run("interval.rst", "interval-reload", {"PATH": path})

        def shows() -> bool:
            lines = self._run("interval.rst", "interval-show").splitlines()
            (row,) = (line for line in lines if line.startswith(f"{host} "))
            return f" {wanted} s " in row

        processes.wait_for(shows, 90, f"an interval of {wanted} s")


def test_steps_of_the_readme_give_an_api_that_answers_and_an_agent(
    rabbit, cloud, made, lab, tmp_path
):
    port, _ = processes.free_ports(2)
    text = after(README, "1. On a controller write")
    for theirs, ours in (
        ("broker:5672", f"127.0.0.1:{rabbit.port}"),
        ("@database/", f"@{made['mysql']}/"),
        ("http://keystone:5000/v3", cloud.url),
        ("SECRET", SECRET),
    ):
        assert theirs in text
        text = text.replace(theirs, ours)
    controller = tmp_path / "controller.conf"
    # The port, as others may be in use here.
    controller.write_text(f"{text}\n[api]\nbind_port = {port}\n")
    agent_conf = tmp_path / "agent.conf"
    (line,) = (each for each in text.splitlines() if each.startswith("transport_url"))
    uri = lab.hosts[0].uri
    agent_conf.write_text(
        f"[DEFAULT]\n{line}\n[compute]\nconnection_uri = {uri}\nstate_path = {tmp_path / 'state'}\n"
    )

    def command(name: str, config: pathlib.Path, *arguments: str) -> list[str]:
        return [str(BIN / name), "--config-file", str(config), *arguments]

    run(command("migprog-manage", controller, "db", "sync"))
    run(command("migprog-status", controller, "upgrade", "check"))
    with (
        processes.running(command("migprog-conductor", controller), tmp_path) as conductor,
        processes.running(command("migprog-api", controller), tmp_path) as api,
    ):
        wait_for_output(conductor, "takes reports from message broker 127.0.0.1:")
        processes.wait_for_port(port, 60, api)
        places = {
            "controller-1": socket.gethostname(),
            "broker:5672": f"127.0.0.1:{rabbit.port}",
            "database:3306": made["mysql"],
            "port 8790": f"port {port}",
            "qemu:///system": uri,
            "compute-1": lab.hosts[0].name,
        }
        assert good_start("conductor", places) in conductor.output()
        wait_for_output(api, good_start("API", places))
        token = cloud.token("admin", of_project("admin"))
        answer = requests.get(
            f"http://127.0.0.1:{port}/migrations", headers={"X-Auth-Token": token}, timeout=30
        )
        assert answer.status_code == 200, api.output()
        assert answer.json()["migrations"] == []
        run(command("migprog-status", agent_conf, "upgrade", "check"))
        with processes.running(command("migprog-compute", agent_conf), tmp_path) as agent:
            wait_for_output(agent, good_start("agent", places))

            def listed() -> str:
                return run(command("migprog-manage", controller, "agent", "list"))

            processes.wait_for(lambda: lab.hosts[0].name in listed(), 60, "the agent in the list")
            assert " up " in listed()
            for program in (conductor, api, agent):
                assert SECRET not in program.output()
                assert "Traceback" not in program.output()
            login = nova_clients.Login(cloud.url, "admin", PASSWORD, "admin").options()
            guides = Guides(controller, tmp_path)
            guides.read_by_token(port, login)
            guides.operate()
            guides.change_the_interval(agent, agent_conf, lab.hosts[0].name)
