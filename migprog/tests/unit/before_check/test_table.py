# SPDX-License-Identifier: Apache-2.0
"""The figures of forecasts against what happened."""

import pytest

from lab.before import drain, table
from lab.before.bench import Tried
from lab.before.drain import Drained
from lab.before.guests import quiet
from lab.before.trial import Seen, seen
from migprog.core.drain_plan import Plan
from migprog.core.forecast.before import Basis, Before
from migprog.core.measurement import Measurement

MIB = 2**20
BASIS = Basis(0.0, (), "pair", 2, 0.0)
MEASUREMENT = Measurement(0.0, (), 64 * MIB, None, 0, 0.3, False)


def tried(said=10.0, real=10.0, converges="yes", completed=True, width=1.0):
    low, high = (said - width, said + width) if said is not None else (None, None)
    before = Before(said, low, high, converges, None, None, (), "said", BASIS)
    what = Seen(completed, real, None, None, None, 2, None)
    return Tried(quiet(20, 3.0), MEASUREMENT, before, 20.0 * MIB, what)


def figures(*rows):
    return table.figures(rows, seed=1)


def test_error_is_a_share_of_the_real_time():
    found = figures(tried(11.0, 10.0), tried(10.0, 20.0), tried(10.0, 10.0))
    assert found["total_error_median"] == 0.1
    assert found["total_error_p90"] == pytest.approx(0.42)


def test_range_holds_the_real_time_or_not():
    assert figures(tried(10.0, 10.5), tried(10.0, 12.0))["range_coverage"] == 0.5


def test_wrong_is_a_verdict_that_did_not_come_true():
    rows = [
        tried(converges="yes", completed=False),
        tried(None, converges="no", completed=True),
        tried(None, converges="no", completed=False),
        tried(converges="unknown", completed=False),
    ]
    found = figures(*rows)
    assert (found["wrong"], found["undecided"]) == (0.5, 0.25)


def test_figures_of_each_kind_are_given():
    assert figures(tried())["by_kind"]["known"]["guests"] == 1


@pytest.mark.parametrize(
    ("rows", "right"),
    [
        ([tried()] * 10, True),
        ([tried(12.0, 10.0, width=3.0)] * 10, False),
        ([tried()] * 5 + [tried(14.0, 10.0, width=5.0)] * 5, False),
        ([tried()] * 3 + [tried(width=-0.1)] * 7, False),
        ([tried()] * 11 + [tried(completed=False)] * 3, False),
        ([tried()] * 7 + [tried(converges="unknown")] * 7, False),
    ],
    ids=["all", "error", "p90", "range", "wrong", "undecided"],
)
def test_figures_must_be_within_their_limits(rows, right):
    assert table.is_right(figures(*rows)) == right


@pytest.mark.parametrize(("times", "right"), [(1, True), (10, False)])
def test_few_guests_may_be_beyond_a_limit_by_chance(times, right):
    rows = ([tried()] * 13 + [tried(completed=False)]) * times
    assert figures(*rows)["wrong"] > table.WRONG
    assert table.is_right(figures(*rows)) == right


def test_chance_is_that_of_so_many_or_more():
    assert table.chance(0, 14, 0.03) == pytest.approx(1.0)
    assert table.chance(1, 14, 0.03) == pytest.approx(1 - 0.97**14)
    assert table.chance(14, 14, 0.5) == pytest.approx(0.5**14)


def test_text_has_a_row_for_each_kind_and_one_for_all():
    lines = table.text(figures(tried(), tried())).splitlines()
    assert [line.split()[0] for line in lines[3:5]] == ["known", "all"]


def look(seconds, pages, iteration=1):
    return {
        "time_elapsed": seconds * 1000,
        "memory_normal": pages,
        "memory_page_size": 4096,
        "memory_iteration": iteration,
        "memory_total": 64 * MIB,
    }


def test_rate_is_measured_while_something_moves():
    looks = [look(0.1, 0), look(1.0, 1000), look(2.0, 2000, 2)]
    looks += [look(3.5, 3000, 3), look(9.0, 3000, 3)]
    final = look(9.0, 3000, 3) | {"downtime": 20}
    found = seen(looks, True, 9.5, final, None)
    assert found.bytes_per_second == 1000 * 4096
    assert (found.total_seconds, found.overhead_seconds) == (9.0, 6.0)
    assert (found.first_iteration_seconds, found.iterations) == (2.0, 3)
    assert found.downtime_seconds == 0.02


def test_migration_that_did_not_end_has_no_overhead():
    found = seen([look(0.1, 0)], False, 60.0, None, "aborted")
    assert (found.completed, found.total_seconds, found.overhead_seconds) == (False, 60.0, None)


def plan(end):
    return Plan((), (), 2, end, end - 5, end + 5, None)


def test_figures_of_a_drain_are_those_of_medians():
    planned = [Drained(each, ()) for each in (50.0, 60.0, 90.0)]
    usual = [Drained(each, ()) for each in (70.0, 80.0, 99.0)]
    found = drain.figures([plan(45.0), plan(66.0), plan(60.0)], planned, usual, [])
    assert found["gain_against_two_at_once"] == 0.25
    assert found["end_error"] == 0.1
    assert found["ends_in_range"] == 1
    assert drain.is_right(found)


@pytest.mark.parametrize(("said", "right"), [(14.5, True), (16.0, False)])
def test_drain_ends_within_the_range_or_near_what_was_said(said, right):
    rounds = [Drained(10.0, ())] * 3
    plans = [plan(said), plan(said), plan(30.0)]
    found = drain.figures(plans, rounds, [Drained(20.0, ())] * 3, [])
    assert found["end_error"] > drain.END_ERROR
    assert drain.is_right(found) == right


def test_drain_that_leaves_a_guest_behind_is_wrong():
    planned = [Drained(50.0, ("middle",))]
    found = drain.figures([plan(50.0)], planned, [Drained(100.0, ())], [])
    assert found["failed"] == 1
    assert not drain.is_right(found)
