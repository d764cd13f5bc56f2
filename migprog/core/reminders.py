# SPDX-License-Identifier: Apache-2.0
"""Decide when to log that something lasts: after a while, then at ever longer intervals."""

from dataclasses import dataclass

FIRST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 3600.0


@dataclass(slots=True)
class Reminders:
    """The log lines about a condition that began at ``since``. All times are a monotonic clock's.

    ``log_at``: when the next line is due. ``logged``: how many there were; if there was none, the
    end is not logged either. The next line comes after ``pause_seconds``, which doubles with each
    line up to ``longest_pause_seconds``.
    """

    since: float
    log_at: float
    logged: int = 0
    pause_seconds: float = FIRST_PAUSE_SECONDS
    longest_pause_seconds: float = LONGEST_PAUSE_SECONDS

    def due(self, now: float) -> float | None:
        """Return how long it has lasted if a line is due, and count the line; None to wait."""
        if now < self.log_at:
            return None
        self.logged += 1
        self.log_at = now + self.pause_seconds
        self.pause_seconds = min(2 * self.pause_seconds, self.longest_pause_seconds)
        return now - self.since
