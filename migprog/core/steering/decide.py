# SPDX-License-Identifier: Apache-2.0
"""Decide on the smallest action that suffices.

1. Nothing, while the migration is expected to end in time.
2. A higher downtime limit: as high as the least that the latest iterations needed, and a margin.
3. More bandwidth, if a cap that may be raised holds it.
4. Post-copy, if what remains can be sent soon, and nothing is known that makes it unsafe.
5. A pause of the guest, if what remains can be sent soon.
6. Abort, if the longest downtime is too short by a factor or did not help, or the deadline cannot
   be met by a factor.

Only at the start of an iteration; never what :mod:`migprog.core.steering.hold` forbids; and nothing
else before the time by which the last action must have worked.
"""

from migprog.core.forecast.verdict import Verdict
from migprog.core.status import Phase
from migprog.core.steering import corrections, done_by_others, hold
from migprog.core.steering import history as history_
from migprog.core.steering.advice import (
    CARRIED_OUT,
    Advice,
    AdviceReason,
    State,
    SteeringAction,
    reaches,
)
from migprog.core.steering.choices import (
    CHOICES,
    HIGHER,
    LEAST_SECONDS,
    Trouble,
    capped_bandwidth,
    least_needed_seconds,
    needed_seconds,
)
from migprog.core.steering.history import History
from migprog.core.steering.requirements import Requirements
from migprog.core.steering.situation import Glimpse, Situation

# An iteration start that needs no more than so many times the least of the latest is a good one.
_NEAR_LEAST = 1.1
_MOST_RAISES = 3
# After a stall the network may fail again; post-copy would leave the guest without its memory.
_STALLED_LATELY_SECONDS = 60.0
# The next iteration may last 1.1 times as long as the latest, and be seen 1 s late.
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
    history = noted(history, now)
    is_start = history_.is_iteration_start(history, now)
    if is_start:
        history = _with_lateness(history, needs, now)._replace(iteration=now.iteration)
    found = _decided(needs, now, history, is_start)
    if isinstance(found, Advice):
        history = history_.add(history, found)
    return history, found


def noted(history: History, now: Situation | Glimpse) -> History:
    """Return the history with one more situation, and what other parties have done until then."""
    return done_by_others.mark(history_.observe(history, now), now)


def is_idle(now: Glimpse, history: History) -> bool:
    """Return whether :func:`decide` would only note the situation: memory is copied within an
    iteration that was decided on, and steering has not paused the guest."""
    if now.phase is Phase.DISK_COPY or (history.advice and now.guest_is_paused):
        return False
    return not history_.is_iteration_start(history, now)


def _decided(
    needs: Requirements, now: Situation, history: History, is_start: bool
) -> Advice | hold.Hold | None:
    overlong = corrections.pause_that_lasts(needs, now, history)
    if overlong is not None:
        return overlong
    held = hold.hold(now, history)
    if held is not None:
        return held
    if now.phase is Phase.DISK_COPY:
        return _for_disks(needs, now, history)
    held = hold.hold_in_memory(now, is_start)
    if held is not None:
        return held
    return _assertion(needs, now, history) or _for_memory(needs, now, history)


def _assertion(needs: Requirements, now: Situation, history: History) -> Advice | None:
    left = _left_seconds(needs, now)
    is_late = left is not None and _lateness(now, history, left) is not None
    if now.verdict is not Verdict.NOT_CONVERGING and not is_late:
        # It ends in time with the limit in force.
        return None
    return corrections.limit_that_was_lowered(needs, now, history)


# Reasons why it will not end in time.


def _with_lateness(history: History, needs: Requirements, now: Situation) -> History:
    left, eta = _left_seconds(needs, now), now.forecast.eta_seconds
    if left is None or eta is None or eta <= left:
        return history._replace(late_starts=0, late_since=None)
    since = now.at if history.late_since is None else history.late_since
    return history._replace(late_starts=history.late_starts + 1, late_since=since)


def _left_seconds(needs: Requirements, now: Situation) -> float | None:
    after = needs.deadline_after_seconds(now.size_bytes)
    return None if after is None else after - now.elapsed_seconds


def _trouble(needs: Requirements, now: Situation, history: History) -> Trouble | None:
    """Return why it will not end in time; None while it may."""
    left = _left_seconds(needs, now)
    if now.verdict is Verdict.NOT_CONVERGING and history.level_since is not None:
        patience_ends_at = until = history.level_since + needs.patience_seconds
        if left is not None and left > 0:
            until = min(until, now.at + left / 2)
        length = history_.iteration_seconds(now)
        if now.at >= history.level_since + 0.7 * (until - history.level_since) - length:
            count = sum(at >= history.level_since for at, _ in now.starts)
            next_at = now.at + _LATER * length + _LATER_SECONDS
            return Trouble(
                AdviceReason.NOT_CONVERGING,
                is_urgent=next_at >= until,
                left_seconds=left,
                level_starts=count,
                patience_is_over=next_at >= patience_ends_at,
            )
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
    if low > left or (history.late_starts and is_last_moment):
        return Trouble(AdviceReason.DEADLINE_AT_RISK, True, left)
    late_since = now.at if history.late_since is None else history.late_since
    # Short iterations are many chances, of which one may be the last.
    is_late_for_long = now.at - late_since >= min(LEAST_SECONDS, left / 4)
    if history.late_starts >= _LATE_STARTS and is_late_for_long:
        return Trouble(AdviceReason.DEADLINE_AT_RISK, True, left)
    return None


