# SPDX-License-Identifier: Apache-2.0
"""A migration's history in seconds since its start, in order, whatever the clocks did."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from migprog.core.post_mortem.facts import Facts, Moment


class SeenPoint(NamedTuple):
    """A point of the history, ``seconds`` after the start."""

    seconds: float
    point: Moment


class Timeline(NamedTuple):
    """``seconds``: from the start to the end, or to the latest sample of a migration in progress;
    ``seen``: the points in between, in order of time."""

    seconds: float
    seen: tuple[SeenPoint, ...]

    def until_next(self) -> Iterator[tuple[SeenPoint, float]]:
        """Yield each point, and when the next one was or the end."""
        for number, seen in enumerate(self.seen):
            is_last = number + 1 == len(self.seen)
            yield seen, self.seconds if is_last else self.seen[number + 1].seconds


def timeline(facts: Facts, points: Sequence[Moment]) -> Timeline:
    """Return the timeline of a migration. What lies before its start or after its end, by a clock
    that was set, is moved there."""
    whole = max(0.0, (_end(facts) - facts.started_at).total_seconds())
    seen = []
    for point in sorted(points, key=lambda each: each.sampled_at):
        seconds = (point.sampled_at - facts.started_at).total_seconds()
        seen.append(SeenPoint(min(whole, max(0.0, seconds)), point))
    return Timeline(whole, tuple(seen))


def _end(facts: Facts) -> datetime:
    return facts.sampled_at if facts.ended_at is None else facts.ended_at
