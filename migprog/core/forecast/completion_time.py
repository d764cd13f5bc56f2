# SPDX-License-Identifier: Apache-2.0
"""What earlier migrations tell of the next one: how long its switch-over will take from the pause
to the end, and how much of its memory its guest will have sent again.

Each is the median of several, so a single odd one does not change it. Nothing is learned from a
migration that failed, or that somebody paused: see :class:`migprog.core.monitor.Monitor`.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from migprog.core.forecast.job_sample import Sample

# The latest migrations that count: of completion times, and of a server.
_MOST_TIMES, _MOST_SHARES = 9, 3
# So many make a pair of hosts known by itself.
_LEAST_OF_PAIR = 3
# Of so many destinations, and so many servers, something is remembered.
MAX_DESTINATIONS, MAX_SERVERS = 200, 1000
# A pause of more was forced by somebody.
_FORCED_PAUSE_SECONDS = 2.0
# Where fewer of the guest's pages are counted, others went compressed.
_LEAST_COUNTED = 0.9


@dataclass(frozen=True, slots=True)
class CompletionTimes:
    """The completion times of a host's latest migrations in seconds, oldest first: of all, and by
    destination."""

    latest: tuple[float, ...] = ()
    by_destination: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def expected_seconds(self, destination: str | None = None) -> float | None:
        """Return what is expected of the next migration; None before the first has completed.

        Where the pair of hosts has not shown enough, or ``destination`` is not known, it is what
        all migrations of this host have shown.
        """
        of_pair = self.by_destination.get(destination or "", ())
        latest = of_pair if len(of_pair) >= _LEAST_OF_PAIR else self.latest
        return statistics.median(latest) if latest else None

    def after(self, seconds: float, destination: str | None = None) -> "CompletionTimes":
        """Return them after one more migration."""
        latest = (*self.latest, seconds)[-_MOST_TIMES:]
        if destination is None:
            return CompletionTimes(latest, self.by_destination)
        of_pair = (*self.by_destination.get(destination, ()), seconds)[-_MOST_TIMES:]
        known = _latest_last(self.by_destination, destination, of_pair, MAX_DESTINATIONS)
        return CompletionTimes(latest, known)


@dataclass(frozen=True, slots=True)
class ResentShares:
    """What each server's latest migrations had to send again, as shares of what their first pass
    sent."""

    by_server: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def expected(self, server_uuid: str) -> float | None:
        """Return what is expected of the server's next migration; None where none is known."""
        known = self.by_server.get(server_uuid)
        return statistics.median(known) if known else None

    def after(self, server_uuid: str, share: float) -> "ResentShares":
        """Return them after one more migration of the server."""
        shares = (*self.by_server.get(server_uuid, ()), share)[-_MOST_SHARES:]
        return ResentShares(_latest_last(self.by_server, server_uuid, shares, MAX_SERVERS))


def resent_share(final: Sample) -> float | None:
    """Return what was sent again, as a share of what the first pass sent, by the final statistics
    of a migration; None where they do not tell it, or the guest was paused by somebody.

    A first pass sends each page once; pages of zeros cost nothing.
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
    """Return what is known with ``key`` as its latest; of more than ``most`` the oldest goes."""
    rest = {name: each for name, each in known.items() if name != key}
    if len(rest) >= most:
        del rest[next(iter(rest))]
    return rest | {key: values}
