# SPDX-License-Identifier: Apache-2.0
"""Agents that are killed at the worst of times: one record a migration, with its true end.

Migrations are slow until the test has done what must be done before their end, however long that
takes, and fast from then on.
"""

import contextlib
import itertools
import subprocess
import threading
import time
from typing import Any

import pytest
import requests

from lab.hosts import Guest, Server
from lab.parts import processes, small_disk
from lab.parts.deployment import Deployment
from migprog.compute.state.directory import StateDirectory
from migprog.compute.state.entries import decode
from migprog.core import checkpoint
from migprog.core.checkpoint import Checkpoint
from migprog.core.messages import Arrival, Report
from migprog.tests.functional.test_end_to_end import assert_final

pytestmark = pytest.mark.functional
OPTIONS = {"report_interval": 0.5, "poll_interval": 0.2, "rpc_timeout": 2}
SLOW_MIB_S, FAST_MIB_S = 1, 200


@pytest.fixture(scope="module")
def deployment(tmp_path_factory, rabbitmq, mariadb, lab):
    directory = tmp_path_factory.mktemp("killed")
    with Deployment(directory, rabbitmq, mariadb, "threading") as deployment:
        for host in lab.hosts:
            deployment.agent(host, **OPTIONS)
        yield deployment


@pytest.fixture
def guest(lab):
    """Starts a guest whose slow migration takes more than a minute; it is gone after the test."""
    numbers = itertools.count()
    started: list[Server] = []

    def start(**what):
        usual = {"memory_mib": 96, "fill_mib": 72, "working_set_mib": 2, "segments": ((1000, 0.5),)}
        guest = Guest(name=f"killed-{next(numbers)}", **(usual | what))
        started.append(lab.start_guest(lab.hosts[0], guest))
        return started[-1]

    yield start
    for server in started:
        lab.destroy_guest(server)


class Watcher:
    """Reads a server's records from the API all the time."""

    def __init__(self, deployment, server_uuid):
        self.seen: list[dict[str, Any]] = []
        self._ended = threading.Event()

        def watch():
            while not self._ended.wait(0.1):
                self.seen += deployment.migrations(server_uuid)[:1]

        self._thread = threading.Thread(target=watch)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error):
        self._ended.set()
        self._thread.join()


def assert_settled(record, outcome):
    """As libvirt reports it at the destination, where the job looks shorter: by milliseconds, or
    where processors are short by a quarter of a second."""
    total_seconds = outcome.completed_stats["time_elapsed"] / 1000
    assert record["total_seconds"] == pytest.approx(total_seconds, abs=0.5)
    assert_final(record | {"total_seconds": total_seconds}, outcome)


def under_way(deployment, server):
    """Its record, once there is some progress."""
    return deployment.wait_for(server.uuid, lambda r: (r["percent"] or 0) >= 2, "on its way")


def kept(deployment, host):
    """The files in which the host's agent keeps things."""
    directory = StateDirectory(str(deployment.directory / "state"), host.uri).path
    assert directory.is_dir()
    entries = {}
    for path in directory.glob("*-*.json"):
        # It may be replaced or removed as we look.
        with contextlib.suppress(FileNotFoundError):
            entries[path.stem] = decode(path.read_bytes())
    return entries


def wait_until_kept(deployment, host, condition, what):
    def is_kept():
        return any(condition(entry) for entry in kept(deployment, host).values())

    processes.wait_for(is_kept, 60, f"{what} to be on disk")


def wait_until_nothing_is_kept(deployment, host):
    processes.wait_for(lambda: not kept(deployment, host), 60, "all to be acknowledged")


def test_a_migration_goes_on_under_its_record(deployment, lab, guest):
    source = lab.hosts[0]
    server = guest()
    migration = lab.migrate(server, *lab.hosts, bandwidth_mib_s=SLOW_MIB_S)
    before = under_way(deployment, server)
    with Watcher(deployment, server.uuid) as watcher:
        for _ in range(2):
            deployment.agents[source.name].kill()
            deployment.agent(source, **OPTIONS)
            heard = deployment.migrations(server.uuid)[0]["last_reported_at"]
            deployment.wait_for(
                server.uuid, lambda r, h=heard: r["last_reported_at"] > h, "that goes on"
            )
        processes.wait_for(
            lambda: len({r["percent"] for r in watcher.seen}) > 5, 60, "steps of the percentage"
        )
        migration.set_bandwidth(FAST_MIB_S)
        record = deployment.wait_for_end(server.uuid)
    assert_final(record, migration.wait(timeout=60))
    assert {(r["id"], r["uuid"]) for r in [*watcher.seen, before, record]} == {
        (before["id"], before["uuid"])
    }
    percents = [r["percent"] for r in watcher.seen]
    assert percents == sorted(percents)
    assert record["started_at"] == before["started_at"]
    assert {r["status"] for r in watcher.seen} <= {"running", "post-migrating", "completed"}
    assert len(deployment.migrations(server.uuid)) == 1
    wait_until_nothing_is_kept(deployment, source)


