# SPDX-License-Identifier: Apache-2.0
"""Learn from earlier migrations: how long completion takes, and how much memory is sent again.

Each is the median of several, so a single outlier does not change it. Nothing is learned from a
migration that failed, or whose guest was paused: see :class:`migprog.core.monitor.Monitor`.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from migprog.core.forecast.job_sample import Sample

# The number of latest migrations that count: for completion times, and for one server.
_MOST_TIMES, _MOST_SHARES = 9, 3
# So many migrations between a pair of hosts are enough to use the pair's own times.
_LEAST_OF_PAIR = 3
# The number of destinations and of servers that are remembered.
MAX_DESTINATIONS, MAX_SERVERS = 200, 1000
# A longer downtime was forced by an operator or a tool.
_FORCED_PAUSE_SECONDS = 2.0
# Where a smaller share of the guest's pages is counted, others were sent compressed.
_LEAST_COUNTED = 0.9


@dataclass(frozen=True, slots=True)
class CompletionTimes:
    """The completion times of a host's latest migrations in seconds, oldest first: all of them,
    and by destination."""

    latest: tuple[float, ...] = ()
    by_destination: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def expected_seconds(self, destination: str | None = None) -> float | None:
        """Return the expected completion time; None before the first migration has completed.

        Where the pair of hosts has too few migrations, or ``destination`` is not known, the times
        of all migrations from this host count.
        """
        of_pair = self.by_destination.get(destination or "", ())
        latest = of_pair if len(of_pair) >= _LEAST_OF_PAIR else self.latest
        return statistics.median(latest) if latest else None

    def after(self, seconds: float, destination: str | None = None) -> "CompletionTimes":
        """Return the times with one more migration."""
        latest = (*self.latest, seconds)[-_MOST_TIMES:]
        if destination is None:
            return CompletionTimes(latest, self.by_destination)
        of_pair = (*self.by_destination.get(destination, ()), seconds)[-_MOST_TIMES:]
        known = _latest_last(self.by_destination, destination, of_pair, MAX_DESTINATIONS)
        return CompletionTimes(latest, known)


@dataclass(frozen=True, slots=True)
class ResentShares:
    """What each server's latest migrations sent again, as shares of their first iteration."""

    by_server: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def expected(self, server_uuid: str) -> float | None:
        """Return the share expected of the server's next migration; None if unknown."""
        known = self.by_server.get(server_uuid)
        return statistics.median(known) if known else None

    def after(self, server_uuid: str, share: float) -> "ResentShares":
        """Return the shares with one more migration of the server."""
        shares = (*self.by_server.get(server_uuid, ()), share)[-_MOST_SHARES:]
        return ResentShares(_latest_last(self.by_server, server_uuid, shares, MAX_SERVERS))


def resent_share(final: Sample) -> float | None:
    """Return what was sent again as a share of the first iteration, by the final statistics.

    None where the statistics do not show it, or the guest was paused by an operator or a tool. A
    first iteration sends each page once; pages of zeros cost nothing.
    """
    total, copied = final.memory_total_bytes, final.memory_copied_bytes
    if not total or copied is None or copied < _LEAST_COUNTED * total:
        return None
    if (final.downtime_seconds or 0.0) > _FORCED_PAUSE_SECONDS:
        return None
    zeros = min(total, final.memory_zero_bytes or 0)
    first = total - zeros
    return max(0.0, (copied - zeros) / first - 1) if first else 0.0


def _latest_last(
    known: Mapping[str, tuple[float, ...]], key: str, values: tuple[float, ...], most: int
) -> Mapping[str, tuple[float, ...]]:
    """Return ``known`` with ``key`` as its latest; above ``most`` entries the oldest is dropped."""
    rest = {name: each for name, each in known.items() if name != key}
    if len(rest) >= most:
        del rest[next(iter(rest))]
    return rest | {key: values}
