# SPDX-License-Identifier: Apache-2.0
"""When a log says that something lasts: when it has lasted for a while, then ever more rarely."""

from dataclasses import dataclass

FIRST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 3600.0


@dataclass(slots=True)
class Reminders:
    """The lines about what began at ``since`` and goes on. All times are a monotonic clock's.

    ``log_at``: when the next line is due. ``logged``: how many there were; where there was none,
    its end is not worth one either.
    """

    since: float
    log_at: float
    logged: int = 0
    _pause_seconds: float = FIRST_PAUSE_SECONDS

    def due(self, now: float) -> float | None:
        """Take up that a line is written, if one is due; return how long it has lasted by then."""
        if now < self.log_at:
            return None
        self.logged += 1
        self.log_at = now + self._pause_seconds
        self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)
        return now - self.since