def test_end_without_an_agent_is_resolved_by_the_destination(deployment, lab, guest):
    source = lab.hosts[0]
    server = guest()
    migration = lab.migrate(server, *lab.hosts, bandwidth_mib_s=SLOW_MIB_S)
    before = under_way(deployment, server)
    deployment.agents[source.name].kill()
    migration.set_bandwidth(FAST_MIB_S)
    outcome = migration.wait(timeout=60)
    over_there = deployment.wait_for(
        server.uuid, lambda r: r["status"] != "running", "that is over there"
    )
    assert (over_there["status"], over_there["dest_compute"]) == ("post-migrating", "lab-b")
    deployment.agent(source, **OPTIONS)
    record = deployment.wait_for_end(server.uuid)
    assert_settled(record, outcome)
    assert record["id"] == before["id"]
    assert len(deployment.migrations(server.uuid)) == 1
    for host in lab.hosts:
        wait_until_nothing_is_kept(deployment, host)


def test_end_without_an_agent_is_found_if_the_sources_libvirt_has_it(deployment, lab, guest):
    source, destination = lab.hosts
    began = time.monotonic()
    deployment.agents[source.name].kill()
    deployment.agent(source, **OPTIONS)
    start_seconds = time.monotonic() - began
    server = guest()
    migration = lab.migrate(server, *lab.hosts, bandwidth_mib_s=SLOW_MIB_S, undefine_source=False)
    before = under_way(deployment, server)

    def is_long(entry):
        """Libvirt does not report when its last job ended: surely this one is only what was watched
        for longer than the source was then without an agent."""
        return isinstance(entry, Checkpoint) and (
            entry.seen_clock - entry.started_clock > 3 * start_seconds
        )

    wait_until_kept(deployment, source, is_long, "that it was watched for long")
    for host in lab.hosts:
        deployment.agents[host.name].kill()
    migration.set_bandwidth(FAST_MIB_S)
    outcome = migration.wait(timeout=60)
    deployment.agent(source, **OPTIONS)
    record = deployment.wait_for(server.uuid, lambda r: not r["in_progress"], "that has ended")
    assert (record["status"], record["id"]) == ("completed", before["id"])
    deployment.agent(destination, **OPTIONS)
    assert_final(deployment.wait_for_end(server.uuid), outcome)


def test_destination_agent_that_saw_no_arrival_finds_the_server(deployment, lab, guest):
    destination = lab.hosts[1]
    deployment.agents[destination.name].kill()
    server = guest()
    outcome = lab.migrate(server, *lab.hosts, bandwidth_mib_s=50).wait(timeout=60)
    record = deployment.wait_for(server.uuid, lambda r: not r["in_progress"], "that has ended")
    assert (record["status"], record["dest_compute"]) == ("completed", None)
    deployment.agent(destination, **OPTIONS)
    assert_final(deployment.wait_for_end(server.uuid), outcome)


def test_end_in_post_copy_without_an_agent_is_resolved_by_the_destination(deployment, lab, guest):
    source = lab.hosts[0]
    server = guest(working_set_mib=32, segments=((1000, 40.0),))
    migration = lab.migrate(server, *lab.hosts, bandwidth_mib_s=SLOW_MIB_S, post_copy=True)
    before = under_way(deployment, server)
    deployment.agents[source.name].kill()
    migration.start_post_copy()
    assert migration.wait(timeout=60).completed
    deployment.agent(source, **OPTIONS)
    record = deployment.wait_for_end(server.uuid)
    assert (record["status"], record["percent"], record["error"]) == ("completed", 100, None)
    assert (record["id"], record["dest_compute"]) == (before["id"], "lab-b")
    assert len(deployment.migrations(server.uuid)) == 1


def test_migration_aborted_without_an_agent_is_unknown(deployment, lab, guest):
    source = lab.hosts[0]
    server = guest()
    migration = lab.migrate(server, *lab.hosts, bandwidth_mib_s=SLOW_MIB_S)
    before = under_way(deployment, server)
    deployment.agents[source.name].kill()
    migration.abort()
    migration.wait(timeout=60)
    deployment.agent(source, **OPTIONS)
    record = deployment.wait_for_end(server.uuid)
    assert (record["status"], record["error"]) == ("unknown", checkpoint.LEFT_RUNNING)
    assert record["id"] == before["id"]
    # What was known of it is known still.
    assert record["memory_processed_bytes"] >= before["memory_processed_bytes"]
    assert before["percent"] <= record["percent"] < 100

    # The next attempt is another migration, even if nobody saw the one before it end.
    outcome = lab.migrate(server, *lab.hosts, bandwidth_mib_s=FAST_MIB_S).wait(timeout=60)
    deployment.wait_for(server.uuid, lambda r: r["id"] != record["id"], "of its own")
    assert_final(deployment.wait_for_end(server.uuid), outcome)
    assert [r["status"] for r in deployment.migrations(server.uuid)] == ["completed", "unknown"]
    wait_until_nothing_is_kept(deployment, source)


