# SPDX-License-Identifier: Apache-2.0
"""What a migration's record says at an instant. Pure: the API's document in, values out.

A record is a migration's document; keys that an older API does not have are as good as null.
Instants are seconds since the epoch by the API's clock. Words of a newer API are shown as they are.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from migprog.cli import pending_advice, text
from migprog.core.forecast.verdict import Verdict
from migprog.core.status import Phase, Status

Record: TypeAlias = Mapping[str, Any]


class Trouble(enum.IntEnum):
    """How much a migration needs somebody; the most urgent first."""

    POST_COPY_PAUSED = 0
    STALLED = 1
    NOT_CONVERGING = 2
    # Its host does not report: nothing is known of it.
    STALE = 3
    ENDED_BADLY = 4
    # Somebody has yet to do what steering advises, though the verdict is not bad.
    ADVISED = 5
    NONE = 6
    COMPLETED = 7


NEEDS_SOMEBODY = frozenset(Trouble) - {Trouble.NONE, Trouble.COMPLETED}
_BY_VERDICT = {
    Verdict.POST_COPY_PAUSED.value: Trouble.POST_COPY_PAUSED,
    Verdict.STALLED.value: Trouble.STALLED,
    Verdict.NOT_CONVERGING.value: Trouble.NOT_CONVERGING,
}


def trouble(record: Record) -> Trouble:
    """Return how much a migration needs somebody."""
    if not record.get("in_progress"):
        completed = record.get("status") == Status.COMPLETED
        return Trouble.COMPLETED if completed else Trouble.ENDED_BADLY
    bad = _BY_VERDICT.get(record.get("verdict") or "")
    if bad is not None:
        return bad
    if record.get("stale"):
        return Trouble.STALE
    return Trouble.NONE if pending_advice.pending(record) is None else Trouble.ADVISED


def name(record: Record) -> str:
    """Return the name of a migration's server; its UUID where it has none."""
    return text.printable(record.get("server_name") or record.get("server_uuid") or "?")


def route(record: Record) -> str:
    """Return where a server comes from and goes to; empty for those who may not see hosts."""
    source, destination = record.get("source_compute"), record.get("dest_compute")
    if not (source or destination):
        return ""
    return f"{text.printable(source or '?')} → {text.printable(destination or '?')}"


def age_seconds(record: Record, now: float) -> float:
    """Return the seconds since a migration's last report."""
    return max(0.0, now - text.epoch(record["last_reported_at"]))


@dataclass(frozen=True, slots=True)
class Left:
    """The time left at an instant, with its range. ``ends_at``: the instant of the end.

    ``is_late``: even the latest end of the range has passed.
    """

    seconds: float
    low_seconds: float
    high_seconds: float
    ends_at: float

    @property
    def is_late(self) -> bool:
        return self.high_seconds < 0


def left(record: Record, now: float) -> Left | None:
    """Return the time left, counted down to ``now`` by the instants of the forecast; None: not
    known, or the migration has ended."""
    if not record.get("in_progress") or record.get("ends_at") is None:
        return None
    ends_at = text.epoch(record["ends_at"])
    earliest = text.epoch(record.get("ends_at_earliest") or record["ends_at"])
    latest = text.epoch(record.get("ends_at_latest") or record["ends_at"])
    return Left(ends_at - now, earliest - now, latest - now, ends_at)


def left_text(left: Left | None, *, with_range: bool = False) -> str:
    """Return the time left: ``12s``, with its range ``12s (9s-15s)``; ``<3s`` once the expected end
    has passed, ``late`` once the latest has."""
    if left is None:
        return ""
    if left.is_late:
        return "late"
    if left.seconds < 0:
        return f"<{text.duration(max(1.0, left.high_seconds))}"
    shown = text.duration(left.seconds)
    if with_range:
        low, high = text.duration(max(0.0, left.low_seconds)), text.duration(left.high_seconds)
        return f"{shown} ({low}-{high})" if low != high else shown
    return shown


def progress_range(record: Record, now: float) -> tuple[float, float] | None:
    """Return the percentages between which the progress is, by the range of the end; None: not
    known.

    The percentage is one of time: what has passed since the start, of the time until the end.
    """
    remaining = left(record, now)
    if remaining is None or record.get("percent") is None or remaining.is_late:
        return None
    passed = max(0.0, now - text.epoch(record["started_at"]))
    percent = float(record["percent"])

    def share(seconds: float) -> float:
        whole = passed + max(0.0, seconds)
        return 100 * passed / whole if whole > 0 else 100.0

    low, high = share(remaining.high_seconds), share(remaining.low_seconds)
    return max(0.0, min(low, percent)), min(99.0, max(high, percent))


_SHORT_PHASES = {
    Phase.DISK_COPY.value: "disk",
    Phase.MEMORY_FIRST_ITERATION.value: "memory 1",
    Phase.MEMORY_ITERATIONS.value: "memory",
    Phase.POST_COPY_PAUSED.value: "post-copy",
}


def phase(record: Record, *, short: bool = False) -> str:
    """Return the phase, with the number of the iteration; of what has ended the status."""
    if not record.get("in_progress"):
        return text.printable(record.get("status") or "")
    word = text.printable(record.get("phase") or "")
    shown = _SHORT_PHASES.get(word, word) if short else word
    iteration = record.get("memory_iteration")
    if word == Phase.MEMORY_ITERATIONS and iteration:
        return f"{shown} {iteration}"
    return shown


def verdict(record: Record, now: float) -> str:
    """Return the verdict; of a stale migration the age of what is known of it."""
    if record.get("stale") and record.get("in_progress"):
        return f"stale {text.duration(age_seconds(record, now))}"
    return text.printable(record.get("verdict") or "")
