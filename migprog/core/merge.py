# SPDX-License-Identifier: Apache-2.0
"""Merge a report of the source into the record of its migration.

The same reports result in the same record, in any order and however often they are received:

1. A report that is not newer than the record changes nothing.
2. Of the others the first rule of :data:`RULES` decides; if none applies, nothing changes.
3. Names and the start stay as first reported, and the percentage never decreases.

Arrivals, which the destination reports, have rules of their own (:mod:`migprog.core.arrivals`).
"""

import dataclasses
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from migprog.core import arrivals, contradiction
from migprog.core import status as core_status
from migprog.core.instant import to_store
from migprog.core.messages import LASTING, Report
from migprog.core.record import LASTING_FIGURES, Record, figures, values
from migprog.core.status import Status


class Rule(NamedTuple):
    """``applies`` takes the record and a newer report; ``merge`` the record, and the record that
    the report alone would make, with names, start and percentage as in rule 3."""

    applies: Callable[[Record, Report], bool]
    merge: Callable[[Record, Record], Record | None]


def report(
    old: Record | None, new: Report, host: str, node: str, last_reported_at: datetime
) -> Record | None:
    """Return the migration's record after a report of the source ``host``; None: no change."""
    if old is None:
        return _first(new, host, node, last_reported_at)
    if new.sequence <= old.sequence:
        return None
    for rule in RULES:
        if rule.applies(old, new):
            return rule.merge(old, _as_reported(old, new, last_reported_at))
    return None


def _is_completed_by_both(old: Record, new: Report) -> bool:
    # Its arrival may have set that before its source reported the end.
    return old.status is Status.COMPLETED and new.status is Status.COMPLETED and old.is_whole


def _has_arrived_unseen(old: Record, new: Report) -> bool:
    return old.status is Status.POST_MIGRATING and new.status is Status.UNKNOWN


def _ends_unseen(old: Record, new: Report) -> bool:
    return new.status is Status.UNKNOWN and core_status.may_follow(new.status, old.status)


def _is_called_back(old: Record, new: Report) -> bool:
    # The destination set post-migrating; a source that cancels the migration knows better.
    return old.status is Status.POST_MIGRATING and new.status is Status.CANCELLED


def _may_follow(old: Record, new: Report) -> bool:
    return core_status.may_follow(new.status, old.status)


def _complete(old: Record, new: Record) -> Record | None:
    """Where the arrival had set the end, the source's final figures replace its earlier ones and
    the arrival's. Figures that are missing in ``new`` stay."""
    by_arrival = (
        old.ended_at is not None
        and old.arrived_at is not None
        and abs(old.ended_at - old.arrived_at) <= arrivals.SAME_ARRIVAL
    )
    final = {
        name: value
        for name, value in values(new, ("ended_at", *LASTING_FIGURES), known=True).items()
        if by_arrival or old.get(name) is None
    }
    if all(old.get(name) == value for name, value in final.items()):
        return None
    if by_arrival:
        final["sampled_at"] = new.sampled_at
    return old.changed(final | values(new, (*LASTING, *_RECEIVED)))


def _complete_arrived(old: Record, new: Record) -> Record:
    return arrivals.completed(old.changed(values(new, _RECEIVED)))


def _end_with_last_figures(old: Record, new: Record) -> Record:
    kept = {name: old.figures.get(name) for name in LASTING_FIGURES if new.figures[name] is None}
    return new.changed(kept | {"sampled_at": max(old.sampled_at, new.sampled_at)})


def _take_report(_old: Record, new: Record) -> Record:
    return new


# What every report that is applied changes.
_RECEIVED = ("sequence", "last_reported_at", "updated_at")

RULES = (
    # The source still runs a server that another host reported as arrived: no arrival.
    Rule(contradiction.is_contradicted, contradiction.undo_arrival),
    # Both ends know that it has completed: the figures that the arrival did not have.
    Rule(_is_completed_by_both, _complete),
    # The source does not know the end, but the server is complete at its destination.
    Rule(_has_arrived_unseen, _complete_arrived),
    # The source does not know the end, and no agent saw it: the last figures stay.
    Rule(_ends_unseen, _end_with_last_figures),
    # The source has called the server back, whatever the destination said.
    Rule(_is_called_back, _take_report),
    # The table of transitions (core/status.py) permits the status.
    Rule(_may_follow, _take_report),
)


def _first(new: Report, host: str, node: str, at: datetime) -> Record:
    started_at, sampled_at = to_store(new.started_at), to_store(new.sampled_at)
    ended_at = to_store(new.ended_at)
    return Record(
        uuid=new.uuid,
        server_uuid=new.server_uuid,
        server_name=new.server_name,
        project_id=new.project_id,
        user_id=new.user_id,
        source_compute=host,
        source_node=node,
        sequence=new.sequence,
        status=new.status,
        percent=new.percent,
        started_at=started_at,
        sampled_at=max(started_at, sampled_at),
        ended_at=ended_at and max(started_at, ended_at),
        last_reported_at=at,
        created_at=at,
        updated_at=at,
        figures=figures(new),
    )


def _as_reported(old: Record, new: Report, at: datetime) -> Record:
    """Return the record with the report's values, but names, start and percentage by rule 3.

    Where the new sample is older than the stored start, a clock was set back: then the start comes
    from the new report, whose instants are all by one clock.
    """
    started_at, sampled_at = to_store(new.started_at), to_store(new.sampled_at)
    ended_at = to_store(new.ended_at)
    if not started_at <= sampled_at < old.started_at:
        started_at = old.started_at
    percent = new.percent
    # The 100 % of a completion that proves wrong do not count.
    if old.percent is not None and not _contradicts_completion(old, new):
        percent = old.percent if percent is None else max(old.percent, percent)
    names: dict[str, Any] = {
        name: getattr(new, name) for name in LASTING if getattr(old, name) is None
    }
    return dataclasses.replace(
        old,
        sequence=new.sequence,
        status=new.status,
        percent=percent,
        started_at=started_at,
        sampled_at=max(started_at, sampled_at),
        ended_at=ended_at and max(started_at, ended_at),
        last_reported_at=at,
        updated_at=at,
        figures=figures(new),
        **names,
    )


def _contradicts_completion(old: Record, new: Report) -> bool:
    return old.status is Status.COMPLETED and contradiction.is_contradicted(old, new)


def is_progress(old: Record | None, new: Record) -> bool:
    """Return whether ``new`` differs from ``old`` by progress alone: the migration is still in
    progress, and its names are the same."""
    return (
        old is not None
        and new.status in core_status.IN_PROGRESS
        and (old.server_name, old.project_id, old.user_id)
        == (new.server_name, new.project_id, new.user_id)
    )


def ages(old: Record, new: Record) -> tuple[float, float]:
    """Return the seconds from a migration's start to the samples of its old and its new record."""
    before, now = (record.sampled_at - old.started_at for record in (old, new))
    return before.total_seconds(), now.total_seconds()
