# SPDX-License-Identifier: Apache-2.0
"""What would have been said of the guests of the corpus before they migrated."""

import random

import pytest

from lab.before import corpus_forecasts, first_iteration, sampled, table

# One guest each of a kind whose course does not change.
STEADY = {"idle", "steady", "quick", "zero-pages", "block-idle", "block-busy", "saturating"}


@pytest.fixture(scope="module")
def tried():
    return corpus_forecasts.try_all(random.Random(11), times=2)


def test_times_of_steady_guests_are_right(tried):
    found = table.figures([each for each in tried if each.drawn.kind in STEADY], seed=11)
    assert found["guests"] > 20
    assert found["total_error_median"] <= table.ERROR_MEDIAN
    assert found["total_error_p90"] <= table.ERROR_P90
    assert found["wrong"] <= table.WRONG


def test_guests_that_write_all_of_much_memory_are_called_so(tried):
    stuck = [each for each in tried if each.drawn.kind in ("plateau", "aborted-late")]
    assert stuck
    assert not any(table.is_wrong(each) for each in stuck)
    assert sum(each.before.converges == "no" for each in stuck) > len(stuck) / 2


def test_written_bytes_follow_the_segments():
    segments = ((1000, 10.0), (2000, 0.0))
    assert sampled.written_mib(segments, 0.0, 3.0) == 10.0
    assert sampled.written_mib(segments, 0.5, 3.0) == 10.0
    assert sampled.written_mib(segments, 1.0, 1.5) == 0.0


def test_measurement_shows_what_a_guest_writes():
    found = sampled.measurement(
        random.Random(3),
        memory_mib=8192,
        fill_mib=8000,
        working_set_mib=4000,
        segments=((1000, 800.0),),
    )
    by_seconds = {window.seconds: window.dirty_mib_per_second for window in found.windows}
    assert by_seconds[4] == pytest.approx(800, rel=0.1)
    assert by_seconds[16] == pytest.approx(250, rel=0.1)


def test_first_iteration_is_forecast_better_with_what_was_known():
    """By the recordings of the corpus; the figures of today are in doc/source/forecast.rst."""
    found = first_iteration.figures(random.Random(2), 1)
    nothing, all_of_it = found["nothing"], found["rate and curves"]
    assert nothing["recordings"] == all_of_it["recordings"] > 40
    assert all_of_it["error_median"] < 0.2 < nothing["error_median"]
    assert all_of_it["width_median"] < 0.8 * nothing["width_median"]
    assert all_of_it["coverage"] > 0.72
