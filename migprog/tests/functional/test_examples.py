# SPDX-License-Identifier: Apache-2.0
"""The examples of ``doc/source/automation.rst``: the unit by systemd and over a real API, the
playbook by a real Ansible, with a stand-in for OpenStackClient's commands to Nova."""

import configparser
import contextlib
import json
import os
import pathlib
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping

import pytest

from migprog import objects
from migprog.cli.exit_status import Exit
from migprog.core.status import Status
from migprog.tests.fixtures import migrations

pytestmark = [pytest.mark.functional, pytest.mark.timeout(600)]

_ROOT = pathlib.Path(__file__).resolve().parents[3]
_BIN = pathlib.Path(sys.executable).parent
_UNIT = _ROOT / "etc/examples/systemd/migprog-wait-migrations.service"
_PLAYBOOKS = _ROOT / "etc/examples/ansible"
# To try it with an environment that is there already.
_ENVIRONMENT = os.environ.get("MIGPROG_ANSIBLE_ENVIRONMENT")
_HOST = "compute-1"
_SECONDS = 60


def _unit(text: str) -> Mapping[str, Mapping[str, str]]:
    unit = configparser.ConfigParser(strict=False, interpolation=None, delimiters="=")
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    return unit


def _commands() -> list[list[str]]:
    """The unit's ExecStop and the one that it has as a comment, with this environment's
    programs."""
    lines = [
        line.removeprefix("# ").partition("=")[2]
        for line in _UNIT.read_text().splitlines()
        if line.removeprefix("# ").startswith("ExecStop=")
    ]
    assert len(lines) == 2
    found = [shlex.split(line.replace("%H", _HOST)) for line in lines]
    return [[str(_BIN / pathlib.Path(each[0]).name), *each[1:]] for each in found]


def test_systemd_accepts_the_unit(tmp_path: pathlib.Path) -> None:
    """But for the programs, which are in this environment here."""
    unit = tmp_path / _UNIT.name
    unit.write_text(_UNIT.read_text().replace("/usr/bin/openstack", str(_BIN / "openstack")))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_unit_stops_before_what_it_protects() -> None:
    text = _UNIT.read_text()
    after = {
        each
        for line in text.splitlines()
        if line.startswith("After=")
        for each in line.partition("=")[2].split()
    }
    unit = _unit(text)
    assert set(unit["Unit"]["PartOf"].split()) < after
    assert {"network-online.target", "libvirt-guests.service", "migprog-compute.service"} < after


def test_unit_leaves_the_command_its_own_timeout() -> None:
    service = _unit(_UNIT.read_text())["Service"]
    for command in _commands():
        timeout = int(command[command.index("--timeout") + 1])
        assert timeout < int(service["TimeoutStopSec"])


@pytest.mark.parametrize("command", _commands(), ids=lambda command: pathlib.Path(command[0]).name)
def test_commands_of_the_unit_wait_for_the_hosts_migrations(
    command: list[str], store: objects.Store, api: str
) -> None:
    environment = os.environ | {
        "MIGPROG_URL": api,
        "OS_AUTH_TYPE": "none",
        "OS_ENDPOINT": api,
        "OS_MIGRATION_PROGRESS_ENDPOINT_OVERRIDE": api,
    }
    migrations.heartbeat(store, _HOST)
    leaving = migrations.running(1)
    migrations.store(store, leaving, host=_HOST)
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert " listed " in process.stdout.readline()
            assert process.poll() is None
            migrations.store(store, migrations.ended(leaving), host=_HOST)
            assert process.wait(_SECONDS) == 0
        finally:
            process.kill()
        assert f"no migration touches host {_HOST}" in process.stderr.read()


