# SPDX-License-Identifier: Apache-2.0
"""When a job began, and that everybody who asks for it gets the same answer."""

import dataclasses

import pytest

from migprog.core import checkpoint, job_start
from migprog.core.observation import Reading
from migprog.core.recently_ended import RecentlyEnded
from migprog.tests.fixtures.driven import SERVER
from migprog.tests.unit.core.test_checkpoint import KEPT

OUTGOING = {"operation": 5, "type": 2}


@pytest.mark.parametrize(
    ("stats", "began_at"),
    [
        ({"time_elapsed": 1500}, 98.5),
        ({"time_elapsed": 0}, 100.0),
        ({}, None),
        # The clock was set back behind its start.
        ({"time_elapsed": 0, "memory_processed": 4096}, None),
    ],
)
def test_began_at_is_the_reading_less_the_time_of_the_job(stats, began_at):
    assert job_start.began_at(stats, 100.0) == began_at


@pytest.mark.parametrize(
    ("after_seconds", "same"), [(-5.0, True), (0.0, True), (0.005, True), (0.02, False)]
)
def test_all_agree_on_whether_a_job_is_the_one_that_was_last_seen_at_10(after_seconds, same):
    stats = OUTGOING | {"time_elapsed": round((8.0 - after_seconds) * 1000)}
    echo = RecentlyEnded()
    echo.ended(SERVER, at=10.0, reported_at=12.0)
    kept = dataclasses.replace(KEPT, seen_clock=10.0)
    began_at = 10.0 + after_seconds
    assert job_start.is_migration_seen(stats, 18.0, seen_at=10.0) is same
    assert echo.is_of(Reading(server_uuid=SERVER, at=18.0, stats=stats)) is same
    assert (
        checkpoint.is_same_job(kept, began_at, kept.started_at + began_at - kept.started_clock)
        is same
    )
