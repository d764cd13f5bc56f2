# SPDX-License-Identifier: Apache-2.0
"""Real migrations that never converge are listed, shown, aborted and forced to complete by Nova's
unmodified clients: without a Keystone, and through a real one.

All run side by side in one lab. Without a Keystone it is migprog-api that is asked, with one it is
migprog.wsgi in another HTTP server, over one broker and one database.
"""

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Iterator
from typing import Any

import libvirt
import pytest
import requests

from lab.hosts import Guest, Lab, Migration, NovaMetadata, Server
from lab.parts import keystone, processes
from lab.parts.deployment import Deployment
from lab.parts.keystone import PASSWORD
from migprog.compute.libvirt import domain_actions
from migprog.compute.libvirt import host as compute_host
from migprog.compute.libvirt.loop_messages import ActionResult
from migprog.concurrency import Inbox
from migprog.core.actions import Action, Refusal
from migprog.tests import inboxes
from migprog.tests.functional import nova_clients
from migprog.tests.functional.nova_clients import Cloud, Login

pytestmark = [pytest.mark.functional, pytest.mark.timeout(600)]

ALONE, KEYSTONE = "alone", "keystone"
CLOUDS = (ALONE, KEYSTONE)
CLIENTS = ("openstack", "sdk", "novaclient")
# Without a Keystone the other clients act with --long only; test_nova_clients has them all.
BRIEFLY = [(ALONE, "sdk"), *((KEYSTONE, client) for client in CLIENTS)]
ABORT, FORCE = "abort", "force"
SLOW = "slow"
# Where those that are forced may switch to post-copy; the others are paused.
POST_COPY = {(ALONE, "sdk"), (KEYSTONE, "openstack"), (KEYSTONE, "novaclient")}
# Each dirties three times as much as may move: none ends by itself.
_GUEST = {"memory_mib": 24, "fill_mib": 12, "working_set_mib": 8, "segments": ((1000, 6.0),)}
_SLOW = {"memory_mib": 48, "fill_mib": 32, "working_set_mib": 32, "segments": ((1000, 9.0),)}
_MIB_S = 2


@dataclasses.dataclass
class Running:
    """A migration: the lab's, and its record as it was when it ran."""

    server: Server
    migration: Migration
    record: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def uuid(self) -> str:
        uuid: str = self.record["uuid"]
        return uuid


@dataclasses.dataclass
class Site:
    """``readers`` may see everything, ``operators`` are managers of the servers' project;
    ``running`` are migrations by cloud, client and what is to be done to them."""

    lab: Lab
    deployment: Deployment
    readers: dict[str, Cloud]
    operators: dict[str, Cloud]
    operator_id: str
    running: dict[tuple[str, str, str], Running]

    def told(self, text: str) -> list[str]:
        """What the source's agent has said of something."""
        return [
            line for line in self.deployment.agents["lab-a"].output().splitlines() if text in line
        ]

    def state(self, running: Running) -> list[int] | None:
        """The server's state at its source; None where it is gone."""
        with (
            self.lab.hosts[0].connect() as connection,
            contextlib.suppress(libvirt.libvirtError),
        ):
            domain = connection.lookupByUUIDString(running.server.uuid)
            state: list[int] = domain.state()
            return state
        return None

    def is_aborted(self, running: Running) -> None:
        outcome = running.migration.wait(30)
        assert not outcome.completed
        record = self.deployment.wait_for_end(running.server.uuid)
        assert (record["uuid"], record["status"]) == (running.uuid, "cancelled")
        assert self.state(running)[0] == libvirt.VIR_DOMAIN_RUNNING

    def is_completed(self, running: Running) -> dict[str, Any]:
        outcome = running.migration.wait(60)
        assert outcome.completed, outcome.error
        record = self.deployment.wait_for_end(running.server.uuid)
        assert (record["uuid"], record["status"]) == (running.uuid, "completed")
        assert record["dest_compute"] == "lab-b"
        with self.lab.hosts[1].connect() as connection:
            state = connection.lookupByUUIDString(running.server.uuid).state()
        assert state[0] == libvirt.VIR_DOMAIN_RUNNING
        return record


