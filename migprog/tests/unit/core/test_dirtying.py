# SPDX-License-Identifier: Apache-2.0
import pytest

from migprog.core.course import Boundary, Course
from migprog.core.dirtying import Dirtying, dirtying

MIB = 2**20


def course(*passes):
    """A course whose passes lasted and left (seconds, MiB dirtied)."""
    boundaries, at = [Boundary(0.0, 1, 100 * MIB)], 0.0
    for number, (seconds, dirtied) in enumerate(passes, start=2):
        at += seconds
        boundaries.append(Boundary(at, number, int(dirtied * MIB), int(dirtied * MIB)))
    return Course(started_at=0.0, first_iteration=1, boundaries=tuple(boundaries))


def test_nothing_is_known_in_the_first_pass():
    assert dirtying(course()) is None


def test_after_one_pass_the_bend_is_a_guess():
    known = dirtying(course((10, 40)))
    assert known.bytes_per_second == 4 * MIB
    assert 0 < known.bend < 1


def test_a_guest_that_has_not_come_round_is_straight():
    known = dirtying(course((10, 40), (4, 16)))
    assert known.bend == pytest.approx(1.0)
    assert known.in_pass(1.0).dirtied_bytes == pytest.approx(4 * MIB)


def test_one_that_has_dirtied_all_it_ever_does_is_bent_and_straightens():
    known = dirtying(course((10, 40), (4, 39)))
    assert known.bend < 0.9
    shorter = known.in_pass(1.0)
    assert shorter.bend > known.bend
    assert 39 / 4 < shorter.dirtied_bytes / MIB < 39


def test_short_passes_are_taken_together():
    known = dirtying(course((10, 40), (4, 16), (0.3, 1.0), (0.3, 1.4), (0.3, 1.0), (0.3, 1.4)))
    assert known.seconds == pytest.approx(0.3)
    assert known.dirtied_bytes / MIB == pytest.approx(1.2)


def test_a_guest_that_stands_still_dirties_nothing():
    known = dirtying(course((10, 0), (1, 0)))
    assert known.in_pass(5.0).dirtied_bytes == 0


def test_a_longer_pass_never_leaves_less():
    some = Dirtying(seconds=2.0, dirtied_bytes=10.0, bend=0.5)
    left = [some.in_pass(seconds).dirtied_bytes for seconds in (0.1, 1, 2, 3, 10)]
    assert left == sorted(left)
