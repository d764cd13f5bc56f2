# SPDX-License-Identifier: Apache-2.0
"""``openstack migration progress``: the plug-in in a real client, by a real Keystone and API."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lab.parts import keystone, processes
from lab.parts.keystone import PASSWORD, Keystone
from migprog import objects
from migprog.tests import stores
from migprog.tests.fixtures import migrations
from migprog.tests.functional import nova_clients
from migprog.tests.functional.cli import terminal
from migprog.tests.functional.nova_clients import Login
from migprog.tests.functional.test_keystone import serving

pytestmark = [pytest.mark.functional, pytest.mark.timeout(280)]

ROOT = pathlib.Path(__file__).resolve().parents[3]
OPENSTACK = str(pathlib.Path(sys.executable).with_name("openstack"))
LIST = "migration progress list"


@dataclasses.dataclass(frozen=True)
class Cloud:
    keystone: Keystone
    api: str
    store: objects.Store
    projects: dict[str, str]

    def login(self, user: str, project: str) -> Login:
        return Login(self.keystone.url, user, PASSWORD, project)


@pytest.fixture(scope="module")
def cloud(
    keystone_files: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    """A cloud with a migration of each of two projects, and one that has ended."""
    directory = tmp_path_factory.mktemp("cloud")
    database = f"sqlite:///{directory / 'migprog.sqlite'}"
    (port,) = processes.free_ports(1)
    with keystone.serving(keystone_files, keystone_files) as identity:
        projects = {name: identity.new_project(name) for name in ("red", "blue", "service")}
        identity.new_user("reader", "reader", projects["red"])
        identity.new_user("migprog", "service", projects["service"])
        identity.new_endpoint("identity", identity.url)
        identity.new_endpoint("migration-progress", f"http://127.0.0.1:{port}")
        store = stores.ready(database)
        migrations.heartbeat(store)
        migrations.heartbeat(store, "compute-2")
        red = migrations.running(1, project_id=projects["red"], **migrations.NOT_CONVERGING)
        blue = migrations.running(2, project_id=projects["blue"])
        gone = migrations.running(3, project_id=projects["red"])
        for report in (red, blue, gone):
            migrations.store(store, report)
        migrations.store(store, migrations.ended(gone))
        with serving(directory, database, identity.authtoken(), port) as api:
            yield Cloud(identity, api, store, projects)
        store.close()


def test_operator_sees_all_projects_and_hosts(cloud: Cloud) -> None:
    admin = cloud.login("admin", "admin")
    listed, of_red, long, shown, points = nova_clients.json_of(
        admin,
        [
            LIST,
            f"{LIST} --project red",
            f"{LIST} --all --long --sort started_at:asc",
            "migration progress show server-1",
            "migration progress history server-3",
        ],
    )
    assert [row["Server"] for row in listed] == ["server-1", "server-2"]
    assert {row["Source"] for row in listed} == {"compute-1"}
    assert [row["Server"] for row in of_red] == ["server-1"]
    assert {row["Server"] for row in long} == {"server-1", "server-2", "server-3"}
    assert shown["downtime_needed_seconds"] == 2.3
    assert "arrived_at" in shown
    assert points[-1]["Status"] == "completed"


def test_user_sees_the_own_project_without_hosts(cloud: Cloud) -> None:
    reader = cloud.login("reader", "red")
    listed, refused, by_host = nova_clients.run_openstack(
        reader,
        f"{LIST} -f json",
        f"{LIST} --project {cloud.projects['blue']}",
        f"{LIST} --host compute-1",
    )
    (row,) = listed.shown
    assert (row["Server"], row["Source"]) == ("server-1", None)
    for answer in (refused, by_host):
        assert answer.code == 1
        assert "(HTTP 403)" in answer.err and "Request-ID: req-" in answer.err


def test_commands_that_wait_end_by_their_documented_statuses(cloud: Cloud) -> None:
    admin = cloud.login("admin", "admin")
    done, timeout, host, empty = nova_clients.run_openstack(
        admin,
        "migration progress watch --until-done server-3",
        "migration progress watch -f json --timeout 0",
        "migration progress wait host compute-1 --timeout 0",
        "migration progress wait host compute-2",
    )
    assert (done.code, timeout.code, host.code, empty.code) == (0, 6, 6, 0)
    assert "has ended: completed" in done.err
    lines = [json.loads(line) for line in timeout.out.splitlines()]
    assert {line["event"] for line in lines} == {"listed"}
    assert "no migration touches host compute-2" in empty.err


def test_microversion_is_the_one_that_is_asked_for(cloud: Cloud) -> None:
    version = "--os-migration-progress-api-version"
    old, unknown, nonsense = nova_clients.run_openstack(
        cloud.login("admin", "admin"),
        f"{version} 1.0 migration progress show server-1 -f json",
        f"{version} 1.999 {LIST}",
        f"{version} 1.x {LIST}",
    )
    assert "arrived_at" not in old.shown
    assert (unknown.code, nonsense.code) == (1, 1)
    assert "1.999 is not supported" in unknown.err
    assert "'1.x' must be 1, or a microversion" in nonsense.err


def _openstack(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    given = {k: v for k, v in os.environ.items() if not k.startswith("OS_")}
    return subprocess.run(
        [OPENSTACK, *words],
        env=given | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_endpoint_is_overridden_by_environment_and_clouds_yaml(
    cloud: Cloud, tmp_path: pathlib.Path
) -> None:
    (nowhere,) = processes.free_ports(1)
    clouds = tmp_path / "clouds.yaml"
    text = "clouds:\n  here:\n    migration_progress_endpoint_override: {}/\n    auth:\n"
    login = cloud.login("admin", "admin").options()
    text += "".join(f"      {name}: {value}\n" for name, value in login.items())
    named = {"OS_CLOUD": "here", "OS_CLIENT_CONFIG_FILE": str(clouds)}
    override = "OS_MIGRATION_PROGRESS_ENDPOINT_OVERRIDE"

    clouds.write_text(text.format(cloud.api))
    done = _openstack(*LIST.split(), "-f", "value", "-c", "Server", **named)
    assert done.stdout.split() == ["server-1", "server-2"], done.stderr
    clouds.write_text(text.format(f"http://127.0.0.1:{nowhere}"))
    done = _openstack(*LIST.split(), **named)
    assert done.returncode == 1 and f"127.0.0.1:{nowhere}" in done.stderr
    # What is in the environment comes first.
    done = _openstack(*LIST.split(), "-f", "json", **named, **{override: cloud.api})
    assert len(json.loads(done.stdout)) == 2


def test_without_keystone_the_endpoint_is_enough(tmp_path: pathlib.Path) -> None:
    """``--os-auth-type none``, as for ``migprog-standalone``; no API answers there."""
    (port,) = processes.free_ports(1)
    endpoint = {"OS_AUTH_TYPE": "none", "OS_ENDPOINT": f"http://127.0.0.1:{port}"}
    done = _openstack(*LIST.split(), **endpoint)
    assert done.returncode == 1
    assert f"http://127.0.0.1:{port}/migrations" in done.stderr


def test_completion_and_help_have_the_commands() -> None:
    done = _openstack("complete")
    assert "cmds_migration_progress='advice history list show wait watch'" in done.stdout
    assert "--until-done" in done.stdout
    assert "those in trouble first" in _openstack("help", "migration", "progress", "watch").stdout


def test_services_do_without_the_client() -> None:
    needed = (ROOT / "requirements.txt").read_text()
    assert "openstackclient" not in needed and "cliff" not in needed and "rich" not in needed
    code = "import sys, migprog.api.app, migprog.conductor.service, migprog.compute.agent; "
    code += "print([m for m in ('cliff', 'rich', 'osc_lib', 'migprog.cli') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_watch_within_openstack_is_live_on_a_terminal(cloud: Cloud) -> None:
    login = cloud.login("admin", "admin").options()
    words = [
        word for name, value in login.items() for word in ("--os-" + name.replace("_", "-"), value)
    ]
    with terminal.running(OPENSTACK, *words, "migration", "progress", "watch") as watching:
        watching.wait_for_text("2 in progress, 1 in trouble (1 not-converging)")
        watching.wait_for_text("needs a downtime limit of 2.3s")
        assert watching.interrupt() == 130
