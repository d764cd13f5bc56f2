# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprog.core import downsampling
from migprog.core.fields import MAX_INSTANT

AGES = st.lists(st.floats(0, MAX_INSTANT), min_size=1, max_size=50).map(sorted)


def kept(ages, turns=lambda _now: False, is_bad=False):
    """The numbers that stay of reports at these ages, as a store keeps them."""
    points, before = set[int](), 0.0
    for now in ages:
        if downsampling.has_outgrown(before, now):
            points -= set(downsampling.dropped(points, now))
        number = downsampling.kept_number(before, now, turns(now), is_bad)
        if number is not None:
            points.add(number)
        before = now
    return points


@pytest.mark.parametrize(
    ("age", "step", "number"),
    [
        (-3600.0, 1, 0),
        (0.0, 1, 0),
        (0.999, 1, 0),
        (127.9, 1, 127),
        (128.0, 2, 128),
        (129.9, 2, 128),
        (255.9, 2, 254),
        (256.0, 4, 256),
        (86_400.0, 1024, 86_016),
    ],
)
def test_steps(age, step, number):
    assert downsampling.step_seconds(age) == step
    assert downsampling.number(age) == number


@pytest.mark.parametrize(
    ("every", "hours"),
    [(every, hours) for every in (0.5, 1.0, 2.0, 5.0) for hours in (0.01, 0.1, 1.0, 24.0)]
    + [(5.0, 1000.0)],
)
def test_as_many_points_whatever_the_length(every, hours):
    count = int(hours * 3600 / every)
    points = kept(every * n for n in range(count))
    assert len(points) <= downsampling.MOST_POINTS
    assert len(points) >= min(downsampling.MOST_POINTS / 2, count, hours * 3600) - 1


def test_points_are_evenly_spread():
    points = sorted(kept(5.0 * n for n in range(10_000)))
    gaps = [b - a for a, b in itertools.pairwise(points)]
    assert max(gaps) - min(gaps) <= max(gaps) / 2
    assert points[-1] > 50_000 - 2 * max(gaps)


@given(AGES)
def test_never_too_many_and_never_one_twice(ages):
    points = kept(ages)
    assert len(points) <= downsampling.MOST_POINTS
    assert all(0 <= point <= ages[-1] for point in points)


@given(AGES, st.booleans())
def test_verdict_that_flaps_all_the_time_makes_a_bounded_number_of_points(ages, is_bad):
    points = kept(ages, lambda _now: True, is_bad)
    assert len(points) <= downsampling.MOST_CHANGES
    assert all(point < 0 for point in points)


@pytest.mark.parametrize("hours", [0.1, 1.0, 24.0])
def test_one_short_verdict_is_kept_to_the_end(hours):
    ages = [5.0 * n for n in range(int(hours * 720))]
    points = kept(ages, lambda now: now == 100.0, is_bad=True)
    assert [point for point in points if point < 0] == [downsampling.change_number(100.0, True)]
    assert len(points) <= downsampling.MOST_POINTS + 1


def test_bad_verdict_and_its_recovery_in_one_step_are_both_kept():
    bad, good = (downsampling.change_number(5000.0, is_bad) for is_bad in (True, False))
    assert bad != good
    assert downsampling.dropped([bad, good, 4992], 5001.0) == []


@given(st.floats(0, MAX_INSTANT), st.floats(0, MAX_INSTANT))
def test_no_point_is_stored_after_a_clock_was_set_back(one, other):
    early, late = sorted((one, other))
    assert not downsampling.is_kept(late, early)
    assert not downsampling.has_outgrown(late, early)
