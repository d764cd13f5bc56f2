# SPDX-License-Identifier: Apache-2.0
"""The time left of migrations from now on, as far as their reports are recent."""

import dataclasses
from datetime import datetime

from migprog import objects
from migprog.api import views
from migprog.core import drain, liveness


def stale_after_seconds(agent: objects.Agent | None, after_seconds: float) -> float:
    """Return when a migration is stale, by default ``after_seconds``; agents with long heartbeat
    intervals need longer."""
    if agent is None:
        return after_seconds
    return max(
        after_seconds, liveness.silent_after(agent.heartbeat_interval_seconds).total_seconds()
    )


def under_way(
    migration: objects.Migration | objects.DepartureRow, now: datetime, stale_after_seconds: float
) -> drain.UnderWay:
    """Return a migration in progress with its time left from now on, unknown if it is
    stale."""
    found = drain.UnderWay(
        server_uuid=migration.server_uuid,
        verdict=migration.verdict,
        memory_bytes=migration.memory_total_bytes,
        percent=migration.percent,
    )
    if views.is_stale(True, migration.last_reported_at, now, stale_after_seconds):
        return found
    found = dataclasses.replace(
        found,
        eta_seconds=migration.eta_seconds,
        eta_low_seconds=migration.eta_low_seconds,
        eta_high_seconds=migration.eta_high_seconds,
    )
    return found.after((now - migration.sampled_at).total_seconds())
