# SPDX-License-Identifier: Apache-2.0
"""What a sample costs an agent, in calls: it must not grow while a migration gets older."""

from lab.simulated import MIB, Guest, precopy
from migprog.core.monitor import Monitor
from migprog.core.schedule import Rules
from migprog.core.server_facts import ServerFacts
from migprog.tests.fixtures import calls

RULES = Rules(report_interval_seconds=20.0, heartbeat_interval_seconds=30.0)
# Reading it, the forecast, the verdict, and each twentieth time a report.
MOST_CALLS = 150
# Of a guest that does not converge, so that all that is remembered of it is at its largest.
STUCK = Guest(memory_mib=256, dirty_mib_s=60, working_set_mib=64, bandwidth_mib_s=30)


def test_cost_of_a_sample_does_not_grow_with_the_migrations_age():
    monitor = Monitor("migration", "server", found_at=0.0)
    monitor.learn(ServerFacts(memory_size_bytes=256 * MIB))
    counts = []
    for row in precopy(STUCK, give_up_seconds=1200.0):
        at = row["t"]
        if row["kind"] != "sample":
            monitor.iteration_begins(at)
        elif row["stats"]["type"] == 2:

            def sample(stats=row["stats"], at=at):
                monitor.read(stats, 0.3, at)
                monitor.report_if_due(RULES, at, at)

            counts.append(calls.count(sample))
    young, old = counts[200:400], counts[-200:]
    assert sum(old) <= 1.05 * sum(young)
    assert sum(old) / len(old) < MOST_CALLS
