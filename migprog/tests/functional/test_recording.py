# SPDX-License-Identifier: Apache-2.0
"""An agent records real migrations, and their recordings say what it said."""

import itertools
import pathlib

import pytest

from lab.hosts import Guest
from lab.parts import processes
from migprog.compute.agent import ComputeAgent
from migprog.compute.settings import Settings
from migprog.core.messages import Ack, Batch
from migprog.core.schedule import Rules
from migprog.core.status import ENDED, Phase, Status
from migprog.recording import format
from migprog.recording.ground_truth import truth
from migprog.recording.replay import replay
from migprog.recording.writer import Limits

pytestmark = pytest.mark.functional
RULES = Rules(report_interval_seconds=1.0, heartbeat_interval_seconds=30.0)


class Conductor:
    """Remembers what it was sent."""

    def __init__(self):
        self.reports = []

    def report(self, batch, acknowledged):
        reports = Batch.from_wire(batch)[0].reports
        self.reports += reports
        return Ack().to_wire() if acknowledged else None


@pytest.fixture
def agent(lab, tmp_path):
    """An agent of the lab's first host that records; gives what it reports."""
    conductor = Conductor()
    settings = Settings(
        connection_uri=lab.hosts[0].uri,
        host="compute-a",
        my_ip=None,
        poll_interval_seconds=0.25,
        scan_interval_seconds=1.0,
        qemu_events=True,
        libvirt_timeout_seconds=10.0,
        rules=RULES,
        state_path=None,
        record_path=str(tmp_path / "recordings"),
        record_limits=Limits(max_bytes=2**24, keep=10),
    )
    manager = ComputeAgent(settings, conductor)
    manager.start()
    yield conductor
    manager.stop()


@pytest.fixture
def server(lab):
    guest = Guest(
        name="recorded",
        memory_mib=64,
        fill_mib=48,
        working_set_mib=8,
        segments=((1000, 2.0),),
        disk_mib=16,
    )
    started = lab.start_guest(lab.hosts[0], guest)
    yield started
    lab.destroy_guest(started)


def recorded(directory: pathlib.Path) -> format.Recording:
    """The one recording, once it has its end."""

    def whole():
        return [path for path in directory.glob("*.jsonl") if '"kind": "end"' in path.read_text()]

    processes.wait_for(whole, 30.0, "a recording with its end")
    (path,) = directory.iterdir()
    return format.read(str(path))


def told_end(agent):
    processes.wait_for(
        lambda: any(report.status in ENDED for report in agent.reports), 30.0, "an end to be told"
    )
    return agent.reports[-1]


def under_way(percents):
    return max(percent for percent in percents if percent < 100)


def test_replay_has_the_assessments_that_were_reported(lab, agent, server, tmp_path):
    migration = lab.migrate(server, *lab.hosts, bandwidth_mib_s=10)
    outcome = migration.wait(timeout=60)
    final = told_end(agent)
    assert final.status is Status.COMPLETED
    read = recorded(tmp_path / "recordings")

    assert (read.header["uuid"], read.header["host"]) == (server.uuid, "compute-a")
    assert read.memory_size_bytes == 64 * 2**20
    # What the guest has filled, and QEMU's own.
    assert 48 * 2**20 < read.memory_resident_bytes < 256 * 2**20
    assert read.header["libvirt"] >= 9_000_000
    assert read.header["hypervisor"] >= 5_000_000
    assert final.disks == (("vda", 16 * 2**20, 16 * 2**20),)
    disks = [row["disks"] for row in read.rows if row.get("disks")]
    assert {disk.name for (disk,) in disks} == {"vda"}
    assert disks[-1][0].limit_bytes_per_second == 10 * 2**20
    iterations = [row["iteration"] for row in read.rows if row.get("event") == "iteration"]
    assert iterations[:2] == [1, 2]
    end = read.rows[-1]
    assert end["outcome"] == "completed"
    source = end["completed_stats"]["source"]
    assert source["memory_processed"] == outcome.completed_stats["memory_processed"]
    known = truth(read)
    # QEMU does not count what comes after the switch-over as its job's time.
    assert known.end == pytest.approx(final.total_seconds, abs=2.5)

    replayed = replay(read, RULES)
    phases = [phase for phase, _ in itertools.groupby(line.phase for line in replayed.lines)]
    told = [phase for phase, _ in itertools.groupby(report.phase for report in agent.reports)]
    # A phase may be too short for a sample, and the end has none.
    assert [phase for phase in told if phase in phases] == [p for p in phases if p in told]
    assert {Phase.DISK_COPY, Phase.MEMORY_FIRST_ITERATION} <= set(phases)
    assert len(replayed.reports) == pytest.approx(len(agent.reports), abs=3)
    percents = [report.percent for report in agent.reports if report.percent is not None]
    shown = [line.percent for line in replayed.lines if line.percent is not None]
    assert under_way(percents) == pytest.approx(under_way(shown), abs=10)


def test_one_that_is_aborted_is_recorded_to_its_end(lab, agent, server, tmp_path):
    migration = lab.migrate(server, *lab.hosts, bandwidth_mib_s=5)
    # One that is over at once may be seen by nobody.
    processes.wait_for(lambda: agent.reports, 30.0, "a first report")
    migration.abort()
    assert not migration.wait(timeout=60).completed
    final = told_end(agent)
    read = recorded(tmp_path / "recordings")
    end = read.rows[-1]
    assert (end["outcome"], end["error"]) == ("failed", final.error)
    assert "completed_stats" not in end
    assert not truth(read).completed
