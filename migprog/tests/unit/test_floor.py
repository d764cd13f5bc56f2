# SPDX-License-Identifier: Apache-2.0
"""The floor of the forecast's error, and how recordings are weighed, on a few computed guests."""

import dataclasses

import pytest

from lab.corpus import accuracy, floor, scored
from lab.corpus.drawn import draw
from lab.corpus.floor import Sample

STEADY, BURSTS = (draw(1, "computed-1")[number] for number in (1, 9))
SCORES = scored.score_all(scored.of_computed(range(1, 2))[:8])


def test_forecast_is_corrected_by_what_was_nearest():
    sample = Sample((0.0, 0.0), 10.0, 20.0)
    near = [Sample((0.1, 0.0), 5.0, 10.0), Sample((0.0, 0.1), 8.0, 16.0)]
    far = [Sample((3.0, 0.0), 5.0, 50.0)] * 9
    assert floor.forecast(sample, [*far, *near], 2) == 20.0


def test_short_times_left_weigh_more():
    sample = Sample((0.0,), 1.0, 1.0)
    others = [Sample((0.0,), 1.0, left) for left in (4.0, 10.0, 50.0)]
    assert floor.forecast(sample, others, 3) == 4.0


def test_who_has_seen_the_same_migration_makes_no_error():
    found = floor.way(STEADY)
    assert found is not None and len(found.samples) > 3
    assert floor.errors(found, found.samples, 1) == pytest.approx([0.0] * len(found.samples))
    assert floor.errors(found, [], 1) == []


def test_another_phase_of_the_same_bursts_is_another_migration():
    other = floor.way(dataclasses.replace(BURSTS, name="another"))
    assert other is not None and other != floor.way(BURSTS)


def test_a_long_recording_counts_as_a_short_one():
    short, long = (
        dataclasses.replace(SCORES[0], eta_errors_late=errors)
        for errors in ((0.1, 0.1), (0.5,) * 100)
    )
    none = dataclasses.replace(SCORES[0], eta_errors_late=())
    assert accuracy.median_alike([short, long, none]) == pytest.approx(0.3)
    assert accuracy.median_alike([none]) is None


def test_the_same_recordings_owe_nothing_to_chance():
    assert accuracy.by_chance([SCORES[0]]) == accuracy.by_chance([SCORES[0]] * 3)
    low, high = accuracy.by_chance(SCORES)
    assert low < high
