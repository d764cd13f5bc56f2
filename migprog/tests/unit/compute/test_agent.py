# SPDX-License-Identifier: Apache-2.0
"""The agent's loop on a libvirt by arithmetic, in a process of its own: there is one a process."""

import dataclasses
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from migprog.compute.agent import ComputeAgent
from migprog.compute.libvirt.loop_messages import Connected, HostInventory
from migprog.tests.fixtures.threads import cannot_start
from migprog.tests.fixtures.watching import SETTINGS

BACKENDS = pytest.mark.parametrize("backend", ["eventlet", "threading"])
ROOT = pathlib.Path(__file__).resolve().parents[4]
AGENT = """
from lab import fake_libvirt
from lab.simulated_hypervisor import SimulatedHypervisor

hypervisor = SimulatedHypervisor(migrating={migrating}, idle=0, seconds=60)
fake_libvirt.install(hypervisor)

import threading, time
from migprog import concurrency
concurrency.choose()
from migprog.compute import agent as manager, watchlist
from migprog.recording.writer import Limits
from migprog.core.messages import Ack, Batch
from migprog.core.schedule import Rules

class Conductor:
    sent, heartbeats = 0, []
    def report(self, batch, acknowledged):
        self.sent += 1
        agent = Batch.from_wire(batch)[0].agent
        if agent is not None:
            self.heartbeats.append(agent)
        return Ack().to_wire() if acknowledged else None

class Monitor(watchlist.Monitor):
    judged, passes = 0, set()
    def iteration_begins(self, at):
        Monitor.passes.add(self.server_uuid)
        super().iteration_begins(at)
    def judge(self, now):
        Monitor.judged += 1
        super().judge(now)

def wait_for(condition):
    give_up_at = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up_at, "waited in vain"
        time.sleep(0.01)

watchlist.Monitor = Monitor
conductor, failures = Conductor(), []
agent = manager.ComputeAgent(
    manager.Settings(
        connection_uri="", host=None, my_ip=None, qemu_events=True, record_path=None,
        state_path={state_path!r},
        poll_interval_seconds=0.2, scan_interval_seconds=60.0, libvirt_timeout_seconds=10.0,
        rules=Rules(5.0, {heartbeat_seconds}), record_limits=Limits(2**20, 1),
    ),
    conductor, fail=failures.append,
)
agent.start()
"""
MANY = """
# Half of them begin a pass now and then, and are read at once: out of the order of the rest.
wait_for(lambda: len(Monitor.passes) == 6)

watched = list(agent._watches._watched.values())
assert len(watched) == 12
wait_for(lambda: len({each.next_poll_at for each in watched}) == 1)
readings = sum(domain.readings for domain in hypervisor.migrating)
assert Monitor.judged < 2 * readings, (Monitor.judged, readings)
"""
HANGS = """
wait_for(lambda: hypervisor.migrating[0].readings > 2)
released = threading.Event()
hypervisor.migrating[0].jobStats = released.wait
sent = conductor.sent
wait_for(lambda: conductor.sent > sent + 1)

# The loop itself goes on, so no watchdog ends the agent.
from migprog import loops
begun = time.monotonic()
wait_for(lambda: not loops.late(begun + 45.0))
assert any("the agent of" in late for late in loops.late(time.monotonic() + 46.0))
status = agent.status()
assert status.serves and "watching 1 migration(s) of" in status.text, status
released.set()
"""
NOT_AS_FORESEEN = """
domain = hypervisor.migrating[0]
wait_for(lambda: domain.readings > 2)

# As libvirt-python answers where that fails.
domain.migrateGetMaxDowntime = lambda: None
readings = domain.readings
wait_for(lambda: domain.readings > readings + 2)

read, broken = domain.jobStats, []
def breaks(_flags=0):
    broken.append(True)
    raise RuntimeError("nobody foresaw it")
domain.jobStats = breaks
wait_for(lambda: len(broken) > 2)
domain.jobStats = read
readings = domain.readings
wait_for(lambda: domain.readings > readings + 2)
"""


