# SPDX-License-Identifier: Apache-2.0
"""The commands of README and guides, as a reader types them, with real parts.

``migprog/tests/documents.txt`` says which test runs which block; those of a controller and a
hypervisor are in ``test_install``, those of Nova's clients in ``test_nova_clients``.
"""

import contextlib
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import libvirt
import pytest
import requests
import sqlalchemy as sa

from lab.hosts import Guest, Lab, NovaMetadata
from lab.parts import processes
from lab.parts.databases import Server as DatabaseServer
from lab.parts.deployment import wait_for_output
from migprog import objects
from migprog.core.status import Status
from migprog.tests import documents, stores
from migprog.tests.documents import BIN, ROOT
from migprog.tests.functional.cli.test_cli import fill
from migprog.tests.functional.test_api import serving

pytestmark = [pytest.mark.functional, pytest.mark.timeout(280)]

_URL = "http://127.0.0.1:8790"
_VENV = "/opt/migprog/bin"
# Packages come from an index, and one is compiled.
_INSTALL_SECONDS = 400


def shell(page: str, name: str, ours: dict[str, str]) -> list[str]:
    """A block as one command, for what goes on until it is ended."""
    return ["bash", "-c", f"exec {documents.script(page, name, ours)}"]


@pytest.mark.usefixtures("measuring_may_act")
def test_demo_runs_and_is_kept(tmp_path: pathlib.Path) -> None:
    demo = {"tools/demo": f"{sys.executable} -m lab.demo"}
    assert documents.script("README.rst", "readme-demo", demo) == demo["tools/demo"]
    assert documents.script("first-steps.rst", "first-demo", demo) == demo["tools/demo"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    with processes.running(
        shell("first-steps.rst", "first-keep", demo), tmp_path, environment
    ) as kept:
        # The last thing that it prints is what to try.
        wait_for_output(kept, "Ctrl-C")
        (url, *_) = re.findall(r"http://127\.0\.0\.1:\d+", kept.output())
        out = documents.run(
            "first-steps.rst", "first-look", {_URL: url, ".venv/bin": str(BIN)}, directory=tmp_path
        )
        assert requests.get(f"{url}/ui/", timeout=10).status_code == 200
        assert f"{url}/ui/" in kept.output()
        tried = documents.run(
            "first-steps.rst",
            "first-forecast",
            {".venv/bin": str(BIN)},
            {"MIGPROG_URL": url},
            directory=tmp_path,
        )
        kept.process.send_signal(signal.SIGINT)
    assert "cancelled" in out and "completed" in out
    assert "| memory_total_bytes" in out
    assert "| converges " in tried and "| database " in tried and "not-measured" not in tried


@contextlib.contextmanager
def _standalone(lab: Lab, directory: pathlib.Path) -> Iterator[str]:
    (port,) = processes.free_ports(1)
    ours = {
        _VENV: str(BIN),
        "qemu:///system": lab.hosts[0].uri,
        "/var/lib/migprog-try": f"{directory / 'state'} --bind-port {port}",
    }
    with processes.running(
        shell("first-steps.rst", "first-standalone", ours), directory
    ) as running:
        processes.wait_for_port(port, 60, running)
        yield f"127.0.0.1:{port}"


def test_first_steps_and_verdict_guide_bring_a_migration_to_its_end(
    lab: Lab, tmp_path: pathlib.Path
) -> None:
    source, destination = lab.hosts
    # It writes 5 times as much as may be sent, and needs a downtime of a second.
    guest = Guest("web", 48, 24, 8, segments=((1000, 40.0),), nova=NovaMetadata("web"))
    virsh = {"LIBVIRT_DEFAULT_URI": source.uri}
    domain = {"instance-0000002a": guest.name}
    with _standalone(lab, tmp_path) as api:
        watching = os.environ | {"MIGPROG_URL": f"http://{api}"}
        watch = shell("first-steps.rst", "first-watch", {_VENV: str(BIN)})
        server = lab.start_guest(source, guest)
        migration = lab.migrate(server, source, destination, bandwidth_mib_s=8)
        with processes.running(watch, tmp_path, watching) as view:
            wait_for_output(view, "not-converging")
        shown = documents.run(
            "verdict-guide.rst", "verdict-show", environment={"MIGPROG_URL": f"http://{api}"}
        )
        assert "downtime_needed_seconds" in shown and "no longer shrinks" in shown
        said = documents.run("verdict-guide.rst", "verdict-jobinfo", domain, virsh)
        assert "Data remaining:" in said
        # As much as the page's 1000 would end it.
        documents.run("verdict-guide.rst", "verdict-bandwidth", domain | {" 1000": " 9"}, virsh)
        assert migration.running
        documents.run("verdict-guide.rst", "verdict-downtime", domain, virsh)
        assert migration.wait(60).completed
        ours = {_VENV: str(BIN), "127.0.0.1:8790": api}
        # The end may be on its way.
        processes.wait_for(
            lambda: requests.get(f"http://{api}/migrations?status=completed", timeout=10).json()[
                "migrations"
            ],
            30,
            "the record of the end",
        )
        ended = documents.run(
            "first-steps.rst", "first-records", ours, {"MIGPROG_URL": f"http://{api}"}
        )
        assert "| web " in ended and '"status":"completed"' in ended.replace(": ", ":")


def _is_lost(domain: libvirt.virDomain) -> bool:
    """Lose a migration in post-copy; return whether that was possible."""
    with contextlib.suppress(libvirt.libvirtError):
        return bool(domain.abortJobFlags(libvirt.VIR_DOMAIN_ABORT_JOB_POSTCOPY) == 0)
    return False


def test_lost_post_copy_is_resumed_as_documented(lab: Lab) -> None:
    source, destination = lab.hosts
    guest = Guest("paused", 48, 40, 8, segments=((1000, 4.0),))
    server = lab.start_guest(source, guest)
    migration = lab.migrate(server, source, destination, bandwidth_mib_s=4, post_copy=True)
    migration.wait_for(lambda stats: stats.get("memory_processed", 0) > 0)
    with source.connect() as connection:
        domain = connection.lookupByName(guest.name)
        domain.migrateStartPostCopy()
        processes.wait_for(
            lambda: domain.state()[1] == libvirt.VIR_DOMAIN_PAUSED_POSTCOPY, 30, "post-copy"
        )
        # QEMU is in post-copy a moment after libvirt says so.
        processes.wait_for(lambda: _is_lost(domain), 30, "the loss of post-copy")
        processes.wait_for(
            lambda: domain.state()[1] == libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED,
            30,
            "the loss of the connection",
        )
    with destination.connect() as connection:
        there = connection.lookupByName(guest.name)
        processes.wait_for(
            lambda: there.state()[1] == libvirt.VIR_DOMAIN_RUNNING_POSTCOPY_FAILED,
            30,
            "the loss of the connection at the destination",
        )
    documents.run(
        "verdict-guide.rst",
        "verdict-resume",
        {"instance-0000002a": guest.name, "qemu+tcp://compute-2/system": destination.uri},
        {"LIBVIRT_DEFAULT_URI": source.uri},
    )
    with destination.connect() as connection:
        assert connection.lookupByName(guest.name).state()[0] == libvirt.VIR_DOMAIN_RUNNING


@pytest.fixture
def filled(tmp_path: pathlib.Path) -> Iterator[str]:
    """An API over the migrations of ``test_cli``."""
    database = f"sqlite:///{tmp_path / 'migprog.sqlite'}"
    store = stores.ready(database)
    fill(store)
    store.close()
    with serving(tmp_path, database, "threading") as (base, _program):
        yield base


def test_commands_of_the_command_line_guide(filled: str, tmp_path: pathlib.Path) -> None:
    environment = {"MIGPROG_URL": filled}
    web = {" web": " server-1", "PROJECT": "p-other"}
    listed = documents.run("cli.rst", "cli-list", web, environment)
    assert "server-2" in listed and "p-other" not in listed
    ours = {"sudo tee /etc/bash_completion.d": f"tee {tmp_path}"}
    documents.run("cli.rst", "cli-completion", ours, environment)
    written = "".join(path.read_text() for path in tmp_path.glob("migprog")) + "".join(
        path.read_text() for path in tmp_path.glob("osc*")
    )
    assert "--until-done" in written
    for command in documents.script("cli.rst", "cli-watch", web).splitlines():
        # Until Ctrl-C, as the page says: here for a moment. 6 is "not over in time".
        done = subprocess.run(
            [str(BIN / "migprog"), *shlex.split(command)[1:], "--timeout", "0"],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 6, done.stderr
        assert "server-" in done.stdout


def _client(server: DatabaseServer, home: pathlib.Path) -> dict[str, str]:
    """How the database's own programs find it, as an operator has set it up."""
    url = sa.make_url(server.admin_url)
    (home / ".my.cnf").write_text(
        f"[client]\nprotocol = tcp\nhost = {url.host}\nport = {url.port}\nuser = {url.username}\n"
    )
    return {
        "HOME": str(home),
        "PGHOST": url.host,
        "PGPORT": str(url.port),
        "PGUSER": url.username,
    }


@pytest.mark.parametrize(
    ("server", "backup", "restore"),
    [
        ("mariadb_server", "backup-mysql", "restore-mysql"),
        ("postgresql_server", "backup-postgresql", "restore-postgresql"),
    ],
)
def test_restored_database_continues(
    server: str, backup: str, restore: str, request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> None:
    """What was dumped is back; a migration that has gone on goes on, one that the dump lacks
    appears, one whose end was acknowledged meanwhile is shown in progress."""
    running: DatabaseServer = request.getfixturevalue(server)
    running.execute("CREATE DATABASE migprog")
    url = sa.make_url(running.admin_url).set(database="migprog")
    address = url.render_as_string(hide_password=False)
    environment = _client(running, tmp_path)
    store = stores.ready(address)
    try:
        going, new, over, old = (stores.report(started_at=time.time() - 60) for _ in range(4))
        stores.store(store, going, over, old)
        stores.store(store, stores.later(old, status=Status.COMPLETED, ended_at=time.time()))
        documents.run("backup.rst", backup, environment=environment, directory=tmp_path)
        stores.store(store, new, stores.later(going, 2))
        stores.store(store, stores.later(over, status=Status.COMPLETED, ended_at=time.time()))
        store.close()
        documents.run("backup.rst", restore, environment=environment, directory=tmp_path)
        config = tmp_path / "migprog.conf"
        config.write_text(f"[database]\nconnection = {address}\n")
        ours = {"migprog-manage": f"migprog-manage --config-file {config}"}
        documents.run("backup.rst", "restore-sync", ours)
        store = stores.ready(address)
        assert {each.uuid for each in objects.Migration.list(store)} == {
            each.uuid for each in (going, over, old)
        }
        stores.store(store, stores.later(going, 7, percent=77), stores.later(new, 3))
        known = {each.uuid: each for each in objects.Migration.list(store)}
        assert known[going.uuid].percent == 77
        assert known[new.uuid].status == Status.RUNNING
        assert known[over.uuid].in_progress and not known[old.uuid].in_progress
    finally:
        store.close()
        running.drop_database("migprog")


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_checkout_installs_as_documented(tmp_path: pathlib.Path) -> None:
    """Into an environment of its own, from this checkout; system packages are only looked up."""
    venv = tmp_path / "migprog"
    pip = {"/opt/migprog": str(venv), "apt-get install": "apt-get install --simulate"}
    documents.run("first-steps.rst", "first-install", pip, seconds=_INSTALL_SECONDS)
    for name in ("migprog", "migprog-standalone", "migprog-replay"):
        assert (venv / "bin" / name).exists()
    pip = {"pip": str(venv / "bin/pip")}
    documents.run("cli.rst", "cli-install", pip, seconds=_INSTALL_SECONDS)
    assert (venv / "bin/openstack").exists()
    documents.run(
        "install.rst",
        "/opt/migprog/bin/pip install",
        {"/opt/migprog": str(venv)},
        seconds=_INSTALL_SECONDS,
    )
