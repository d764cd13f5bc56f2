# SPDX-License-Identifier: Apache-2.0
import pytest

from migprog.core.forecast.transfer_rate import MemoryRate


def after(*readings):
    pace = MemoryRate()
    for moved_bytes, seconds in readings:
        pace = pace.after(moved_bytes, seconds)
    return pace.bytes_per_second


def test_nothing_is_known_before_a_byte_has_moved():
    assert after() is None
    assert after((0, 1.0), (0, 1.0)) is None


def test_first_reading_has_a_rate():
    assert after((0, 5.0), (50, 0.5)) == 100


def test_one_slice_more_or_less_hardly_shows():
    assert after(*[(100, 1.0)] * 10, (110, 1.0)) == pytest.approx(101, abs=0.3)


def test_changed_rate_shows_within_a_second():
    assert after(*[(100, 1.0)] * 60, (15, 0.5), (15, 0.5)) == 30


def test_rate_after_a_network_outage_is_the_rate_before():
    stopped = [(100, 1.0)] * 10 + [(0, 0.5)] * 40
    assert after(*stopped) == 100
    assert after(*stopped, (100, 1.0)) == pytest.approx(100)


def test_the_second_in_which_a_network_stops_is_no_measurement():
    assert after(*[(100, 1.0)] * 10, (15, 0.5), *[(0, 0.5)] * 16) == 100
    # However seldom it is read.
    assert after(*[(100, 1.0)] * 10, (15, 0.5), *[(0, 5.0)] * 2) == 100


def test_a_short_interruption_counts():
    assert after(*[(100, 1.0)] * 10, (15, 0.25), (0, 0.5), (15, 0.25)) == 30


def test_steady_rate_does_not_vary_and_one_that_wobbles_does():
    steady = wobbling = MemoryRate()
    for second in range(20):
        steady = steady.after(1000, 1.0)
        wobbling = wobbling.after(900 + 200 * (second % 2), 1.0)
    assert steady.varies < 1e-9
    assert 0.05 < wobbling.varies < 0.25
    assert wobbling.after(0, 1.0).varies == wobbling.varies
