# SPDX-License-Identifier: Apache-2.0
"""Real migrations, seen from libvirt to the API: every process of its own, a real broker between.

On PostgreSQL and threads; test_killed has others on MariaDB, and test_eventlet some of these on
eventlet.
"""

import datetime
import signal
from typing import Any

import pytest
import requests

from lab.hosts import Guest, NovaMetadata, Server
from lab.parts import processes
from lab.parts.deployment import Deployment, reload

pytestmark = pytest.mark.functional

# A migration is slow until the test has done what must be done before its end, and then fast.
SLOW_MIB_S, FAST_MIB_S = 1, 200
NOVA = NovaMetadata(
    # Any text that a tenant can type; it is data, and means nothing to anybody.
    server_name="<web> & '1'; DROP TABLE migrations; -- \\ %s {0} ${x} \"🐎\" ]]>",
    project_id="5a0f1c3e9d514b6f8e4f6c1d2b3a4958",
    project_name="demo",
    user_id="0b8d3f5a7c1e4d2f9a6b5c4d3e2f1a0b",
    user_name="demo",
)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory, rabbitmq, postgresql):
    directory = tmp_path_factory.mktemp("path")
    with Deployment(directory, rabbitmq, postgresql, "threading") as deployment:
        yield deployment


@pytest.fixture(scope="module")
def watched(deployment, lab):
    """The deployment with an agent on each host."""
    for host in lab.hosts:
        deployment.agent(host, report_interval=0.5)
    return deployment


@pytest.fixture
def guest(lab):
    """Starts guests on the lab's first host; they are gone after the test."""
    started: list[Server] = []

    def start(**what):
        guest = Guest(name=f"guest-{len(started)}", **what)
        started.append(lab.start_guest(lab.hosts[0], guest))
        return started[-1]

    yield start
    for server in started:
        lab.destroy_guest(server)


def assert_final(record, outcome):
    """The record has libvirt's very final figures."""
    assert outcome.completed, outcome.error
    assert record["status"] == "completed"
    assert (record["percent"], record["phase"], record["verdict"]) == (100, "done", "ended")
    stats = outcome.completed_stats
    for kind in ("memory", "disk"):
        for what in ("total", "processed", "remaining"):
            assert record[f"{kind}_{what}_bytes"] == stats[f"{kind}_{what}"], (kind, what)
    assert record["downtime_seconds"] == stats["downtime"] / 1000
    assert record["total_seconds"] == stats["time_elapsed"] / 1000
    assert record["memory_iteration"] == stats["memory_iteration"]
    assert (record["source_compute"], record["dest_compute"]) == ("lab-a", "lab-b")
    assert (record["source_node"], record["dest_node"]) == ("lab-a", "lab-b")
    assert record["dest_host"]
    assert record["in_progress"] is record["stale"] is False
    assert record["error"] is None


def expected_downtime(deployment, server):
    """What QEMU expects, as the record has it now."""
    answer = requests.get(
        f"{deployment.api}/servers/{server.uuid}/migrations",
        headers={"OpenStack-API-Version": "migration-progress 1.8"},
        timeout=30,
    )
    return answer.json()["migrations"][0]["expected_downtime_seconds"]


def assert_calibrated(record, before, after):
    """How good the forecasts were is in the record, and was counted once by the conductor."""

    def more(series):
        return after[series] - before[series]

    for quarter in record["calibration"]:
        at, off = quarter["at_percent"], quarter["error_seconds"]
        told = quarter["eta_seconds"] is not None
        # A disk's pace shows at its second step only: of so short a way that may be past a quarter,
        # or two where processors are short.
        assert told or at < 75
        if told:
            # Counted from a sample before that instant and after the quarter before.
            total = record["total_seconds"]
            age = quarter["eta_seconds"] - off - total * (1 - at / 100)
            assert -0.5 < age < total / 4, quarter
        in_range = {None: "none", True: "yes", False: "no"}[quarter["in_range"]]
        assert more(f'migprog_forecast_in_range_total{{at="{at}",in_range="{in_range}"}}') == 1
        assert more(f'migprog_forecast_error_ratio_count{{at="{at}"}}') == told
    assert [quarter["at_percent"] for quarter in record["calibration"]] == [25, 50, 75]
    assert more('migprog_migrations_ended_total{status="completed"}') == 1
    for name in ("duration_seconds", "downtime_seconds", "iterations", "transferred_bytes"):
        assert more(f'migprog_migration_{name}_count{{status="completed"}}') == 1
    duration = more('migprog_migration_duration_seconds_sum{status="completed"}')
    assert duration == pytest.approx(record["total_seconds"])
    assert more("migprog_reports_stored_total") >= 5


