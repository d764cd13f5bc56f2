# SPDX-License-Identifier: Apache-2.0
"""Whose measurements of a server are credible."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from migprog.core.credible_measurements import Place, credible, host_of

START = datetime(2026, 9, 1, tzinfo=UTC)


class Taken(NamedTuple):
    host: str
    measured_at: datetime


def taken(host, minutes):
    return Taken(host, START + timedelta(minutes=minutes))


MOVED = Place("a", "b", START, has_arrived=True)
STAYED = Place("a", "b", START, has_arrived=False)
BEFORE_A, AFTER_A, BEFORE_B, AFTER_B = (
    taken(host, minutes) for host in ("a", "b") for minutes in (-5, 5)
)
OTHER, OLD_OTHER = taken("c", 9), taken("c", -9)


@pytest.mark.parametrize(
    ("place", "measured", "expected"),
    [
        # A server that never migrated.
        (None, [OTHER, AFTER_B, BEFORE_A], [OTHER, AFTER_B, BEFORE_A]),
        # The source had it before, the destination has it since.
        (MOVED, [OTHER, AFTER_B, AFTER_A, BEFORE_B, BEFORE_A], [AFTER_B, BEFORE_A]),
        (STAYED, [OTHER, AFTER_B, AFTER_A, BEFORE_B, BEFORE_A], [AFTER_A, BEFORE_A]),
        # It was moved by other means since.
        (MOVED, [OTHER, BEFORE_B], [OTHER]),
        (MOVED, [OLD_OTHER], []),
        # Only its arrival is known.
        (Place(None, "b", START, has_arrived=True), [AFTER_B, BEFORE_A], [AFTER_B]),
    ],
)
def test_measurement_counts_if_its_host_had_the_server_then(place, measured, expected):
    assert credible(measured, place) == expected


def test_server_is_where_its_newest_migration_left_it():
    assert (MOVED.host, STAYED.host) == ("b", "a")


@pytest.mark.parametrize(
    ("place", "measured", "host"),
    [
        (None, [], None),
        (None, [OTHER, BEFORE_A], "c"),
        (MOVED, [], "b"),
        (MOVED, [BEFORE_A], "b"),
        (STAYED, [AFTER_A], "a"),
        # It has left, and where to is not known.
        (Place("a", None, START, has_arrived=True), [BEFORE_A], None),
        (Place("a", None, START, has_arrived=True), [AFTER_B], "b"),
        # It was moved by other means since.
        (MOVED, [OTHER], "c"),
    ],
)
def test_server_is_at_the_host_that_measured_it_last_or_where_it_arrived(place, measured, host):
    assert host_of(credible(measured, place), place) == host
