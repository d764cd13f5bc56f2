# SPDX-License-Identifier: Apache-2.0
"""The series of single migrations: what they show, when they end, and how many there may be."""

import threading

import prometheus_client
import pytest

from lab.simulated import Guest, precopy
from migprog.core.forecast.verdict import Verdict
from migprog.core.monitor import Monitor
from migprog.metrics import REGISTRY, per_migration
from migprog.metrics.per_migration import LAST_SECONDS, VERDICT_CODES, MigrationSeries
from migprog.tests.fixtures import driven

GUEST = Guest(memory_mib=200, dirty_mib_s=14, working_set_mib=80, bandwidth_mib_s=20)
SERVER, UUID = driven.SERVER, driven.UUID


def monitored(seconds, guest=GUEST, uuid=UUID, found_at=0.0):
    """A monitor that has seen the first seconds of a migration, and the report of that moment."""
    monitor, at = Monitor(uuid, SERVER, found_at=found_at), found_at
    for row in precopy(guest):
        if row["t"] > seconds:
            break
        at = found_at + row["t"]
        driven.feed(monitor, row | {"t": at})
        monitor.judge(at)
    monitor.judge(at + 5.0 if monitor.ending.end else at)
    return monitor, monitor.preview(at, driven.EPOCH + at)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def series(clock):
    return MigrationSeries(most=3, clock=clock)


def scrape(series):
    """What Prometheus reads: {(name, migration): value}, verdicts by their label."""
    registry = prometheus_client.CollectorRegistry()
    registry.register(series)
    samples = [sample for family in registry.collect() for sample in family.samples]
    return {
        (sample.name.removeprefix("migprog_migration_"), sample.labels["migration_uuid"]): (
            (sample.labels["verdict"], sample.value) if "verdict" in sample.labels else sample.value
        )
        for sample in samples
    }


def migrations(series):
    return {uuid for _, uuid in scrape(series)}


def named(values):
    return {name: value for (name, _), value in values.items()}


def left_out():
    return REGISTRY.get_sample_value("migprog_migrations_without_series_total")


def test_series_have_what_a_report_of_the_same_moment_has(series, clock):
    monitor, report = monitored(15.0)
    clock.now = monitor.figures.latest.at + 0.25
    series.show("node-7", monitor.figures)
    shown = named(scrape(series))
    same = {
        name: shown[name]
        for name in shown
        if hasattr(report, name) and name not in ("verdict", "total_seconds")
    }
    assert len(same) > 10
    # A report's are rounded.
    assert same == pytest.approx({name: getattr(report, name) for name in same}, abs=1e-3)
    assert round(100 * shown["progress_ratio"]) == report.percent
    assert shown["verdict"] == (report.verdict, VERDICT_CODES[report.verdict])
    assert shown["sample_age_seconds"] == 0.25
    assert shown["elapsed_seconds"] == pytest.approx(clock.now - monitor.started_clock)
    assert shown["guest_paused_seconds"] == 0.0


def test_labels_are_node_server_and_migration(series):
    series.show("node-7", monitored(5.0)[0].figures)
    text = prometheus_client.generate_latest(series).decode()
    (line,) = (x for x in text.splitlines() if x.startswith("migprog_migration_eta_seconds{"))
    labels = f'{{migration_uuid="{UUID}",node="node-7",server_uuid="{SERVER}"}}'
    assert labels in line


def test_values_that_are_not_known_have_no_series(series):
    monitor = Monitor(UUID, SERVER, found_at=0.0)
    monitor.judge(5.0)
    series.show("node-7", monitor.figures)
    assert set(named(scrape(series))) == {"elapsed_seconds", "guest_paused_seconds", "verdict"}


def test_time_goes_on_between_two_samples(series, clock):
    monitor, _ = monitored(5.0)
    series.show("node-7", monitor.figures)
    clock.now = monitor.figures.latest.at + 60.0
    before = named(scrape(series))
    clock.now += 10.0
    after = named(scrape(series))
    assert after["sample_age_seconds"] == before["sample_age_seconds"] + 10.0 == 70.0
    assert after["elapsed_seconds"] == before["elapsed_seconds"] + 10.0


def test_every_verdict_has_a_code_of_its_own():
    assert set(VERDICT_CODES) == set(Verdict)
    assert sorted(VERDICT_CODES.values()) == list(range(len(Verdict)))


def test_final_values_stay_until_one_scrape_has_shown_them(series):
    series.show("node-7", monitored(10.0)[0].figures)
    for _ in range(3):
        assert migrations(series) == {UUID}
    ended, _ = monitored(600.0)
    series.show("node-7", ended.figures)
    shown = named(scrape(series))
    assert (shown["progress_ratio"], shown["verdict"][0]) == (1.0, "ended")
    assert shown["memory_remaining_bytes"] == 0
    assert shown["elapsed_seconds"] == ended.figures.total_seconds > 0
    assert "sample_age_seconds" not in shown
    assert scrape(series) == {}