@pytest.fixture(scope="module")
def site(tmp_path_factory, rabbitmq, lab, keystone_files, pytestconfig) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("actions")
    database = f"sqlite:///{directory}/migprog.sqlite"
    with contextlib.ExitStack() as stack:
        identity = stack.enter_context(keystone.serving(keystone_files, directory))
        (port,) = processes.free_ports(1)
        project, service = identity.new_project("acting"), identity.new_project("service")
        operator_id = identity.new_user("operator", "manager", project)
        identity.new_user("reader", "admin", project)
        identity.new_user("migprog", "service", service)
        identity.new_endpoint("identity", identity.url)
        identity.new_endpoint("compute", f"http://127.0.0.1:{port}/v2.1")
        deployment = stack.enter_context(
            Deployment(directory, rabbitmq, database, "threading", allow_actions=True)
        )
        wsgi = deployment.another_api(port, identity.authtoken())
        for host in lab.hosts:
            deployment.agent(
                host,
                report_interval=0.5,
                heartbeat_interval=5,
                allow_actions=host is lab.hosts[0],
            )
        running = {}
        is_long = pytestconfig.getoption("--long")
        asking = list(itertools.product(CLOUDS, CLIENTS)) if is_long else BRIEFLY
        kinds = [(*who, what) for who in asking for what in (ABORT, FORCE)]
        kinds.append((ALONE, SLOW, SLOW))
        for number, kind in enumerate(kinds):
            size = _SLOW if SLOW in kind else _GUEST
            nova = NovaMetadata(f"act {number}", project_id=project, user_id=operator_id)
            server = lab.start_guest(lab.hosts[0], Guest(f"act-{number}", nova=nova, **size))
            stack.callback(lab.destroy_guest, server)
            post_copy = kind[2] == FORCE and kind[:2] in POST_COPY
            migration = lab.migrate(server, *lab.hosts, bandwidth_mib_s=_MIB_S, post_copy=post_copy)
            running[kind] = Running(server, migration)
        for each in running.values():
            each.record = deployment.wait_for(
                each.server.uuid, lambda r: r["phase"].startswith("memory"), "whose memory moves"
            )
        alone = f"{deployment.api}/v2.1"
        logins = {
            user: Login(identity.url, user, PASSWORD, "acting") for user in ("reader", "operator")
        }
        yield Site(
            lab,
            deployment,
            {ALONE: alone, KEYSTONE: logins["reader"]},
            {ALONE: alone, KEYSTONE: logins["operator"]},
            operator_id,
            running,
        )
        for program in (*deployment.agents.values(), deployment.api_program, wsgi):
            assert "Traceback" not in program.output()


def _cases(client: str) -> list[Any]:
    """The clouds where a client is tried."""
    return [
        pytest.param(cloud, marks=[pytest.mark.long] * ((cloud, client) not in BRIEFLY))
        for cloud in CLOUDS
    ]


@pytest.mark.parametrize("cloud", _cases("openstack"))
def test_openstack_lists_and_shows(site: Site, cloud: str) -> None:
    every = sorted((each.record for each in site.running.values()), key=lambda r: -r["id"])
    uuids = [record["uuid"] for record in every]
    one = every[3]
    server = one["server_uuid"]
    # Each filter has its test in test_nova_clients.
    lists = {"": uuids, f"--server {server}": [one["uuid"]], "--status completed": []}
    if cloud == KEYSTONE:
        # Without [nova] it is not known who asked for a migration.
        lists = {"": uuids, "--project acting --user operator": []}
    shows = [f"server migration show {server} {one['uuid']}", f"server show {server}"]
    *found, migration, shown = nova_clients.json_of(
        site.readers[cloud], [*(f"server migration list {each}" for each in lists), *shows]
    )
    listed = [[row["UUID"] for row in rows] for rows in found]
    assert dict(zip(lists, listed, strict=True)) == lists
    assert (migration["UUID"], migration["Status"]) == (one["uuid"], "running")
    assert migration["Memory Total Bytes"] == one["memory_total_bytes"]
    assert migration["Source Compute"] == "lab-a"
    assert (shown["status"], shown["name"]) == ("MIGRATING", one["server_name"])
    assert 0 < shown["progress"] < 100


