# SPDX-License-Identifier: Apache-2.0
import math

import pytest

from migprog.core.forecast.dirty_rate import (
    DirtyRate,
    IterationStart,
    dirtying,
    has_dirtied_its_whole_set,
    recovers,
    shrank,
    surprises,
    without_progress,
)

MIB = 2**20


def left(*iterations):
    """The boundaries that passes of (seconds, MiB dirtied) left; they were sent to the last."""
    iteration_starts, at = [], 0.0
    for number, (seconds, dirtied) in enumerate(iterations, start=2):
        at += seconds
        iteration_starts.append(
            IterationStart(at, number, int(dirtied * MIB), int(dirtied * MIB), seconds)
        )
    return iteration_starts


def level(*mib, seconds=1.0):
    """Boundaries with so much to send, in passes of the same length."""
    return left(*((seconds, each) for each in mib))


def test_dirty_rate_is_unknown_in_the_first_iteration():
    assert dirtying([]) is None


def test_exponent_is_1_after_one_iteration():
    known = dirtying(left((10, 40)))
    assert known == DirtyRate(10, 40 * MIB, 1.0)


def test_a_guest_that_has_not_come_round_is_straight():
    known = dirtying(left((10, 40), (4, 16)))
    assert known.exponent == pytest.approx(1.0)
    assert known.in_iteration(1.0).dirtied_bytes == pytest.approx(4 * MIB)


def test_exponent_falls_once_all_written_memory_is_dirty():
    known = dirtying(left((10, 40), (4, 39)))
    assert known.exponent < 0.95
    shorter = known.in_iteration(1.0)
    assert shorter.exponent > known.exponent
    assert 39 / 4 < shorter.dirtied_bytes / MIB < 39


def test_short_iterations_are_taken_together():
    known = dirtying(left((10, 40), (4, 16), (0.3, 1.0), (0.3, 1.4), (0.3, 1.0), (0.3, 1.4)))
    assert known.seconds == pytest.approx(0.3)
    assert known.dirtied_bytes / MIB == pytest.approx(1.2)


def test_rate_is_that_of_iterations_that_agree():
    known = dirtying(left((10, 40), (2.0, 20.4), (1.8, 17.8), (1.6, 16.4)))
    assert known.seconds == pytest.approx(1.6)
    assert known.dirtied_bytes / known.seconds / MIB == pytest.approx(54.6 / 5.4)


def test_iterations_that_differ_are_not_averaged():
    known = dirtying(left((10, 40), (1.8, 9.0), (1.6, 16.4)))
    assert known.dirtied_bytes / MIB == pytest.approx(16.4)


def test_paused_guest_dirties_nothing():
    known = dirtying(left((10, 0), (1, 0)))
    assert known.in_iteration(5.0).dirtied_bytes == 0


def test_longer_iteration_never_leaves_less():
    some = DirtyRate(seconds=2.0, dirtied_bytes=10.0, exponent=0.5)
    left = [some.in_iteration(seconds).dirtied_bytes for seconds in (0.1, 1, 2, 3, 10)]
    assert left == sorted(left)


def test_exponent_is_measured_between_iterations_of_different_lengths_only():
    straight = dirtying(left((10, 40), (4, 16), (4, 16)))
    assert straight.exponent == pytest.approx(1.0)
    come_round = dirtying(left((10, 40), (4, 40), (4, 40)))
    assert come_round.exponent < 0.95


@pytest.mark.parametrize(
    "mib", [(50, 40, 40, 40), (50, 50, 49), (9, 40, 40, 40), (15.3, 15.2, 15.1, 15.0, 14.9)]
)
def test_a_plateau_is_seen(mib):
    assert without_progress(level(*mib, seconds=2.0))


@pytest.mark.parametrize("mib", [(), (50,), (50, 50), (50, 40, 30), (50, 50, 50, 40)])
def test_progress_and_too_few_iterations_are_no_plateau(mib):
    assert not without_progress(level(*mib, seconds=2.0))


def test_short_variation_is_no_plateau():
    assert not without_progress(level(9, 10, 9, 10, 9, 10, seconds=0.1))
    assert without_progress(level(*[9, 10] * 20, seconds=0.1))


def test_rate_recovers_after_a_stop_at_once_or_in_steps():
    assert recovers(level(10, 50, 50, 50, 39))
    assert recovers(level(50, 50, 46, 42, 38))
    assert not recovers(level(50, 50, 50, 48, 46))
    assert not recovers(level(50, 40, 50, 40, 41))


def test_iteration_shrank_if_it_has_less_than_all_before():
    assert shrank(level(50, 40))
    assert not shrank(level(30, 50, 40))


def test_surprise_is_how_far_an_iteration_is_from_what_was_expected():
    expected = DirtyRate(2.0, 20e6, 1.0)
    as_expected = IterationStart(10.0, 3, 10**7, 10**7, 1.0)
    twice_as_much = IterationStart(10.0, 3, 10**7, 2 * 10**7, 1.0)
    assert surprises((), expected, as_expected) == (0.0,)
    assert surprises((), expected, twice_as_much) == pytest.approx((math.log(2),))


@pytest.mark.parametrize(
    ("iterations", "fits"),
    [
        ([(10, 60), (6, 55)], True),
        ([(10, 60), (6, 70)], False),
        ([(10, 60), (6, 30)], False),
        ([(10, 60)], False),
        ([(10, 60), (6, 55), (5.5, 54)], False),
    ],
    ids=["came round", "more in all", "slower", "one", "later"],
)
def test_second_iteration_may_show_that_the_guest_has_come_round_its_working_set(iterations, fits):
    assert has_dirtied_its_whole_set(left(*iterations)) is fits


def test_a_guest_of_which_nothing_is_known_has_not_come_round():
    first, second = left((10, 60), (6, 55))
    assert not has_dirtied_its_whole_set([first._replace(dirtied_bytes=None), second])
    assert not has_dirtied_its_whole_set([first, second._replace(dirtied_bytes=None)])


def test_latest_surprises_count():
    expected = DirtyRate(2.0, 20e6, 1.0)
    same = IterationStart(10.0, 3, 10**7, 10**7, 1.0)
    assert surprises((3.0, 2.0, 1.0), expected, same) == (2.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("expected", "dirtied_bytes", "seconds"),
    [
        (None, 10**7, 1.0),
        (DirtyRate(2.0, 20e6, 1.0), None, 1.0),
        (DirtyRate(2.0, 2e6, 1.0), 5, 0.1),
    ],
    ids=["nothing expected", "nothing known", "short"],
)
def test_what_says_nothing_is_no_surprise(expected, dirtied_bytes, seconds):
    start = IterationStart(10.0, 3, 10**7, dirtied_bytes, seconds)
    assert surprises((0.5,), expected, start) == (0.5,)
