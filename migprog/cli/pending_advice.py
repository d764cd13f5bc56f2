# SPDX-License-Identifier: Apache-2.0
"""What steering's advice in a record asks of people. Pure.

Advice that was carried out, that only foretells what nova-compute will do, or that the migration
has made needless by now asks nothing. Words of later agents are taken for what needs somebody.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from migprog.cli import text
from migprog.core.forecast.verdict import BAD
from migprog.core.steering.advice import BY_NOVA, AdviceReason, State, SteeringAction, reaches

Entry: TypeAlias = Mapping[str, Any]
_BAD = frozenset(verdict.value for verdict in BAD)
_UNDONE = (None, State.ADVISED.value, State.FAILED.value)
# Advice with these reasons lapses when the verdict recovers.
_BY_VERDICT = (
    AdviceReason.NOT_CONVERGING.value,
    AdviceReason.HOPELESS.value,
    AdviceReason.DISKS_DO_NOT_CONVERGE.value,
    AdviceReason.LIMIT_LOWERED.value,
)


def pending(record: Mapping[str, Any]) -> Entry | None:
    """Return the advice that somebody has yet to follow; None if there is none."""
    newest = _newest(record)
    if newest is None or newest.get("state") not in _UNDONE:
        return None
    if newest.get("action") == SteeringAction.STOP_ASSERTING or _is_overtaken(newest, record):
        return None
    return newest


def under_way(record: Mapping[str, Any], now: float) -> Entry | None:
    """Return what steering has done that may yet work; None if nothing may."""
    newest = _newest(record)
    is_done = newest is not None and newest.get("state") == State.DONE
    return newest if is_done and _is_to_come(newest, now) else None


def next_by_nova(record: Mapping[str, Any], now: float) -> Entry | None:
    """Return what nova-compute will do next; None if that is not known."""
    for each in reversed(record.get("advice") or ()):
        if each.get("reason") in BY_NOVA:
            return each if _is_to_come(each, now) else None
    return None


def _newest(record: Mapping[str, Any]) -> Entry | None:
    """Return the newest of steering's own decisions, which comes last."""
    for each in reversed(record.get("advice") or ()):
        if each.get("reason") not in BY_NOVA:
            return each
    return None


def _is_to_come(entry: Entry | None, now: float) -> bool:
    until = None if entry is None else entry.get("works_by")
    return until is not None and text.epoch(until) >= now


def _is_overtaken(entry: Entry, record: Mapping[str, Any]) -> bool:
    """Return whether the migration needs it no more, by what its record shows."""
    if entry.get("reason") in _BY_VERDICT and record.get("verdict") not in (None, *_BAD):
        return True
    figures = entry.get("figures") or {}
    advised, limit = figures.get("downtime_limit_seconds"), record.get("downtime_limit_seconds")
    if advised is not None and limit is not None and reaches(limit, advised):
        return True
    left, latest = figures.get("left_seconds"), record.get("ends_at_latest")
    if left is None or latest is None or entry.get("at") is None:
        return False
    return text.epoch(latest) <= text.epoch(entry["at"]) + float(left)
