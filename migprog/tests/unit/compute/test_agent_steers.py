# SPDX-License-Identifier: Apache-2.0
"""A whole agent that steers, on a libvirt by arithmetic, in a process of its own."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[4]
AGENT = """
from lab import fake_libvirt
from lab.simulated import Guest
from lab.simulated_hypervisor import MigratingDomain, RecordedCourse, SimulatedHypervisor

hypervisor = SimulatedHypervisor(migrating=0, idle=0, seconds=60)
fake_libvirt.install(hypervisor)

import dataclasses, math, time
from migprog import concurrency
concurrency.choose()
from migprog.compute.agent import ComputeAgent
from migprog.compute.settings import Settings
from migprog.core.messages import Ack, Batch
from migprog.core.schedule import Rules
from migprog.core.steering.policies import Mode, Policies
from migprog.core.steering.requirements import POLICIES
from migprog.recording.writer import Limits

class Domain(MigratingDomain):
    limit_ms = 300
    def __init__(self):
        super().__init__(0, RecordedCourse({guest}, 60), math.inf)
        self.asked = []
        self.bandwidth_read = 0
    def begin(self):
        self._began_at = time.monotonic()
    def jobStats(self, _flags=0):
        if self._began_at == math.inf:
            return {{"type": 0}}
        elapsed_ms = int((time.monotonic() - self._began_at) * 1000)
        if elapsed_ms >= 500 * len(self._course.samples):
            return {{"type": 0}}
        return super().jobStats() | {{"time_elapsed": elapsed_ms}}
    def migrateGetMaxDowntime(self):
        return self.limit_ms
    def migrateSetMaxDowntime(self, milliseconds, _flags):
        self.asked.append(milliseconds)
        self.limit_ms = milliseconds
    def migrateGetMaxSpeed(self, _flags):
        self.bandwidth_read += 1
        return 40
    def migrateSetMaxSpeed(self, mib_per_second, _flags):
        self.asked.append(mib_per_second)
    def migrateStartPostCopy(self, _flags):
        self.asked.append("post-copy")
    def abortJob(self):
        self.asked.append("abort")

class Conductor:
    advice = None
    def report(self, batch, acknowledged):
        for report in Batch.from_wire(batch)[0].reports:
            if report.advice:
                self.advice = [(each["reason"], each["state"]) for each in report.advice]
        return Ack().to_wire() if acknowledged else None

def wait_for(condition):
    give_up_at = time.monotonic() + 45
    while not condition():
        assert time.monotonic() < give_up_at, ("waited in vain", domain.asked, conductor.advice)
        time.sleep(0.01)

domain, conductor = Domain(), Conductor()
hypervisor.domains = {{domain.UUIDString(): domain}}
hypervisor._states = [(domain, domain.stats())]
policy = dataclasses.replace(POLICIES["gentle"], patience_seconds=2)
state_path = None
{before}
settings = Settings(
    connection_uri="", host=None, my_ip=None, qemu_events=False, record_path=None,
    state_path=state_path, poll_interval_seconds=0.2, scan_interval_seconds=0.2,
    libvirt_timeout_seconds=10.0, rules=Rules(1.0, 5.0), record_limits=Limits(2**20, 1),
    steering_mode=Mode({mode!r}), policies=Policies("p", {{"p": policy}}, {{}}, {{}}),
)
agent = ComputeAgent(settings, conductor)
agent.start()
wait_for(lambda: hypervisor.searches > 1)
domain.begin()
"""
ADVISES = """
wait_for(lambda: conductor.advice == [("not-converging", "advised")])
assert domain.asked == []
"""
# What it needs depends on the pace at which the course was seen.
ENFORCES = """
wait_for(lambda: conductor.advice == [("not-converging", "done")])
assert len(domain.asked) == 1 and 300 < domain.asked[0] <= 2000, domain.asked
assert domain.bandwidth_read == 0
"""
# Bandwidth alone may be raised, and is needed: so it has to be known how much there is.
RAISES_BANDWIDTH = """
from migprog.core.steering.advice import SteeringAction
policy = dataclasses.replace(
    policy,
    may=frozenset({SteeringAction.RAISE_BANDWIDTH}),
    max_bandwidth_bytes_per_second=200 * 2**20,
)
"""
RELOADED = """
wait_for(lambda: domain.readings > 10)
assert domain.bandwidth_read == 0
agent.reload(dataclasses.replace(settings, steering_mode=Mode.ENFORCE))
wait_for(lambda: conductor.advice == [("not-converging", "done")])
assert len(domain.asked) == 1 and 40 < domain.asked[0] <= 200, domain.asked
agent.reload(settings)
# The reading that was under way may still be one with it.
readings = domain.readings
wait_for(lambda: domain.readings > readings + 1)
before = domain.bandwidth_read
wait_for(lambda: domain.readings > readings + 5)
assert domain.bandwidth_read == before
"""
# Conductors do not answer, and nothing can be written to the disk.
NOTHING_LEAVES = """
import pathlib, resource, tempfile
state_path = tempfile.mkdtemp()
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
failed = []
def fail(*_, **_named):
    failed.append("report")
    raise ConnectionError("no conductor")
conductor.report = fail
"""
# Each report fails before it is one.
BROKEN_REPORTS = """
from migprog.core.monitor import Monitor
failed = []
def fail(*_, **_named):
    failed.append("report")
    raise RuntimeError("nobody foresaw it")
Monitor._report = fail
"""
# It has been migrating for longer than the patience, and its end has been seen.
IS_LEFT_ALONE = """
ends_at = domain._began_at + 0.5 * len(domain._course.samples)
assert ends_at - domain._began_at > 6
wait_for(lambda: time.monotonic() > ends_at + 1 and failed)
assert domain.asked == [], domain.asked
"""
IS_HELPED = """
wait_for(lambda: domain.asked and failed)
assert len(domain.asked) == 1 and 300 < domain.asked[0] <= 2000, domain.asked
"""
# Never has less than a second of its bandwidth left.
PLATEAU = "Guest(memory_mib=80, dirty_mib_s=80, working_set_mib=40, bandwidth_mib_s=40)"
CONVERGES = "Guest(memory_mib=120, dirty_mib_s=24, working_set_mib=120, bandwidth_mib_s=40)"


def run(program, backend, before="", guest=PLATEAU, **values):
    return subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            AGENT.format(before=before, guest=guest, **values) + program,
        ],
        env=os.environ | {"MIGPROG_CONCURRENCY": backend},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("backend", ["eventlet", "threading"])
@pytest.mark.parametrize(
    ("mode", "program"), [("advise", ADVISES), ("enforce", ENFORCES)], ids=["advise", "enforce"]
)
def test_advice_reaches_the_conductor_and_only_enforced_advice_reaches_libvirt(
    backend, mode, program
):
    result = run(program, backend, mode=mode)
    assert result.returncode == 0, result.stderr


def test_bandwidth_is_read_only_while_steering_may_raise_it_as_from_a_reload_on():
    result = run(RELOADED, "threading", RAISES_BANDWIDTH, mode="advise")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("guest", "program"), [(CONVERGES, IS_LEFT_ALONE), (PLATEAU, IS_HELPED)], ids=["well", "stuck"]
)
@pytest.mark.parametrize("fault", [NOTHING_LEAVES, BROKEN_REPORTS], ids=["nothing leaves", "bug"])
def test_fault_of_reports_leads_to_no_action_and_prevents_none(fault, guest, program):
    result = run(program, "threading", fault, guest, mode="enforce")
    assert result.returncode == 0, result.stderr
