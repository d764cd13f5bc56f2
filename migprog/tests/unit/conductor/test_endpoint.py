# SPDX-License-Identifier: Apache-2.0
import contextlib
import dataclasses
import inspect
import logging
import time

import pytest

from migprog import context, objects
from migprog.conductor.batcher import ReportBatcher
from migprog.conductor.endpoint import ConductorEndpoint
from migprog.conductor.storing import make_store_batches
from migprog.core.forecast import calibration
from migprog.core.forecast.calibration import ForecastCheck
from migprog.core.messages import Ack, Batch
from migprog.core.status import Status
from migprog.metrics import REGISTRY
from migprog.rpc.conductor import VERSION, ConductorAPI
from migprog.tests import stores
from migprog.tests.store_cases.agents import AGENT

# How to send is the caller's side alone.
_SENDING = {"acknowledged"}
# What counts transactions, whatever is in them.
_EACH_TIME = {
    *("migprog_db_transaction_duration_seconds", "migprog_batches_stored"),
    *("migprog_db_statements", "migprog_db_rows_written"),
}
# The histograms of ends: see unit/metrics/test_ended.
_OF_ENDS = "migprog_migration_"


@pytest.fixture
def store(tmp_path):
    return stores.ready(f"sqlite:///{tmp_path}/migprog.sqlite")


@contextlib.contextmanager
def managing(store):
    intake = ReportBatcher(make_store_batches(store))
    intake.start()
    yield ConductorEndpoint(intake)
    intake.stop()


@pytest.fixture
def manager(store):
    with managing(store) as manager:
        yield manager


def _methods(of: type) -> dict[str, list[str]]:
    functions = inspect.getmembers(of, inspect.isfunction)
    return {
        name: [p for p in inspect.signature(function).parameters if p != "self"]
        for name, function in functions
        if not name.startswith("_")
    }


def test_both_halves_agree():
    remote = _methods(ConductorEndpoint)
    assert all(parameters[0] == "ctxt" for parameters in remote.values())
    here = {
        name: [p for p in ps if p not in _SENDING] for name, ps in _methods(ConductorAPI).items()
    }
    # Sent by the same method, unless an answer is asked for.
    here["progress"] = here["report"]
    assert here == {name: parameters[1:] for name, parameters in remote.items()}
    assert ConductorEndpoint.target.version == VERSION


def test_valid_entries_are_stored_and_malformed_ones_refused_with_reasons(manager, store, caplog):
    good = stores.report(percent=5)
    bad = dataclasses.replace(stores.report(), sampled_at="soon\nERROR forged line")
    wire = Batch(host="a", node="a.example.org", reports=(bad, good)).to_wire()
    wire["reports"]["rows"].append(7)
    wire["arrivals"] = {"fields": ["server_uuid"], "rows": [["?"]]}
    ack = Ack.from_wire(manager.report({}, batch=wire))
    assert set(ack.refused) == {"reports[0]", "reports[2]", "arrivals[0]"}
    assert ack.refused["reports[0]"].startswith("sampled_at: ")
    assert stores.migration(store, good).percent == 5
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    (warning,) = warnings
    assert "3 malformed entries refused; reports[0]: " in warning
    assert "\n" not in warning


def test_call_that_was_delivered_before_says_nothing_of_its_hosts_clock(manager, store):
    ctxt, sampled_at = context.for_service(), time.time() - 300
    report = stores.report(started_at=sampled_at, sampled_at=sampled_at)

    def sampled_after(waited_seconds):
        nonlocal report
        report = stores.later(report, sampled_at=sampled_at)
        sent_at = time.time() - waited_seconds
        wire = Batch(host="a", node="a", reports=(report,), sent_at=sent_at).to_wire()
        assert not Ack.from_wire(manager.report(ctxt, batch=wire)).refused
        return stores.migration(store, report).sampled_at.timestamp()

    assert sampled_after(0) == pytest.approx(sampled_at, abs=1)
    ctxt.is_redelivered = True
    assert sampled_after(75) == pytest.approx(sampled_at, abs=1)
    assert sampled_after(0) == pytest.approx(sampled_at, abs=1)
    # Of a message that does not wait it would be a clock that was set back.
    ctxt.is_redelivered = False
    assert sampled_after(75) == pytest.approx(sampled_at + 75, abs=1)


