# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprog.core import downsampling
from migprog.core.fields import MAX_INSTANT

AGES = st.lists(st.floats(0, MAX_INSTANT), min_size=1, max_size=50).map(sorted)


def kept(ages):
    """The numbers that stay of reports at these ages, as a store keeps them."""
    points, before = set[int](), 0.0
    for now in ages:
        if downsampling.has_outgrown(before, now):
            points -= set(downsampling.dropped(points, now))
        if downsampling.is_kept(before, now):
            points.add(downsampling.number(now))
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


@given(st.floats(0, MAX_INSTANT), st.floats(0, MAX_INSTANT))
def test_a_clock_that_was_set_back_keeps_nothing_new(one, other):
    early, late = sorted((one, other))
    assert not downsampling.is_kept(late, early)
    assert not downsampling.has_outgrown(late, early)
