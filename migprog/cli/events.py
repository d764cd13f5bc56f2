# SPDX-License-Identifier: Apache-2.0
"""What has changed between two lists of migrations: events, as lines of text or JSON. Pure.

``doc/source/watch-event.json`` is the JSON Schema of the lines.
"""

import enum
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

from migprog.cli import advice, record, text
from migprog.cli.record import Record


class Kind(enum.StrEnum):
    # In progress when the watch began.
    LISTED = "listed"
    STARTED = "started"
    CHANGED = "changed"
    ENDED = "ended"
    # Its record can no longer be seen, and its outcome is not known.
    REMOVED = "removed"
    # The API does not answer, or answers again.
    API_UNAVAILABLE = "api-unavailable"
    API_AVAILABLE = "api-available"


# Keys of a record whose change is an event; the figures change with each report.
WATCHED = (
    *("status", "phase", "percent", "verdict", "verdict_reason", "stale"),
    *("source_compute", "dest_compute", "nova_id", "cpu_throttle_percent"),
    *("downtime_limit_seconds", "error", "advice"),
)
# A line of text for each of these, and for each ten percent.
_WATCHED_IN_TEXT = frozenset(
    {"status", "phase", "verdict", "stale", "dest_compute", "error", "advice"}
)


@dataclass(frozen=True, slots=True)
class Event:
    """``at``: seconds since the epoch by the API's clock. ``previous``: what the keys that have
    changed were. ``reason``: why the API does not answer."""

    kind: Kind
    at: float
    migration: Record | None = None
    previous: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None


Records = Mapping[int, Record]


def changes(
    before: Records | None,
    after: Records,
    ended: Iterable[Record],
    removed: Iterable[Record],
    at: float,
) -> Iterator[Event]:
    """Return what happened between two lists of migrations in progress, by number; ``before`` is
    None for the first list. ``ended``: final records of those that are in progress no longer."""
    for key, each in after.items():
        if before is None:
            yield Event(Kind.LISTED, at, each)
        elif key not in before:
            yield Event(Kind.STARTED, at, each)
        elif (previous := _previous(before[key], each)) != {}:
            yield Event(Kind.CHANGED, at, each, previous)
    for each in ended:
        old = (before or {}).get(each["id"])
        yield Event(Kind.ENDED, at, each, {} if old is None else _previous(old, each))
    for each in removed:
        yield Event(Kind.REMOVED, at, each)


def _previous(old: Record, new: Record) -> dict[str, Any]:
    """Return the old values of the watched keys that have changed."""
    if old is new:
        return {}
    return {key: old.get(key) for key in WATCHED if old.get(key) != new.get(key)}


def json_line(event: Event) -> str:
    """Return an event as a line of JSON, in ASCII."""
    document: dict[str, Any] = {"event": event.kind, "at": text.instant(event.at)}
    if event.reason is not None:
        document["reason"] = event.reason
    if event.migration is not None:
        document["changed"] = sorted(event.previous)
        document["previous"] = dict(event.previous)
        document["migration"] = dict(event.migration)
    return json.dumps(document)


def text_line(event: Event, zone: tzinfo) -> str | None:
    """Return an event as a line for people; None: it is too small a change for one."""
    clock = datetime.fromtimestamp(event.at, UTC).astimezone(zone).strftime("%H:%M:%S")
    each = event.migration
    if each is None:
        reason = f": {text.printable(event.reason)}" if event.reason else ""
        return f"{clock} {event.kind}{reason}"
    if event.kind is Kind.CHANGED and not _deserves_line(event, each):
        return None
    parts = [each["server_uuid"], record.name(each), event.kind, _state(each, event.at)]
    route = record.route(each)
    if route:
        parts.insert(2, f"({route})")
    said = advice.line(each, event.at)
    line = " ".join([clock, *parts])
    return f"{line}: {said}" if said else line


def _deserves_line(event: Event, each: Record) -> bool:
    if not _WATCHED_IN_TEXT.isdisjoint(event.previous):
        return True
    if "percent" not in event.previous:
        return False
    return _tens(event.previous["percent"]) != _tens(each.get("percent"))


def _tens(percent: int | None) -> int | None:
    return None if percent is None else percent // 10


def _state(each: Record, now: float) -> str:
    """Return how far a migration is: ``85% memory-iterations 12, converging, 2s left (1s-2s)``."""
    parts = [record.phase(each)]
    if each.get("percent") is not None:
        parts[0] = f"{each['percent']}% {parts[0]}"
    if each.get("in_progress"):
        parts.append(record.verdict(each, now))
        left = record.left_text(record.left(each, now), with_range=True)
        if left:
            parts.append(f"{left} left" if left != "late" else left)
    elif each.get("total_seconds") is not None:
        parts.append(f"took {text.duration(each['total_seconds'])}")
    return ", ".join(part for part in parts if part)
