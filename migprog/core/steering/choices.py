# SPDX-License-Identifier: Apache-2.0
"""The actions, from the least to the most intrusive, and when each of them suffices."""

from typing import NamedTuple

from migprog.core.forecast.estimate import Estimate
from migprog.core.status import Phase
from migprog.core.steering import history as history_
from migprog.core.steering import sentences
from migprog.core.steering.advice import Advice, AdviceReason, SteeringAction
from migprog.core.steering.requirements import Requirements
from migprog.core.steering.situation import LATEST, Situation

# QEMU compares with the rate of its last tenth of a second, which varies.
MARGIN = 1.25
# A new limit must be so many times the one before, or is the same.
HIGHER = 1.15
_BISECTIONS = 10
# A rate this near to its cap is held by it.
_AT_CAP = 0.85
# libvirt sets a cap in whole MiB/s, rounded up.
_MIB = 2**20
# libvirt takes whole milliseconds. A shorter downtime than this is not noticed.
_LEAST_LIMIT_SECONDS = 0.05
# The least seconds between an action and its works_by.
LEAST_SECONDS = 10.0
# Iteration starts on a plateau before a migration is given up, however long they take.
LEVEL_STARTS = 5


class Trouble(NamedTuple):
    """Why something has to be done, and whether there is no more time to wait for a better moment.

    ``left_seconds`` is the time until the deadline, None without one, negative once it has passed;
    ``level_starts`` how many iterations have begun on the plateau. ``patience_is_over``: of not
    converging, which a deadline does not shorten. ``is_overruled``: another party lowers the limit
    each time that steering sets it.
    """

    reason: AdviceReason
    is_urgent: bool
    left_seconds: float | None
    level_starts: int = 0
    stalled_lately: bool = False
    patience_is_over: bool = True
    is_overruled: bool = False


def _raise_downtime(needs: Requirements, now: Situation, trouble: Trouble) -> Advice | None:
    longest, least = needs.longest_downtime_seconds, HIGHER * now.downtime_limit_seconds
    if trouble.reason is AdviceReason.NOT_CONVERGING:
        needed = least_needed_seconds(now)
        if needed is None or needed > longest:
            return None
        if longest < least and needed <= now.downtime_limit_seconds:
            return None
        limit = max(MARGIN * needed, least)
    else:
        if longest < least:
            return None
        needed = _limit_in_time(now, longest, trouble.left_seconds or 0.0)
        if needed is None:
            return None
        limit = max(needed, least)
    return _raise_to(min(longest, max(limit, _LEAST_LIMIT_SECONDS)), needed, now, trouble)


def _raise_to_longest(needs: Requirements, now: Situation, trouble: Trouble) -> Advice | None:
    """Advise the longest allowed limit where nothing else suffices: it may, as iterations vary."""
    longest, needed = needs.longest_downtime_seconds, least_needed_seconds(now)
    if trouble.reason is not AdviceReason.NOT_CONVERGING or needed is None:
        return None
    if not longest < needed <= needs.hopeless_factor * longest:
        return None
    if longest < HIGHER * now.downtime_limit_seconds:
        return None
    return _raise_to(longest, needed, now, trouble)


def _raise_to(limit: float, needed: float, now: Situation, trouble: Trouble) -> Advice | None:
    if round(limit * 1000) <= round(now.downtime_limit_seconds * 1000):
        return None
    within = works_within(now, now.forecast_with(limit))
    if trouble.left_seconds is not None:
        # If it does not work, there must be time for something else.
        within = min(within, max(LEAST_SECONDS, trouble.left_seconds / 3))
    return Advice(
        action=SteeringAction.RAISE_DOWNTIME,
        reason=trouble.reason,
        message=sentences.raise_downtime(trouble.reason, now, limit, needed, trouble.left_seconds),
        at=now.at,
        works_by=now.at + within,
        figures=figures_of(
            downtime_limit_seconds=limit,
            downtime_limit_before_seconds=now.known_limit_seconds,
            downtime_needed_seconds=needed,
            left_seconds=trouble.left_seconds,
        ),
    )


def needed_seconds(now: Situation) -> float:
    """Return the downtime that the latest iteration start needed."""
    return now.starts[-1][1] / (now.bytes_per_second or 1.0)


def least_needed_seconds(now: Situation) -> float | None:
    """Return the least downtime that one of the latest iteration starts needed."""
    if not now.bytes_per_second or not now.starts:
        return None
    return now.least_start_bytes / now.bytes_per_second


def _limit_in_time(now: Situation, longest: float, left: float) -> float | None:
    """Return the least downtime limit with which it ends within ``left`` seconds: first so that
    the late end of the range fits, else so that the expected end does; None if not even the longest
    limit suffices."""

    def ends(limit: float, by_range: bool) -> bool:
        forecast = now.forecast_with(limit)
        end = forecast.eta_high_seconds if by_range else forecast.eta_seconds
        # The forecast leaves the downtime itself out: it is short, mostly.
        return end is not None and end + limit <= left

    for by_range in (True, False):
        if ends(longest, by_range):
            low, high = now.downtime_limit_seconds, longest
            for _ in range(_BISECTIONS):
                middle = (low + high) / 2
                low, high = (low, middle) if ends(middle, by_range) else (middle, high)
            return high
    return None


def works_within(now: Situation, forecast: Estimate) -> float:
    """Return the seconds in which a new limit must have worked: the rest of this iteration and
    those after it, of which each is a chance."""
    iterations = (LATEST + 1) * history_.iteration_seconds(now)
    return max(LEAST_SECONDS, iterations, forecast.eta_high_seconds or 0.0)