def test_one_that_was_under_way_when_the_agent_started(deployment, lab, guest, request):
    # The first test: no agent of this deployment runs yet.
    server = guest(memory_mib=64, fill_mib=48, working_set_mib=1, segments=((1000, 0.2),))
    migration = lab.migrate(server, *lab.hosts, bandwidth_mib_s=SLOW_MIB_S)
    stats = migration.wait_for(lambda stats: stats.get("memory_processed", 0) > 2**20)
    elapsed = datetime.timedelta(milliseconds=stats["time_elapsed"])
    began = datetime.datetime.now(datetime.UTC) - elapsed
    request.getfixturevalue("watched")
    deployment.wait_for(server.uuid, lambda r: r["percent"], "with a percentage")
    migration.set_bandwidth(FAST_MIB_S)
    record = deployment.wait_for_end(server.uuid)
    assert_final(record, migration.wait(timeout=60))
    started_at = datetime.datetime.fromisoformat(record["started_at"])
    assert abs((started_at - began).total_seconds()) < 1.0


def test_a_guest_with_its_disk_is_seen_on_its_way_and_after(watched, lab, guest):
    server = guest(
        memory_mib=64,
        fill_mib=48,
        working_set_mib=8,
        segments=((1000, 2.0),),
        disk_mib=64,
        nova=NOVA,
    )
    before = watched.counted()
    migration = lab.migrate(server, *lab.hosts, bandwidth_mib_s=20)
    seen: list[dict[str, Any]] = []
    seen_server: list[dict[str, Any]] = []

    def ended(record):
        seen.append(dict(record))
        server_view = requests.get(f"{watched.api}/servers/{server.uuid}", timeout=30).json()
        seen_server.append(server_view["server"])
        return record["status"] != "running"

    watched.wait_for(server.uuid, ended, "that has ended")
    record = watched.wait_for_end(server.uuid)
    assert_final(record, migration.wait(timeout=60))
    assert record["disk_total_bytes"] == 64 * 2**20
    assert len({(each["id"], each["uuid"]) for each in [*seen, record]}) == 1
    assert (record["server_name"], record["project_id"]) == (NOVA.server_name, NOVA.project_id)
    assert record["user_id"] == NOVA.user_id
    # It is where it is asked for, and nowhere else: no log, and no label of a metric.
    programs = (watched.conductor, watched.api_program, *watched.agents.values())
    assert not any("DROP TABLE" in each for each in watched.counted())
    assert not any("DROP TABLE" in each.output() for each in programs)

    percents = [each["percent"] for each in seen if each["percent"] is not None]
    assert percents == sorted(percents)
    assert len(set(percents)) >= 5
    progress = [each["progress"] for each in seen_server if each["progress"] is not None]
    assert progress == sorted(progress)
    phases = {each["phase"] for each in seen}
    assert {"disk-copy", "memory-first-iteration"} <= phases
    # While disks are copied nothing is known of the memory: null, never a false 0.
    disk_copy = [each for each in seen if each["phase"] == "disk-copy"]
    assert all(each["memory_processed_bytes"] is None for each in disk_copy)
    # Each disk by itself, while it is copied and after.
    copied = [each["disks"][0] for each in seen if each["disks"]]
    assert {(disk["name"], disk["total_bytes"]) for disk in copied} == {("vda", 64 * 2**20)}
    assert any(0 < disk["remaining_bytes"] < 64 * 2**20 for disk in copied)
    assert record["disks"] == [copied[0] | {"processed_bytes": 64 * 2**20, "remaining_bytes": 0}]
    # It was there while it ran, not only afterwards, and it was fresh.
    assert any(each["eta_seconds"] for each in seen)
    assert not any(each["stale"] for each in seen)

    final_server = requests.get(f"{watched.api}/servers/{server.uuid}", timeout=30).json()["server"]
    assert final_server["progress"] == 100
    assert final_server["sampled_at"] == record["sampled_at"]
    by_number = f"{watched.api}/servers/{server.uuid}/migrations/{record['id']}"
    assert requests.get(by_number, timeout=30).json()["migration"] == record
    assert_calibrated(record, before, watched.counted())