# Actions on the memory, the smallest first.


def _for_memory(needs: Requirements, now: Situation, history: History) -> Advice | None:
    trouble = _trouble(needs, now, history)
    if trouble is None or _waits(now, history):
        return None
    stalled_at = history.stalled_at
    trouble = trouble._replace(
        stalled_lately=stalled_at is not None and now.at - stalled_at < _STALLED_LATELY_SECONDS,
        is_overruled=_is_overruled(now, history),
    )
    least = least_needed_seconds(now)
    if not trouble.is_urgent and least is not None and needed_seconds(now) > _NEAR_LEAST * least:
        # A later iteration start is a better moment.
        return None
    may = needs.may
    if history.was_advised(SteeringAction.ABORT):
        # It failed; nothing but another one follows it.
        may &= {SteeringAction.ABORT}
    for action, choose in CHOICES:
        advice = choose(needs, now, trouble) if action in may else None
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
    if latest.action is SteeringAction.ABORT and not history.is_to_be_repeated(latest.action):
        return True
    return now.at < latest.works_by


def _is_overruled(now: Situation, history: History) -> bool:
    """Return whether another party keeps the downtime limit below the latest that was set."""
    if history.was_advised(SteeringAction.STOP_ASSERTING):
        return True
    raises = [each for each in history.made if _is_raise_that_was_done(each)]
    return bool(raises) and not _is_in_force(raises[-1], now)


def _is_raise_that_was_done(entry: Advice) -> bool:
    return entry.action is SteeringAction.RAISE_DOWNTIME and entry.state in CARRIED_OUT


def _is_in_force(entry: Advice, now: Situation) -> bool:
    limit = entry.sets_downtime_limit_seconds or 0.0
    return not now.downtime_limit_is_known or reaches(now.downtime_limit_seconds, limit)


def _was_tried(advice: Advice, now: Situation, history: History) -> bool | None:
    """Return whether the same was tried: the same action, with no higher figure; False if it was
    only advised or failed too often, None if it may be tried.

    A raise that failed, or whose limit another party has lowered, shows nothing about the
    migration: it is tried again, and does not justify a larger action. So is an abort. Post-copy or
    a pause that libvirt refuses is not possible.
    """
    same = [each for each in history.made if each.action is advice.action]
    carried_out = (
        CARRIED_OUT if advice.action in history_.REPEATED else CARRIED_OUT | {State.FAILED}
    )
    tried = [each for each in same if each.state in carried_out]
    new = advice.sets_downtime_limit_seconds
    if new is not None:
        if len(tried) >= _MOST_RAISES or history.was_advised(SteeringAction.STOP_ASSERTING):
            return True
        needed = advice.figures.get("downtime_needed_seconds", 0.0)
        same = [each for each in same if _shows_as_much(each, new, needed)]
        same = [each for each in same if each not in tried or _is_in_force(each, now)]
    if any(each in tried for each in same):
        return True
    failed = [each for each in same if each.state is State.FAILED]
    return False if len(failed) < len(same) or len(failed) >= history_.MOST_FAILURES else None


def _shows_as_much(earlier: Advice, limit: float, needed: float) -> bool:
    """Return whether an earlier raise shows what one to ``limit`` would: it was about as high, and
    not below what is needed now."""
    before = earlier.sets_downtime_limit_seconds or 0.0
    return needed <= before and limit < HIGHER * before


# Disks.


def _for_disks(needs: Requirements, now: Situation, history: History) -> Advice | None:
    if SteeringAction.RAISE_BANDWIDTH not in needs.may or _waits(now, history):
        return None
    if history.was_advised(SteeringAction.ABORT):
        return None
    advice = _bandwidth_for_disks(needs, now)
    return advice if advice is not None and _was_tried(advice, now, history) is None else None


def _bandwidth_for_disks(needs: Requirements, now: Situation) -> Advice | None:
    left, low = _left_seconds(needs, now), now.forecast.eta_low_seconds
    cap = now.capabilities.bandwidth_cap_bytes_per_second or 0
    if now.verdict is Verdict.NOT_CONVERGING:
        return capped_bandwidth(needs, now, AdviceReason.DISKS_DO_NOT_CONVERGE, 2.0 * cap, left)
    if left is None or low is None or low <= left:
        return None
    needed_bytes = cap * low / max(left, LEAST_SECONDS)
    return capped_bandwidth(needs, now, AdviceReason.DEADLINE_AT_RISK, needed_bytes, left)