STUCK = """
# A message that its loop cannot handle holds it up: the sender goes on, and says so.
wait_for(lambda: hypervisor.migrating[0].readings > 2)
released = threading.Event()

class Holds:
    @property
    def server_uuid(self):
        released.wait()

agent._inbox.put(Holds())
ages = lambda: [each.loop_age_seconds for each in conductor.heartbeats]
# What is sent is rounded.
wait_for(lambda: ages() and ages()[-1] >= 1.6)

from migprog import loops
from migprog.metrics import REGISTRY
value = REGISTRY.get_sample_value("migprog_agent_loop_age_seconds", {"connection_uri": ""})
assert value >= 1.5, value
assert any("the agent of" in late for late in loops.late(time.monotonic() + 45.0))
released.set()
wait_for(lambda: ages()[-1] < 1.0)
"""
FAILS = """
# An exception that nobody foresaw ends the loop: the process is to end, and no watchdog is fed.
wait_for(lambda: hypervisor.migrating[0].readings > 2)

class Breaks:
    @property
    def server_uuid(self):
        raise RuntimeError("nobody foresaw it")

import logging
lines = []
class Lines(logging.Handler):
    def emit(self, record):
        lines.append((record.levelname, record.getMessage()))
logging.getLogger("migprog.loops").addHandler(Lines())

agent._inbox.put(Breaks())
wait_for(lambda: failures)
(error,) = failures
assert "the agent of  has failed: RuntimeError: nobody foresaw it" in str(error), error
((level, line),) = lines
assert level == "ERROR" and "this process ends, to be started again" in line, lines
from migprog import loops
assert any("the agent of" in late for late in loops.late(time.monotonic() + 46.0))
agent.stop()
"""


def run(program, backend, **values):
    program = AGENT.format(**({"state_path": None} | values)) + program
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=os.environ | {"MIGPROG_CONCURRENCY": backend},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@BACKENDS
def test_each_migration_is_assessed_after_its_own_event_and_all_are_read_together(backend):
    result = run(MANY, backend, migrating=12, heartbeat_seconds=30.0)
    assert result.returncode == 0, result.stderr


@BACKENDS
def test_migration_whose_libvirt_hangs_is_reported(backend):
    result = run(HANGS, backend, migrating=1, heartbeat_seconds=0.5)
    assert result.returncode == 0, result.stderr


@BACKENDS
def test_heartbeats_say_that_the_loop_hangs(backend):
    result = run(STUCK, backend, migrating=1, heartbeat_seconds=0.2)
    assert result.returncode == 0, result.stderr


@BACKENDS
def test_exception_that_ends_the_loop_is_logged_and_ends_the_process(backend):
    result = run(FAILS, backend, migrating=1, heartbeat_seconds=30.0)
    assert result.returncode == 0, result.stderr


@BACKENDS
def test_unexpected_exception_of_a_reading_does_not_stop_further_readings(backend):
    result = run(NOT_AS_FORESEEN, backend, migrating=1, heartbeat_seconds=30.0)
    assert result.returncode == 0, result.stderr


def test_reason_to_stop_the_agent_is_passed_on_once(caplog):
    failures: list[Exception] = []
    agent = ComputeAgent(SETTINGS, conductor=None, fail=failures.append)
    for _ in range(2):
        agent._refuse("another has it")
    assert "another has it; two agents would record" in str(failures[0])
    assert len(failures) == 1
    assert caplog.records == []


def test_without_anybody_to_end_its_process_the_log_says_why_an_agent_must_not_run(caplog):
    ComputeAgent(SETTINGS, conductor=None)._refuse("another has it")
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "another has it; two agents would record" in record.getMessage()


@pytest.mark.parametrize(
    ("fails_at", "asked_for"),
    [(1, ["sender n", "sender n", "listen n"]), (2, ["sender n", "listen n", "listen n"])],
)
def test_agent_reports_and_listens_once_threads_can_be_started(monkeypatch, fails_at, asked_for):
    names = []

    def may_start(thread):
        names.append(thread.name)
        if len(names) == fails_at:
            cannot_start(thread)

    monkeypatch.setattr(threading.Thread, "start", may_start)
    agent = ComputeAgent(SETTINGS, conductor=None, listen=lambda *_: None)
    inventory = HostInventory(servers=1, memory_bytes=2**30)
    for message in (Connected(node="n"), inventory, inventory):
        agent._inbox.put(message)
        agent._take_all(0.0)
    assert names == asked_for


def test_settings_that_are_read_again_are_applied_by_the_loop_alone():
    agent = ComputeAgent(SETTINGS, conductor=None)
    changed = dataclasses.replace(SETTINGS, poll_interval_seconds=7.0)
    agent.reload(changed)
    assert agent._watches.reporting.settings is SETTINGS
    agent._take_all(0.0)
    assert agent._watches.reporting.settings is changed


def test_status_does_not_look_at_what_the_loop_changes():
    agent = ComputeAgent(SETTINGS, conductor=None)
    del agent._watches
    assert agent.status().text.endswith("waiting for libvirt")
