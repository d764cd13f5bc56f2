# SPDX-License-Identifier: Apache-2.0
"""Limit the log lines about failures of a remote party, however many calls fail.

An outage begins with the first failure and ends with the next success. Each cause is logged once,
then the number of failures every :data:`REMIND_SECONDS`, then the end. A party that fails and works
alternately gets a line for the same cause every :data:`PAUSE_SECONDS` at most.
"""

from dataclasses import dataclass, field

REMIND_SECONDS = 300.0
PAUSE_SECONDS = 60.0
# A party whose error texts never repeat must not fill the log either.
_MOST_CAUSES = 8


@dataclass(frozen=True, slots=True)
class Failing:
    """A failure to log: the ``failures``th in ``seconds``. ``is_new``: its cause was not logged."""

    cause: str
    failures: int
    seconds: float
    is_new: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of an outage, to be logged: it had so many ``failures`` in ``seconds``."""

    failures: int
    seconds: float


@dataclass(slots=True)
class Outage:
    """The failures of one remote party. All times are a monotonic clock's seconds."""

    failures: int = 0
    _began_at: float = 0.0
    _logged_at: float | None = None
    # Causes logged, and when; the newest outage's and those of the last PAUSE_SECONDS.
    _causes: dict[str, float] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        return self.failures > 0

    def seconds(self, now: float) -> float:
        """Return how long the party has failed, 0 when it works."""
        return now - self._began_at if self.is_open else 0.0

    def failed(self, cause: str, now: float) -> Failing | None:
        """Count a failure; return it if it must be logged."""
        if not self.is_open:
            self._began_at = now
            self._logged_at = None
            self._causes = {
                cause: at for cause, at in self._causes.items() if now - at < PAUSE_SECONDS
            }
        self.failures += 1
        is_new = cause not in self._causes and len(self._causes) < _MOST_CAUSES
        last = self._began_at if self._logged_at is None else self._logged_at
        if not is_new and now - last < REMIND_SECONDS:
            return None
        if is_new:
            self._causes[cause] = now
        self._logged_at = now
        return Failing(cause, self.failures, now - self._began_at, is_new)

    def worked(self, now: float) -> Ended | None:
        """Record a success; return the outage that it ends, if its begin was logged."""
        if not self.is_open:
            return None
        ended = Ended(self.failures, now - self._began_at)
        self.failures = 0
        return ended if self._logged_at is not None else None
