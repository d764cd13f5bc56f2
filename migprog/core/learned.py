# SPDX-License-Identifier: Apache-2.0
"""What completed migrations show of the next one: its transfer rate, and what it takes beside that.

The newest migrations between the same hosts count, or of the same source, or all, where there are
too few. Seconds since the epoch; bytes of the guest.
"""

import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from migprog.core.forecast.guest_pause import COMPLETION_TIME_SECONDS

# The number of the newest migrations that count, and the number that is enough.
_MOST, _LEAST = 9, 2
# Before any migration has completed: 1 Gbit/s, up to ten times as much or as little.
_DEFAULT_BYTES_PER_SECOND, _DEFAULT_SPREAD = 117e6, 9.0
# The spread where migrations agree: of one alone, and of many.
_SPREAD_OF_ONE, _LEAST_SPREAD = 0.25, 0.02
# How much a network and what else uses it change in a day, and at most.
_SPREAD_OF_A_DAY, _MOST_AGED = 0.15, 0.5
_DAY_SECONDS = 86400.0
# By how many standard deviations an 80 % range reaches from the middle.
RANGE_DEVIATIONS = 1.28


@dataclass(frozen=True, slots=True)
class Completed:
    """A completed migration. ``transfer_bytes_per_second`` is that of memory that is not zeros;
    ``overhead_seconds`` is what it took beside the transfer: setup, switchover, completion."""

    source: str
    dest: str
    ended_at: float
    transfer_bytes_per_second: float
    total_seconds: float
    overhead_seconds: float | None = None
    server_uuid: str | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """A transfer rate: 80 % are between it divided by, and multiplied by, 1 + ``spread``.

    ``count`` migrations show it, the newest of ``newest_at``. ``source``: whether these are of the
    same pair of hosts (``pair``), the same source (``source``) or any (``overall``); ``default``:
    there are none.
    """

    bytes_per_second: float
    spread: float
    count: int
    source: str
    newest_at: float | None

    @property
    def low_bytes_per_second(self) -> float:
        return self.bytes_per_second / (1 + self.spread)

    @property
    def high_bytes_per_second(self) -> float:
        return self.bytes_per_second * (1 + self.spread)


@dataclass(frozen=True, slots=True)
class Learned:
    """The expected rate, and the seconds beside the transfer with an 80 % range of so many more or
    less."""

    rate: Rate
    overhead_seconds: float = COMPLETION_TIME_SECONDS
    overhead_spread_seconds: float = COMPLETION_TIME_SECONDS


def learn(rows: Iterable[Completed], source: str, dest: str | None, now: float) -> Learned:
    """Learn from completed migrations what a migration from ``source`` to ``dest`` (None: to any
    host) may expect. Later ones than ``now``, and those without a rate, do not count."""
    known = sorted(
        (row for row in rows if row.ended_at <= now and row.transfer_bytes_per_second > 0),
        key=lambda row: row.ended_at,
        reverse=True,
    )
    chosen, of = _chosen(known, source, dest)
    if not chosen:
        default = Rate(_DEFAULT_BYTES_PER_SECOND, _DEFAULT_SPREAD, 0, "default", None)
        return Learned(default)
    rates = [alone_bytes_per_second(row, known) for row in chosen]
    middle = statistics.median(rates)
    age_seconds = max(0.0, now - chosen[0].ended_at)
    spread = math.hypot(
        _spread([math.log(each / middle) for each in rates]),
        min(_MOST_AGED, _SPREAD_OF_A_DAY * math.sqrt(age_seconds / _DAY_SECONDS)),
        0.0 if of == "pair" else _SPREAD_OF_ONE,
    )
    rate = Rate(middle, math.expm1(spread), len(chosen), of, chosen[0].ended_at)
    return Learned(rate, *_overhead(chosen))


def alone_bytes_per_second(row: Completed, rows: Sequence[Completed]) -> float:
    """Return the rate that a migration would have had if no other had left its source, or come to
    its destination, meanwhile: they share the network."""
    began_at = row.ended_at - row.total_seconds
    if row.total_seconds <= 0:
        return row.transfer_bytes_per_second
    beside_seconds = sum(
        max(
            0.0,
            min(row.ended_at, each.ended_at) - max(began_at, each.ended_at - each.total_seconds),
        )
        for each in rows
        if each is not row and (each.source == row.source or each.dest == row.dest)
    )
    return row.transfer_bytes_per_second * (1 + beside_seconds / row.total_seconds)


def _chosen(
    known: Sequence[Completed], source: str, dest: str | None
) -> tuple[list[Completed], str]:
    """Return the newest of the nearest that are enough, or else of the nearest that there are."""
    choices: list[tuple[str, Callable[[Completed], bool]]] = [
        ("pair", lambda row: row.source == source and row.dest == dest),
        ("source", lambda row: row.source == source),
        ("overall", lambda _row: True),
    ]
    found = [
        (list(itertools.islice(filter(counts, known), _MOST)), name) for name, counts in choices
    ]
    enough = next((each for each in found if len(each[0]) >= _LEAST), None)
    return enough or next((each for each in found if each[0]), ([], "default"))


def _spread(logarithms: Sequence[float]) -> float:
    """Return half of the width of an 80 % range by what was seen to vary."""
    count = len(logarithms)
    if count == 1:
        return _SPREAD_OF_ONE
    seen = RANGE_DEVIATIONS * statistics.stdev(logarithms)
    # Few that agree may do so by chance.
    return max(_LEAST_SPREAD, seen * math.sqrt(1 + 1 / count), _SPREAD_OF_ONE / (count * count))


def _overhead(rows: Sequence[Completed]) -> tuple[float, float]:
    seconds = [max(0.0, row.overhead_seconds) for row in rows if row.overhead_seconds is not None]
    if not seconds:
        return COMPLETION_TIME_SECONDS, COMPLETION_TIME_SECONDS
    middle = statistics.median(seconds)
    if len(seconds) == 1:
        return middle, max(0.3, middle / 2)
    return middle, max(0.1, RANGE_DEVIATIONS * statistics.stdev(seconds))
