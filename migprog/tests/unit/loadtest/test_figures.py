# SPDX-License-Identifier: Apache-2.0
import json
from typing import Any

import pytest

from migprog.loadtest import table
from migprog.loadtest.figures import Latencies, Snapshot, figures, percentiles_ms
from migprog.loadtest.plan import Load
from migprog.loadtest.usage import Usage

LOAD = Load(hosts=10, per_host=20, interval_seconds=2.0)
MIB = 2**20


def snapshot(cpu: float, count: float, **changes: Any) -> Snapshot:
    values: dict[str, Any] = {
        "usage": {
            name: Usage(cpu * share, share * MIB)
            for name, share in (("agent", 1), ("conductor", 2), ("broker", 3), ("database", 4))
        },
        "conductors": {
            "migprog_reports_stored_total": 20 * count,
            "migprog_batches_stored_total": count,
            "migprog_db_statements_total": 5 * count,
            "migprog_db_rows_written_total": 40 * count,
            "migprog_db_transaction_duration_seconds_count": count,
            "migprog_db_transaction_duration_seconds_bucket 0.01": 0.5 * count,
            "migprog_db_transaction_duration_seconds_bucket 0.02": count,
            "migprog_db_transaction_duration_seconds_bucket +Inf": count,
        },
        "messages": {"sent": 0.9 * count, "answered": 0.1 * count, "failed": 0},
        "reports": {"first": count, "step": 19 * count},
        "traffic": (9000 * int(count), 1000 * int(count)),
        "heartbeats": {"sent": 3 * int(count), "failed": 0},
    }
    return Snapshot(**(values | changes))


def measured(**changes):
    return figures(LOAD, snapshot(1.0, 100), snapshot(2.0, 300, **changes), 10.0, Latencies())


def test_figures_are_differences_between_the_marks():
    known = measured()
    assert (known["migrations"], known["interval_seconds"], known["updates_per_second"]) == (
        200,
        2.0,
        400,
    )
    assert known["cpu_ms_per_update"] == {
        "agent": 0.25,
        "conductor": 0.5,
        "broker": 0.75,
        "database": 1.0,
        "total": 2.5,
    }
    assert known["cpu_share"]["database"] == 0.4
    assert known["messages_per_update"] == pytest.approx(1.1 / 20)
    assert known["bytes_per_update"] == 500
    assert (known["sql_per_batch"], known["sql_per_transaction"]) == (5, 5)
    assert (known["rows_per_second"], known["updates_per_transaction"]) == (800, 20)
    assert known["store_ms"] == {"p50": 10.0, "p95": 19.0, "p99": 19.8}
    assert known["memory_mib"]["broker"] == 3
    assert known["reports_by_reason"] == {"first": 200, "step": 3800}
    assert (known["heartbeats_per_second"], known["heartbeats_failed"]) == (60, 0)
    # There are no idle hosts, and so no process that simulates them.
    assert (known["idle_hosts"], known["cpu_share"]["idle"]) == (0, None)


def test_unknown_figures_are_null():
    """Of a broker elsewhere, of conductors that were not started here."""
    elsewhere = {**snapshot(2.0, 300).usage, "broker": None}
    known = measured(usage=elsewhere, conductors={})
    assert known["cpu_ms_per_update"]["broker"] is None
    assert known["cpu_ms_per_update"]["total"] is None
    assert known["memory_mib"]["broker"] is None


def test_without_conductor_metrics_sent_reports_count():
    nothing = snapshot(1.0, 100, conductors={})
    known = figures(LOAD, nothing, snapshot(2.0, 300, conductors={}), 10.0, Latencies())
    assert known["updates_per_second"] == 400
    assert known["sql_per_batch"] is known["rows_per_second"] is known["store_ms"]["p50"] is None


def test_nothing_measured_is_no_division_by_zero():
    known = figures(LOAD, snapshot(1.0, 100), snapshot(1.0, 100), 10.0, Latencies())
    assert known["updates_per_second"] == 0
    assert known["cpu_ms_per_update"]["total"] is None


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([], [None, None, None]),
        ([0.5], [500, 500, 500]),
        ([n / 1000 for n in range(100, 0, -1)], [50, 95, 99]),
    ],
)
def test_percentiles(seconds, expected):
    assert percentiles_ms(seconds) == dict(zip(("p50", "p95", "p99"), expected, strict=True))


def test_durations_beyond_the_last_bucket_count_as_it():
    slow = {
        **snapshot(2.0, 300).conductors,
        "migprog_db_transaction_duration_seconds_bucket 0.02": 150.0,
    }
    assert measured(conductors=slow)["store_ms"]["p99"] == 20.0


def test_table_has_a_column_per_run_and_no_unknown_rows():
    text = table.text([measured(), measured(usage=dict.fromkeys(snapshot(1, 1).usage))])
    lines = {line[:37].strip(): line[37:].split() for line in text.splitlines()}
    assert lines["migrations at once"] == ["200", "200"]
    assert lines["CPU an update, ms: total"] == ["2.5", "-"]
    assert "kept up with" not in lines
    assert json.loads(json.dumps(measured())) == measured()
