# SPDX-License-Identifier: Apache-2.0
"""Limit log lines of one kind, where other parties decide how often they come. Pure."""

from collections.abc import Hashable
from dataclasses import dataclass, field

_MOST_KEYS = 1000


@dataclass(slots=True)
class _Seen:
    next_at: float
    held_back: int = 0


@dataclass(slots=True)
class LogLimit:
    """One line of each key in ``interval_seconds``, and at most ``most`` of all keys together."""

    interval_seconds: float = 600.0
    most: int = 20
    _seen: dict[Hashable, _Seen] = field(default_factory=dict)
    _window_ends_at: float = 0.0
    _in_window: int = 0

    def held_back(self, key: Hashable, now: float) -> int | None:
        """Return how many lines of the key were held back; None to hold this one back, too.

        ``now`` is a monotonic clock's seconds.
        """
        if now >= self._window_ends_at:
            self._window_ends_at, self._in_window = now + self.interval_seconds, 0
            self._seen = {
                k: seen
                for k, seen in self._seen.items()
                if seen.next_at > now - self.interval_seconds
            }
        seen = self._seen.get(key)
        if seen is None:
            if len(self._seen) >= _MOST_KEYS or self._in_window >= self.most:
                return None
            seen = self._seen[key] = _Seen(now)
        if now < seen.next_at or self._in_window >= self.most:
            seen.held_back += 1
            return None
        held_back, seen.held_back = seen.held_back, 0
        seen.next_at = now + self.interval_seconds
        self._in_window += 1
        return held_back
