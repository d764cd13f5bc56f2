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
from lab.simulated_hypervisor import MigratingDomain, PrecopyState, SimulatedHypervisor

hypervisor = SimulatedHypervisor(migrating=0, idle=0, seconds=60)
fake_libvirt.install(hypervisor)

import dataclasses, math, time
from migprog import concurrency
concurrency.choose()
from migprog.compute.agent import ComputeAgent
from migprog.compute.settings import Settings
from migprog.core.report import Ack, Batch
from migprog.core.schedule import Rules
from migprog.core.steering.policies import Mode, Policies
from migprog.core.steering.requirements import POLICIES
from migprog.recording.writer import Limits

class Plateau(MigratingDomain):
    '''Never has less than a second of its bandwidth left.'''
    limit_ms = 300
    def __init__(self):
        guest = Guest(memory_mib=80, dirty_mib_s=80, working_set_mib=40, bandwidth_mib_s=40)
        super().__init__(0, PrecopyState(guest, 60), math.inf)
        self.asked = []
    def begin(self):
        self._began_at = time.monotonic()
    def jobStats(self, _flags=0):
        if self._began_at == math.inf:
            return {{"type": 0}}
        elapsed_ms = int((time.monotonic() - self._began_at) * 1000)
        return super().jobStats() | {{"time_elapsed": elapsed_ms}}
    def migrateGetMaxDowntime(self):
        return self.limit_ms
    def migrateSetMaxDowntime(self, milliseconds, _flags):
        self.asked.append(milliseconds)
        self.limit_ms = milliseconds
    def migrateGetMaxSpeed(self, _flags):
        return 40

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

domain, conductor = Plateau(), Conductor()
hypervisor.domains = {{domain.UUIDString(): domain}}
hypervisor._states = [(domain, domain.stats())]
policy = dataclasses.replace(POLICIES["gentle"], patience_seconds=2)
agent = ComputeAgent(
    Settings(
        connection_uri="", host=None, my_ip=None, qemu_events=False, record_path=None,
        state_path=None, poll_interval_seconds=0.2, scan_interval_seconds=0.2,
        libvirt_timeout_seconds=10.0, rules=Rules(1.0, 5.0), record_limits=Limits(2**20, 1),
        steering_mode=Mode({mode!r}), policies=Policies("p", {{"p": policy}}, {{}}, {{}}),
    ),
    conductor,
)
agent.start()
wait_for(lambda: hypervisor.searches > 1)
domain.begin()
"""
ADVISES = """
wait_for(lambda: conductor.advice == [("not-converging", "advised")])
assert domain.asked == []
"""
ENFORCES = """
wait_for(lambda: conductor.advice == [("not-converging", "done")])
assert len(domain.asked) == 1 and 1000 < domain.asked[0] <= 2000, domain.asked
"""


def run(program, backend, **values):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AGENT.format(**values) + program],
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
