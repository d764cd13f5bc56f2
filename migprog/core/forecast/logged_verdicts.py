# SPDX-License-Identifier: Apache-2.0
"""Decide when a verdict is worth a log line: when it turns bad, and when it recovers.

A verdict that flaps does not fill the log: the lines of one migration are limited, and the next
line says how often the verdict has changed meanwhile.
"""

import enum
from dataclasses import dataclass, replace

from migprog.core.forecast.verdict import BAD, Verdict

# So many lines a migration within so long.
_MOST_LINES = 4
_WITHIN_SECONDS = 600.0


class VerdictChange(enum.Enum):
    """What has happened since the last line."""

    BAD = "bad"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class VerdictChanges:
    """The changes of one migration's verdict so far.

    ``logged`` is the bad verdict of the last line, None after a recovery; ``latest`` the present
    one. ``unlogged`` counts the changes since the last line, without the one that it was about.
    """

    logged: Verdict | None = None
    latest: Verdict | None = None
    unlogged: int = 0
    logged_at: tuple[float, ...] = ()

    def after(self, verdict: Verdict, now: float) -> tuple["VerdictChanges", VerdictChange | None]:
        """Return the changes after a verdict, and what to log of it."""
        bad = verdict if verdict in BAD else None
        turned = int(bad is not self.latest)
        new = replace(self, latest=bad, unlogged=self.unlogged + turned)
        if bad is self.logged or self._full(now):
            return new, None
        logged_at = (*self.logged_at, now)[-_MOST_LINES:]
        turn = VerdictChange.RECOVERED if bad is None else VerdictChange.BAD
        return VerdictChanges(bad, bad, 0, logged_at), turn

    def _full(self, now: float) -> bool:
        return len(self.logged_at) == _MOST_LINES and now - self.logged_at[0] < _WITHIN_SECONDS
