# SPDX-License-Identifier: Apache-2.0
"""The percentage goes on after an agent was killed and started again."""

import pytest

from lab.simulated import MIB, Guest, precopy
from migprog.core import checkpoint
from migprog.core.monitor import Monitor
from migprog.core.schedule import Rules
from migprog.core.server_facts import ServerFacts

RULES = Rules(report_interval_seconds=20.0, heartbeat_interval_seconds=30.0)
UUID = "2f0e2c9e-8f0f-4a67-9a3e-0d7f6f1c6a10"
GUEST = Guest(memory_mib=256, dirty_mib_s=5, working_set_mib=60, bandwidth_mib_s=12)


def monitored(at, saved=None):
    monitor = Monitor(UUID, UUID, at, checkpoint=saved)
    monitor.learn(ServerFacts(memory_size_bytes=GUEST.memory_mib * MIB))
    if saved is not None:
        monitor.runs_still(None)
    return monitor


def percents(killed_at=float("inf"), started_at=float("inf")):
    """The percentage at each sample, by its time; no agent runs between both instants."""
    monitor, saved = monitored(0.0), None
    seen = {}
    for row in precopy(GUEST):
        at = row["t"]
        if killed_at <= at < started_at:
            monitor = None
            continue
        monitor = monitor or monitored(at, saved)
        match row:
            case {"kind": "sample", "stats": stats}:
                monitor.read(stats, GUEST.downtime_limit_seconds, at)
                seen[at] = monitor.preview(at, at).percent
            case {"event": "iteration"}:
                monitor.iteration_begins(at)
        due = monitor.report_if_due(RULES, at, at)
        if due is not None:
            saved = checkpoint.make(due[1], "boot", monitor.started_clock, at)
    return seen


@pytest.mark.parametrize(("killed_at", "started_at"), [(6.0, 9.0), (12.0, 18.0)])
def test_percent_after_a_restart_is_as_if_the_agent_had_not_been_killed(killed_at, started_at):
    whole, restarted = percents(), percents(killed_at, started_at)
    measured = {at: percent for at, percent in restarted.items() if at >= started_at + 1}
    assert len(measured) > 20
    for at, percent in measured.items():
        assert percent == pytest.approx(whole[at], abs=1), at
