# SPDX-License-Identifier: Apache-2.0
"""What an agent learns from migrations for the next ones of the same server and hosts."""

import pytest

from lab.simulated import Guest, precopy
from migprog.compute.libvirt.loop_messages import ArrivalStats, Destinations
from migprog.compute.state.journal import Journal
from migprog.compute.watchlist import WatchList
from migprog.core.observation import Iteration, Reading
from migprog.recording import rows
from migprog.recording.writer import Recorder
from migprog.tests.fixtures.driven import SERVER
from migprog.tests.fixtures.watching import RULES, SETTINGS, STEERING_OFF, Sampler

OTHER = "1c6c1f5e-55b1-4f4b-8e2b-3f1f1c1f0f21"
BUSY = Guest(dirty_mib_s=10)


def counted(stats):
    """The statistics with the pages that were sent whole."""
    pages = stats["memory_processed"] // 4096
    return stats | {"memory_normal": pages, "memory_constant": 0, "memory_page_size": 4096}


class Agent:
    def __init__(self):
        self.ledger = Journal(None, "here", "boot")
        recorder = Recorder(None, SETTINGS.record_limits)
        self.watches = WatchList(
            SETTINGS, lambda *_: Sampler(), recorder, self.ledger, STEERING_OFF
        )
        self.now = 1000.0

    def _see(self, row, server_uuid, begun):
        if "stats" in row:
            row = row | {"stats": counted(row["stats"])}
        seen = rows.from_row(row | {"t": begun + row["t"]}, server_uuid, 0.3)
        if seen is not None:
            self.watches.take(seen)

    def migrates(self, server_uuid=SERVER, guest=BUSY, destination=None, forced=False):
        """See a migration from begin to end; return its reports."""
        begun, reports = self.now, {}
        for row in precopy(guest):
            self.now = begun + row["t"]
            self._see(row, server_uuid, begun)
            monitor = self.watches.monitor(server_uuid)
            if monitor is not None:
                monitor.forced = forced
                if destination is not None and row["t"] > 1:
                    self.watches.destinations(Destinations({monitor.uuid: destination}))
            self.watches.reporting.attend(RULES, self.now, {server_uuid})
            for report in self.ledger.outbox.load(self.now).reports:
                reports[report.sequence] = report
        self.now += 10.0
        self.watches.reporting.attend(RULES, self.now, {server_uuid})
        self.now += 100.0
        return list(reports.values())


def percent_after_the_first_iteration(reports):
    return max(r.percent or 0 for r in reports if r.phase == "memory-first-iteration")


def test_forecast_uses_earlier_migrations_of_the_server():
    quiet, agent = Guest(dirty_mib_s=0), Agent()
    first = percent_after_the_first_iteration(agent.migrates(guest=quiet))
    again = percent_after_the_first_iteration(agent.migrates(guest=quiet))
    other = percent_after_the_first_iteration(agent.migrates(OTHER, quiet))
    assert first <= 75 and other <= 75
    assert again >= 80


def test_destination_host_learns_from_arrivals():
    quiet, agent = Guest(dirty_mib_s=0), Agent()
    (final,) = [row["stats"] for row in precopy(quiet) if row.get("event") == "job_completed"]
    arrived = counted(final) | {"operation": 4, "type": 3}
    agent.watches.arrived(ArrivalStats(server_uuid=SERVER, at=agent.now, stats=arrived))
    assert percent_after_the_first_iteration(agent.migrates(guest=quiet)) >= 80


@pytest.mark.parametrize("stats", [None, {"type": 0}, {"type": 3, "operation": 2}])
def test_no_figures_of_an_arrival_teach_nothing(stats):
    agent = Agent()
    agent.watches.arrived(ArrivalStats(server_uuid=SERVER, at=agent.now, stats=stats))
    assert percent_after_the_first_iteration(agent.migrates(guest=Guest(dirty_mib_s=0))) <= 75


def test_destination_in_an_acknowledgement_is_the_migrations():
    agent = Agent()
    agent.watches.take(Iteration(server_uuid=SERVER, at=agent.now, number=1))
    outgoing = {"type": 2, "operation": 5, "time_elapsed": 500, "memory_total": 2**28}
    agent.watches.take(Reading(server_uuid=SERVER, at=agent.now, stats=outgoing))
    monitor = agent.watches.monitor(SERVER)
    agent.watches.destinations(Destinations({"another": "x", monitor.uuid: "far"}))
    assert monitor.destination == "far"
    agent.watches.destinations(Destinations({"another": "x"}))
    assert monitor.destination == "far"


def test_nothing_is_learned_from_a_migration_that_was_forced():
    quiet, agent = Guest(dirty_mib_s=0), Agent()
    agent.migrates(guest=quiet, forced=True)
    assert percent_after_the_first_iteration(agent.migrates(guest=quiet)) <= 75
