# SPDX-License-Identifier: Apache-2.0
import pytest

from migprog.core.recently_ended import RecentlyEnded
from migprog.tests.fixtures.driven import SERVER, UUID


@pytest.fixture
def echo():
    """One has ended at 100 and was told at 101.5."""
    echo = RecentlyEnded()
    echo.ended(SERVER, at=100.0, reported_at=101.5)
    return echo


@pytest.mark.parametrize(
    ("at", "elapsed_ms", "of_it"),
    [
        (99.0, 5_000, True),
        (101.5, 0, True),
        # libvirt shows its job for a moment longer.
        (101.6, 5_000, True),
        (103.0, 3_000, True),
        # The next one, which began after it had ended, or as soon as it was told.
        (101.6, 1_500, False),
        (101.6, 0, False),
        (150.0, 49_000, False),
        # Long ago; and a clock that was set forward makes any job seem old.
        (162.0, 3_600_000, False),
    ],
)
def test_what_is_seen_after_an_end(echo, at, elapsed_ms, of_it):
    assert echo.is_of(SERVER, at, {"time_elapsed": elapsed_ms}) is of_it
    assert not echo.is_of(UUID, at, {"time_elapsed": elapsed_ms})


def test_without_statistics_only_what_is_older_is_surely_of_it(echo):
    assert echo.is_of(SERVER, 101.0)
    assert not echo.is_of(SERVER, 102.0)
    assert echo.may_be(SERVER, 102.0) and not echo.may_be(SERVER, 162.0)


def test_it_holds_what_ended_in_the_last_minute_alone(echo):
    echo.ended(UUID, at=170.0, reported_at=170.0)
    assert not echo.may_be(SERVER, 110.0)
    assert echo.may_be(UUID, 171.0)
