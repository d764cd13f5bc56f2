# SPDX-License-Identifier: Apache-2.0
import pytest

from migprog.core.observation import Iteration, JobCompleted, Lifecycle, Reading
from migprog.core.recently_ended import RecentlyEnded
from migprog.tests.fixtures.driven import SERVER, UUID


@pytest.fixture
def echo():
    """One has ended at 100 and was reported at 101.5."""
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
def test_events_and_jobs_after_an_end(echo, at, elapsed_ms, of_it):
    stats = {"operation": 5, "type": 2, "time_elapsed": elapsed_ms}
    for seen in (Reading, JobCompleted):
        assert echo.is_of(seen(server_uuid=SERVER, at=at, stats=stats)) is of_it
        assert not echo.is_of(seen(server_uuid=UUID, at=at, stats=stats))


def test_iteration_events_count_only_if_older_than_the_end(echo):
    assert echo.is_of(Iteration(server_uuid=SERVER, at=101.0, number=1))
    assert not echo.is_of(Iteration(server_uuid=SERVER, at=102.0, number=1))


@pytest.mark.parametrize(
    "seen",
    [(Lifecycle, {"event": 5, "detail": 3}), (Reading, {"stats": {"operation": 5, "type": 4}})],
)
def test_event_without_a_job_start_belongs_to_the_end_for_a_minute(echo, seen):
    message, values = seen
    assert echo.is_of(message(server_uuid=SERVER, at=102.0, **values))
    assert not echo.is_of(message(server_uuid=SERVER, at=162.0, **values))


def test_ended_migrations_are_kept_for_a_minute(echo):
    echo.ended(UUID, at=170.0, reported_at=170.0)
    stopped = {"event": 5, "detail": 3}
    assert not echo.is_of(Lifecycle(server_uuid=SERVER, at=110.0, **stopped))
    assert echo.is_of(Lifecycle(server_uuid=UUID, at=171.0, **stopped))