@pytest.fixture(scope="module")
def ansible(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Where Ansible's programs are."""
    if _ENVIRONMENT is not None:
        return pathlib.Path(_ENVIRONMENT) / "bin"
    environment = tmp_path_factory.mktemp("ansible") / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    tools = ["ansible-core>=2.17", "ansible-lint>=24"]
    command = [str(environment / "bin/python"), "-m", "pip", "install", "-q", *tools]
    subprocess.run(command, check=True)
    return environment / "bin"


@pytest.mark.long
@pytest.mark.parametrize(
    "command",
    [
        "ansible-playbook --syntax-check -i localhost, drain-and-reboot.yml",
        "ansible-lint --offline --profile production drain-and-reboot.yml migrate.yml",
    ],
)
def test_ansible_accepts_the_playbook(
    ansible: pathlib.Path, command: str, tmp_path: pathlib.Path
) -> None:
    for each in _PLAYBOOKS.glob("*.yml"):
        (tmp_path / each.name).write_text(each.read_text())
    program, *arguments = command.split()
    done = subprocess.run(
        [str(ansible / program), *arguments],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{ansible}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# OpenStackClient as far as it asks Nova: what it is called with goes to a file, servers are in
# another. For "migration progress" it is migprog's real command.
_OPENSTACK = """#!{python}
import json, os, pathlib, sys
here, words = pathlib.Path({directory!r}), sys.argv[1:]
with (here / "log").open("a") as log:
    log.write(json.dumps(words) + "\\n")
if words[:2] == ["migration", "progress"]:
    words = words[2:]
    if words[:2] == ["wait", "host"]:
        words[:2] = ["wait-host"]
    os.execv({migprog!r}, [{migprog!r}, "--url", {api!r}, *words, "--interval", "0.5"])
if words[:2] == ["server", "list"]:
    print((here / "servers").read_text(), end="")
"""


class Cloud:
    """The stand-in's calls, and the servers of the host."""

    def __init__(self, directory: pathlib.Path, store: objects.Store, api: str) -> None:
        self._directory = directory
        self._store = store
        self.openstack = directory / "openstack"
        values = {"directory": str(directory), "migprog": str(_BIN / "migprog"), "api": api}
        self.openstack.write_text(_OPENSTACK.format(python=sys.executable, **values))
        self.openstack.chmod(0o755)
        (directory / "log").touch()

    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self._directory / "log").read_text().splitlines()]

    def has(self, *servers: str) -> None:
        text = "".join(f"{each}\n" for each in servers)
        (self._directory / "servers").write_text(text)

    @contextlib.contextmanager
    def migrating(self, outcomes: Mapping[str, Status]) -> Iterator[None]:
        """Migrate each server that is asked for, to its outcome."""
        ended = threading.Event()
        left = dict(outcomes)
        self.has(*left)

        def migrate() -> None:
            while not ended.wait(0.1):
                asked = [words[-1] for words in self.calls() if words[:2] == ["server", "migrate"]]
                for server in asked:
                    if server in left:
                        status = left.pop(server)
                        number = int(server[-4:])
                        report = migrations.running(number, started_at=time.time())
                        migrations.store(self._store, report, host=_HOST)
                        migrations.store(self._store, migrations.ended(report, status), host=_HOST)
                        if status is Status.COMPLETED:
                            self.has(*left)

        thread = threading.Thread(target=migrate)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


_SERVERS = [f"00000000-0000-0000-0000-{number:012d}" for number in (1, 2)]


@pytest.mark.long
@pytest.mark.parametrize("second", [Status.COMPLETED, Status.FAILED])
def test_playbook_drains_a_host_and_stops_at_a_failure(
    ansible: pathlib.Path,
    store: objects.Store,
    api: str,
    tmp_path: pathlib.Path,
    second: Status,
) -> None:
    cloud = Cloud(tmp_path, store, api)
    migrations.heartbeat(store, _HOST)
    arguments = [
        *("-i", f"{_HOST},", "-e", f"openstack_command={cloud.openstack}"),
        *("-e", "ansible_connection=local", "--skip-tags", "reboot"),
    ]
    with cloud.migrating({_SERVERS[0]: Status.COMPLETED, _SERVERS[1]: second}):
        done = subprocess.run(
            [str(ansible / "ansible-playbook"), *arguments, "drain-and-reboot.yml"],
            cwd=_PLAYBOOKS,
            env=os.environ | {"ANSIBLE_LOCAL_TEMP": str(tmp_path / "ansible")},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    has_failed = second is Status.FAILED
    assert (done.returncode != 0) is has_failed, done.stdout + done.stderr
    calls = [" ".join(words) for words in cloud.calls()]
    begun = [
        f"compute service set --disable --disable-reason reboot {_HOST} nova-compute",
        f"migration progress wait host {_HOST} --timeout 7200",
        f"server list --all-projects --host {_HOST} -f value -c ID",
    ]
    for server in _SERVERS:
        begun += [
            f"server migrate --live-migration {server}",
            f"migration progress watch --until-done {server} --start-timeout 120 --timeout 7200",
        ]
    over = [*begun[1:3], f"compute service set --enable {_HOST} nova-compute"]
    assert calls == (begun if has_failed else begun + over)
    if has_failed:
        assert f'"rc": {Exit.FAILED.value}' in done.stdout


def test_pages_words_are_the_files() -> None:
    """The page copies a unit and runs a playbook that are there."""
    page = (_ROOT / "doc/source/automation.rst").read_text()
    for path in (_UNIT, *_PLAYBOOKS.glob("*.yml")):
        assert path.name in page
