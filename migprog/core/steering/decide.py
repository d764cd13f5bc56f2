# SPDX-License-Identifier: Apache-2.0
"""Decide on the smallest action that suffices.

1. Nothing, while the migration is expected to end in time.
2. A higher downtime limit: as high as the least that the latest iterations needed, and a margin.
3. More bandwidth, if a cap that may be raised holds it.
4. Post-copy, if what remains can be sent soon, and nothing is known that makes it unsafe.
5. A pause of the guest, if what remains can be sent soon.
6. Giving up early, if even the longest downtime is too short by a factor, or the deadline is.

Only at the start of an iteration; never what :mod:`migprog.core.steering.hold` forbids; and nothing
else before the time by which the last action must have worked.
"""

from migprog.core.forecast.verdict import Verdict
from migprog.core.status import Phase
from migprog.core.steering import history as history_
from migprog.core.steering import hold, sentences
from migprog.core.steering.advice import Action, Advice, Reason, State
from migprog.core.steering.choices import (
    CHOICES,
    HIGHER,
    LEAST_SECONDS,
    Trouble,
    capped_bandwidth,
    figures_of,
    least_needed_seconds,
    needed_seconds,
    works_within,
)
from migprog.core.steering.history import History
from migprog.core.steering.requirements import Requirements
from migprog.core.steering.situation import Situation

# An iteration start that needs no more than so many times the least of the latest is a good one.
_NEAR_LEAST = 1.1
_MOST_RAISES = 3
_MOST_ASSERTIONS = 3
# After a stall the network may fail again; post-copy would leave the guest without its memory.
_STALLED_LATELY_SECONDS = 60.0
# The next iteration may be so many times as long as the latest, and be seen so much later.
_LATER, _LATER_SECONDS = 1.1, 1.0
# Iteration starts in a row that expect the end after the deadline.
_LATE_STARTS = 2


def decide(
    needs: Requirements, now: Situation, history: History
) -> tuple[History, Advice | hold.Hold | None]:
    """Return the history with this situation, and what to do: an action, why nothing may be done,
    or None where nothing has to be.

    The caller carries the action out, or not, and says so by :func:`history.settle`.
    """
    history = history_.observe(history, now)
    is_start = history_.is_iteration_start(history, now)
    if is_start:
        history = history._replace(
            iteration=now.iteration, late_starts=_late_starts(needs, now, history)
        )
    found = _decided(needs, now, history, is_start)
    if isinstance(found, Advice):
        history = history_.add(history, found)
        if found.reason is Reason.LIMIT_LOWERED:
            history = history._replace(asserted=history.asserted + 1)
    return history, found


def _decided(
    needs: Requirements, now: Situation, history: History, is_start: bool
) -> Advice | hold.Hold | None:
    held = hold.hold(now, history)
    if held is not None:
        return held
    if now.phase is Phase.DISK_COPY:
        return _for_disks(needs, now, history)
    held = hold.hold_in_memory(now, is_start)
    if held is not None:
        return held
    return _assertion(now, history) or _for_memory(needs, now, history)


# What is in the way of an end in time.


def _late_starts(needs: Requirements, now: Situation, history: History) -> int:
    left, eta = _left_seconds(needs, now), now.forecast.eta_seconds
    is_late = left is not None and eta is not None and eta > left
    return history.late_starts + 1 if is_late else 0


def _left_seconds(needs: Requirements, now: Situation) -> float | None:
    after = needs.deadline_after_seconds(now.size_bytes)
    return None if after is None else after - now.elapsed_seconds


def _trouble(needs: Requirements, now: Situation, history: History) -> Trouble | None:
    """Return why it will not end in time; None while it may."""
    left = _left_seconds(needs, now)
    if now.verdict is Verdict.NOT_CONVERGING and history.level_since is not None:
        until = history.level_since + needs.patience_seconds
        if left is not None:
            until = min(until, now.at + left / 2)
        length = history_.iteration_seconds(now)
        if now.at >= history.level_since + 0.7 * (until - history.level_since) - length:
            count = sum(at >= history.level_since for at, _ in now.starts)
            is_urgent = now.at + _LATER * length + _LATER_SECONDS >= until
            return Trouble(Reason.NOT_CONVERGING, is_urgent, left, count)
        return None
    if left is not None and now.verdict is Verdict.CONVERGING:
        return _lateness(now, history, left)
    return None


