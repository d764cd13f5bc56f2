# SPDX-License-Identifier: Apache-2.0
"""Which forecast is compared with the end, and what is said of it."""

import itertools
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprog.core.forecast import calibration
from migprog.core.forecast.calibration import MAX_SAMPLES, ForecastCheck, ForecastSamples
from migprog.core.forecast.estimate import Estimate
from migprog.core.messages import Report

STARTED_AT = 1000.0
NOTHING = Estimate()


def noted(forecasts, delay=0.0):
    """Notes of forecasts by their instants; their samples are ``delay`` seconds older."""
    notes = ForecastSamples()
    for at, forecast in forecasts:
        notes = calibration.add_sample(notes, at, at - delay, forecast)
    return notes


def until(end, at, low=0.5, high=2.0):
    """A forecast of this end."""
    left = end - at
    return Estimate(left, low * left, high * left)


def compare(notes, total=100.0):
    return calibration.compare(notes, STARTED_AT, STARTED_AT + total)


@pytest.mark.parametrize(
    ("told_end", "low", "high", "off", "in_range"),
    [
        (1100.0, 0.5, 2.0, 0.0, True),
        (1110.0, 0.5, 2.0, 10.0, True),
        (1090.0, 0.5, 2.0, -10.0, True),
        (1090.0, 1.0, 1.0, -10.0, False),
        (1110.0, 1.0, 2.0, 10.0, False),
    ],
)
def test_reported_forecasts_are_compared_with_the_end(told_end, low, high, off, in_range):
    seconds = range(101)
    notes = noted((STARTED_AT + s, until(told_end, STARTED_AT + s, low, high)) for s in seconds)
    assert compare(notes) == tuple(
        ForecastCheck(percent, told_end - STARTED_AT - percent, off, in_range)
        for percent in (25, 50, 75)
    )


def test_the_newest_at_the_instant_or_before_is_taken():
    told = ((0.0, 90.0), (24.9, 95.0), (25.1, 50.0), (50.0, 97.0), (74.0, 98.0), (75.5, 10.0))
    notes = noted((STARTED_AT + at, until(STARTED_AT + end, STARTED_AT + at)) for at, end in told)
    assert [q.error_seconds for q in compare(notes)] == pytest.approx([-5.0, -3.0, -2.0])


def test_the_age_of_a_forecast_and_of_its_sample_does_no_harm():
    """It forecast an end, which stays what it was."""
    told = [(STARTED_AT + at, until(STARTED_AT + 103.0, STARTED_AT + at - 1.5)) for at in (3, 42)]
    notes = noted(told, delay=1.5)
    assert [q.error_seconds for q in compare(notes)] == pytest.approx([3.0] * 3)
    assert [q.eta_seconds for q in compare(notes)] == pytest.approx([101.5, 62.5, 62.5])


def test_unknown_forecast_is_null():
    notes = noted(
        [
            (STARTED_AT + 30.0, until(STARTED_AT + 100.0, STARTED_AT + 30.0)),
            (STARTED_AT + 60.0, NOTHING),
        ]
    )
    assert compare(notes) == (
        ForecastCheck(25),
        ForecastCheck(50, 70.0, 0.0, True),
        ForecastCheck(75),
    )
    assert compare(ForecastSamples()) == (ForecastCheck(25), ForecastCheck(50), ForecastCheck(75))


def test_one_without_any_length():
    notes = noted([(STARTED_AT, until(STARTED_AT + 1.0, STARTED_AT))])
    assert [q.error_seconds for q in compare(notes, total=0.0)] == [1.0] * 3


@given(
    gaps=st.lists(st.floats(0.0, 100.0) | st.floats(0.0, 0.2), max_size=300),
    poll=st.floats(0.05, 60.0),
    polls=st.integers(0, 600),
)
def test_notes_are_bounded_and_the_one_taken_is_close(gaps, poll, polls):
    offered = list(itertools.accumulate([*gaps, *[poll] * polls, *gaps[:50]]))
    notes = ForecastSamples()
    for number, at in enumerate(offered):
        notes = calibration.add_sample(notes, at, at, Estimate(float(number), 0.0, 1e9))
        assert len(notes.kept) < MAX_SAMPLES
        covered = at - offered[0]
        assert notes.spacing_seconds <= max(0.1, covered / 60)
    times = [each.at for each in notes.kept]
    assert all(b - a >= notes.spacing_seconds * 0.999 for a, b in itertools.pairwise(times))
    if not offered or offered[-1] <= offered[0]:
        return
    for quarter in calibration.compare(notes, offered[0], offered[-1]):
        instant = offered[0] + (offered[-1] - offered[0]) * quarter.at_percent / 100
        newest = max(at for at in offered if at <= instant)
        taken = offered[int(quarter.eta_seconds)]
        assert newest - 2 * notes.spacing_seconds <= taken <= instant


def test_a_day_at_two_samples_a_second_costs_a_few_kilobytes():
    notes = ForecastSamples()
    for number in range(2 * 86400):
        notes = calibration.add_sample(notes, number / 2, number / 2, Estimate(1.0, 1.0, 1.0))
    assert MAX_SAMPLES // 2 <= len(notes.kept) <= MAX_SAMPLES
    assert sys.getsizeof(notes.kept) + sum(map(sys.getsizeof, notes.kept)) < 16 * 1024


def test_most_samples_leave_the_notes_as_they_are():
    notes, changed = ForecastSamples(), 0
    for number in range(7200):
        after = calibration.add_sample(notes, number / 2, number / 2, NOTHING)
        changed += after is not notes
        notes = after
    assert changed < 600


@pytest.mark.parametrize(
    ("quarter", "total_seconds", "ratio"),
    [
        (ForecastCheck(25), 100.0, None),
        (ForecastCheck(25, 1.0, 15.0, True), 100.0, 0.2),
        (ForecastCheck(75, 1.0, -5.0, True), 100.0, 0.2),
        # Where little was left, it is not measured by that little.
        (ForecastCheck(75, 1.0, 1.0, True), 4.0, 0.5),
        (ForecastCheck(50, 1.0, 1.0, True), 0.0, 0.5),
    ],
)
def test_error_is_a_share_of_the_remaining_time(quarter, total_seconds, ratio):
    assert calibration.error_ratio(quarter, total_seconds) == pytest.approx(ratio)


def test_as_fields_and_back():
    quarters = (
        ForecastCheck(25),
        ForecastCheck(50, 3.0, -0.25, False),
        ForecastCheck(75, 0.0, 0.0, True),
    )
    fields = calibration.to_fields(quarters)
    assert tuple(fields) == calibration.FIELDS
    assert calibration.from_fields(SimpleNamespace(**fields)) == quarters


def test_a_report_has_the_fields():
    assert set(calibration.FIELDS) <= set(Report.__slots__)