@pytest.mark.parametrize(("later", "is_shown"), [(-1.0, True), (0.0, False)])
def test_final_values_wait_for_a_scrape_for_a_limited_time(series, clock, later, is_shown):
    series.show("node-7", monitored(600.0)[0].figures)
    clock.now += LAST_SECONDS + later
    assert bool(scrape(series)) is is_shown


def test_migrations_beyond_the_bound_are_counted_and_logged_once(series, caplog):
    before = left_out()
    for number in range(5):
        for _ in range(3):
            series.show("node-7", monitored(5.0, uuid=f"migration-{number}")[0].figures)
    assert migrations(series) == {f"migration-{number}" for number in range(3)}
    assert left_out() == before + 2
    (line,) = caplog.messages
    assert "migration-3 has no metrics of its own: 3 others have" in line


def test_migration_beyond_the_bound_gets_its_series_when_another_has_ended(series):
    for number in range(4):
        series.show("node-7", monitored(5.0, uuid=f"migration-{number}")[0].figures)
    series.show("node-7", monitored(600.0, uuid="migration-0")[0].figures)
    before = left_out()
    series.show("node-7", monitored(6.0, uuid="migration-3")[0].figures)
    assert migrations(series) == {"migration-1", "migration-2", "migration-3"}
    assert left_out() == before


def test_ended_migrations_that_are_never_scraped_stay_within_the_bound(series):
    before = left_out()
    for number in range(20):
        series.show("node-7", monitored(600.0, uuid=f"migration-{number}")[0].figures)
        assert len(series._shown) <= 3
    assert left_out() == before
    assert migrations(series) == {"migration-17", "migration-18", "migration-19"}


def test_hidden_node_loses_its_series_and_no_other_does(series):
    series.show("node-7", monitored(5.0, uuid="seven")[0].figures)
    series.show("node-8", monitored(5.0, uuid="eight")[0].figures)
    series.hide("node-7")
    assert migrations(series) == {"eight"}


def test_figures_that_cannot_be_computed_spoil_no_other_series(series, caplog):
    broken = monitored(5.0, uuid="broken")[0].figures._replace(latest="no sample")
    series.show("node-7", broken)
    series.show("node-7", monitored(5.0)[0].figures)
    assert migrations(series) == {UUID}
    assert "migration broken: failed to compute its metrics" in caplog.text


def test_showing_does_not_wait_for_a_scrape_in_progress(series, monkeypatch):
    """The agent's loop goes on while a scrape computes."""
    computes, may_go_on = threading.Event(), threading.Event()
    monitor, _ = monitored(5.0)

    def value(_figures, _now):
        computes.set()
        assert may_go_on.wait(60)
        return 1.0

    name, text, _ = per_migration._METRICS[0]
    monkeypatch.setattr(per_migration, "_METRICS", ((name, text, value),))
    series.show("node-7", monitor.figures)
    scraping = threading.Thread(target=scrape, args=(series,), daemon=True)
    scraping.start()
    assert computes.wait(60)
    shows = threading.Thread(target=series.show, args=("node-7", monitor.figures), daemon=True)
    shows.start()
    shows.join(60)
    is_waiting = shows.is_alive()
    may_go_on.set()
    scraping.join(60)
    assert not is_waiting


def test_guest_that_is_paused_shows_for_how_long(series, clock):
    monitor, _ = monitored(10.0)
    at = monitor.figures.latest.at
    monitor.lifecycle(3, 0, at)
    monitor.judge(at)
    series.show("node-7", monitor.figures)
    clock.now = at + 42.0
    assert named(scrape(series))["guest_paused_seconds"] == 42.0
    assert monitor.guest_paused_clock == at


def test_guest_that_its_owner_paused_before_is_not_shown_as_paused(series, clock):
    monitor, _ = monitored(5.0)
    at = clock.now = monitor.figures.latest.at
    monitor.turned(None, is_paused=True)
    monitor.judge(at)
    assert monitor.figures.precopy.paused_at is not None
    assert monitor.guest_paused_clock is None
    series.show("node-7", monitor.figures)
    assert named(scrape(series))["guest_paused_seconds"] == 0.0


def test_figures_do_not_change_what_is_reported():
    """The first report sets the start of a migration for all later ones."""
    (with_figures, _), (without, _) = monitored(5.0), monitored(5.0)
    assert with_figures.figures is not None
    rules = driven.RULES
    assert with_figures.report_if_due(rules, 6.0, 1e9) == without.report_if_due(rules, 6.0, 1e9)
