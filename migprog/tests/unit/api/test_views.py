# SPDX-License-Identifier: Apache-2.0
"""What is decided by values alone."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from migprog.api import views

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("in_progress", "silent_seconds", "stale"),
    [
        (True, 0, False),
        (True, 89.999, False),
        (True, 90, False),
        (True, 90.001, True),
        (True, 1e6, True),
        # The clock that heard it is a little ahead of ours.
        (True, -5, False),
        (True, -3600, False),
        (True, -2 * 365 * 86_400, True),
        (False, 1e6, False),
    ],
)
def test_stale(in_progress: bool, silent_seconds: float, stale: bool) -> None:
    last_reported_at = NOW - timedelta(seconds=silent_seconds)
    assert views.is_stale(in_progress, last_reported_at, NOW, 90) is stale


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        (None, None),
        (NOW, "2026-01-02T03:04:05.000000Z"),
        (NOW.replace(microsecond=7), "2026-01-02T03:04:05.000007Z"),
        (
            datetime(2026, 1, 2, 5, 4, 5, tzinfo=timezone(timedelta(hours=2))),
            "2026-01-02T03:04:05.000000Z",
        ),
    ],
)
def test_instants(at: datetime | None, shown: str | None) -> None:
    assert views.instant(at) == shown
