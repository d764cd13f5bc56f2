# SPDX-License-Identifier: Apache-2.0
"""How long does a migration take from its switch-over to its end? As earlier ones have shown."""

import statistics
from dataclasses import dataclass

_MOST = 9


@dataclass(frozen=True, slots=True)
class CompletionTimes:
    """The completion times of the latest migrations, in seconds, oldest first.

    Their median is what is expected of the next one: a single odd one does not change it.
    """

    latest: tuple[float, ...] = ()

    @property
    def expected_seconds(self) -> float | None:
        """None before the first has completed."""
        return statistics.median(self.latest) if self.latest else None

    def after(self, seconds: float) -> "CompletionTimes":
        return CompletionTimes((*self.latest, seconds)[-_MOST:])
