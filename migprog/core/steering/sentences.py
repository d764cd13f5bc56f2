# SPDX-License-Identifier: Apache-2.0
"""The sentences of advice: why, with the figures."""

from migprog.core.duration import describe
from migprog.core.steering.advice import AdviceReason
from migprog.core.steering.situation import Situation

_MIB = 2**20


def raise_downtime(
    reason: AdviceReason, now: Situation, limit: float, needed: float, left: float | None
) -> str:
    before = f"(now {_limit(now)})"
    if reason is AdviceReason.NOT_CONVERGING:
        enough = "" if limit >= needed else ", the longest that is allowed"
        return (
            f"remaining memory no longer shrinks (at least {now.least_start_bytes / _MIB:.0f} MiB "
            f"per iteration, {describe(needed)}); raise the downtime limit to {describe(limit)} "
            f"{before}{enough}"
        )
    return (
        f"the end is expected after the deadline, in {_span(now)} ({_left(left)}); raise "
        f"the downtime limit to {describe(limit)} {before}"
    )


def raise_bandwidth(now: Situation, new: float) -> str:
    cap = now.capabilities.bandwidth_cap_bytes_per_second or 0
    return (
        f"the bandwidth cap of {cap / _MIB:.0f} MiB/s holds the migration back; raise it to "
        f"{new / _MIB:.0f} MiB/s"
    )


def post_copy(now: Situation, rest: float) -> str:
    return (
        f"no allowed downtime ends it in time; begin post-copy: the remaining "
        f"{(now.remaining_bytes or 0) / _MIB:.0f} MiB take {describe(rest)}"
    )


def pause(now: Situation, rest: float) -> str:
    return (
        f"no allowed downtime ends it in time; pause the server: the remaining "
        f"{(now.remaining_bytes or 0) / _MIB:.0f} MiB take {describe(rest)} at the present rate"
    )


def pause_too_long(now: Situation, lasted: float, longest: float) -> str:
    rest = now.rest_seconds
    takes = "no data moves" if rest is None else f"what remains takes {describe(rest)} more"
    return (
        f"the server has been paused for {describe(lasted)}, the longest allowed is "
        f"{describe(longest)}, and {takes}; abort, the server then goes on at its source"
    )


def abort(
    reason: AdviceReason, now: Situation, needed: float | None, longest: float, left: float | None
) -> str:
    if reason is AdviceReason.DEADLINE_UNREACHABLE:
        return (
            f"the deadline ({_left(left)}) cannot be met even with the longest downtime of "
            f"{describe(longest)}; abort"
        )
    need = "an unknown time" if needed is None else describe(needed)
    limit = now.downtime_limit_seconds
    if needed is not None and needed <= limit and not now.downtime_limit_is_known:
        return (
            f"remaining memory no longer shrinks and needs a downtime of {need}; the downtime "
            f"limit is {_limit(now)}; abort"
        )
    if needed is not None and needed <= limit:
        return (
            f"remaining memory no longer shrinks, and the downtime limit of {describe(limit)}, "
            "which should have sufficed, did not end it; abort"
        )
    if needed is not None and needed <= longest:
        return (
            f"remaining memory no longer shrinks and needs a downtime of {need}; the limit is "
            f"{_limit(now)} after as many raises as are tried; abort"
        )
    return (
        f"remaining memory no longer shrinks and needs a downtime of {need}, the longest allowed "
        f"is {describe(longest)}; abort"
    )


def lowered(ours: float, other: float) -> str:
    return (
        f"another party lowered the downtime limit from {describe(ours)} to {describe(other)}, "
        "as nova-compute does at each step of its own"
    )


def set_again(ours: float, other: float) -> str:
    return f"{lowered(ours, other)}; set it again"


def set_no_more(ours: float, other: float, done: int, failed: int) -> str:
    tried = f"it was set again {done} times"
    if failed > done:
        tried = f"it could not be set again in {failed} attempts"
    return f"{lowered(ours, other)}; {tried}, and now steering leaves it"


def _limit(now: Situation) -> str:
    limit = describe(now.downtime_limit_seconds)
    return limit if now.downtime_limit_is_known else f"not known; QEMU's default is {limit}"


def _span(now: Situation) -> str:
    low, high = now.forecast.eta_low_seconds, now.forecast.eta_high_seconds
    if low is None or high is None:
        return "an unknown time"
    return f"{describe(low)} to {describe(high)}"


def _left(left: float | None) -> str:
    if left is None:
        return "no known time left"
    return f"{describe(left)} left" if left >= 0 else f"passed {describe(-left)} ago"
