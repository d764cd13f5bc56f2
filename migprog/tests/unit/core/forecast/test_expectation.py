# SPDX-License-Identifier: Apache-2.0
"""What is known of a migration before it begins, and what is expected of it then."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.corpus import files
from migprog.core.forecast.dirty_curve import MIB, DirtyCurve
from migprog.core.forecast.expectation import CURVES, MAX_CURVES, Expectation
from migprog.core.forecast.expectation_making import expectation, windows_of
from migprog.core.forecast.foreseen_resent import resent
from migprog.core.forecast.job_sample import Sample
from migprog.core.forecast.precopy import PrecopyState
from migprog.core.learned import Completed, learn
from migprog.core.measurement import Measurement, Window
from migprog.core.schedule import Rules
from migprog.recording import format as recordings
from migprog.recording.replay import replay

NOW = 1_000_000.0
CURVE = DirtyCurve(10.0 * MIB, math.inf)
RATE = 20.0 * MIB
# Of a guest that dirties half of the rate.
HALF = Measurement(
    measured_at=NOW,
    windows=tuple(Window(float(seconds), 10) for seconds in (1, 1, 4, 4, 16)),
    memory_bytes=192 * MIB,
    resident_bytes=192 * MIB,
    disk_bytes=0,
    downtime_limit_seconds=0.3,
    has_host_devices=False,
)
COMPLETED = [Completed("a", "b", NOW - 100 * n, RATE, 9.0, 0.4) for n in (1, 2, 3)]
LEARNED = learn(COMPLETED, "a", "b", NOW)


def known(**values):
    latest = Sample(at=0.0, memory_total_bytes=200 * MIB, memory_remaining_bytes=200 * MIB)
    values = {"memory_resident_bytes": 225 * MIB, "known_bytes_per_second": RATE} | values
    return PrecopyState(started_at=0.0, latest=latest, **values)


def test_expectation_is_read_as_it_was_sent():
    told = Expectation(RATE, 0.05, 0.4, (CURVE, DirtyCurve(5.0 * MIB, 2.0, 6.0)))
    wire = json.loads(json.dumps(told.to_wire(), allow_nan=False))
    read = Expectation.from_wire(wire)
    assert read.bytes_per_second == pytest.approx(RATE, rel=1e-3)
    assert (read.spread, read.overhead_seconds) == (0.05, 0.4)
    assert read.curves[0].knee_seconds == math.inf
    assert read.curves[1][1:3] == (2.0, 6.0)
    assert Expectation.from_wire(Expectation().to_wire()) == Expectation()


@pytest.mark.parametrize(
    "changes",
    [
        {"curves": [[1.0, 2.0]]},
        {"curves": [[0.0, 2.0, 1.0]]},
        {"curves": [["x", 2.0, 1.0]]},
        {"curves": [[1.0, 2.0, 1.0]] * (MAX_CURVES + 1)},
        {"curves": "abc"},
        {"bytes_per_second": 0},
        {"bytes_per_second": -1.0},
        {"bytes_per_second": 1e300},
        {"spread": math.nan},
        {"overhead_seconds": True},
    ],
)
def test_malformed_expectation_is_none(changes):
    assert Expectation.from_wire(Expectation(RATE, 0.1, 0.4, (CURVE,)).to_wire() | changes) is None


@given(st.none() | st.text() | st.lists(st.integers()) | st.dictionaries(st.text(), st.integers()))
def test_any_value_is_read_without_error(value):
    Expectation.from_wire(value)


def test_curves_stand_for_what_was_measured():
    told = expectation(HALF, LEARNED, 0.0)
    assert len(told.curves) == CURVES
    assert told.bytes_per_second == pytest.approx(RATE)
    least, likely, most = resent(told.curves, known())
    # Half of it, and half of that, and so on.
    assert likely == pytest.approx(1.0, rel=0.3)
    assert least < likely < most


def test_nothing_is_expected_by_a_default_rate():
    told = expectation(None, learn((), "a", "b", NOW), 0.0)
    assert told == Expectation()
    assert resent((CURVE,), known(known_bytes_per_second=None)) is None


def test_server_that_never_converges_is_expected_to_last():
    assert resent((DirtyCurve(100.0 * MIB, math.inf),) * 3, known()).likely >= 2
    two_of_three = (DirtyCurve(100.0 * MIB, math.inf), CURVE, CURVE)
    mixed = resent(two_of_three, known())
    assert mixed.likely == pytest.approx(1.0, rel=0.2)
    assert mixed.most > 2


def test_iterations_of_the_last_migration_count_as_windows():
    rows = [(None, None), (90 * MIB, 10 * MIB), (90 * MIB, 10 * MIB), (45 * MIB, 9 * MIB)]
    assert windows_of(rows) == (Window(5.0, 9), Window(9.0, 10))
    # QEMU's rate is not that of so short an iteration; none in which nothing was dirtied.
    assert windows_of([(MIB, 10 * MIB), (0, 5), (5, 0), (10**15, 1)]) == ()


def first_pass(told):
    recording = recordings.read(str(files.path_of("steady-10-of-20", "tuned")))
    # It takes 18 s, the first iteration half of that.
    return [
        each for each in replay(recording, Rules(1.0, 30.0), expectation=told).lines if each.t < 9
    ]


def test_first_iteration_is_forecast_with_what_was_known():
    told, untold = first_pass(expectation(HALF, LEARNED, 0.0)), first_pass(None)
    assert abs(told[4].t + told[4].eta_seconds - 18) < 3
    assert abs(untold[4].t + untold[4].eta_seconds - 18) > 5
    width = [lines[4].eta_high_seconds - lines[4].eta_low_seconds for lines in (told, untold)]
    assert width[0] < 0.6 * width[1]


def test_rate_that_was_known_forecasts_before_any_is_measured():
    told = first_pass(Expectation(RATE, 0.05, 0.4))
    assert sum(each.eta_seconds is None for each in told) < sum(
        each.eta_seconds is None for each in first_pass(None)
    )
