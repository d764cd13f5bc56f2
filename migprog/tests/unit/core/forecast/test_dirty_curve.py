# SPDX-License-Identifier: Apache-2.0
"""Which curves fit what QEMU measured."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprog.core.forecast.dirty_curve import MIB, DirtyCurve, fitting
from migprog.core.measurement import Window

GIB = 2**30
curves = st.builds(
    DirtyCurve,
    st.floats(0.01 * MIB, 1e4 * MIB),
    st.floats(0.001, 1000.0),
    st.sampled_from([1.0, 6.0, 60.0]),
)
rates = st.integers(0, 5000)


def windows(*pairs):
    return tuple(Window(float(seconds), rate) for seconds, rate in pairs)


def dirtied_mib(found, seconds):
    return statistics.median(each.curve.in_iteration(seconds).dirtied_bytes / MIB for each in found)


@given(curves, st.floats(0.01, 1e4), st.floats(1.0, 100.0))
def test_curve_never_falls_and_never_rises_faster_than_time(curve, seconds, factor):
    short = curve.in_iteration(seconds).dirtied_bytes
    long = curve.in_iteration(seconds * factor).dirtied_bytes
    assert short <= long * (1 + 1e-9)
    assert long <= short * factor * (1 + 1e-9)
    assert long <= curve.working_set_bytes * (1 + 1e-9)


@given(curves, st.floats(0.01, 1e4), st.floats(0.1, 10.0))
def test_faster_guest_dirties_the_same_in_less_time(curve, seconds, factor):
    same = curve.faster(factor).in_iteration(seconds / factor).dirtied_bytes
    assert same == pytest.approx(curve.in_iteration(seconds).dirtied_bytes)


def test_rate_says_the_exponent_of_each_piece():
    curve = DirtyCurve(10.0 * MIB, 2.0, 4.0)
    assert [curve.in_iteration(each).rate.exponent for each in (1, 4, 20)] == [1.0, 0.5, 0.0]


def test_nothing_fits_where_nothing_was_measured():
    assert fitting((), GIB) == []


@given(st.tuples(rates, rates, rates))
def test_any_windows_give_curves_within_the_memory(shown):
    found = fitting(windows(*zip((1, 4, 16), shown, strict=True)), GIB)
    assert found
    for each, _load_spread in found:
        assert math.isinf(each.knee_seconds) or each.working_set_bytes <= GIB


@pytest.mark.parametrize(
    ("shown", "in_1_second", "in_16_seconds"),
    [
        # At one rate throughout.
        (((1, 100), (4, 100), (16, 100)), 100, 1600),
        # All of a working set of 400 MiB within 4 seconds.
        (((1, 200), (4, 100), (16, 25)), 200, 400),
        # All of 50 MiB within one.
        (((1, 50), (4, 12), (16, 3)), 50, 50),
    ],
)
def test_curve_passes_through_what_was_measured(shown, in_1_second, in_16_seconds):
    found = fitting(windows(*shown), 8 * GIB)
    assert dirtied_mib(found, 1) == pytest.approx(in_1_second, rel=0.2)
    assert dirtied_mib(found, 16) == pytest.approx(in_16_seconds, rel=0.2)


def test_idle_guest_dirties_less_than_was_resolved():
    assert dirtied_mib(fitting(windows((1, 0), (4, 0), (16, 0)), GIB), 1) < 1


def dirtied_bytes(curve):
    return curve.in_iteration(8).dirtied_bytes


def test_windows_of_the_same_length_that_differ_show_a_load_that_changes():
    def load_spread(*pairs):
        return statistics.mean(each.load_spread for each in fitting(windows(*pairs), 8 * GIB))

    steady = load_spread((1, 200), (4, 200), (1, 210), (16, 200), (4, 190), (1, 200))
    bursts = load_spread((1, 400), (4, 200), (1, 10), (16, 150), (4, 80), (1, 300))
    assert steady < 0.15 < 0.3 < bursts


def test_more_windows_leave_less_doubt():
    def doubt(shown):
        found = sorted(dirtied_bytes(each.curve) for each in fitting(shown, 8 * GIB))
        return found[len(found) * 9 // 10] / found[len(found) // 10]

    few = windows((1, 20))
    many = windows((1, 20), (4, 20), (4, 20), (16, 20), (16, 20))
    assert doubt(many) < doubt(few)
