# SPDX-License-Identifier: Apache-2.0
"""When a drain began, and how it stands, by the migrations off its host."""

import pytest

from migprog.core.drain_course import GAP_SECONDS, Departure, Standing, began_at, standing

NOW = 100_000.0


def left(name, started_ago, ended_ago):
    return Departure(name, NOW - started_ago, NOW - ended_ago, has_left=True)


def failed(name, started_ago, ended_ago):
    return Departure(name, NOW - started_ago, NOW - ended_ago)


def runs(name, started_ago, left_seconds=None):
    return Departure(name, NOW - started_ago, None, left_seconds=left_seconds)


@pytest.mark.parametrize(
    ("departures", "begun_ago"),
    [
        ([], None),
        ([runs("a", 30)], 30),
        ([left("a", 90, 60)], 90),
        ([failed("a", 90, 60)], 90),
        # It is over.
        ([left("a", GAP_SECONDS + 90, GAP_SECONDS + 1)], None),
        # One after the other, and beside each other.
        ([left("b", 400, 300), runs("c", 20), left("a", 1500, 900)], 1500),
        ([left("a", 3000, 5), runs("b", 20)], 3000),
        # Another drain, long before.
        ([runs("b", 20), left("a", 5000, 4000)], 20),
    ],
)
def test_drain_began_with_the_first_migration_without_a_long_pause_since(departures, begun_ago):
    began = began_at(departures, NOW)
    assert began == (None if begun_ago is None else NOW - begun_ago)


def test_standing_has_each_server_by_its_latest_migration_since_the_begin():
    found = standing(
        [
            runs("again", 10, 7.0),
            failed("again", 90, 60),
            failed("failed", 80, 70),
            left("left", 95, 40),
            runs("unknown", 5),
            left("before", 900, 800),
        ],
        NOW - 100,
    )
    assert found == Standing(
        NOW - 100,
        {"left": 60.0},
        {"again": 7.0, "unknown": None},
        {"left": 5.0, "again": 90.0, "unknown": 95.0},
        frozenset({"failed"}),
    )
