# SPDX-License-Identifier: Apache-2.0
"""Which notifications a change of a migration's record causes: a few in its life, none a sample.

1. The first record of a migration causes ``start``.
2. A verdict that differs from the stored one causes ``verdict_changed``.
3. A decision of steering that is new, or whose state has changed, causes ``action``; so does a
   request of an operator that the agent has accepted (:func:`requested`).
4. A status that is an end and differs from the stored one causes ``end``. An unknown end may become
   known later: then there is a second ``end``.

The priority is ``warn`` where an operator may have to do something, ``error`` where a migration has
failed, else ``info``. The record before a change is locked, so of several conductors one sees the
change, and a repeated report changes nothing. :mod:`migprog.notifications` sends the events.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from migprog.core.advice_entry import AdviceEntry
from migprog.core.forecast import calibration
from migprog.core.forecast.verdict import BAD, Verdict
from migprog.core.instant import from_epoch, rfc3339
from migprog.core.operator_actions import WHO
from migprog.core.record import Record
from migprog.core.status import ENDED, Status
from migprog.core.steering.advice import BY_NOVA, State

# What each payload has of the migration, in this order; names and units are the API's.
MIGRATION = (
    *("uuid", "server_uuid", "server_name", "project_id", "user_id", "nova_id", "nova_uuid"),
    *("source_compute", "dest_compute", "status", "phase", "percent", "started_at", "sampled_at"),
    *("verdict", "verdict_reason", "verdict_message"),
    *("eta_seconds", "eta_low_seconds", "eta_high_seconds"),
    *("memory_total_bytes", "memory_processed_bytes", "memory_remaining_bytes"),
    *("disk_total_bytes", "disk_processed_bytes", "disk_remaining_bytes", "memory_iteration"),
    *("throughput_bytes_per_second", "dirty_bytes_per_second"),
    *("downtime_needed_seconds", "bandwidth_needed_bytes_per_second", "downtime_limit_seconds"),
    "cpu_throttle_percent",
)
# What the payload of an end has besides.
END = ("ended_at", "total_seconds", "downtime_seconds", "error", *calibration.FIELDS)


class Kind(enum.StrEnum):
    """The last part of an event type."""

    START = "start"
    VERDICT_CHANGED = "verdict_changed"
    ACTION = "action"
    END = "end"


class Priority(enum.StrEnum):
    """oslo.messaging's words; each priority has a queue of its own."""

    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class By(enum.StrEnum):
    """Who decided on an action."""

    OPERATOR = "operator"
    STEERING = "steering"
    # What nova-compute will do by itself, as steering foretells it.
    NOVA = "nova"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What has happened to a migration. ``migration`` and ``more`` are values for JSON."""

    kind: Kind
    priority: Priority
    migration: Mapping[str, Any]
    more: Mapping[str, Any]

    @property
    def payload(self) -> dict[str, Any]:
        return {**self.migration, **self.more}


@dataclass(frozen=True, slots=True)
class Before:
    """What is stored of a migration before a change."""

    status: Status
    verdict: Verdict | None
    advice: Sequence[AdviceEntry] = ()

    @classmethod
    def of(cls, record: Record) -> Self:
        """Read it from a record that has its figures."""
        return cls(record.status, record.get("verdict"), record.get("advice") or ())


_BY_END = {Status.FAILED: Priority.ERROR, Status.UNKNOWN: Priority.WARN}


def between(before: Before | None, after: Record) -> tuple[Event, ...]:
    """Return what a change of a record means; ``before`` is None for a new one.

    ``after`` has its figures, unless only its destination changed, which means nothing.
    """
    if not after.figures:
        return ()
    migration = values_of(after.get, MIGRATION)
    found: list[Event] = []
    verdict = after.get("verdict")
    by_verdict = Priority.WARN if verdict in BAD else Priority.INFO
    if before is None:
        found.append(_event(Kind.START, by_verdict, migration))
    elif after.status not in ENDED and verdict is not before.verdict:
        changed = {"previous_verdict": before.verdict}
        found.append(_event(Kind.VERDICT_CHANGED, by_verdict, migration, **changed))
    known = () if before is None else before.advice
    for entry, state in changed_advice(known, after.get("advice") or ()):
        found.append(_advised(migration, entry, state))
    status = None if before is None else before.status
    if after.status in ENDED and after.status is not status:
        found.append(
            _event(
                Kind.END,
                _BY_END.get(after.status, Priority.INFO),
                migration,
                **values_of(after.get, END),
                previous_status=status,
            )
        )
    return tuple(found)


def requested(
    get: Callable[[str], Any], action: str, at: float, who: Mapping[str, str | None]
) -> Event:
    """Return the event of an operator's request that the migration's agent has accepted.

    ``get`` returns a value of the migration by its name; ``at`` is in seconds since the epoch;
    ``who`` has ``user_id``, ``project_id`` and ``request_id``, as far as they are known.
    """
    return _event(
        Kind.ACTION,
        Priority.INFO,
        values_of(get, MIGRATION),
        action={
            "action": action,
            "by": By.OPERATOR,
            "state": "requested",
            "reason": None,
            "message": None,
            "figures": {},
            "at": _plain(from_epoch(at)),
            "works_by": None,
            **{name: who.get(name) for name in WHO},
        },
        previous_state=None,
    )


def changed_advice(
    old: Sequence[AdviceEntry], new: Sequence[AdviceEntry]
) -> list[tuple[AdviceEntry, str | None]]:
    """Return the entries of ``new`` that are not in ``old``, with None, or that have another state
    there, with that state.

    Both are lists to which entries are added at the end, while the oldest may have been dropped;
    the instants of an entry may differ by the correction of its host's clock.
    """
    dropped = next(
        count
        for count in range(len(old) + 1)
        if all(_is_same(*pair) for pair in zip(old[count:], new, strict=False))
    )
    states = [each["state"] for each in old[dropped:]]
    changed: list[tuple[AdviceEntry, str | None]] = []
    for number, entry in enumerate(new):
        state = states[number] if number < len(states) else None
        if state != entry["state"]:
            changed.append((entry, state))
    return changed


def _is_same(one: AdviceEntry, other: AdviceEntry) -> bool:
    return all(one[name] == other[name] for name in ("action", "reason", "message", "figures"))


def _advised(migration: Mapping[str, Any], entry: AdviceEntry, state: str | None) -> Event:
    by = By.NOVA if entry["reason"] in BY_NOVA else By.STEERING
    works_by = entry["works_by"]
    needs_nobody = by is By.NOVA or entry["state"] == State.DONE
    return _event(
        Kind.ACTION,
        Priority.INFO if needs_nobody else Priority.WARN,
        migration,
        action={
            "action": entry["action"],
            "by": by,
            "state": entry["state"],
            "reason": entry["reason"],
            "message": entry["message"],
            "figures": dict(entry["figures"]),
            "at": _plain(from_epoch(entry["at"])),
            "works_by": None if works_by is None else _plain(from_epoch(works_by)),
            **dict.fromkeys(WHO),
        },
        previous_state=state,
    )


def _event(kind: Kind, priority: Priority, migration: Mapping[str, Any], **more: Any) -> Event:
    return Event(
        kind=kind,
        priority=priority,
        migration=migration,
        more={name: _plain(value) for name, value in more.items()},
    )


def values_of(get: Callable[[str], Any], names: Sequence[str]) -> dict[str, Any]:
    """Return values by name, for JSON; a host that is not known is None."""
    found = {name: _plain(get(name)) for name in names}
    if found.get("source_compute") == "":
        found["source_compute"] = None
    return found


def _plain(value: Any) -> Any:
    """Return an instant such as ``2016-01-29T13:42:02.000000Z``, a word as its text."""
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, enum.StrEnum):
        return value.value
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value
