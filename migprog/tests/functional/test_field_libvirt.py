# SPDX-License-Identifier: Apache-2.0
"""Agents of real libvirts: jobs that are no migrations, servers that hang, agents that come second.

The hosts are this module's own: agents of other tests may watch the others.
"""

import contextlib
import dataclasses
import itertools
import logging
import os
import pathlib
import signal
import socket
import subprocess
import sys

import pytest

from lab.hosts import Guest, Lab
from lab.parts import processes
from migprog import exception
from migprog.compute import other_agent
from migprog.compute.agent import ComputeAgent
from migprog.compute.settings import Settings
from migprog.core.messages import Ack, Batch
from migprog.core.schedule import Rules
from migprog.core.status import ENDED, Status
from migprog.recording.writer import Limits

pytestmark = pytest.mark.functional
SECONDS = 60.0
# A search that waited for the server that hangs would find another one after 20 s and more.
FOUND_SECONDS = 15.0
IMAGES = "/var/lib/libvirt/images"


@pytest.fixture(scope="module")
def hosts():
    with Lab(hosts=("field-a", "field-b")) as lab:
        yield lab


class Conductor:
    """Remembers what it was sent."""

    def __init__(self):
        self.reports = []

    def report(self, batch, acknowledged):
        reports = Batch.from_wire(batch)[0].reports
        self.reports += reports
        return Ack().to_wire() if acknowledged else None

    def ends(self):
        return [report for report in self.reports if report.status in ENDED]

    def migrations(self):
        return {report.uuid for report in self.reports}


def settings(host, **changes):
    usual = Settings(
        connection_uri=host.uri,
        host=host.name,
        my_ip=None,
        poll_interval_seconds=0.25,
        scan_interval_seconds=1.0,
        qemu_events=True,
        libvirt_timeout_seconds=1.0,
        rules=Rules(report_interval_seconds=0.5, heartbeat_interval_seconds=30.0),
        state_path=None,
        record_path=None,
        record_limits=Limits(max_bytes=2**24, keep=10),
    )
    return dataclasses.replace(usual, **changes)


@pytest.fixture
def agent(hosts, caplog):
    """Starts an agent of the first host that watches when this returns; gives its conductor."""
    caplog.set_level(logging.INFO, "migprog")
    running = []

    def start(**changes):
        conductor = Conductor()
        running.append(ComputeAgent(settings(hosts.hosts[0], **changes), conductor))
        running[-1].start()
        processes.wait_for(lambda: "watching the migrations of" in caplog.text, SECONDS, "a start")
        return conductor

    yield start
    for each in running:
        each.stop()


@pytest.fixture
def guest(hosts):
    """Starts a guest on the first host; it is gone after the test."""
    numbers = itertools.count()
    started = []

    def start(**what):
        usual = {"memory_mib": 64, "fill_mib": 48}
        started.append(
            hosts.start_guest(
                hosts.hosts[0], Guest(name=f"field-{next(numbers)}", **(usual | what))
            )
        )
        return started[-1]

    yield start
    for server in started:
        # It may have been stopped with SIGSTOP, or be gone.
        with contextlib.suppress(Exception):
            hosts.hosts[0].signal_guest(server.name, signal.SIGCONT)
        hosts.destroy_guest(server)


def virsh(host, *words):
    subprocess.run(["virsh", "-q", "-c", host.uri, *words], check=True, timeout=60)


def beside(host, *words):
    """virsh, which goes on by itself."""
    return subprocess.Popen(["virsh", "-q", "-c", host.uri, *words], stderr=subprocess.DEVNULL)


def test_jobs_into_files_have_no_record_and_delay_none(hosts, agent, guest):
    source, destination = hosts.hosts
    server, other = guest(), guest()
    conductor = agent()
    migration = hosts.migrate(other, source, destination, bandwidth_mib_s=20)
    memory = f"file={IMAGES}/memory,snapshot=external"
    virsh(source, "snapshot-create-as", server.name, "one", "--live", "--memspec", memory)
    virsh(source, "snapshot-delete", server.name, "one", "--metadata")
    virsh(source, "dump", "--live", server.name, f"{IMAGES}/core")
    virsh(source, "dump", "--memory-only", server.name, f"{IMAGES}/core")
    virsh(source, "save", server.name, f"{IMAGES}/saved")
    virsh(source, "restore", f"{IMAGES}/saved")
    assert migration.wait(timeout=60).completed
    # Whatever those jobs left behind, the next migration of their server is seen.
    assert hosts.migrate(server, source, destination, bandwidth_mib_s=40).wait(60).completed
    processes.wait_for(lambda: len(conductor.ends()) >= 2, SECONDS, "two ends")
    assert {report.server_uuid for report in conductor.reports} == {server.uuid, other.uuid}
    assert len(conductor.migrations()) == 2
    assert [report.status for report in conductor.ends()] == [Status.COMPLETED] * 2


def test_a_managed_save_has_no_record(hosts, agent, guest):
    source, destination = hosts.hosts
    server = guest()
    conductor = agent()
    virsh(source, "managedsave", server.name)
    virsh(source, "start", server.name)
    assert hosts.migrate(server, source, destination, bandwidth_mib_s=40).wait(60).completed
    processes.wait_for(conductor.ends, SECONDS, "an end")
    assert len(conductor.migrations()) == 1


