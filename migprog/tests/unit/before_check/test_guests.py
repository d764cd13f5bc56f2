# SPDX-License-Identifier: Apache-2.0
"""Guests drawn by chance can be had again, and can be started."""

import random

import pytest

from lab.before import guests


def drawn(seed=7, count=56):
    rng = random.Random(seed)
    return guests.draw(rng, [guests.draw_bandwidth(rng) for _ in range(count)])


def test_a_seed_draws_the_same_guests_each_time():
    assert drawn() == drawn()


def test_every_kind_is_drawn_and_each_can_be_started():
    found = drawn()
    # A guest checks its own limits.
    assert all(each.guest("name").working_set_mib >= 1 for each in found)
    assert len({each.kind for each in found}) == 14


def test_steady_guests_have_one_pace_and_nothing_slows_them():
    for each in drawn(count=200):
        assert each.is_steady == (len(each.segments) == 1 and not each.auto_converge)


@pytest.mark.parametrize("seed", range(20))
def test_each_guest_of_a_drain_converges_alone(seed):
    rng = random.Random(seed)
    for each in guests.draw_for_drain(rng, 8, 20):
        (_milliseconds, pace), *_ = each.segments
        needs_seconds = each.working_set_mib / each.bandwidth_mib_s
        assert pace <= 0.7 * each.bandwidth_mib_s or needs_seconds < guests.DOWNTIME_SECONDS
