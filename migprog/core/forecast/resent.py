# SPDX-License-Identifier: Apache-2.0
"""Learn from earlier migrations how much memory the next ones send again.

A share is of the bytes of the first iteration. Nothing is learned from a migration that failed, or
whose guest was paused: see :class:`migprog.core.monitor.Monitor`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from migprog.core.forecast.completion_time import latest_last
from migprog.core.forecast.job_sample import Sample
from migprog.core.median import median

# The number of latest migrations of a server that count, and of servers that are remembered.
_MOST_SHARES, MAX_SERVERS = 3, 1000
# A server that has not migrated is expected to do as others: so many are enough, and so many count.
_LEAST_OTHERS, _MOST_OTHERS = 3, 9
# A longer downtime was forced by an operator or a tool.
_FORCED_PAUSE_SECONDS = 2.0
# Where a smaller share of the guest's pages is counted, others were sent compressed.
_LEAST_COUNTED = 0.9
# Shares that differ by less than this say the same.
_NEAR = 0.2


class Resent(NamedTuple):
    """The share that a server is expected to send again, with its limits.

    The defaults are for a server of which nothing is known.
    """

    least: float = 0.0
    likely: float = 0.08
    most: float = 0.55

    @classmethod
    def known(cls, share: float) -> Self:
        """Return what is expected of a server that has sent this share again before."""
        return cls(share, share, share)

    @property
    def is_own(self) -> bool:
        """Whether it is what the server itself has sent again before."""
        return self.least == self.most

    @property
    def is_known(self) -> bool:
        """Whether the limits are near each other."""
        return self.most - self.least <= _NEAR


@dataclass(frozen=True, slots=True)
class ResentShares:
    """What each server's latest migrations sent again, by server, the latest server last."""

    by_server: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def expected(self, server_uuid: str) -> Resent:
        """Return what to expect of the server's next migration: as in its own latest ones, or else
        as in those of other servers."""
        own = self.by_server.get(server_uuid)
        if own is not None:
            return Resent.known(median(own))
        latest = list(self.by_server.values())[-_MOST_OTHERS:]
        others = [median(shares) for shares in latest]
        if len(others) < _LEAST_OTHERS:
            return Resent()
        return Resent(min(others), median(others), max(others))

    def after(self, server_uuid: str, share: float) -> "ResentShares":
        """Return the shares with one more migration of the server."""
        shares = (*self.by_server.get(server_uuid, ()), share)[-_MOST_SHARES:]
        return ResentShares(latest_last(self.by_server, server_uuid, shares, MAX_SERVERS))


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
