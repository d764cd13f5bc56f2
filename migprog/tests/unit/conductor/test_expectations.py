# SPDX-License-Identifier: Apache-2.0
"""The answer to a migration's first report says what was known of it before."""

import uuid

import pytest

from migprog import objects
from migprog.conductor.expectations import Expectations
from migprog.core.forecast.expectation import CURVES, Expectation
from migprog.core.messages import MAX_EXPECTED, Ack, Batch
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.store_cases.measuring import MIB, measured, put
from migprog.tests.stores import START, report


@pytest.fixture
def store(tmp_path):
    made = stores.ready(f"sqlite:///{tmp_path}/migprog.sqlite")
    yield made
    made.close()


def first(server, sequence=1, **values):
    known = {"server_uuid": server, "phase": Phase.MEMORY_FIRST_ITERATION}
    return report(sequence, **(known | values))


def expected(store, *reports, ack=None, host="source"):
    batch = Batch(host=host, node=host, reports=reports)
    return Expectations(store).of(batch, ack or Ack())


def completed(store, server, at, **values):
    """Store a migration that has completed, with one iteration after the first."""
    known = {
        "server_uuid": server,
        "started_at": at,
        "uuid": str(uuid.uuid4()),
        "memory_total_bytes": 512 * MIB,
        "memory_processed_bytes": 400 * MIB,
        "throughput_bytes_per_second": 20 * MIB,
        "iteration_start_remaining_bytes": 90 * MIB,
        "dirty_bytes_per_second": 10 * MIB,
    }
    known |= values
    stores.store(store, report(8, **known))
    end = {"phase": Phase.DONE, "ended_at": at + 22, "total_seconds": 22.0}
    stores.store(store, report(9, Status.COMPLETED, **(known | end)))


def test_server_that_was_measured_has_curves(store):
    server = str(uuid.uuid4())
    put(store, measured(server, START - 60))
    one = first(server)
    found = expected(store, one)[one.uuid]
    assert len(found.curves) == CURVES
    # No migration has completed.
    assert found.bytes_per_second is None


def test_rate_is_that_of_completed_migrations(store):
    completed(store, str(uuid.uuid4()), START - 100)
    one = first(str(uuid.uuid4()))
    found = expected(store, one)[one.uuid]
    assert found.bytes_per_second == pytest.approx(20 * MIB)
    assert found.curves == ()


def test_last_migration_of_a_server_shows_its_curve(store):
    server = str(uuid.uuid4())
    completed(store, server, START - 100)
    one = first(server)
    curves = expected(store, one)[one.uuid].curves
    assert len(curves) == CURVES
    middle = sorted(each.in_iteration(9.0).dirtied_bytes for each in curves)[CURVES // 2]
    assert middle == pytest.approx(90 * MIB, rel=0.3)


def test_newer_of_measurement_and_migration_counts(store):
    server = str(uuid.uuid4())
    put(store, measured(server, START - 500, windows=((1.0, 400), (4.0, 400))))
    completed(store, server, START - 100)
    one = first(server)
    curve = expected(store, one)[one.uuid].curves[CURVES // 2]
    assert curve.in_iteration(9.0).dirtied_bytes < 300 * MIB


@pytest.mark.parametrize(("at", "host"), [(START + 9, "source"), (START - 60, "other")])
def test_other_measurements_do_not_count(store, at, host):
    server = str(uuid.uuid4())
    put(store, measured(server, at), host=host)
    one = first(server)
    assert expected(store, one)[one.uuid] == Expectation()


@pytest.mark.parametrize(
    "values",
    [
        {"sequence": 3},
        {"phase": Phase.MEMORY_ITERATIONS},
        {"ended_at": START + 3, "status": Status.FAILED},
    ],
)
def test_nothing_is_said_of_later_reports(store, values):
    assert expected(store, first(str(uuid.uuid4()), **values)) == {}


def test_nothing_is_said_of_refused_reports(store):
    one = first(str(uuid.uuid4()))
    assert expected(store, one, ack=Ack(refused={f"reports[{one.uuid}]": "is foreign"})) == {}


def test_answer_is_bounded(store):
    many = [first(str(uuid.uuid4())) for _ in range(MAX_EXPECTED + 5)]
    assert len(expected(store, *many)) == MAX_EXPECTED


def test_answer_does_without_where_the_database_fails(store, monkeypatch):
    def fails(*_arguments, **_how):
        raise objects.Unavailable("away")

    monkeypatch.setattr(objects.Measurement, "of_server", fails)
    assert expected(store, first(str(uuid.uuid4()))) == {}


def test_calls_beyond_a_few_do_without(store):
    expectations = Expectations(store)
    one = first(str(uuid.uuid4()))
    batch = Batch(host="source", node="source", reports=(one,))
    while expectations._free.acquire(blocking=False):
        pass
    assert expectations.of(batch, Ack()) == {}
    expectations._free.release()
    assert expectations.of(batch, Ack()) != {}
