# SPDX-License-Identifier: Apache-2.0
"""Learn from earlier migrations how long completion takes: from the switchover to the end.

It is the median of several, so a single outlier does not change it. Nothing is learned from a
migration that failed, or whose guest was paused: see :class:`migprog.core.monitor.Monitor`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from migprog.core.median import median

# The number of latest migrations that count.
_MOST_TIMES = 9
# So many migrations between a pair of hosts are enough to use the pair's own times.
_LEAST_OF_PAIR = 3
# The number of destinations that are remembered.
MAX_DESTINATIONS = 200


@dataclass(frozen=True, slots=True)
class CompletionTimes:
    """The completion times of a host's latest migrations in seconds, oldest first: all of them,
    and by destination."""

    latest: tuple[float, ...] = ()
    by_destination: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def expected_seconds(self, destination: str | None = None) -> float | None:
        """Return the expected completion time; None before the first migration has completed.

        Where the pair of hosts has too few migrations, or ``destination`` is not known, the times
        of all migrations from this host count.
        """
        of_pair = self.by_destination.get(destination or "", ())
        latest = of_pair if len(of_pair) >= _LEAST_OF_PAIR else self.latest
        return median(latest) if latest else None

    def after(self, seconds: float, destination: str | None = None) -> "CompletionTimes":
        """Return the times with one more migration."""
        latest = (*self.latest, seconds)[-_MOST_TIMES:]
        if destination is None:
            return CompletionTimes(latest, self.by_destination)
        of_pair = (*self.by_destination.get(destination, ()), seconds)[-_MOST_TIMES:]
        known = latest_last(self.by_destination, destination, of_pair, MAX_DESTINATIONS)
        return CompletionTimes(latest, known)


def latest_last(
    known: Mapping[str, tuple[float, ...]], key: str, values: tuple[float, ...], most: int
) -> Mapping[str, tuple[float, ...]]:
    """Return ``known`` with ``key`` as its latest; above ``most`` entries the oldest is dropped."""
    rest = {name: each for name, each in known.items() if name != key}
    if len(rest) >= most:
        del rest[next(iter(rest))]
    return rest | {key: values}
