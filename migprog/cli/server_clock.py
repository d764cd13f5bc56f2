# SPDX-License-Identifier: Apache-2.0
"""The API's clock, by the ``Date`` of its answers. Pure.

A Date has whole seconds, cut. Each answer bounds by how much the API's clock is ahead of ours: from
``date - received`` to ``date + 1 - sent``; several answers narrow that down.
"""

from dataclasses import dataclass
from email.utils import parsedate_to_datetime


@dataclass(slots=True)
class ServerClock:
    """By how many seconds the API's clock is ahead of the caller's, which must never be set."""

    low: float = float("-inf")
    high: float = float("inf")

    def learn(self, date: str | None, sent: float, received: float) -> None:
        """Take the ``Date`` header of an answer, and when it was asked for and received."""
        try:
            seconds = parsedate_to_datetime(date or "").timestamp()
        except ValueError:
            return
        low, high = seconds - received, seconds + 1 - sent
        self.low, self.high = max(self.low, low), min(self.high, high)
        if self.low > self.high:
            # One of the clocks was set.
            self.low, self.high = low, high

    def ahead_seconds(self, otherwise: float) -> float:
        """Return by how much the API's clock is ahead; ``otherwise`` if no answer had a Date."""
        if self.low == float("-inf"):
            return otherwise
        return (self.low + self.high) / 2