def test_a_search_finds_a_migration_beside_a_server_that_hangs(hosts, agent, guest, caplog):
    source, destination = hosts.hosts
    hung = guest()
    server = guest(disk_mib=64)
    source.signal_guest(hung.name, signal.SIGSTOP)
    domain = source.connect_read_only().lookupByUUIDString(hung.uuid)
    # As exporters and Nova ask all the time; it waits for ever, and holds the server's job lock.
    asker = beside(source, "qemu-monitor-command", "--hmp", hung.name, "info version")
    try:
        processes.wait_for(lambda: domain.controlInfo()[0] != 0, SECONDS, "the lock to be held")
        # Without QEMU's events only a search finds a migration whose disk is being copied.
        conductor = agent(qemu_events=False)
        migration = hosts.migrate(server, source, destination, bandwidth_mib_s=2)
        processes.wait_for(lambda: conductor.reports, FOUND_SECONDS, "the migration to be found")
        warning = f"server {hung.uuid}: libvirt has not answered for"
        processes.wait_for(lambda: warning in caplog.text, SECONDS, "a warning")
        assert asker.poll() is None
        assert caplog.text.count(warning) == 1
        assert f"server {server.uuid}: libvirt has not" not in caplog.text
        source.signal_guest(hung.name, signal.SIGCONT)
        again = f"server {hung.uuid}: libvirt answers again"
        processes.wait_for(lambda: again in caplog.text, SECONDS, "it to answer again")
    finally:
        source.signal_guest(hung.name, signal.SIGCONT)
        asker.wait(60)
    migration.abort()
    migration.wait()
    processes.wait_for(conductor.ends, SECONDS, "an end")
    assert [report.server_uuid for report in conductor.ends()] == [server.uuid]


def test_a_new_agent_finds_a_migration_whose_guest_is_paused(hosts, agent, guest):
    source, destination = hosts.hosts
    server = guest(memory_mib=128, fill_mib=112)
    migration = hosts.migrate(server, source, destination, bandwidth_mib_s=4)
    migration.wait_for(lambda stats: stats.get("memory_processed"))
    virsh(source, "suspend", server.name)
    conductor = agent(qemu_events=False)
    processes.wait_for(
        lambda: any(
            r.verdict_message.startswith("guest paused for at least ") for r in conductor.reports
        ),
        *(SECONDS, "the pause to be reported"),
    )
    migration.abort()
    migration.wait()
    processes.wait_for(conductor.ends, SECONDS, "an end")
    assert len(conductor.migrations()) == 1
    assert [report.server_uuid for report in conductor.ends()] == [server.uuid]


def test_a_migration_whose_destination_does_not_answer_has_failed(hosts, agent, guest, caplog):
    source, destination = hosts.hosts
    server = guest()
    conductor = agent()
    with contextlib.ExitStack() as sockets:
        # What comes is dropped, as by a firewall: its queue is full.
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.3", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(4):
            filler = sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        uri = f"tcp://{address[0]}:{address[1]}"
        words = ("migrate", "--live", "--unsafe", "--p2p", "--listen-address", "127.0.0.2")
        client = beside(source, *words, "--migrateuri", uri, server.name, destination.uri)
        warning = f"server {server.uuid}: libvirt has not answered for"
        processes.wait_for(lambda: warning in caplog.text, SECONDS, "a warning")
    # Now that nobody listens any more, the next packet is refused.
    assert client.wait(60) != 0
    processes.wait_for(conductor.ends, SECONDS, "an end")
    (report,) = conductor.ends()
    assert (report.status, report.server_uuid) == (Status.FAILED, server.uuid)
    assert report.total_seconds > 1.0


@pytest.fixture
def second(hosts, monkeypatch):
    """Starts an agent that comes second to the first host's; gives why it must not run."""
    monkeypatch.setattr(other_agent, "TAKEN_SECONDS", 2.0)
    running = []

    def start(**changes):
        refused: list[Exception] = []
        host = hosts.hosts[0]
        values = {"connection_uri": f"{host.uri}&mode=direct"} | changes
        running.append(ComputeAgent(settings(host, **values), Conductor(), fail=refused.append))
        running[-1].start()
        return refused

    yield start
    for each in running:
        each.stop()


def test_a_second_agent_of_a_hypervisor_ends_whatever_its_uri(hosts, agent, tmp_path):
    agent()
    config = tmp_path / "migprog.conf"
    config.write_text(
        "[DEFAULT]\ntransport_url = rabbit://guest:guest@127.0.0.1:1/\n"
        f"[compute]\nconnection_uri = {hosts.hosts[0].uri}&mode=direct\n"
        f"state_path = {tmp_path / 'state'}\n"
    )
    command = pathlib.Path(sys.executable).with_name("migprog-compute")
    with processes.running([str(command), "--config-file", str(config)], tmp_path) as second:
        assert second.process.wait(60) == 1
        last = second.output().splitlines()[-1]
    assert last.startswith("migprog-compute: [compute] connection_uri")
    assert f"this hypervisor is watched by process {os.getpid()}" in last


def test_a_second_agent_with_the_same_state_directory_is_refused(hosts, agent, second, tmp_path):
    agent(state_path=str(tmp_path))
    refused = second(state_path=str(tmp_path), connection_uri=hosts.hosts[0].uri)
    processes.wait_for(lambda: refused, SECONDS, "the second agent to be refused")
    assert isinstance(refused[0], exception.AnotherAgent)
    assert f"{tmp_path}" in str(refused[0])
    assert "is locked by process" in str(refused[0])


def test_an_agent_takes_the_place_of_one_that_ends(hosts, second, caplog):
    caplog.set_level(logging.INFO, "migprog")
    first = ComputeAgent(settings(hosts.hosts[0]), Conductor())
    first.start()
    watching = "watching the migrations of"
    processes.wait_for(lambda: watching in caplog.text, SECONDS, "a start")
    refused = second()
    processes.wait_for(lambda: "waiting up to" in caplog.text, SECONDS, "the second to wait")
    first.stop()
    processes.wait_for(lambda: caplog.text.count(watching) == 2, SECONDS, "the second to watch")
    assert refused == []