def test_one_too_short_to_be_polled(watched, lab, guest):
    host = lab.hosts[0]
    agent = watched.agents[host.name]
    never = {"poll_interval": 60, "report_interval": 60, "heartbeat_interval": 60}
    watched.agent_config(host, scan_interval=600, **never)
    reload(agent)
    server = guest(memory_mib=8, fill_mib=1, working_set_mib=1, segments=((1000, 0.0),))
    outcome = lab.migrate(server, *lab.hosts, bandwidth_mib_s=1000).wait(timeout=60)
    assert outcome.completed_stats["time_elapsed"] < 1000 * never["poll_interval"]
    assert_final(watched.wait_for_end(server.uuid), outcome)
    assert len(watched.migrations(server.uuid)) == 1
    watched.agent_config(host, report_interval=0.5)
    reload(agent)


def test_ten_at_once(watched, lab, guest):
    servers = [
        guest(memory_mib=16, fill_mib=12, working_set_mib=1, segments=((1000, 0.5),))
        for _ in range(10)
    ]
    migrations = [lab.migrate(server, *lab.hosts, bandwidth_mib_s=3) for server in servers]
    outcomes = [migration.wait(timeout=90) for migration in migrations]
    for server, outcome in zip(servers, outcomes, strict=True):
        assert_final(watched.wait_for_end(server.uuid), outcome)
        assert len(watched.migrations(server.uuid)) == 1


def test_a_host_that_is_emptied(watched, lab, guest):
    """Of two servers one has gone and one has yet to: what libvirt says of it is reported."""
    host = lab.hosts[0]
    lab.destroy_all_guests()
    watched.agent_config(host, report_interval=0.5, heartbeat_interval=1, scan_interval=1)
    reload(watched.agents[host.name])
    stays, goes = (guest(memory_mib=size, fill_mib=4, working_set_mib=1) for size in (24, 16))
    lab.migrate(goes, *lab.hosts, bandwidth_mib_s=20).wait(timeout=60)
    gone = watched.wait_for_end(goes.uuid)

    def drain():
        answer = requests.get(f"{watched.api}/hosts/{host.name}/drain", timeout=30)
        answer.raise_for_status()
        return answer.json()["drain"]

    def has_one_left():
        # An earlier heartbeat may be of another test's server.
        return (drain()["servers"], drain()["servers_memory_bytes"]) == (1, 24 * 2**20)

    processes.wait_for(has_one_left, 60, "a heartbeat without the one that went")
    told = drain()
    assert told["migrations"] == []
    assert told["transfer_rate"]["migrations"] >= 1
    assert told["transfer_rate"]["window_seconds"] >= gone["total_seconds"]
    assert told["eta_seconds"] > 0
    lab.destroy_guest(stays)
    processes.wait_for(lambda: drain()["servers"] == 0, 60, "a heartbeat of an empty host")
    assert (drain()["eta_seconds"], drain()["eta_reason"]) == (0, "the host is empty")
    watched.agent_config(host, report_interval=0.5)
    reload(watched.agents[host.name])


def test_one_that_is_aborted(watched, lab, guest):
    server = guest(memory_mib=64, fill_mib=48, working_set_mib=8, segments=((1000, 2.0),))
    migration = lab.migrate(server, *lab.hosts, bandwidth_mib_s=SLOW_MIB_S)
    # Both agents must have seen it.
    watched.wait_for(
        server.uuid, lambda r: r["percent"] and r["dest_compute"], "with a percentage, and where to"
    )
    assert expected_downtime(watched, server) > 0
    migration.abort()
    outcome = migration.wait(timeout=60)
    assert not outcome.completed
    record = watched.wait_for_end(server.uuid)
    assert expected_downtime(watched, server) is None
    assert record["status"] == "cancelled"
    assert record["error"] == "the migration was aborted"
    assert record["percent"] < 100
    assert record["memory_total_bytes"] > 48 * 2**20  # the last that was known of it
    assert record["ended_at"] and record["total_seconds"] > 0

    # The same server again is another record.
    outcome = lab.migrate(server, *lab.hosts, bandwidth_mib_s=FAST_MIB_S).wait(timeout=60)
    again = watched.wait_for(server.uuid, lambda r: r["id"] != record["id"], "of its own")
    assert_final(watched.wait_for_end(server.uuid), outcome)
    assert again["started_at"] > record["ended_at"]
    assert [each["status"] for each in watched.migrations(server.uuid)] == [
        "completed",
        "cancelled",
    ]