def _raise_bandwidth(needs: Requirements, now: Situation, trouble: Trouble) -> Advice | None:
    needed, most = now.bandwidth_needed_bytes_per_second, needs.max_bandwidth_bytes_per_second
    if needed is None or most is None or most < needed:
        return None
    return capped_bandwidth(needs, now, trouble.reason, MARGIN * needed, trouble.left_seconds)


def capped_bandwidth(
    needs: Requirements,
    now: Situation,
    reason: AdviceReason,
    needed_bytes: float,
    left_seconds: float | None,
) -> Advice | None:
    """Advise a higher bandwidth cap, if the migration is held back by the one that it has."""
    cap, rate = now.capabilities.bandwidth_cap_bytes_per_second, now.wire_bytes_per_second
    # A cap of 0 is none.
    if not cap or not rate or rate < _AT_CAP * cap:
        return None
    # The largest cap that libvirt can set without exceeding what the operator allows.
    most = float((needs.max_bandwidth_bytes_per_second or 0) // _MIB * _MIB)
    if most < HIGHER * cap:
        return None
    new = min(most, max(needed_bytes, HIGHER * cap))
    return Advice(
        action=SteeringAction.RAISE_BANDWIDTH,
        reason=reason,
        message=sentences.raise_bandwidth(now, new),
        at=now.at,
        works_by=now.at + max(LEAST_SECONDS, 3 * history_.iteration_seconds(now)),
        figures=figures_of(
            bandwidth_bytes_per_second=new,
            bandwidth_before_bytes_per_second=cap,
            left_seconds=left_seconds,
        ),
    )


def _post_copy(needs: Requirements, now: Situation, trouble: Trouble) -> Advice | None:
    rest = now.rest_seconds
    if rest is None or rest > needs.post_copy_seconds or now.has_host_devices:
        return None
    if not now.capabilities.post_copy_is_safe or now.phase is not Phase.MEMORY_ITERATIONS:
        return None
    if trouble.stalled_lately:
        return None
    return _send_the_rest(
        SteeringAction.POST_COPY, sentences.post_copy(now, rest), rest, now, trouble
    )


def _pause(needs: Requirements, now: Situation, trouble: Trouble) -> Advice | None:
    rest = now.rest_seconds
    if rest is None or rest > needs.longest_pause_seconds or now.has_host_devices:
        return None
    if now.phase is not Phase.MEMORY_ITERATIONS or trouble.stalled_lately:
        return None
    if trouble.reason is AdviceReason.DEADLINE_AT_RISK and rest > (trouble.left_seconds or 0.0):
        # It ends too late even so, and by itself without a pause.
        return None
    return _send_the_rest(SteeringAction.PAUSE, sentences.pause(now, rest), rest, now, trouble)


def _send_the_rest(
    action: SteeringAction, message: str, rest_seconds: float, now: Situation, trouble: Trouble
) -> Advice:
    """Return an action after which the guest dirties nothing that has to be sent again."""
    return Advice(
        action=action,
        reason=trouble.reason,
        message=message,
        at=now.at,
        works_by=now.at + LEAST_SECONDS + 2 * rest_seconds,
        figures=figures_of(
            rest_seconds=rest_seconds,
            downtime_limit_before_seconds=now.known_limit_seconds,
            left_seconds=trouble.left_seconds,
        ),
    )


def _abort(needs: Requirements, now: Situation, trouble: Trouble) -> Advice | None:
    if now.can_slow_further or not trouble.is_urgent:
        return None
    if trouble.reason is AdviceReason.NOT_CONVERGING and (
        trouble.level_starts < LEVEL_STARTS or not trouble.patience_is_over
    ):
        return None
    longest = now.downtime_limit_seconds
    if SteeringAction.RAISE_DOWNTIME in needs.may:
        longest = max(longest, needs.longest_downtime_seconds)
    needed, reason = least_needed_seconds(now), AdviceReason.HOPELESS
    if trouble.reason is AdviceReason.DEADLINE_AT_RISK:
        if not _misses_deadline_by_far(needs, now, longest, trouble.left_seconds or 0.0):
            return None
        reason = AdviceReason.DEADLINE_UNREACHABLE
    elif trouble.is_overruled and needed is not None and needed <= longest:
        # What is allowed would suffice. Another party keeps it lower, and may yet raise it.
        return None
    return Advice(
        action=SteeringAction.ABORT,
        reason=reason,
        message=sentences.abort(reason, now, needed, longest, trouble.left_seconds),
        at=now.at,
        works_by=now.at + LEAST_SECONDS,
        figures=figures_of(
            downtime_needed_seconds=needed,
            longest_downtime_seconds=longest,
            downtime_limit_before_seconds=now.known_limit_seconds,
            left_seconds=trouble.left_seconds,
        ),
    )


def _misses_deadline_by_far(
    needs: Requirements, now: Situation, longest: float, left: float
) -> bool:
    """Return whether the whole migration takes longer than the time until the deadline by the
    factor, even with the longest downtime, and most of it is yet to come.

    Otherwise a migration that is a little late would be aborted shortly before its end.
    """
    low = now.forecast_with(longest).eta_low_seconds
    elapsed = now.elapsed_seconds
    return (
        low is not None
        and low > elapsed
        and elapsed + low > needs.hopeless_factor * (elapsed + left)
    )


CHOICES = (
    (SteeringAction.RAISE_DOWNTIME, _raise_downtime),
    (SteeringAction.RAISE_BANDWIDTH, _raise_bandwidth),
    (SteeringAction.POST_COPY, _post_copy),
    (SteeringAction.PAUSE, _pause),
    (SteeringAction.RAISE_DOWNTIME, _raise_to_longest),
    (SteeringAction.ABORT, _abort),
)


def figures_of(**values: float | None) -> dict[str, float]:
    """Return the figures that are known."""
    return {name: value for name, value in values.items() if value is not None}
