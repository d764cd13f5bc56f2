# SPDX-License-Identifier: Apache-2.0
"""Merge an arrival, which the destination's agent reports, into the record of its migration.

1. An arrival is of the server's newest migration that may have brought it (:func:`match`).
2. The latest arrival sets the destination, in whatever order arrivals are received; the host on
   which the server was merely found, only if no arrival was seen.
3. A complete arrival also has the final figures, and decides the end where the source has reported
   none (:data:`STATUS_AFTER`). An end that the source has reported is never changed.
4. An arrival is resolved, and not sent again, once it would change nothing.

Arrivals whose source never reports have records of their own (:mod:`migprog.core.arrival_only`).
"""

import dataclasses
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from migprog.core import contradiction, liveness
from migprog.core.forecast.verdict import Verdict
from migprog.core.instant import from_store, to_store
from migprog.core.messages import (
    ARRIVAL_FIGURES,
    ONLY_IN_PROGRESS,
    Arrival,
    ArrivalState,
    Batch,
    Report,
)
from migprog.core.record import FIGURES, Record, age, values
from migprog.core.status import ENDED, IN_PROGRESS, Phase, Status

# Two hosts' clocks may differ by so much.
CLOCK_SKEW = timedelta(seconds=60)
# Instants reported of the same arrival differ by less; two arrivals are seconds apart.
SAME_ARRIVAL = timedelta(seconds=1)
# An arrival is reported late where the broker was away, and its host has a clock of its own.
LATE_ARRIVAL = timedelta(minutes=5)
# The status after a complete arrival, by the status before: while the source's agent reports, and
# once it is silent. Statuses that are missing stay.
STATUS_AFTER = {
    Status.RUNNING: (Status.POST_MIGRATING, Status.COMPLETED),
    Status.POST_COPY: (Status.POST_MIGRATING, Status.COMPLETED),
    Status.POST_MIGRATING: (Status.POST_MIGRATING, Status.COMPLETED),
    Status.UNKNOWN: (Status.COMPLETED, Status.COMPLETED),
}


def match(migrations: Iterable[Record], arrival: Arrival, host: str) -> Record | None:
    """Return the migration that an arrival at ``host`` is of, or None: the server's newest from
    another host that was in progress at that time, within the clocks' tolerance."""
    at = to_store(arrival.at)
    candidates = (
        record
        for record in migrations
        if record.server_uuid == arrival.server_uuid
        and record.source_compute != host
        and record.started_at <= at + CLOCK_SKEW
        and _may_have_arrived(record, arrival, at, host)
    )
    return max(candidates, key=age, default=None)


def _may_have_arrived(record: Record, arrival: Arrival, at: datetime, host: str) -> bool:
    status = record.status
    if status in IN_PROGRESS and status is not Status.POST_MIGRATING:
        return True
    # A migration to another host is not this one, which has not been reported yet.
    if record.dest_compute not in (None, host):
        return False
    if status is Status.POST_MIGRATING:
        return True
    if _is_of_earlier_arrival(record, arrival, at):
        return False
    ended_at = record.ended_at or record.sampled_at
    if arrival.state is ArrivalState.INCOMING:
        return ended_at >= at
    if status not in (Status.COMPLETED, Status.UNKNOWN):
        return False
    # By this host's own clock it came here by this job, whatever the source's clock shows.
    is_known = record.arrived_at is not None and arrival.total_seconds is not None
    return is_known or ended_at >= at - LATE_ARRIVAL


def _is_of_earlier_arrival(record: Record, arrival: Arrival, at: datetime) -> bool:
    """Return whether the record is of an earlier arrival here, and the migration of this one has
    not been reported yet. Both instants are by the same host's clock."""
    before = record.arrived_at
    if before is None or arrival.found:
        return False
    took = timedelta(0)
    if arrival.state is ArrivalState.RESUMED:
        took = (record.ended_at or record.sampled_at) - record.started_at
        if arrival.total_seconds is not None:
            took = timedelta(seconds=arrival.total_seconds)
    return before < at - took - SAME_ARRIVAL