def _lateness(now: Situation, history: History, left: float) -> Trouble | None:
    """Return whether a migration that converges ends too late: by all of its range, or as expected
    at several iteration starts, or at one when no time is left for another."""
    low, high = now.forecast.eta_low_seconds, now.forecast.eta_high_seconds
    if low is None or high is None or high <= left:
        return None
    is_last_moment = left <= LEAST_SECONDS + 2 * history_.iteration_seconds(now)
    if low > left or history.late_starts >= (1 if is_last_moment else _LATE_STARTS):
        return Trouble(Reason.DEADLINE_AT_RISK, True, left)
    return None


# Actions on the memory, the smallest first.


def _for_memory(needs: Requirements, now: Situation, history: History) -> Advice | None:
    trouble = _trouble(needs, now, history)
    if trouble is not None and history.stalled_at is not None:
        lately = now.at - history.stalled_at < _STALLED_LATELY_SECONDS
        trouble = trouble._replace(stalled_lately=lately)
    if trouble is None or _waits(now, history):
        return None
    least = least_needed_seconds(now)
    if not trouble.is_urgent and least is not None and needed_seconds(now) > _NEAR_LEAST * least:
        # A later iteration start is a better moment.
        return None
    for action, choose in CHOICES:
        advice = choose(needs, now, trouble) if action in needs.may else None
        if advice is None:
            continue
        match _was_tried(advice, now, history):
            case None:
                return advice
            case False:
                # Nothing larger is needed before this was tried.
                return None
    return None


def _waits(now: Situation, history: History) -> bool:
    """Return whether the last action may yet work, or nothing more is to be done."""
    latest = history.latest
    if latest is None:
        return False
    if latest.action in (Action.ABORT, Action.STOP_ASSERTING):
        return True
    return now.at < latest.works_by


def _was_tried(advice: Advice, now: Situation, history: History) -> bool | None:
    """Return whether the same was tried: the same action, with no higher figure; False if it was
    only advised, None if it was not even that."""
    same = [each for each in history.advice if each.is_ours and each.action is advice.action]
    tried = [each for each in same if _is_carried_out(each, now)]
    if advice.action is Action.RAISE_DOWNTIME and len(tried) >= _MOST_RAISES:
        return True
    new = advice.sets_downtime_limit_seconds
    if new is not None:
        same = [a for a in same if new < HIGHER * (a.sets_downtime_limit_seconds or 0.0)]
    if not same:
        return None
    return any(each in tried for each in same)


def _is_carried_out(advice: Advice, now: Situation) -> bool:
    """Return whether steering or another party has carried it out, or could not."""
    limit = advice.sets_downtime_limit_seconds
    followed = limit is not None and now.downtime_limit_seconds * HIGHER >= limit
    return advice.state is not State.ADVISED or followed


# Disks, and another party that sets the limit.


def _for_disks(needs: Requirements, now: Situation, history: History) -> Advice | None:
    if Action.RAISE_BANDWIDTH not in needs.may or history.was_advised(Action.RAISE_BANDWIDTH):
        return None
    left, low = _left_seconds(needs, now), now.forecast.eta_low_seconds
    cap = now.capabilities.bandwidth_cap_bytes_per_second or 0
    if now.verdict is Verdict.NOT_CONVERGING:
        return capped_bandwidth(needs, now, Reason.DISKS_DO_NOT_CONVERGE, 2.0 * cap)
    if left is None or low is None or low <= left:
        return None
    return capped_bandwidth(
        needs, now, Reason.DEADLINE_AT_RISK, cap * low / max(left, LEAST_SECONDS)
    )


def _assertion(now: Situation, history: History) -> Advice | None:
    """Return the limit that steering had set, if another party has lowered it."""
    ours, other = history.limit_seconds, now.downtime_limit_seconds
    if ours is None or other >= ours / HIGHER or history.was_advised(Action.STOP_ASSERTING):
        return None
    is_over = history.asserted >= _MOST_ASSERTIONS
    return Advice(
        action=Action.STOP_ASSERTING if is_over else Action.RAISE_DOWNTIME,
        reason=Reason.LOWERED_REPEATEDLY if is_over else Reason.LIMIT_LOWERED,
        message=sentences.lowered(ours, other, history.asserted, is_over),
        at=now.at,
        works_by=now.at + works_within(now, now.forecast_with(ours)),
        figures=figures_of(
            downtime_limit_before_seconds=other,
            downtime_limit_seconds=None if is_over else ours,
        ),
    )
