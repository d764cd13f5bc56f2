# SPDX-License-Identifier: Apache-2.0
"""Forecast when a host will be empty, by its servers, the migrations off it, and their rate.

Seconds and bytes; instants are seconds since the epoch.
"""

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from migprog.core.forecast.verdict import BAD
from migprog.core.learned import RANGE_DEVIATIONS

# Older completions say nothing of the present rate.
WINDOW_SECONDS = 3600.0


class EtaReason(enum.StrEnum):
    """What the forecast follows from, or why there is none. A word never changes its meaning; the
    table in ``doc/source/api.rst`` has each."""

    TRANSFER_RATE = "transfer-rate"
    LAST_MIGRATIONS = "last-migrations"
    HOST_EMPTY = "host-empty"
    MIGRATION_END_UNKNOWN = "migration-end-unknown"
    NO_RECENT_MIGRATION = "no-recent-migration"
    SERVERS_UNKNOWN = "servers-unknown"
    AGENT_SILENT = "agent-silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """A migration off the host; its time left counts from now, None if it is not known.

    ``server_uuid`` and ``verdict`` are named in the reason.
    """

    server_uuid: str | None = None
    verdict: str | None = None
    memory_bytes: int | None = None
    percent: int | None = None
    eta_seconds: float | None = None
    eta_low_seconds: float | None = None
    eta_high_seconds: float | None = None

    @property
    def left(self) -> float:
        """The share of it that remains, from 1 to 0."""
        return 1 - (self.percent or 0) / 100

    def after(self, seconds: float) -> "UnderWay":
        """Return it after ``seconds`` without an update.

        One that should have ended and has not is somewhere within its range; after that its
        time left is not known. A negative time, as clocks may differ, counts as none.
        """
        eta = self.eta_seconds
        if eta is None or seconds <= 0:
            return self
        low, high = _or(self.eta_low_seconds, eta), _or(self.eta_high_seconds, eta)
        if seconds > high:
            unknown = {"eta_seconds": None, "eta_low_seconds": None, "eta_high_seconds": None}
            return replace(self, **unknown)
        left_low, left_high = max(0.0, low - seconds), max(0.0, high - seconds)
        left = eta - seconds if eta > seconds else (left_low + left_high) / 2
        return replace(self, eta_seconds=left, eta_low_seconds=left_low, eta_high_seconds=left_high)


@dataclass(frozen=True, slots=True)
class Completed:
    """A completed migration off the host."""

    started_at: float
    ended_at: float
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class TransferRate:
    """The rate in the last ``window_seconds``, in which so many ``migrations`` completed.

    ``bytes_per_second`` is None if the size of one of them is not known.
    """

    migrations: int
    window_seconds: float
    servers_per_second: float
    bytes_per_second: float | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """The time until the host is empty with a range of 80 %, and what it follows from or why it is
    not known: as a word and as a sentence."""

    eta_reason: EtaReason
    eta_message: str
    eta_seconds: float | None = None
    eta_low_seconds: float | None = None
    eta_high_seconds: float | None = None


def measure_rate(completed: Sequence[Completed], now: float) -> TransferRate | None:
    """Return the rate of completed migrations; None if none has completed lately.

    It counts from the start of the first of them until now: the rate of a drain that has stopped
    falls.
    """
    recent = [each for each in completed if now - WINDOW_SECONDS < each.ended_at <= now]
    if not recent:
        return None
    seconds = now - max(now - WINDOW_SECONDS, min(each.started_at for each in recent))
    if seconds <= 0:
        return None
    sizes = [each.memory_bytes for each in recent if each.memory_bytes is not None]
    known = len(sizes) == len(recent) and sum(sizes) > 0
    return TransferRate(
        migrations=len(recent),
        window_seconds=seconds,
        servers_per_second=len(recent) / seconds,
        bytes_per_second=sum(sizes) / seconds if known else None,
    )


def forecast(
    servers: int | None,
    memory_bytes: int | None,
    under_way: Sequence[UnderWay],
    rate: TransferRate | None,
) -> Forecast:
    """Forecast when a host is empty that has so many servers with so much memory together, those
    of ``under_way`` included."""
    if servers is None:
        return Forecast(
            EtaReason.SERVERS_UNKNOWN, "the agent does not report how many servers run there"
        )
    unknown = [each for each in under_way if each.eta_seconds is None]
    if unknown:
        return Forecast(EtaReason.MIGRATION_END_UNKNOWN, _unknown(unknown))
    waiting = max(0, servers - len(under_way))
    if not waiting:
        if not under_way:
            return Forecast(EtaReason.HOST_EMPTY, "the host is empty", 0.0, 0.0, 0.0)
        message = "the migrations in progress are the last"
        return Forecast(EtaReason.LAST_MIGRATIONS, message, *_latest(under_way))
    if rate is None:
        message = "no migration off this host has completed within an hour"
        return Forecast(EtaReason.NO_RECENT_MIGRATION, message)
    times = _times(waiting, memory_bytes, under_way, rate)
    # By chance a count is wrong by its square root.
    chance = RANGE_DEVIATIONS / math.sqrt(rate.migrations)
    ends = _latest(under_way)
    return Forecast(
        EtaReason.TRANSFER_RATE,
        f"at the rate of {rate.migrations} migration(s) in {rate.window_seconds:.0f} s",
        max(times[0], ends[0]),
        max(min(times) / (1 + chance), ends[1]),
        max(max(times) / (1 - chance), ends[2]) if chance < 1 else None,
    )


def _unknown(under_way: Sequence[UnderWay]) -> str:
    """Describe why the time left is not known: name a migration with a bad verdict first."""
    worst = next((each for each in under_way if each.verdict in BAD), under_way[0])
    which = "a migration" if worst.server_uuid is None else f"the migration of {worst.server_uuid}"
    how = "" if worst.verdict is None else f" ({worst.verdict})"
    more = f", nor when {len(under_way) - 1} more will" if len(under_way) > 1 else ""
    return f"it is not known when {which}{how} will end{more}"


def latest(under_way: Sequence[UnderWay]) -> tuple[float, float, float] | None:
    """Return the time until the last of some migrations ends, and its range; None if there is
    none, or if that is not known."""
    if not under_way or any(each.eta_seconds is None for each in under_way):
        return None
    return _latest(under_way)


def _latest(under_way: Sequence[UnderWay]) -> tuple[float, float, float]:
    """Return the time until the last one ends, and its range."""
    etas = [each.eta_seconds or 0.0 for each in under_way]
    lows = [each.eta_low_seconds for each in under_way]
    highs = [each.eta_high_seconds for each in under_way]
    return (
        max(etas, default=0.0),
        max((_or(low, eta) for low, eta in zip(lows, etas, strict=True)), default=0.0),
        max((_or(high, eta) for high, eta in zip(highs, etas, strict=True)), default=0.0),
    )


def _or(seconds: float | None, otherwise: float) -> float:
    return otherwise if seconds is None else seconds


def _times(
    waiting: int, memory_bytes: int | None, under_way: Sequence[UnderWay], rate: TransferRate
) -> list[float]:
    """Return the times for the rest: by bytes where known, which is more exact, and by servers."""
    by_servers = (waiting + sum(each.left for each in under_way)) / rate.servers_per_second
    sizes = [each.memory_bytes for each in under_way if each.memory_bytes is not None]
    if memory_bytes is None or rate.bytes_per_second is None or len(sizes) < len(under_way):
        return [by_servers]
    left = max(0, memory_bytes - sum(sizes))
    left_under_way = sum((each.memory_bytes or 0) * each.left for each in under_way)
    return [(left + left_under_way) / rate.bytes_per_second, by_servers]