def merge(
    old: Record, arrival: Arrival, batch: Batch, now: datetime, heartbeat_seconds: float | None
) -> Record | None:
    """Return the migration's record after an arrival at the host of ``batch``; None: no change.

    ``heartbeat_seconds`` is the interval of its source's agent, None where unknown. A complete
    arrival takes the whole record.
    """
    at, before = to_store(arrival.at), old.arrived_at
    if before is not None and before > now + CLOCK_SKEW:
        # Stored by a conductor whose clock has been set back since.
        before = None
    if before is not None:
        if old.dest_compute == batch.host and abs(at - before) <= SAME_ARRIVAL:
            # A repeated arrival may differ by as much as the correction of its host's clock.
            at = max(at, before)
        if arrival.found or at < before:
            return None
    is_silent = liveness.is_silent(old.last_reported_at, now, heartbeat_seconds)
    if arrival.complete and not is_silent and contradiction.is_denied(old, at):
        return None
    new = old
    if at != before:
        new = dataclasses.replace(
            old,
            dest_compute=batch.host,
            dest_node=batch.node,
            dest_host=batch.address,
            arrived_at=at,
        )
    if arrival.complete and new.is_whole and _is_its_job(new, arrival, before, at):
        new = _end(new, arrival, before, at, is_silent)
    return None if new == old else dataclasses.replace(new, updated_at=now)


def _end(
    record: Record, arrival: Arrival, before: datetime | None, at: datetime, is_silent: bool
) -> Record:
    """Return the record after a complete arrival of its own job at ``at``; ``before`` is the
    arrival that it had already."""
    figures: dict[str, Any] = {
        name: value
        for name in ARRIVAL_FIGURES
        if (value := getattr(arrival, name)) is not None
        and (record.status is not Status.COMPLETED or record.figures[name] is None)
    }
    if figures and record.status is not Status.COMPLETED:
        figures["sampled_at"] = max(at, record.sampled_at)
    if record.status is Status.COMPLETED and before is not None and record.ended_at == before:
        figures["ended_at"] = at
    status = STATUS_AFTER.get(record.status, (record.status, record.status))[is_silent]
    new = record.changed(figures) if figures else record
    if status is Status.COMPLETED and record.status is not Status.COMPLETED:
        return completed(new)
    return new if status is record.status else dataclasses.replace(new, status=status)


def _is_its_job(record: Record, arrival: Arrival, before: datetime | None, at: datetime) -> bool:
    """Return whether an arrival's job is the migration's: both began at the same time, or the
    arrival that the record has was during the job, whatever the source's clock shows. True where
    the job's start is unknown."""
    if arrival.total_seconds is None:
        return True
    started_at = began_at(arrival)
    if before is not None and started_at - SAME_ARRIVAL <= before < at:
        return True
    return abs(started_at - record.started_at) <= CLOCK_SKEW


def began_at(arrival: Arrival) -> datetime:
    """Return when the job of an arrival began; its figures should be known."""
    return to_store(arrival.at) - timedelta(seconds=arrival.total_seconds or 0.0)


def completed(record: Record) -> Record:
    """Return the record, ended as completed by its arrival."""
    return record.changed(
        {
            "status": Status.COMPLETED,
            "phase": Phase.DONE,
            "verdict": Verdict.ENDED,
            "percent": 100,
            "ended_at": record.arrived_at,
            "error": None,
        }
        | dict.fromkeys(ONLY_IN_PROGRESS)
    )


def is_resolved(record: Record, arrival: Arrival) -> bool:
    """Return whether an arrival is resolved: repeated it would change nothing."""
    return not arrival.complete or record.status in ENDED


def end_of(record: Record) -> Report:
    """Return the last report of a migration whose end the destination determined, as its source
    would have sent it; the record is whole."""
    instants = {
        name: None if at is None else from_store(at).timestamp()
        for name, at in values(record, ("started_at", "sampled_at", "ended_at")).items()
    }
    fields = ("uuid", "server_uuid", "sequence", "status", "percent")
    names = ("server_name", "project_id", "user_id")
    return Report(**values(record, (*fields, *names, *FIGURES)) | instants)