@pytest.mark.parametrize("cloud", _cases("sdk"))
def test_sdk_lists_and_shows(site: Site, cloud: str) -> None:
    compute = nova_clients.sdk(site.readers[cloud])
    one = site.running[cloud, "sdk", ABORT].record
    assert {each.uuid for each in compute.migrations()} == {
        each.uuid for each in site.running.values()
    }
    assert [each.uuid for each in compute.migrations(server_id=one["server_uuid"])] == [one["uuid"]]
    (listed,) = compute.server_migrations(one["server_uuid"])
    shown = compute.get_server_migration(listed.id, one["server_uuid"])
    assert (shown.uuid, shown.memory_total_bytes) == (one["uuid"], one["memory_total_bytes"])
    assert compute.get_server(one["server_uuid"]).status == "MIGRATING"


@pytest.mark.parametrize("cloud", _cases("novaclient"))
def test_novaclient_lists_and_shows(site: Site, cloud: str) -> None:
    client = nova_clients.novaclient(site.readers[cloud], "2.80")
    one = site.running[cloud, "novaclient", ABORT].record
    assert len(client.migrations.list(status="running", host="lab-a")) == len(site.running)
    (listed,) = client.server_migrations.list(one["server_uuid"])
    shown = client.server_migrations.get(one["server_uuid"], listed.id)
    assert (shown.uuid, shown.memory_total_bytes) == (one["uuid"], one["memory_total_bytes"])
    assert client.servers.get(one["server_uuid"]).status == "MIGRATING"


def _by_openstack(cloud: Cloud, aborted: Running, forced: Running) -> None:
    for answer in nova_clients.run_openstack(
        cloud,
        f"server migration abort {aborted.server.uuid} {aborted.record['id']}",
        f"server migration force complete {forced.server.uuid} {forced.uuid}",
    ):
        assert (answer.code, answer.out, answer.err) == (0, "", "")


def _by_sdk(cloud: Cloud, aborted: Running, forced: Running) -> None:
    compute = nova_clients.sdk(cloud)
    compute.abort_server_migration(aborted.record["id"], aborted.server.uuid, ignore_missing=False)
    compute.force_complete_server_migration(forced.record["id"], forced.server.uuid)


def _by_novaclient(cloud: Cloud, aborted: Running, forced: Running) -> None:
    migrations = nova_clients.novaclient(cloud, "2.80").server_migrations
    migrations.live_migration_abort(aborted.server.uuid, aborted.record["id"])
    migrations.live_migrate_force_complete(forced.server.uuid, forced.record["id"])


ACTS = {"openstack": _by_openstack, "sdk": _by_sdk, "novaclient": _by_novaclient}


@pytest.mark.parametrize(
    ("client", "cloud"),
    [
        pytest.param(client, *each.values, marks=each.marks, id=f"{client}-{each.values[0]}")
        for client in ACTS
        for each in _cases(client)
    ],
)
def test_acts(site: Site, cloud: str, client: str) -> None:
    aborted, forced = (site.running[cloud, client, what] for what in (ABORT, FORCE))
    ACTS[client](site.operators[cloud], aborted, forced)
    site.is_aborted(aborted)
    record = site.is_completed(forced)
    how = "post-copy begins" if (cloud, client) in POST_COPY else "is paused until"
    if (cloud, client) not in POST_COPY:
        # What was left when it was paused had to move first.
        assert record["downtime_seconds"] > 0.3
    who = site.operator_id if cloud == KEYSTONE else "-"
    for done, name, words in ((aborted, ABORT, "aborted"), (forced, "force_complete", how)):
        begun, ended = site.told(
            f"{name} of migration {done.uuid}, for user '{who}', request 'req-"
        )
        assert begun.endswith(", is begun")
        assert ", is done: " in ended
        assert words in ended
        (entry,) = requests.get(
            f"{site.deployment.api}/servers/{done.server.uuid}/migrations/{done.uuid}",
            headers={"OpenStack-API-Version": "migration-progress latest"},
            timeout=30,
        ).json()["migration"]["actions"]
        # The end of an aborted one may have been reported before libvirt's answer came.
        assert entry["action"] == name and entry["state"] in ("begun", "done")
        assert entry["user_id"] == (site.operator_id if cloud == KEYSTONE else None)


