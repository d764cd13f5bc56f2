# SPDX-License-Identifier: Apache-2.0
"""What steering remembers of one migration: how long it has not converged, and what was advised."""

import dataclasses
import itertools
import math
import statistics
from typing import NamedTuple

from migprog.core.fields import MAX_ADVICE
from migprog.core.forecast.verdict import Verdict
from migprog.core.steering.advice import Action, Advice, State
from migprog.core.steering.situation import Situation

# Rates of the last seconds are compared; so much apart, they have changed.
RATE_SECONDS = 5.0
_RATE_CHANGES = 1.5
# A plateau starts at the last iteration start that had less left than this share of the best.
_PROGRESS = 0.9


class History(NamedTuple):
    """Made of one situation after the other.

    ``level_since`` is when remaining memory stopped shrinking, None while it shrinks;
    ``late_starts`` how many iteration starts in a row expected the end after the deadline.
    ``iteration`` is the latest that was decided on, ``stalled_at`` when no data moved last.
    ``limit_seconds`` is the downtime limit that steering has set, ``asserted`` how often it set it
    again after another party had lowered it.
    """

    level_since: float | None = None
    late_starts: int = 0
    iteration: int | None = None
    stalled_at: float | None = None
    rates: tuple[tuple[float, float], ...] = ()
    advice: tuple[Advice, ...] = ()
    limit_seconds: float | None = None
    asserted: int = 0

    @property
    def latest(self) -> Advice | None:
        """The newest of steering's own decisions."""
        return next((each for each in reversed(self.advice) if each.is_ours), None)

    @property
    def rate_changes(self) -> bool:
        """Whether the transfer rate has changed within the last seconds."""
        rates = [rate for _, rate in self.rates]
        return bool(rates) and max(rates) > _RATE_CHANGES * min(rates)

    def was_advised(self, action: Action) -> bool:
        return any(each.action is action and each.is_ours for each in self.advice)


def observe(history: History, now: Situation) -> History:
    """Return the history with one more situation."""
    rates = history.rates
    rate = now.wire_bytes_per_second
    if rate:
        lately = (each for each in rates if each[0] > now.at - RATE_SECONDS)
        rates = (*lately, (now.at, rate))
    return history._replace(
        rates=rates,
        level_since=_level_since(history, now),
        stalled_at=now.at if now.verdict is Verdict.STALLED else history.stalled_at,
    )


def _level_since(history: History, now: Situation) -> float | None:
    if now.verdict in (Verdict.CONVERGING, Verdict.STALLED):
        return None
    if now.verdict is not Verdict.NOT_CONVERGING or history.level_since is not None:
        return history.level_since
    since, best = now.at, math.inf
    stalled_at = -math.inf if history.stalled_at is None else history.stalled_at
    for at, remaining_bytes in now.starts:
        if at > stalled_at and remaining_bytes < _PROGRESS * best:
            since, best = at, remaining_bytes
    return since


def is_iteration_start(history: History, now: Situation) -> bool:
    """Return whether the latest iteration has not been decided on."""
    return now.iteration is not None and bool(now.starts) and now.iteration != history.iteration


def iteration_seconds(now: Situation) -> float:
    """Return how long the latest iterations lasted, without one that a stall made longer."""
    times = [at for at, _ in now.starts[-5:]]
    lengths = [after - before for before, after in itertools.pairwise(times)]
    return statistics.median_high(lengths) if lengths else 0.0


def add(history: History, advice: Advice) -> History:
    """Return the history with one more entry; the oldest go."""
    return history._replace(advice=(*history.advice, advice)[-MAX_ADVICE:])


def settle(history: History, state: State) -> History:
    """Return the history after the newest entry was carried out, or could not be."""
    *before, newest = history.advice
    changed = dataclasses.replace(newest, state=state)
    limit = newest.sets_downtime_limit_seconds if state is State.DONE else None
    return history._replace(
        advice=(*before, changed),
        limit_seconds=history.limit_seconds if limit is None else limit,
    )
