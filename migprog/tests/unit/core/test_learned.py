# SPDX-License-Identifier: Apache-2.0
"""What completed migrations show of the next one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprog.core.learned import Completed, learn

NOW = 1_000_000.0
MIB = 2**20
DAY = 86400.0


def row(mib_per_second, source="a", dest="b", age=60.0, total=10.0, overhead=1.0):
    return Completed(source, dest, NOW - age, mib_per_second * MIB, total, overhead)


def rate(rows, source="a", dest="b"):
    return learn(rows, source, dest, NOW).rate


def test_nothing_known_gives_a_default_with_a_wide_spread():
    found = rate([])
    assert (found.source, found.count, found.newest_at) == ("default", 0, None)
    assert found.high_bytes_per_second > 5 * found.bytes_per_second


def test_two_of_the_pair_are_enough():
    rows = [row(100, age=60), row(110, age=600), *(row(500, dest="c", age=1) for _ in range(5))]
    found = rate(rows)
    assert (found.source, found.count) == ("pair", 2)
    assert found.bytes_per_second == pytest.approx(105 * MIB)
    assert found.newest_at == NOW - 60


def test_one_of_the_pair_gives_way_to_more_of_the_source():
    found = rate([row(100), row(200, dest="c", age=100), row(210, dest="d", age=200)])
    assert (found.source, found.count) == ("source", 3)


def test_other_hosts_count_where_the_source_has_none():
    found = rate([row(100, "x", "y"), row(120, "y", "z", age=600)])
    assert (found.source, found.count) == ("overall", 2)


def test_one_migration_of_the_pair_is_better_than_a_default():
    found = rate([row(100)])
    assert (found.source, found.count) == ("pair", 1)
    assert found.spread > 0.2


def test_any_destination_counts_where_none_is_given():
    assert rate([row(100), row(110, dest="c", age=600)], dest=None).source == "source"


def test_nine_newest_count():
    rows = [row(100, age=100 * number) for number in range(1, 10)]
    rows += [row(1000, age=DAY + 100 * number) for number in range(20)]
    assert rate(rows).bytes_per_second == pytest.approx(100 * MIB)


def test_spread_is_what_was_seen_to_vary():
    alike = [row(100 + number, age=600 * number + 1) for number in range(6)]
    unlike = [row(100 * (1 + number % 3), age=600 * number + 1) for number in range(6)]
    assert rate(alike).spread < 0.1 < 0.5 < rate(unlike).spread


def test_spread_grows_with_age():
    new = [row(100, age=600 * number + 1) for number in range(5)]
    old = [row(100, age=5 * DAY + 600 * number) for number in range(5)]
    assert rate(old).spread > rate(new).spread + 0.2


def test_migrations_at_once_show_the_rate_that_each_had_alone():
    # Both from the same source, at the same time, at half of the rate.
    rows = [row(50, age=60), row(50, dest="c", age=60)]
    assert rate(rows, dest=None).bytes_per_second == pytest.approx(100 * MIB)


def test_overhead_is_the_median_with_its_spread():
    rows = [row(100, age=600 * n + 1, overhead=each) for n, each in enumerate((1.0, 1.2, 3.0))]
    found = learn(rows, "a", "b", NOW)
    assert found.overhead_seconds == 1.2
    assert found.overhead_spread_seconds > 1.0


def test_overhead_that_is_not_known_is_guessed():
    assert learn([row(100, overhead=None)], "a", "b", NOW).overhead_seconds > 1


def test_later_migrations_and_those_without_a_rate_do_not_count():
    assert rate([row(100, age=-10), row(0)]).source == "default"


@given(
    st.lists(
        st.builds(
            row,
            st.floats(0.1, 1e5),
            st.sampled_from("ab"),
            st.sampled_from("bcd"),
            st.floats(0.0, 1e7),
            st.floats(0.0, 1e5),
            st.none() | st.floats(-1.0, 1e4),
        ),
        max_size=20,
    )
)
def test_any_rows_give_a_rate_and_an_overhead(rows):
    found = learn(rows, "a", "b", NOW)
    assert found.rate.bytes_per_second > 0
    assert found.rate.spread > 0
    assert found.overhead_seconds >= 0
    assert found.rate.low_bytes_per_second < found.rate.high_bytes_per_second
