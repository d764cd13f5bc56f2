# SPDX-License-Identifier: Apache-2.0
"""Migrations are compared with what was to be expected before their start, once they have ended."""

import threading
import time
import uuid

import pytest

from migprog.conductor import before_checks
from migprog.conductor.before_checks import BeforeChecks
from migprog.conductor.storing import make_store_batches
from migprog.core.forecast.before_check import Outcome
from migprog.core.messages import Batch
from migprog.core.status import Phase, Status
from migprog.metrics import REGISTRY
from migprog.objects import ReceivedBatch
from migprog.tests import stores
from migprog.tests.store_cases.measuring import MIB, measured, put
from migprog.tests.stores import START, report


@pytest.fixture
def store(tmp_path):
    made = stores.ready(f"sqlite:///{tmp_path}/migprog.sqlite")
    yield made
    made.close()


def _ended(server, status=Status.COMPLETED, **values):
    known = {
        "server_uuid": server,
        "phase": Phase.DONE,
        "ended_at": START + 9,
        "total_seconds": 9.0,
        "memory_processed_bytes": 300 * MIB,
        "throughput_bytes_per_second": 117 * MIB,
    }
    return report(9, status, **(known | values))


def _count(outcome):
    return REGISTRY.get_sample_value(
        "migprog_forecast_before_outcomes_total", {"outcome": outcome.value}
    )


def _check(store, end):
    stores.store(store, end)
    BeforeChecks(store).check(end)
    return stores.migration(store, end)


def test_stop_ends_in_time_while_the_database_hangs(store, monkeypatch):
    monkeypatch.setattr(before_checks, "STOP_SECONDS", 0.2)
    begun, goes_on = threading.Event(), threading.Event()

    class Hanging(BeforeChecks):
        def check(self, _end):
            begun.set()
            assert goes_on.wait(60)

    checks = Hanging(store)
    checks.start()
    checks.ended(_ended(str(uuid.uuid4())))
    try:
        assert begun.wait(60)
        checks.stop()
        assert checks._thread.is_alive()
    finally:
        goes_on.set()
    checks._thread.join(60)
    assert not checks._thread.is_alive()


def test_completed_migration_is_compared_with_what_was_measured_before(store):
    server = str(uuid.uuid4())
    put(store, measured(server, START - 60))
    before = _count(Outcome.IN_RANGE)
    found = _check(store, _ended(server)).forecast_before
    assert found.measured_at == pytest.approx(START - 60, abs=0.001)
    assert found.converges == "yes"
    # By the default rate, whose range is wide.
    assert found.low_seconds < 9 < found.high_seconds
    assert found.outcome is Outcome.IN_RANGE
    assert found.error_seconds(9.0) == pytest.approx(found.total_seconds - 9.0)
    assert _count(Outcome.IN_RANGE) == before + 1


@pytest.mark.parametrize(
    ("at", "host"),
    [
        # After the start, long before it, and by another host.
        (START + 1, "source"),
        (START - 90_000, "source"),
        (START - 60, "other"),
    ],
)
def test_other_measurements_are_not_compared(store, at, host):
    server = str(uuid.uuid4())
    put(store, measured(server, at), host=host)
    assert _check(store, _ended(server)).forecast_before is None


def test_unmeasured_server_is_not_compared(store):
    assert _check(store, _ended(str(uuid.uuid4()))).forecast_before is None


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        ({}, Outcome.WRONG),
        ({"cpu_throttle_percent": 40}, Outcome.NOT_COMPARABLE),
        ({"status": Status.CANCELLED}, Outcome.NOT_COMPARABLE),
    ],
)
def test_forecast_not_to_converge(store, values, outcome):
    server = str(uuid.uuid4())
    fast = measured(server, START - 60, windows=((1.0, 9000), (4.0, 9000)), memory_bytes=2**37)
    put(store, fast)
    status = values.pop("status", Status.COMPLETED)
    found = _check(store, _ended(server, status, **values)).forecast_before
    assert (found.converges, found.outcome) == ("no", outcome)


def test_end_that_is_stored_is_compared_in_a_thread_of_its_own(store):
    server = str(uuid.uuid4())
    put(store, measured(server, START - 60))
    checks = BeforeChecks(store)
    checks.start()
    store_batches = make_store_batches(store, ended=checks.ended)
    end = _ended(server)
    sent = Batch(host="source", node="source.example.org", reports=(end,))
    store_batches([ReceivedBatch(sent, START + 100)])
    give_up_at = time.monotonic() + 30
    while stores.migration(store, end).forecast_before is None and time.monotonic() < give_up_at:
        time.sleep(0.01)
    checks.stop()
    assert stores.migration(store, end).forecast_before.outcome is Outcome.IN_RANGE