def test_malformed_values_and_entries_are_counted_and_logged_once(manager, store, caplog):
    good = stores.report(percent=5)
    wire = Batch(host="a", node="a", reports=(good,)).to_wire()
    wire["reports"]["fields"] += ["downtime_seconds", "verdict"]
    wire["reports"]["rows"][0] += [-0.012, "slow-network"]
    wire["reports"]["rows"].append(7)

    def tell():
        for _ in range(20):
            assert set(manager.report({}, batch=wire)["refused"]) == {"reports[1]"}

    counted = _counted(tell)
    assert counted["values_dropped_total",] == 40
    assert counted["entries_refused_total", "malformed"] == 20
    stored = stores.migration(store, good)
    assert (stored.percent, stored.downtime_seconds, stored.verdict) == (5, None, None)
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "2 malformed values dropped" in warnings[1]
    assert "verdict: 'slow-network' must be one of" in warnings[1]


def test_a_second_agent_is_counted_and_logged_once(manager, store, caplog):
    mine = stores.report()
    other = stores.report(server_uuid=mine.server_uuid, started_at=mine.started_at + 0.1)

    def tell(report):
        return manager.report({}, batch=Batch("h", "h", reports=(report,)).to_wire())

    tell(mine)
    counted = _counted(lambda: [tell(stores.later(other, n)) for n in range(1, 21)])
    assert counted == {("entries_refused_total", "duplicate"): 20}
    # It need not know, and need not tell again.
    assert tell(other) == {"arrived": [], "refused": {}, "destinations": {}}
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "two agents of host 'h' report the same migration" in warning
    assert mine.uuid in warning and mine.server_uuid in warning


def test_another_hosts_report_is_refused_counted_and_logged_once(manager, store, caplog):
    mine = stores.report(project_id="red")
    forged = stores.later(mine, sequence=9, status=Status.FAILED, error="forged")

    def tell(host, report):
        return manager.report({}, batch=Batch(host, host, reports=(report,)).to_wire())

    assert tell("host-b", mine)["refused"] == {}
    counted = _counted(lambda: [tell("host-a", forged) for _ in range(20)])
    assert counted == {("entries_refused_total", "foreign"): 20}
    assert tell("host-a", forged) == {
        "arrived": [],
        "refused": {f"reports[{mine.uuid}]": "host: 'host-a' must be the migration's source"},
        "destinations": {},
    }
    assert tell("host-b", stores.later(mine))["refused"] == {}
    known = stores.migration(store, mine)
    assert (known.sequence, known.status) == (2, Status.RUNNING)
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "'host-a'" in warnings[0] and mine.uuid in warnings[0]


def test_another_agents_heartbeat_is_refused_counted_and_logged_once(manager, store, caplog):
    def tell(key, version):
        agent = dataclasses.replace(AGENT, key=key, version=version)
        manager.report({}, batch=Batch("owned", "owned", agent=agent).to_wire())

    tell("mine", "1")
    counted = _counted(lambda: [tell("another", "6.6.6") for _ in range(20)])
    assert counted == {("entries_refused_total", "agent"): 20}
    assert objects.Agent.get(store, "owned").version == "1"
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "a second agent reports as host 'owned'" in warning
    assert "mine" not in warning and "'another'" not in warning


@pytest.mark.parametrize(
    "batch", [None, 7, [], {}, {"host": ""}, {"host": "a", "node": "b", "reports": 7}]
)
def test_a_batch_that_cannot_be_read_is_answered(manager, batch, caplog):
    ack = Ack.from_wire(manager.report({}, batch=batch))
    assert set(ack.refused) == {"batch"}
    assert [r.levelno for r in caplog.records] == [logging.WARNING]


def test_an_end_is_one_line_in_the_log(manager, caplog):
    caplog.set_level(logging.INFO)
    ended = stores.report(status=Status.COMPLETED, total_seconds=7.5)
    wire = Batch(host="a", node="a", reports=(stores.report(), ended)).to_wire()
    for _ in range(2):
        manager.report({}, batch=wire)
    (line,) = [r.getMessage() for r in caplog.records if r.name.startswith("migprog.objects")]
    assert ended.uuid in line
    assert "completed after 7.5 s" in line


