# SPDX-License-Identifier: Apache-2.0
"""What an agent learns from migrations for the next ones of the same server and hosts."""

import math

import pytest

from lab.simulated import Guest, precopy
from migprog.compute.libvirt.loop_messages import ArrivalStats, Destinations, Expectations
from migprog.compute.state.journal import Journal
from migprog.compute.watchlist import WatchList
from migprog.core.forecast.dirty_curve import DirtyCurve
from migprog.core.forecast.expectation import Expectation
from migprog.core.observation import Iteration, Reading
from migprog.recording import observation_rows
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
        seen = observation_rows.from_row(row | {"t": begun + row["t"]}, server_uuid, 0.3)
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


def begun(agent):
    agent.watches.take(Iteration(server_uuid=SERVER, at=agent.now, number=1))
    outgoing = {"type": 2, "operation": 5, "time_elapsed": 100, "memory_total": 2**28}
    agent.watches.take(Reading(server_uuid=SERVER, at=agent.now, stats=outgoing))
    return agent.watches.monitor(SERVER)


def test_expectation_in_an_acknowledgement_forecasts_a_migration_that_has_just_begun():
    agent = Agent()
    monitor = begun(agent)
    assert monitor.preview(agent.now, agent.now).eta_seconds is None
    curves = (DirtyCurve(10.0 * 2**20, math.inf),)
    told = Expectation(25.0 * 2**20, 0.1, 0.5, curves)
    agent.watches.expectations(Expectations({"another": Expectation(1.0), monitor.uuid: told}))
    report = monitor.preview(agent.now, agent.now)
    # 256 MiB at 25 MiB/s, and two fifths of that again, and so on.
    assert report.eta_seconds == pytest.approx(17.0, rel=0.15)
    assert report.eta_low_seconds < report.eta_seconds < report.eta_high_seconds


def test_expectation_of_another_migration_changes_nothing():
    agent = Agent()
    monitor = begun(agent)
    agent.watches.expectations(Expectations({"another": Expectation(1e9)}))
    assert monitor.preview(agent.now, agent.now).eta_seconds is None


def test_nothing_is_learned_from_a_migration_that_was_forced():
    quiet, agent = Guest(dirty_mib_s=0), Agent()
    agent.migrates(guest=quiet, forced=True)
    assert percent_after_the_first_iteration(agent.migrates(guest=quiet)) <= 75
