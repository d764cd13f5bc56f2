# SPDX-License-Identifier: Apache-2.0
"""What an agent shows of its migrations: at each sample, and until a scrape after the end."""

import pytest

from lab.simulated import Guest, precopy
from migprog.compute.host_metrics import HostMetrics
from migprog.compute.state.journal import Journal
from migprog.compute.watchlist import WatchList
from migprog.core.observation import Reading
from migprog.core.schedule import Rules
from migprog.metrics import REGISTRY
from migprog.metrics.per_migration import SERIES
from migprog.recording import observation_rows
from migprog.recording.writer import Recorder
from migprog.tests.fixtures.driven import SERVER
from migprog.tests.fixtures.watching import SETTINGS, STEERING_OFF, Sampler

GUEST = Guest(memory_mib=200, dirty_mib_s=8, working_set_mib=40, bandwidth_mib_s=20)
NODE = "node-of-host-metrics"
# Nothing is reported between the first report and the end.
SELDOM = Rules(600.0, 3600.0, step_seconds=3600.0)


class Host:
    def __init__(self, per_migration=True):
        self.metrics = HostMetrics(per_migration)
        self.metrics.connected(NODE)
        self.journal = Journal(None, "here", "boot")
        recorder = Recorder(None, SETTINGS.record_limits)
        how = (SETTINGS, lambda *_: Sampler(), recorder, self.journal, STEERING_OFF)
        self.watches = WatchList(*how, judged=self.metrics.judged)
        self.now = 1000.0
        self._rows = precopy(GUEST)

    def run(self, seconds):
        until = self.now + seconds
        for row in self._rows:
            self.now = 1000.0 + row["t"]
            seen = observation_rows.from_row(row | {"t": self.now}, SERVER, 0.3)
            if seen is not None:
                self.watches.take(seen)
            self.step()
            if self.now >= until:
                break
        return self

    def step(self, seconds=0.0):
        self.now += seconds
        self.watches.reporting.attend(SELDOM, self.now, {SERVER})
        self.metrics.count(self.watches, self.now)

    def aborts(self):
        stats = {"type": 5, "operation": 5, "memory_total": 1}
        self.watches.take(Reading(server_uuid=SERVER, at=self.now, stats=stats))
        for _ in range(5):
            self.step(1.0)


@pytest.fixture(autouse=True)
def _no_series_are_left():
    yield
    SERIES.hide(NODE)


def series():
    """{name: value} of this node's series, as a scrape reads them."""
    return {
        sample.name.removeprefix("migprog_migration_"): sample.value
        for family in SERIES.collect()
        for sample in family.samples
        if sample.labels["node"] == NODE
    }


def gauge(name, **labels):
    return REGISTRY.get_sample_value(name, {"node": NODE, **labels})


def test_each_sample_is_shown_whether_it_is_reported_or_not():
    host = Host().run(2)
    host.journal.outbox.sent(host.journal.outbox.load(host.now), None, host.now)
    shown = []
    for _ in range(10):
        host.run(0.5)
        shown.append(series()["memory_remaining_bytes"])
    assert len(set(shown)) == 10
    assert not host.journal.outbox.load(host.now)


def test_without_the_option_no_migration_is_shown():
    Host(per_migration=False).run(5)
    assert series() == {}
    assert gauge("migprog_migrations", verdict="copying") == 1


def test_option_that_is_switched_off_removes_the_series_of_migrations_in_progress():
    host = Host().run(5)
    assert series()
    host.metrics.per_migration = False
    host.run(1)
    assert series() == {}
    host.metrics.per_migration = True
    host.run(1)
    assert series()


def test_ended_migration_is_shown_once_more_and_is_gone():
    host = Host().run(5)
    assert series()["verdict"] != 8
    host.aborts()
    assert len(host.watches) == 0
    assert series()["verdict"] == 8
    assert series() == {}


def test_agent_that_stops_leaves_no_series():
    host = Host().run(5)
    host.metrics.stop()
    assert series() == {}


def test_longest_pause_of_a_guest_is_shown_and_ends_with_the_migration(monkeypatch):
    host = Host(per_migration=False).run(5)
    monkeypatch.setattr("time.monotonic", lambda: host.now)
    pause = "migprog_longest_guest_pause_seconds"
    assert gauge(pause) == 0.0
    monitor = host.watches.monitor(SERVER)
    monitor.lifecycle(3, 0, host.now)
    host.step(2.0)
    assert gauge(pause) == 2.0
    host.now += 40.0
    assert gauge(pause) == 42.0
    host.aborts()
    assert gauge(pause) == 0.0
