# SPDX-License-Identifier: Apache-2.0
"""Many migrations: their order, their totals, and those that ended lately. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from migprog.cli import record as one
from migprog.cli import text
from migprog.cli.record import Record, Trouble

# How long those that have ended stay in view.
SHOW_ENDED_SECONDS = 60.0
_MAX_ENDED = 1000


def urgency(record: Record) -> tuple[Any, ...]:
    """Return the sort key of a migration: the most trouble first, then the oldest."""
    return (
        one.trouble(record),
        bool(record.get("stale")),
        record.get("started_at") or "",
        record.get("uuid") or "",
    )


@dataclass(frozen=True, slots=True)
class Totals:
    """``by_trouble``: how many of each kind; ``sent_bytes_per_second``: of those that are not
    stale; ``last_ends_at``: when the last of them ends, None: not known of all."""

    in_progress: int = 0
    ended: int = 0
    by_trouble: Counter[Trouble] = field(default_factory=Counter)
    stale: int = 0
    sent_bytes_per_second: int = 0
    last_ends_at: float | None = None

    @property
    def in_trouble(self) -> int:
        return sum(count for kind, count in self.by_trouble.items() if kind < Trouble.STALE)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Migrations in the order in which they are shown. ``truncated``: there are more."""

    records: Sequence[Record] = ()
    totals: Totals = field(default_factory=Totals)
    truncated: bool = False

    @classmethod
    def of(
        cls, in_progress: Iterable[Record], ended: Iterable[Record] = (), truncated: bool = False
    ) -> "Fleet":
        records = sorted((*in_progress, *ended), key=urgency)
        return cls(records, totals(records), truncated)


def totals(records: Sequence[Record]) -> Totals:
    """Return the totals of migrations."""
    under_way = [each for each in records if each.get("in_progress")]
    ends = [each.get("ends_at") for each in under_way]
    known = [text.epoch(each) for each in ends if each is not None]
    return Totals(
        in_progress=len(under_way),
        ended=len(records) - len(under_way),
        by_trouble=Counter(map(one.trouble, records)),
        stale=sum(bool(each.get("stale")) for each in under_way),
        sent_bytes_per_second=sum(
            each.get("throughput_bytes_per_second") or 0
            for each in under_way
            if not each.get("stale")
        ),
        last_ends_at=max(known) if known and len(known) == len(ends) else None,
    )


def still_shown(ended: Sequence[tuple[float, Record]], now: float) -> list[tuple[float, Record]]:
    """Return those of the ended migrations that are still in view, at most 1,000; each with the
    instant at which its end was seen."""
    return [each for each in ended if now - each[0] < SHOW_ENDED_SECONDS][-_MAX_ENDED:]
