# SPDX-License-Identifier: Apache-2.0
"""The sentences of advice: why, with the figures."""

from migprog.core.steering.advice import Reason
from migprog.core.steering.situation import Situation

_MIB = 2**20


def raise_downtime(
    reason: Reason, now: Situation, limit: float, needed: float, left: float | None
) -> str:
    before = f"(now {seconds(now.downtime_limit_seconds)} s)"
    if reason is Reason.NOT_CONVERGING:
        least = min(size for _, size in now.starts[-4:])
        enough = "" if limit >= needed else ", the longest that is allowed"
        return (
            f"remaining memory no longer shrinks (at least {least / _MIB:.0f} MiB per iteration, "
            f"{seconds(needed)} s); raise the downtime limit to {seconds(limit)} s {before}{enough}"
        )
    return (
        f"the end is expected after the deadline, in {_span(now)} with {_left(left)} left; raise "
        f"the downtime limit to {seconds(limit)} s {before}"
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
        f"{(now.remaining_bytes or 0) / _MIB:.0f} MiB take {seconds(rest)} s"
    )


def pause(now: Situation, rest: float) -> str:
    return (
        f"no allowed downtime ends it in time; pause the server: the remaining "
        f"{(now.remaining_bytes or 0) / _MIB:.0f} MiB take {seconds(rest)} s"
    )


def abort(reason: Reason, needed: float | None, longest: float, left: float | None) -> str:
    if reason is Reason.DEADLINE_UNREACHABLE:
        return (
            f"the deadline ({_left(left)} left) cannot be met even with the longest downtime of "
            f"{seconds(longest)} s; abort"
        )
    need = "an unknown time" if needed is None else f"{seconds(needed)} s"
    if needed is not None and needed <= longest:
        return (
            f"remaining memory no longer shrinks, and a downtime limit of {seconds(needed)} s, "
            "which should have sufficed, did not end it; abort"
        )
    return (
        f"remaining memory no longer shrinks and needs a downtime of {need}, the longest allowed "
        f"is {seconds(longest)} s; abort"
    )


def lowered(ours: float, other: float, times: int, is_over: bool) -> str:
    text = (
        f"another party lowered the downtime limit from {seconds(ours)} s to {seconds(other)} s, "
        "as nova-compute does at each step of its own"
    )
    if is_over:
        return f"{text}; it was set again {times} times: not any more"
    return f"{text}; set it again"


def seconds(value: float) -> str:
    """Format seconds to a tenth, less than one to a millisecond."""
    return f"{value:.1f}" if value >= 1 else f"{round(value, 3):g}"


def _span(now: Situation) -> str:
    low, high = now.forecast.eta_low_seconds, now.forecast.eta_high_seconds
    return "an unknown time" if low is None or high is None else f"{low:.0f} to {high:.0f} s"


def _left(left: float | None) -> str:
    return "an unknown time" if left is None else f"{max(0.0, left):.0f} s"
