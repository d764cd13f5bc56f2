# SPDX-License-Identifier: Apache-2.0
"""How right a decision was, once the migration has ended: by the record alone."""

import enum
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from migprog.core import duration
from migprog.core.advice_entry import AdviceEntry
from migprog.core.status import Status
from migprog.core.steering.advice import BY_NOVA, CARRIED_OUT, AdviceReason, State, SteeringAction
from migprog.core.steering.choices import HIGHER

_BECAME: Mapping[str, str] = {
    State.DONE.value: "done",
    State.FOLLOWED.value: "done by another party",
    State.FAILED.value: "could not be done",
}
_ENDED: Mapping[Status, str] = {
    Status.COMPLETED: "it completed",
    Status.CANCELLED: "it was aborted",
    Status.FAILED: "it failed",
}


class Score(enum.StrEnum):
    """How right a decision was, in one word. A word keeps its meaning."""

    # It was done, and the migration ended as it was to.
    WORKED = "worked"
    # It was done, but the migration ended otherwise or too late, or more was needed.
    IN_VAIN = "in-vain"
    # It was not done, and the migration completed by itself in time.
    NEEDLESS = "needless"
    # It was not done, and the migration was aborted, or completed too late.
    WARRANTED = "warranted"


class End(NamedTuple):
    """How a migration ended, at ``at`` in seconds since the epoch; ``downtime_limit_seconds``: the
    last that was known."""

    status: Status
    at: float
    downtime_limit_seconds: float | None = None


class Hindsight(NamedTuple):
    """``score`` None: the record does not show it. ``message``: what was decided, whether it was
    done, and how the migration ended; None for what nova-compute was to do."""

    score: Score | None
    message: str | None


def look_back(advice: Sequence[AdviceEntry], end: End) -> list[Hindsight]:
    """Return how right each decision was about a migration that has ended."""
    return [_look_back(each, advice[number:], end) for number, each in enumerate(advice, 1)]


def _look_back(entry: AdviceEntry, later: Sequence[AdviceEntry], end: End) -> Hindsight:
    if entry["reason"] in BY_NOVA:
        return Hindsight(None, None)
    became = _BECAME.get(entry["state"], "not done")
    ended = "its end was not seen"
    if end.status in _ENDED:
        after = duration.describe(max(0.0, end.at - entry["at"]))
        ended = f"{_ENDED[end.status]} {after} later"
    message = f"{entry['action']} advised; {became}; {ended}"
    return Hindsight(_score(entry, later, end), message)


def _score(entry: AdviceEntry, later: Sequence[AdviceEntry], end: End) -> Score | None:
    is_done = entry["state"] in CARRIED_OUT
    if end.status not in (Status.COMPLETED, Status.CANCELLED):
        return None
    if entry["action"] == SteeringAction.STOP_ASSERTING:
        return None
    if entry["action"] == SteeringAction.ABORT:
        if end.status is Status.CANCELLED:
            return Score.WORKED
        return Score.IN_VAIN if is_done else _undone(entry, later, end)
    if not is_done:
        return _undone(entry, later, end)
    is_right = (
        end.status is Status.COMPLETED and _is_in_time(entry, end) and not _more_was_done(later)
    )
    return Score.WORKED if is_right else Score.IN_VAIN


def _undone(entry: AdviceEntry, later: Sequence[AdviceEntry], end: End) -> Score | None:
    if _more_was_done(later):
        return None
    if end.status is Status.CANCELLED or not _is_in_time(entry, end):
        return Score.WARRANTED
    # Another party has set a limit of its own.
    before, last = entry["figures"].get("downtime_limit_before_seconds"), end.downtime_limit_seconds
    if before is not None and last is not None and last >= HIGHER * before:
        return None
    return Score.NEEDLESS


def _more_was_done(later: Sequence[AdviceEntry]) -> bool:
    """Return whether more was done afterwards."""
    return any(
        each["state"] in CARRIED_OUT
        and each["action"] != SteeringAction.STOP_ASSERTING
        and each["reason"] not in (*BY_NOVA, AdviceReason.LIMIT_LOWERED)
        for each in later
    )


def _is_in_time(entry: AdviceEntry, end: End) -> bool:
    left = entry["figures"].get("left_seconds")
    return left is None or end.at <= entry["at"] + left
