# SPDX-License-Identifier: Apache-2.0
"""Guests drawn by chance can be had again, and can be started."""

import random

import pytest

from lab.steering import guests

SHAPES = [guests.KUBEVIRT, guests.NEEDS_DOWNTIME, guests.HOPELESS]


@pytest.mark.parametrize("draw", [guests.draw, guests.converging])
def test_a_seed_draws_the_same_guests_each_time(draw):
    first, second = (random.Random(7) for _ in range(2))
    assert [draw(first) for _ in range(30)] == [draw(second) for _ in range(30)]


def test_every_kind_is_drawn_and_each_can_be_started():
    rng = random.Random(3)
    drawn = [guests.draw(rng) for _ in range(200)]
    # A guest checks its own limits.
    assert all(shape.guest("name").working_set_mib >= 1 for shape in [*drawn, *SHAPES])
    assert len({shape.kind for shape in drawn}) == 8
    assert any(shape.disk_mib for shape in drawn)


def test_guests_that_converge_dirty_less_than_their_bandwidth_or_a_small_set():
    rng = random.Random(5)
    for shape in (guests.converging(rng) for _ in range(200)):
        pace = max(pace for _, pace in shape.segments)
        needs_seconds = shape.working_set_mib / shape.bandwidth_mib_s
        assert pace < 0.7 * shape.bandwidth_mib_s or needs_seconds < 0.3


def test_first_iteration_takes_what_the_bandwidth_says():
    assert guests.KUBEVIRT.first_iteration_seconds == 8
