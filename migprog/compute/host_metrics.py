# SPDX-License-Identifier: Apache-2.0
"""What one host's agent shows Prometheus of the migrations that it watches."""

import math
import time

from migprog.compute.watchlist import WatchList
from migprog.core.monitor import Monitor
from migprog.metrics import agent as metrics
from migprog.metrics.per_migration import SERIES

# How old the count of migrations by verdict may be: messages come dozens of times a second, and
# counting takes time.
_COUNT_SECONDS = 1.0


class HostMetrics:
    """Used by the agent's loop alone; scrapes read one number of it.

    ``per_migration``: whether each migration has series of its own; may be replaced between calls.
    """

    def __init__(self, per_migration: bool) -> None:
        self.per_migration = per_migration
        self._node: str | None = None
        self._has_series = False
        # How many migrations were counted by verdict, and when to count them again.
        self._counted, self._count_at = -1, -math.inf
        # Since when a guest has been paused, of those that are paused the longest.
        self._paused_since: float | None = None

    def connected(self, node: str) -> None:
        """Set the node's name, by which all is shown."""
        self._node = node
        metrics.guest_paused(node, self._paused_seconds)

    def judged(self, monitor: Monitor) -> None:
        """Show a migration as it was assessed now."""
        if not self.per_migration or self._node is None:
            return
        figures = monitor.figures
        if figures is not None:
            self._has_series = True
            SERIES.show(self._node, figures)

    def count(self, watches: WatchList, now: float) -> None:
        """Show how many migrations there are, unless that was done just now."""
        if self._node is None:
            return
        if self._has_series and not self.per_migration:
            self.stop()
        migrating = len(watches)
        if migrating != self._counted or now >= self._count_at:
            self._counted, self._count_at = migrating, now + _COUNT_SECONDS
            metrics.migrations(self._node, watches.by_verdict())
            self._paused_since = watches.guest_paused_clock

    def stop(self) -> None:
        """Remove the series of single migrations."""
        self._has_series = False
        if self._node is not None:
            SERIES.hide(self._node)

    def _paused_seconds(self) -> float:
        since = self._paused_since
        return 0.0 if since is None else max(0.0, time.monotonic() - since)
