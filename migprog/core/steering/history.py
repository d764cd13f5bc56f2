# SPDX-License-Identifier: Apache-2.0
"""What steering remembers of one migration: how long it has not converged, and what was advised."""

import dataclasses
import itertools
import math
from typing import NamedTuple

from migprog.core.advice_entry import MAX_ADVICE
from migprog.core.forecast.dirty_rate import plateau_start
from migprog.core.forecast.verdict import Verdict
from migprog.core.steering.advice import Advice, State, SteeringAction
from migprog.core.steering.situation import Glimpse, Situation

# Rates of the last seconds are compared; so much apart, they have changed.
RATE_SECONDS = 5.0
_RATE_CHANGES = 1.5
# What libvirt refuses is tried so often.
MOST_FAILURES = 3
# The actions that are tried so often.
REPEATED = (SteeringAction.RAISE_DOWNTIME, SteeringAction.RAISE_BANDWIDTH, SteeringAction.ABORT)


class History(NamedTuple):
    """Made of one situation after the other.

    ``level_since`` is when remaining memory stopped shrinking, None while it shrinks;
    ``late_starts`` how many iteration starts in a row expected the end after the deadline, the
    first of them at ``late_since``. ``iteration`` is the latest that was decided on, ``stalled_at``
    when no data moved last. ``downtime_limit_seconds`` is the downtime limit that steering has set.
    """

    level_since: float | None = None
    late_starts: int = 0
    late_since: float | None = None
    iteration: int | None = None
    stalled_at: float | None = None
    rates: tuple[tuple[float, float], ...] = ()
    advice: tuple[Advice, ...] = ()
    downtime_limit_seconds: float | None = None

    @property
    def made(self) -> list[Advice]:
        """Steering's own decisions that count."""
        return [each for each in self.advice if _counts(each)]

    @property
    def latest(self) -> Advice | None:
        """The newest of them."""
        return next((each for each in reversed(self.advice) if _counts(each)), None)

    @property
    def rate_changes(self) -> bool:
        """Whether the transfer rate has changed within the last seconds."""
        rates = [rate for _, rate in self.rates]
        return bool(rates) and max(rates) > _RATE_CHANGES * min(rates)

    def is_to_be_repeated(self, action: SteeringAction) -> bool:
        """Return whether an action has failed each time, and may be tried again."""
        states = [each.state for each in self.made if each.action is action]
        return {*states} == {State.FAILED} and len(states) < MOST_FAILURES

    def was_advised(self, action: SteeringAction) -> bool:
        return any(each.action is action for each in self.made)


def _counts(advice: Advice) -> bool:
    return advice.is_ours and not advice.has_lapsed


def observe(history: History, now: Situation | Glimpse) -> History:
    """Return the history with one more situation."""
    return history._replace(
        rates=_rates(history.rates, now),
        level_since=_level_since(history, now),
        stalled_at=now.at if now.verdict is Verdict.STALLED else history.stalled_at,
    )


def _rates(
    rates: tuple[tuple[float, float], ...], now: Situation | Glimpse
) -> tuple[tuple[float, float], ...]:
    """Return the known rates of the last seconds, and the one before them: samples may be rarer."""
    since, rate = now.at - RATE_SECONDS, now.wire_bytes_per_second
    first = 0
    while first + 1 < len(rates) and rates[first + 1][0] <= since:
        first += 1
    kept = rates[first:]
    return (*kept, (now.at, rate)) if rate else kept


def _level_since(history: History, now: Situation | Glimpse) -> float | None:
    if now.verdict in (Verdict.CONVERGING, Verdict.STALLED):
        return None
    if now.verdict is not Verdict.NOT_CONVERGING or history.level_since is not None:
        return history.level_since
    stalled_at = -math.inf if history.stalled_at is None else history.stalled_at
    starts = [each for each in now.starts if each[0] > stalled_at]
    return starts[plateau_start(size for _, size in starts)][0] if starts else now.at


def is_iteration_start(history: History, now: Situation | Glimpse) -> bool:
    """Return whether the latest iteration has not been decided on."""
    return now.iteration is not None and bool(now.starts) and now.iteration != history.iteration


def iteration_seconds(now: Situation) -> float:
    """Return how long the latest iterations lasted, without one that a stall made longer."""
    times = [at for at, _ in now.starts[-5:]]
    lengths = [after - before for before, after in itertools.pairwise(times)]
    return sorted(lengths)[len(lengths) // 2] if lengths else 0.0


def add(history: History, advice: Advice) -> History:
    """Return the history with one more entry; the oldest are dropped."""
    return history._replace(advice=(*history.advice, advice)[-MAX_ADVICE:])


def settle(history: History, state: State) -> History:
    """Return the history after the newest entry was carried out, or could not be."""
    *before, newest = history.advice
    changed = dataclasses.replace(newest, state=state)
    limit = newest.sets_downtime_limit_seconds if state is State.DONE else None
    return history._replace(
        advice=(*before, changed),
        downtime_limit_seconds=history.downtime_limit_seconds if limit is None else limit,
    )


def mode_changed(history: History, acts: bool) -> History:
    """Return the history after the operator has chosen another mode; ``acts``: it carries decisions
    out.

    Steering then decides again about what it had only advised. It no longer keeps a limit that it
    has set: what other parties did to it, or will do, in another mode is not known.
    """
    advice = history.advice
    if acts:
        advice = tuple(dataclasses.replace(each, lapsed=True) for each in advice)
    return history._replace(advice=advice, downtime_limit_seconds=None)
