# SPDX-License-Identifier: Apache-2.0
"""Compare what was forecast before a migration's start with how it went."""

import enum
from dataclasses import dataclass

# Older measurements say little of a server.
MAX_AGE_SECONDS = 86_400.0


class Outcome(enum.StrEnum):
    """How a forecast turned out. Neither a migration that did not complete, nor one that somebody
    has helped although it was not forecast to converge, can be compared."""

    IN_RANGE = "in-range"
    OUT_OF_RANGE = "out-of-range"
    WRONG = "wrong"
    UNDECIDED = "undecided"
    NOT_COMPARABLE = "not-comparable"


@dataclass(frozen=True, slots=True)
class BeforeCheck:
    """A forecast from a measurement that ended at ``measured_at``, in seconds since the epoch, and
    how it turned out; see :class:`migprog.core.forecast.before.Before`."""

    measured_at: float
    converges: str
    total_seconds: float | None
    low_seconds: float | None
    high_seconds: float | None
    outcome: Outcome

    def error_seconds(self, total_seconds: float | None) -> float | None:
        """Return by how much the forecast was longer than a migration took; None if either is not
        known, or they cannot be compared."""
        if self.outcome is Outcome.NOT_COMPARABLE:
            return None
        if self.total_seconds is None or total_seconds is None:
            return None
        return self.total_seconds - total_seconds


def outcome(
    converges: str,
    low_seconds: float | None,
    high_seconds: float | None,
    *,
    total_seconds: float | None,
    is_completed: bool,
    is_helped: bool,
) -> Outcome:
    """Return how a forecast turned out. ``is_helped``: the guest was slowed, or post-copy began."""
    if not is_completed or total_seconds is None:
        return Outcome.NOT_COMPARABLE
    if converges == "no":
        return Outcome.NOT_COMPARABLE if is_helped else Outcome.WRONG
    if converges != "yes" or low_seconds is None or high_seconds is None:
        return Outcome.UNDECIDED
    is_in_range = low_seconds <= total_seconds <= high_seconds
    return Outcome.IN_RANGE if is_in_range else Outcome.OUT_OF_RANGE
