# SPDX-License-Identifier: Apache-2.0
"""The newest figures of one migration, for metrics: at each sample, whatever is reported."""

from typing import NamedTuple

from migprog.core.assessment import Assessment
from migprog.core.forecast.job_sample import Sample
from migprog.core.forecast.precopy import PrecopyState
from migprog.core.status import Phase


class Figures(NamedTuple):
    """A migration as it was last assessed. Instants are a monotonic clock's seconds.

    ``latest`` are its newest counters, after its end the final ones; None before the first.
    ``total_seconds`` is how long it took; None while it is in progress.
    """

    uuid: str
    server_uuid: str
    assessed: Assessment
    precopy: PrecopyState
    latest: Sample | None
    total_seconds: float | None

    @property
    def is_over(self) -> bool:
        """Whether the migration has ended."""
        return self.total_seconds is not None

    def elapsed_seconds(self, now: float) -> float:
        """Return how long it has lasted, or did last."""
        if self.total_seconds is not None:
            return self.total_seconds
        return max(0.0, now - self.precopy.started_at)

    def sample_age_seconds(self, now: float) -> float | None:
        """Return how old its counters are; None before the first, and after its end."""
        if self.latest is None or self.is_over:
            return None
        return max(0.0, now - self.latest.at)

    def guest_paused_seconds(self, now: float) -> float:
        """Return for how long its guest has been paused by now; 0 while it runs."""
        since = None if self.is_over else paused_since(self.precopy, self.assessed.summary.phase)
        return 0.0 if since is None else max(0.0, now - since)


def paused_since(precopy: PrecopyState, phase: Phase) -> float | None:
    """Return since when the guest is paused, by its switchover or by somebody for the migration.

    None while it runs, and where it was found paused: its owner may have paused it long before.
    """
    if precopy.was_found_paused and phase is not Phase.SWITCHOVER:
        return None
    return precopy.paused_at
