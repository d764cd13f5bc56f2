# SPDX-License-Identifier: Apache-2.0
"""Real migrations that stand still, or are paused by somebody else: what the API says of them."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

import libvirt
import pytest
import requests

from lab.hosts import Guest, Lab, Migration, Server
from lab.parts.deployment import Deployment
from migprog.core.forecast.verdict import BAD

pytestmark = pytest.mark.functional

MIB = 2**20
# A destination may have completed a switch-over before it could be stopped.
ATTEMPTS = 3


@pytest.fixture(scope="module")
def watched(
    tmp_path_factory: pytest.TempPathFactory, rabbitmq: str, mariadb: str, lab: Lab
) -> Iterator[Deployment]:
    directory = tmp_path_factory.mktemp("field-phases")
    with Deployment(directory, rabbitmq, mariadb, "threading") as deployment:
        for host in lab.hosts:
            deployment.agent(host, report_interval=0.5)
        yield deployment


@pytest.fixture
def started(lab: Lab) -> Iterator[list[Server]]:
    """Servers that are gone after the test."""
    servers: list[Server] = []
    yield servers
    for server in servers:
        for host in lab.hosts:
            with contextlib.suppress(Exception):
                host.signal_guest(server.name, signal.SIGCONT)
        lab.destroy_guest(server)


def drain(deployment: Deployment) -> dict[str, Any]:
    answer = requests.get(f"{deployment.api}/hosts/lab-a/drain", timeout=30)
    document: dict[str, Any] = answer.json()["drain"]
    return document


def is_bad(record: dict[str, Any]) -> bool:
    return record["verdict"] in BAD


def stopped_when_suspended(lab: Lab, server: Server) -> Migration:
    """A migration of which the destination's QEMU is stopped at the switch-over."""
    source, destination = lab.hosts
    stopped = threading.Event()

    def stop(_connection: Any, domain: Any, event: int, *_details: Any) -> None:
        if event == libvirt.VIR_DOMAIN_EVENT_SUSPENDED and domain.UUIDString() == server.uuid:
            destination.signal_guest(server.name, signal.SIGSTOP)
            stopped.set()

    lifecycle = libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE
    with contextlib.closing(source.connect()) as connection:
        callback = connection.domainEventRegisterAny(None, lifecycle, stop, None)
        migration = lab.migrate(server, source, destination, bandwidth_mib_s=20)
        assert stopped.wait(60)
        connection.domainEventDeregisterAny(callback)
    return migration


def hung_at_switch_over(
    watched: Deployment, lab: Lab, started: list[Server]
) -> tuple[Server, Migration, dict[str, Any]]:
    """One whose destination hangs before it has completed, and its record once that is reported."""
    for attempt in range(ATTEMPTS):
        guest = Guest(name=f"hangs-{attempt}", memory_mib=48, fill_mib=24)
        started.append(server := lab.start_guest(lab.hosts[0], guest))
        migration = stopped_when_suspended(lab, server)
        record = watched.wait_for(
            server.uuid, lambda r: is_bad(r) or not r["in_progress"], "that stands still or is over"
        )
        if record["in_progress"]:
            return server, migration, record
    raise AssertionError(f"{ATTEMPTS} migrations have completed before they could be stopped")


def test_a_destination_that_hangs_at_the_switch_over(
    watched: Deployment, lab: Lab, started: list[Server]
) -> None:
    server, migration, record = hung_at_switch_over(watched, lab, started)
    assert (record["phase"], record["verdict"]) == ("switchover", "stalled")
    assert record["verdict_message"].startswith("guest paused for ")
    assert record["eta_seconds"] is record["eta_high_seconds"] is None
    told = drain(watched)
    assert told["eta_seconds"] is None
    assert f"the migration of {server.uuid} (stalled)" in told["eta_reason"]

    lab.hosts[1].signal_guest(server.name, signal.SIGCONT)
    assert migration.wait(60).completed
    final = watched.wait_for_end(server.uuid)
    assert final["status"] == "completed"
    said = watched.agents["lab-a"].output()
    ids = f"server {server.uuid}: migration {record['uuid']}"
    (warning,) = (line for line in said.splitlines() if f"{ids} is stalled: " in line)
    assert "WARNING" in warning
    (end,) = (line for line in said.splitlines() if f"{ids} ended: completed; total " in line)
    assert "downtime " in end


def test_guest_that_an_operator_suspends_while_memory_is_copied(
    watched: Deployment, lab: Lab, started: list[Server]
) -> None:
    source, destination = lab.hosts
    guest = Guest(name="suspended", memory_mib=96, fill_mib=80)
    server = lab.start_guest(source, guest)
    started.append(server)
    migration = lab.migrate(server, source, destination, bandwidth_mib_s=8)
    watched.wait_for(server.uuid, lambda r: r["eta_seconds"], "with a time left")
    with contextlib.closing(source.connect()) as connection:
        connection.lookupByUUIDString(server.uuid).suspend()
        paused = watched.wait_for(
            server.uuid,
            lambda r: r["verdict_message"].startswith("guest paused for "),
            "that is paused",
        )
        assert paused["phase"].startswith("memory-")
        # No more than that goes through in a second; libvirt itself resumes it at the end only.
        assert paused["eta_seconds"] > paused["memory_remaining_bytes"] / (10 * MIB)
    assert migration.wait(60).completed
    final = watched.wait_for_end(server.uuid)
    assert final["status"] == "completed"
    assert final["downtime_seconds"] > 2


def test_post_copy_without_moving_bytes_is_stalled(
    watched: Deployment, lab: Lab, started: list[Server]
) -> None:
    source, destination = lab.hosts
    server = lab.start_guest(source, Guest(name="stuck", memory_mib=96, fill_mib=80))
    started.append(server)
    with contextlib.closing(source.connect()) as connection:
        connection.lookupByUUIDString(server.uuid).migrateSetMaxSpeed(
            6, libvirt.VIR_DOMAIN_MIGRATE_MAX_SPEED_POSTCOPY
        )
    migration = lab.migrate(server, source, destination, bandwidth_mib_s=8, post_copy=True)
    watched.wait_for(server.uuid, lambda r: r["phase"] == "memory-first-iteration", "of memory")
    migration.start_post_copy()
    moves = watched.wait_for(
        server.uuid, lambda r: r["phase"] == "post-copy" and r["eta_seconds"], "in post-copy"
    )
    assert moves["verdict"] == "post-copy"
    destination.signal_guest(server.name, signal.SIGSTOP)
    stuck = watched.wait_for(server.uuid, is_bad, "that stands still")
    assert (stuck["phase"], stuck["verdict"]) == ("post-copy", "stalled")
    assert stuck["status"] == "running (post-copy)"
    assert stuck["eta_seconds"] is None
    assert "guest" in stuck["verdict_message"]
    destination.signal_guest(server.name, signal.SIGCONT)
    watched.wait_for(
        server.uuid, lambda r: not r["in_progress"] or r["eta_seconds"], "that goes on"
    )
    assert migration.wait(60).completed
    assert watched.wait_for_end(server.uuid)["status"] == "completed"
