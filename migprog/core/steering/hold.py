# SPDX-License-Identifier: Apache-2.0
"""When steering does nothing, whatever else is known."""

import enum

from migprog.core.forecast.verdict import Verdict
from migprog.core.status import POST_COPY_PHASES, Phase
from migprog.core.steering.history import History
from migprog.core.steering.situation import Situation

# A sample may be this old: it is taken twice a second.
OLDEST_SAMPLE_SECONDS = 3.0
# What an agent that has just started knows of iterations and rates is too little.
WATCHED_SECONDS = 10.0
# A migration found within 2 s of its start counts as watched from its start.
_FROM_START_SECONDS = 2.0
# Two iteration starts are needed to compare.
LEAST_STARTS = 2


class Hold(enum.StrEnum):
    """Why nothing is done."""

    NOTHING_COPIED = "nothing-copied"
    SERVER_LEAVES = "server-leaves"
    GUEST_PAUSED = "guest-paused"
    SAMPLE_TOO_OLD = "sample-too-old"
    WATCHED_TOO_BRIEFLY = "watched-too-briefly"
    NO_DATA_MOVES = "no-data-moves"
    RATE_CHANGES = "rate-changes"
    TOO_FEW_ITERATIONS = "too-few-iterations"
    WITHIN_ITERATION = "within-iteration"


_LEAVES = POST_COPY_PHASES | {Phase.SWITCHOVER, Phase.DONE}


def hold(now: Situation, history: History) -> Hold | None:
    """Return why nothing may be done in any phase; None if something may be."""
    if now.phase in _LEAVES:
        return Hold.SERVER_LEAVES
    if now.phase is Phase.SETUP:
        return Hold.NOTHING_COPIED
    if now.guest_is_paused:
        return Hold.GUEST_PAUSED
    if is_sample_too_old(now):
        return Hold.SAMPLE_TOO_OLD
    if is_new_to_agent(now):
        return Hold.WATCHED_TOO_BRIEFLY
    if now.verdict is Verdict.STALLED:
        return Hold.NO_DATA_MOVES
    if history.rate_changes:
        return Hold.RATE_CHANGES
    return None


def is_sample_too_old(now: Situation) -> bool:
    return now.at - now.sampled_at > OLDEST_SAMPLE_SECONDS


def is_new_to_agent(now: Situation) -> bool:
    """Return whether the agent has started lately, in the midst of the migration."""
    if now.watched_since - now.started_at <= _FROM_START_SECONDS:
        return False
    return now.at - now.watched_since < WATCHED_SECONDS


def hold_in_memory(now: Situation, is_iteration_start: bool) -> Hold | None:
    """Return why nothing may be done about the memory just now."""
    if len(now.starts) < LEAST_STARTS:
        return Hold.TOO_FEW_ITERATIONS
    return None if is_iteration_start else Hold.WITHIN_ITERATION