def test_another_attempt_that_began_meanwhile_is_another_record(deployment, lab, guest):
    source = lab.hosts[0]
    server = guest()
    migration = lab.migrate(server, *lab.hosts, bandwidth_mib_s=SLOW_MIB_S)
    before = under_way(deployment, server)
    deployment.agents[source.name].kill()
    migration.abort()
    migration.wait(timeout=60)
    again = lab.migrate(server, *lab.hosts, bandwidth_mib_s=SLOW_MIB_S)
    again.wait_for(lambda stats: stats.get("memory_processed", 0) > 2**20)
    deployment.agent(source, **OPTIONS)
    deployment.wait_for(server.uuid, lambda r: r["id"] != before["id"], "of its own")
    again.set_bandwidth(FAST_MIB_S)
    assert_final(deployment.wait_for_end(server.uuid), again.wait(timeout=60))
    newer, older = deployment.migrations(server.uuid)
    assert (older["status"], older["error"]) == ("unknown", checkpoint.LEFT_BEHIND)
    assert newer["id"] != older["id"] == before["id"]


def test_unacknowledged_end_is_reported_by_the_next_agent(deployment, lab, guest, rabbitmq_broker):
    source, destination = lab.hosts
    server = guest()
    migration = lab.migrate(server, *lab.hosts, bandwidth_mib_s=SLOW_MIB_S)
    before = under_way(deployment, server)
    rabbitmq_broker.control("stop_app")
    try:
        migration.set_bandwidth(FAST_MIB_S)
        outcome = migration.wait(timeout=60)
        for host, kind in ((source, Report), (destination, Arrival)):
            wait_until_kept(deployment, host, lambda e, k=kind: isinstance(e, k), "the end")
            deployment.agents[host.name].kill()
        assert deployment.migrations(server.uuid)[0]["status"] == "running"
    finally:
        rabbitmq_broker.control("start_app")
    for host in lab.hosts:
        deployment.agent(host, **OPTIONS)
    record = deployment.wait_for_end(server.uuid)
    assert_final(record, outcome)
    assert record["id"] == before["id"]
    assert len(deployment.migrations(server.uuid)) == 1
    for host in lab.hosts:
        wait_until_nothing_is_kept(deployment, host)


def test_failing_state_directory_is_logged_and_stops_nothing(deployment, lab, guest, tmp_path):
    source = lab.hosts[0]
    deployment.agents[source.name].stop()
    (port,) = processes.free_ports(1)
    state = tmp_path / "state"
    with small_disk.mounted(state, size_kib=64):
        filler = small_disk.fill(state)
        agent = deployment.agent(source, **OPTIONS, state_path=state, metrics_bind_port=port)

        def shown(name):
            text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
            lines = (line for line in text.splitlines() if line.startswith(name + "{"))
            return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

        def is_failing():
            return shown("migprog_state_path_failing")

        assert is_failing() == 1
        server = guest(fill_mib=16)
        migration = lab.migrate(server, *lab.hosts, bandwidth_mib_s=20)
        processes.wait_for(
            lambda: shown("migprog_migrations") == 1, 30, "the migration to be shown by its verdict"
        )
        outcome = migration.wait(timeout=60)
        processes.wait_for(lambda: shown("migprog_migrations") == 0, 30, "it to be shown no longer")
        assert_final(deployment.wait_for_end(server.uuid), outcome)
        assert agent.output().count("cannot write the state directory") == 1
        assert "No space left" in agent.output()

        filler.unlink()
        processes.wait_for(lambda: not is_failing(), 30, "the state directory to work again")
        assert agent.output().count("the state directory can be written again") == 1

        subprocess.run(["mount", "-o", "remount,ro", str(state)], check=True)
        server = guest(fill_mib=16)
        outcome = lab.migrate(server, *lab.hosts, bandwidth_mib_s=20).wait(timeout=60)
        assert_final(deployment.wait_for_end(server.uuid), outcome)
        assert agent.output().count("cannot write the state directory") == 2
        assert is_failing() == 1
        agent.stop()
    deployment.agent(source, **OPTIONS)
