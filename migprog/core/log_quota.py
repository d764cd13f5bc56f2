# SPDX-License-Identifier: Apache-2.0
"""How often something that others cause is logged: one line for each cause and period. Pure."""

from dataclasses import dataclass


@dataclass(slots=True)
class _Line:
    logged_at: float
    suppressed: int = 0


class LogQuota:
    """One line for each key in ``period_seconds``, for at most ``max_keys`` keys; all further keys
    share one line. Not for several threads."""

    def __init__(self, period_seconds: float = 60.0, max_keys: int = 1000) -> None:
        self._period_seconds = period_seconds
        self._max_keys = max_keys
        self._lines: dict[str, _Line] = {}

    def take(self, key: str, now: float) -> int | None:
        """Return None if a line about ``key`` is to be suppressed, otherwise how many were since
        the last one. ``now``: any clock's seconds."""
        line = self._lines.get(key)
        if line is None and len(self._lines) >= self._max_keys:
            self._forget(now)
            if len(self._lines) >= self._max_keys:
                key = ""
                line = self._lines.get(key)
        if line is None:
            self._lines[key] = _Line(now)
            return 0
        if now - line.logged_at < self._period_seconds:
            line.suppressed += 1
            return None
        suppressed = line.suppressed
        self._lines[key] = _Line(now)
        return suppressed

    def _forget(self, now: float) -> None:
        self._lines = {
            key: line
            for key, line in self._lines.items()
            if now - line.logged_at < self._period_seconds
        }