def _counted(of):
    """What every series counts after ``of`` that it did not before; those that count nothing are
    left out."""

    def read():
        return {
            (sample.name.removeprefix("migprog_"), *sample.labels.values()): sample.value
            for metric in REGISTRY.collect()
            for sample in metric.samples
            # An agent of an earlier test may still be shown.
            if not sample.name.startswith("migprog_agent_")
            and metric.name not in _EACH_TIME
            and not metric.name.startswith(_OF_ENDS)
        }

    before = read()
    of()
    return {series: now - before[series] for series, now in read().items() if now != before[series]}


def test_how_good_forecasts_were_is_counted_once(manager):
    running = stores.report(server_name="web", project_id="p")
    completed = stores.later(
        running,
        status=Status.COMPLETED,
        total_seconds=100.0,
        **calibration.to_fields(
            [
                ForecastCheck(25, 60.0, -15.0, False),
                ForecastCheck(50, 50.0, 0.5, True),
                ForecastCheck(75),
            ]
        ),
    )

    def tell(*reports):
        manager.report({}, batch=Batch(host="a", node="a", reports=reports).to_wire())

    assert _counted(lambda: tell(running)) == {("reports_stored_total",): 1}
    counted = _counted(lambda: tell(completed, running))
    sums = {series: value for series, value in counted.items() if not series[0].endswith("_bucket")}
    assert sums == {
        ("reports_stored_total",): 1,
        ("migrations_ended_total", "completed"): 1,
        ("forecast_in_range_total", "25", "no"): 1,
        ("forecast_in_range_total", "50", "yes"): 1,
        ("forecast_in_range_total", "75", "none"): 1,
        ("forecast_error_ratio_count", "25"): 1,
        ("forecast_error_ratio_count", "50"): 1,
        ("forecast_error_ratio_sum", "25"): pytest.approx(0.2),
        ("forecast_error_ratio_sum", "50"): pytest.approx(0.01),
    }
    assert counted["forecast_error_ratio_bucket", "25", "0.2"] == 1
    assert ("forecast_error_ratio_bucket", "25", "0.1") not in counted
    assert _counted(lambda: tell(completed, stores.later(completed), running)) == {}


def test_an_absurd_forecast_does_not_drown_the_others(manager):
    completed = stores.report(
        status=Status.COMPLETED,
        total_seconds=100.0,
        **calibration.to_fields([ForecastCheck(50, 7e9, 7e9, False)]),
    )
    batch = Batch(host="a", node="a", reports=(completed,)).to_wire()
    counted = _counted(lambda: manager.report({}, batch=batch))
    assert counted["forecast_error_ratio_sum", "50"] == pytest.approx(100)


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED, Status.UNKNOWN])
def test_metrics_of_forecasts_omit_incomplete_migrations(manager, status):
    batch = Batch(host="a", node="a", reports=(stores.report(status=status),)).to_wire()
    assert _counted(lambda: manager.report({}, batch=batch)) == {
        ("reports_stored_total",): 1,
        ("migrations_ended_total", status): 1,
    }


def test_a_database_away_is_an_error_for_the_agent_to_try_again(tmp_path):
    wire = Batch(host="a", node="a", reports=(stores.report(),)).to_wire()
    with (
        managing(stores.connect(f"sqlite:///{tmp_path}/migprog.sqlite")) as manager,
        pytest.raises(objects.Unavailable),
    ):
        manager.report({}, batch=wire)


def test_progress_is_stored_without_an_answer(store, caplog):
    report = stores.report(percent=7)
    with managing(store) as manager:
        assert manager.progress({}, batch=Batch("a", "a", reports=(report,)).to_wire()) is None
        assert manager.progress({}, batch={"host": ""}) is None
    assert stores.migration(store, report).percent == 7
    assert "malformed batch refused" in caplog.text


def test_metrics_count_statements_and_rows_of_transactions(manager):
    report = stores.report()

    def tell():
        manager.report({}, batch=Batch("a", "a", reports=(report,)).to_wire())

    def counted(name):
        return REGISTRY.get_sample_value(f"migprog_{name}_total")

    tell()
    before = counted("db_statements"), counted("db_rows_written")
    # Told again it changes nothing: to begin, and to look at the migration and at the server.
    tell()
    assert (counted("db_statements"), counted("db_rows_written")) == (before[0] + 3, before[1])
    report = stores.later(report)
    tell()
    # The migration, its server, and a point of its history.
    assert (counted("db_statements"), counted("db_rows_written")) == (before[0] + 9, before[1] + 3)
