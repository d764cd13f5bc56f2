# SPDX-License-Identifier: Apache-2.0
from datetime import UTC, datetime, timedelta

import pytest

from migprog.conf.compute import OPTS
from migprog.core import liveness

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("heartbeat_seconds", "seconds"),
    [
        *((1, 2), (30, 60), (3600, 7200), (None, 150)),
        # Whatever an agent may say.
        *((7e9, 7200), (0, 2)),
    ],
)
def test_an_agent_is_silent_after_two_of_its_own_heartbeats(heartbeat_seconds, seconds):
    for after, silent in ((seconds - 1, False), (seconds, False), (seconds + 0.001, True)):
        last_reported_at = NOW - timedelta(seconds=after)
        assert liveness.is_silent(last_reported_at, NOW, heartbeat_seconds) is silent


def test_intervals_are_bounded_by_what_the_options_allow():
    options = {opt.name: opt.type for opt in OPTS}
    report, heartbeat = options["report_interval"], options["heartbeat_interval"]
    for bounded, least, most in (
        (liveness.bounded_interval, report.min, heartbeat.max),
        (liveness.bounded_heartbeat, heartbeat.min, heartbeat.max),
    ):
        assert [bounded(seconds) for seconds in (0, least, most, 7e9)] == [least, least, most, most]


def test_agent_hangs_whose_loop_began_its_round_long_ago():
    assert [liveness.hangs(age) for age in (None, 0.0, 45.0, 45.1, 7e9)] == [
        *(False, False, False, True, True)
    ]


@pytest.mark.parametrize(
    ("ahead", "heartbeat_seconds", "silent"),
    [
        *((timedelta(seconds=3), 1, False), (timedelta(hours=1), 1, False)),
        *((timedelta(hours=1, seconds=1), 1, True), (timedelta(days=730), 30, True)),
        *((timedelta(hours=2), 3600, False), (timedelta(hours=3), 3600, True)),
    ],
)
def test_heartbeat_hours_in_the_future_does_not_count(ahead, heartbeat_seconds, silent):
    assert liveness.is_silent(NOW + ahead, NOW, heartbeat_seconds) is silent