def test_a_pause_that_takes_too_long_is_aborted(site: Site) -> None:
    """On our own API. libvirt has the server run again at its source."""
    slow = site.running[ALONE, SLOW, SLOW]
    address = f"{site.deployment.api}/servers/{slow.server.uuid}/migrations/{slow.uuid}"

    def force() -> requests.Response:
        return requests.post(f"{address}/action", json={"force_complete": None}, timeout=30)

    assert force().status_code == 202
    paused = [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION]
    assert site.state(slow) == paused
    record = site.deployment.wait_for(
        slow.server.uuid,
        lambda r: r["verdict_message"].startswith("guest paused") and r["eta_seconds"],
        "that is paused",
    )
    # 32 MiB, at 2 MiB/s, less what this pass has sent.
    assert record["phase"].startswith("memory-")
    assert record["eta_seconds"] > 0.5
    again = force()
    assert again.status_code == 409
    assert "the server is paused already" in again.json()["errors"][0]["detail"]
    assert requests.delete(address, timeout=30).status_code == 202
    site.is_aborted(slow)
    over = requests.delete(address, timeout=30)
    assert over.status_code == 409
    assert over.json()["errors"][0]["detail"] == (
        "Cannot abort the migration: the migration has ended."
    )


def test_an_agent_that_takes_no_part(site: Site) -> None:
    agents = requests.get(f"{site.deployment.api}/agents", timeout=30).json()["agents"]
    assert {each["host"]: each["actions_enabled"] for each in agents} == {
        "lab-a": True,
        "lab-b": False,
    }
    assert "requests to abort or force-complete" not in site.deployment.agents["lab-b"].output()


class _Domain:
    """One whose migration ends at the worst of moments; nothing real can be made to."""

    def __init__(self, *states: list[int], jobs: int) -> None:
        self._states, self._jobs = list(states), jobs
        self.called: list[str] = []

    def jobStats(self) -> dict[str, int]:
        self._jobs -= 1
        return {"type": 2 if self._jobs >= 0 else 0, "operation": 5, "time_elapsed": 10**6}

    def state(self) -> list[int]:
        return self._states.pop(0)

    def migrateStartPostCopy(self, _flags: int) -> None:
        error = libvirt.libvirtError("not allowed")
        error.err = (libvirt.VIR_ERR_OPERATION_INVALID, *[None] * 8)
        raise error

    def suspend(self) -> None:
        self.called.append("suspend")

    def resume(self) -> None:
        self.called.append("resume")


_RUNS = [libvirt.VIR_DOMAIN_RUNNING, 1]
_BY_USER = [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER]


@pytest.mark.parametrize(
    ("domain", "called", "why"),
    [
        (_Domain(jobs=0), [], Refusal.ENDED),
        (_Domain(_RUNS, jobs=1), [], Refusal.ENDED),
        (_Domain(_RUNS, _BY_USER, jobs=2), ["suspend", "resume"], Refusal.ENDED),
        # Somebody has paused it long ago: it stays so.
        (
            _Domain(_BY_USER, jobs=2),
            [],
            Refusal.ALREADY_PAUSED,
        ),
    ],
)
def test_no_server_is_left_paused(domain: _Domain, called: list[str], why: Refusal) -> None:
    result = domain_actions.force_complete(domain, time.monotonic())
    assert (result, domain.called) == ({"refused": why}, called)


def test_a_libvirt_that_is_away() -> None:
    inbox = Inbox()
    away = compute_host.Host("qemu+unix:///system?socket=/nowhere", inbox, 5.0, False)
    away.act(Action.ABORT, "6f0c8a52-2d1e-4f37-9c07-4b6a4d0c7b11", time.monotonic())
    ((acted),) = inboxes.take(inbox)
    assert isinstance(acted, ActionResult)
    assert "/nowhere" in acted.error
    inbox.close()
