# SPDX-License-Identifier: Apache-2.0
"""``openstack migration progress``: the plug-in in a real client, by a real Keystone and API."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import pytest

from lab.parts import keystone, processes
from lab.parts.keystone import PASSWORD, Keystone
from migprog import objects
from migprog.tests import documents, stores
from migprog.tests.fixtures import migrations
from migprog.tests.functional import nova_clients
from migprog.tests.functional.cli import terminal
from migprog.tests.functional.nova_clients import Login
from migprog.tests.functional.test_keystone import serving

pytestmark = [pytest.mark.functional, pytest.mark.timeout(280)]

ROOT = pathlib.Path(__file__).resolve().parents[3]
OPENSTACK = str(pathlib.Path(sys.executable).with_name("openstack"))
LIST = "migration progress list"
# Who had the migration of server-3 aborted, which libvirt refused.
WHO = {"user_id": "the-operator", "project_id": "operators", "request_id": "req-of-the-operator"}


@dataclasses.dataclass(frozen=True)
class Cloud:
    keystone: Keystone
    api: str
    store: objects.Store
    projects: dict[str, str]

    def login(self, user: str, project: str) -> Login:
        return Login(self.keystone.url, user, PASSWORD, project)


def _end_another(cloud: Cloud) -> None:
    """Have a migration of server-3 end now: a command that waits knows those of the last minute."""
    another = migrations.running(3, uuid=str(uuid.uuid4()), project_id=cloud.projects["red"])
    migrations.store(cloud.store, another)
    migrations.store(cloud.store, migrations.ended(another))


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
        for host in ("compute-1", "compute-2"):
            # However long the tests take, no agent is silent.
            migrations.heartbeat(store, host, every_seconds=3600.0)
        red = migrations.running(1, project_id=projects["red"], **migrations.NOT_CONVERGING)
        blue = migrations.running(2, project_id=projects["blue"])
        aborted = ({"after_seconds": 20.0, "action": "abort", "state": "failed", **WHO},)
        gone = migrations.running(3, project_id=projects["red"], actions=aborted)
        for report in (red, blue, gone):
            migrations.store(store, report)
        # Long ago: a command that waits knows those of the last minute.
        at = time.time() - 300
        migrations.store(store, migrations.ended(gone, ended_at=at, sampled_at=at))
        with serving(directory, database, identity.authtoken(), port) as api:
            yield Cloud(identity, api, store, projects)
        store.close()


def test_operator_sees_all_projects_and_hosts(cloud: Cloud) -> None:
    admin = cloud.login("admin", "admin")
    listed, of_red, long, shown, points, summary = nova_clients.json_of(
        admin,
        [
            LIST,
            f"{LIST} --project red",
            f"{LIST} --all --long --sort started_at:asc",
            "migration progress show server-1",
            "migration progress history server-3",
            "migration progress summary server-3",
        ],
    )
    assert [row["Server"] for row in listed] == ["server-1", "server-2"]
    assert {row["Source"] for row in listed} == {"compute-1"}
    assert [row["Server"] for row in of_red] == ["server-1"]
    assert {row["Server"] for row in long} == {"server-1", "server-2", "server-3"}
    assert shown["downtime_needed_seconds"] == 2.3
    assert "arrived_at" in shown
    assert points[-1]["Status"] == "completed"
    assert summary["outcome"].startswith("completed after ")


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


def test_who_asked_for_an_action_is_shown_to_operators_alone(cloud: Cloud) -> None:
    """By every command of both programs that shows a migration."""
    of_server = ["show", "history", "history --long", "summary", "summary --long", "watch"]
    commands = [
        f"{each} server-3 -f json".replace("watch", "watch --timeout 0") for each in of_server
    ]
    commands += ["list --all --long -f json", "advice -f json", "watch --timeout 0 -f json"]
    shown = {
        user: [
            answer.out + answer.err
            for answer in nova_clients.run_openstack(
                login, *(f"migration progress {each}" for each in commands)
            )
        ]
        for user, login in (
            ("reader", cloud.login("reader", "red")),
            ("admin", cloud.login("admin", "admin")),
        )
    }
    for command, text in zip(commands, shown["reader"], strict=True):
        assert not [name for name in WHO.values() if name in text], command
    assert "abort" in shown["reader"][0] and "by an operator" in shown["reader"][3]
    assert all(name in shown["admin"][0] for name in WHO.values())
    assert "by user the-operator" in shown["admin"][3]


def test_commands_that_wait_end_by_their_documented_statuses(cloud: Cloud) -> None:
    admin = cloud.login("admin", "admin")
    _end_another(cloud)
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


def _environment(login: Login) -> dict[str, str]:
    options = {f"OS_{name.upper()}": value for name, value in login.options().items()}
    return options | {"OS_IDENTITY_API_VERSION": "3"}


def test_script_of_the_manual_waits_for_the_end(cloud: Cloud) -> None:
    """Without its first line, which only a Nova answers."""
    migrate, wait = documents.script("cli.rst", "cli-until-done", {}).splitlines()
    assert migrate.startswith("openstack server migrate --live-migration")
    _end_another(cloud)
    done = subprocess.run(
        ["bash", "-c", wait.replace(" web ", " server-3 ")],
        env=os.environ
        | _environment(cloud.login("admin", "admin"))
        | {"PATH": f"{documents.BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, "not migrated" in done.stdout) == (0, False), done.stderr
    assert "has ended: completed" in done.stderr


def test_catalog_of_the_manual_leads_to_the_api(cloud: Cloud) -> None:
    admin = cloud.login("admin", "admin")
    ours = {"http://controller:8790": cloud.api}
    # As each cloud has it.
    (region,) = nova_clients.run_openstack(admin, "region create RegionOne")
    assert region.code == 0, region.err
    documents.run("cli.rst", "cli-catalog", ours, _environment(admin))
    (listed,) = nova_clients.json_of(admin, [f"--os-region-name RegionOne {LIST}"])
    assert [row["Server"] for row in listed] == ["server-1", "server-2"]


def test_command_of_the_pages_manual_issues_a_token(cloud: Cloud) -> None:
    documents.run("page.rst", "page-token", {}, _environment(cloud.login("admin", "admin")))


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
    return _run(OPENSTACK, *words, **environment)


def _run(program: str, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    given = {k: v for k, v in os.environ.items() if not k.startswith("OS_")}
    return subprocess.run(
        [program, *words],
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


def test_migprog_logs_in_by_the_environment_and_clouds_yaml(
    cloud: Cloud, tmp_path: pathlib.Path
) -> None:
    """Without OpenStackClient; the address is Keystone's catalog's."""
    wanted = "list", "-f", "value", "-c", "Server"

    def migprog(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return _run(terminal.PROGRAM, *words, **environment)

    login = cloud.login("reader", "red").options()
    environment = {f"OS_{name.upper()}": value for name, value in login.items()}
    done = migprog(*wanted, **environment)
    assert done.stdout.split() == ["server-1"], done.stderr
    clouds = tmp_path / "clouds.yaml"
    text = "".join(f"      {name}: {value}\n" for name, value in login.items())
    clouds.write_text("clouds:\n  here:\n    auth:\n" + text)
    file = {"OS_CLIENT_CONFIG_FILE": str(clouds)}
    assert migprog("--os-cloud", "here", *wanted, **file).stdout.split() == ["server-1"]
    # An address that is given takes the token, too.
    assert migprog("--url", cloud.api, "summary", "server-3", **environment).returncode == 0
    refused = migprog("list", **environment | {"OS_PASSWORD": "wrong"})
    assert refused.returncode == 1 and "HTTP 401" in refused.stderr
    assert "Traceback" not in refused.stderr
    anonymous = migprog("--url", cloud.api, "list")

    assert anonymous.returncode == 1
    assert "A valid token is needed in X-Auth-Token. (HTTP 401)" in anonymous.stderr
    assert "no token was sent: use --os-cloud, or OS_AUTH_URL" in anonymous.stderr
    elsewhere = migprog("list", **environment | {"OS_REGION_NAME": "elsewhere"})
    assert (elsewhere.returncode, elsewhere.stderr) == (
        1,
        "public endpoint for migration-progress service in elsewhere region not found\n",
    )
    nowhere = migprog("--os-cloud", "there", "list", **file)
    assert nowhere.returncode == 1 and "there" in nowhere.stderr
    assert "Traceback" not in nowhere.stderr


def test_without_keystone_the_endpoint_is_enough() -> None:
    """``--os-auth-type none``, as for ``migprog-standalone``; no API answers there."""
    (port,) = processes.free_ports(1)
    ours = {"http://127.0.0.1:8790": f"http://127.0.0.1:{port}", "openstack ": f"{OPENSTACK} "}
    script = documents.script("cli.rst", "cli-without-keystone", ours)
    done = _run("bash", "-ec", script)
    assert done.returncode == 1
    assert f"http://127.0.0.1:{port}/migrations" in done.stderr


def test_completion_and_help_have_the_commands() -> None:
    done = _openstack("complete")
    assert (
        "cmds_migration_progress='advice forecast history list plan show summary wait watch'"
        in done.stdout
    )
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
        watching.wait_for_text("needs a downtime of 2.3 s")
        assert watching.interrupt() == 130
