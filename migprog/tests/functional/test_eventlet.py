# SPDX-License-Identifier: Apache-2.0
"""Smoke suite of eventlet: agents, conductor and API run on it, over a real broker and MariaDB.

The tests of test_end_to_end that differ by the backend (a migration's figures and metrics, SIGHUP,
a libvirt that goes away, and one that hangs), an agent that is killed and then acts on what it
finds again, and one that measures a guest. All the rest runs on threads. Processes by themselves
are tried on both backends by test_api, test_metrics, test_nova_names, test_stopping and test_tls.
"""

import pytest
import requests

from lab.parts import processes
from lab.parts.deployment import Deployment, wait_until_it_watches
from migprog.tests.functional.test_end_to_end import (
    guest,
    test_a_guest_with_its_disk_is_seen_on_its_way_and_after,
    test_a_libvirt_that_goes_and_comes_back,
    test_a_server_that_hangs_costs_its_own_figures_only,
    test_intervals_change_without_a_restart,
)

__all__ = [
    "guest",
    "test_a_guest_with_its_disk_is_seen_on_its_way_and_after",
    "test_a_libvirt_that_goes_and_comes_back",
    "test_a_server_that_hangs_costs_its_own_figures_only",
    "test_intervals_change_without_a_restart",
]
pytestmark = pytest.mark.functional


@pytest.fixture(scope="module")
def deployment(tmp_path_factory, rabbitmq, mariadb):
    directory = tmp_path_factory.mktemp("eventlet")
    allowed = {"allow_actions": True, "allow_measurements": True}
    with Deployment(directory, rabbitmq, mariadb, "eventlet", **allowed) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def watched(deployment, lab):
    for host in lab.hosts:
        deployment.agent(host, report_interval=0.5, allow_actions=True)
    return deployment


def test_processes_run_on_eventlet(watched):
    said = "running on eventlet: MIGPROG_CONCURRENCY is set to it"
    for program in (watched.conductor, watched.api_program, *watched.agents.values()):
        assert said in program.output()


def test_agent_that_was_killed_continues_the_record_and_aborts_the_migration(watched, lab, guest):
    source = lab.hosts[0]
    server = guest(memory_mib=64, fill_mib=48, working_set_mib=8)
    migration = lab.migrate(server, *lab.hosts, bandwidth_mib_s=1)
    before = watched.wait_for(
        server.uuid, lambda record: record["phase"].startswith("memory"), "whose memory moves"
    )
    agent = watched.agents[source.name]
    agent.kill()
    # Whatever the tests before have written.
    watched.agent_config(source, report_interval=0.5, allow_actions=True)
    agent.start()
    wait_until_it_watches(agent, source)
    record = watched.wait_for(
        server.uuid,
        lambda record: record["sequence"] > before["sequence"],
        "that the new agent reports",
    )
    assert record["id"] == before["id"]
    address = f"{watched.api}/servers/{server.uuid}/migrations/{record['uuid']}"
    # It says that it takes actions as soon as it listens.
    processes.wait_for(
        lambda: requests.delete(address, timeout=60).status_code == 202, 30, "the abort to be taken"
    )
    assert not migration.wait(timeout=60).completed
    ended = watched.wait_for_end(server.uuid)
    assert (ended["id"], ended["status"]) == (before["id"], "cancelled")
    assert len(watched.migrations(server.uuid)) == 1


def test_guest_is_measured_and_its_migration_is_then_forecast(
    watched, lab, guest, measuring_may_act
):
    source = lab.hosts[0]
    server = guest(memory_mib=64, fill_mib=48, working_set_mib=8)
    agent = watched.agents[source.name]
    agent.kill()
    watched.agent_config(
        source, report_interval=0.5, allow_actions=True, allow_measurements=True, measure_windows=1
    )
    agent.start()
    wait_until_it_watches(agent, source)
    address = f"{watched.api}/servers/{server.uuid}/forecast"
    asked = {"measure": True, "host": source.name}
    headers = {"OpenStack-API-Version": "migration-progress latest"}

    def accepted():
        return requests.post(address, json=asked, headers=headers, timeout=60).status_code == 202

    # It says that it measures as soon as it listens.
    processes.wait_for(accepted, 30, "the measurement to be accepted")

    def measured():
        return requests.get(address, headers=headers, timeout=60).status_code == 200

    processes.wait_for(measured, 60, "the measurement")
    migration = lab.migrate(server, *lab.hosts, bandwidth_mib_s=2)
    try:
        watched.wait_for(
            server.uuid,
            lambda record: (
                record["phase"] == "memory-first-iteration" and record["eta_seconds"] is not None
            ),
            "that is forecast in its first iteration",
        )
    finally:
        migration.abort()
        migration.wait()
    watched.wait_for_end(server.uuid)
    assert "Traceback" not in agent.output() + watched.conductor.output()