def test_one_that_ends_in_post_copy(watched, lab, guest):
    server = guest(memory_mib=64, fill_mib=48, working_set_mib=32, segments=((1000, 40.0),))
    migration = lab.migrate(server, *lab.hosts, bandwidth_mib_s=12, post_copy=True)
    watched.wait_for(server.uuid, lambda r: r["phase"] == "memory-iterations", "that iterates")
    migration.start_post_copy()
    watched.wait_for(server.uuid, lambda r: r["status"] == "running (post-copy)", "in post-copy")
    assert_final(watched.wait_for_end(server.uuid), migration.wait(timeout=60))


def test_the_fleet_is_listed_with_filters(watched):
    def ask(**query):
        answer = requests.get(f"{watched.api}/migrations", params=query, timeout=30)
        # What an agent tells once more of one that has ended may change the rest.
        return [(each["id"], each["status"]) for each in answer.json()["migrations"]]

    everything = ask()
    assert everything == sorted(everything, reverse=True)
    assert ask(status="cancelled") == [each for each in everything if "cancelled" in each] != []
    assert ask(in_progress="true") == []
    assert ask(host="lab-b", in_progress="false") == everything
    assert ask(host="lab-c") == []


def test_intervals_change_without_a_restart(watched, lab, guest):
    host = lab.hosts[0]
    server = guest(memory_mib=64, fill_mib=48, working_set_mib=2, segments=((1000, 0.2),))
    migration = lab.migrate(server, *lab.hosts, bandwidth_mib_s=SLOW_MIB_S)
    before = watched.wait_for(server.uuid, lambda r: r["percent"], "with a percentage")
    agent = watched.agents[host.name]

    watched.agent_config(host, report_interval=0.5, poll_interval=900)
    reload(agent)
    assert "[compute] poll_interval" in agent.output()
    assert "is not applied" in agent.output()

    watched.agent_config(host, report_interval=0.2, poll_interval=0.1)
    reload(agent)
    watched.wait_for(server.uuid, lambda r: r["percent"] > before["percent"], "that goes on")
    migration.set_bandwidth(FAST_MIB_S)
    record = watched.wait_for_end(server.uuid)
    assert_final(record, migration.wait(timeout=60))
    assert record["uuid"] == before["uuid"]


def test_a_libvirt_that_goes_and_comes_back(watched, lab, guest):
    host = lab.hosts[0]
    agent = watched.agents[host.name]
    connections = agent.output().count("watching the migrations of")
    host.restart_libvirtd()
    processes.wait_for(
        lambda: agent.output().count("watching the migrations of") > connections,
        30,
        "the agent to connect anew",
    )
    server = guest(memory_mib=16, fill_mib=8, working_set_mib=1, segments=((1000, 0.5),))
    outcome = lab.migrate(server, *lab.hosts, bandwidth_mib_s=8).wait(timeout=60)
    assert_final(watched.wait_for_end(server.uuid), outcome)


def test_a_server_that_hangs_costs_its_own_figures_only(watched, lab, guest):
    first_host = lab.hosts[0]
    agent = watched.agents[first_host.name]
    watched.agent_config(first_host, report_interval=0.5, libvirt_timeout=1)
    reload(agent)
    hangs, lives = (
        guest(memory_mib=64, fill_mib=48, working_set_mib=2, segments=((1000, 0.5),))
        for _ in range(2)
    )
    hanging, living = (
        lab.migrate(server, *lab.hosts, bandwidth_mib_s=SLOW_MIB_S) for server in (hangs, lives)
    )
    before = watched.wait_for(hangs.uuid, lambda r: r["memory_processed_bytes"], "with bytes moved")
    watched.wait_for(lives.uuid, lambda r: r["memory_processed_bytes"], "with bytes moved")
    first_host.signal_guest(hangs.name, signal.SIGSTOP)
    try:
        processes.wait_for(
            lambda: f"server {hangs.uuid}: libvirt has not answered" in agent.output(),
            60,
            "the agent to miss libvirt's answer",
        )
        living.set_bandwidth(FAST_MIB_S)
        assert_final(watched.wait_for_end(lives.uuid), living.wait(timeout=60))
        (record,) = watched.migrations(hangs.uuid)
        assert (record["status"], record["id"]) == ("running", before["id"])
    finally:
        first_host.signal_guest(hangs.name, signal.SIGCONT)
    hanging.set_bandwidth(FAST_MIB_S)
    assert_final(watched.wait_for_end(hangs.uuid), hanging.wait(timeout=60))
    assert f"server {hangs.uuid}: libvirt answers again" in agent.output()
