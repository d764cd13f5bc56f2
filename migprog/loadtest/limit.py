# SPDX-License-Identifier: Apache-2.0
"""The search for the largest fleet that is kept up with. Pure: results in, what to try next out."""

from collections.abc import Mapping
from typing import Any

# The largest and the smallest fleet that are known to be too large, so far apart at most.
_PRECISION = 0.1
# What an operator sees may be so much older than the interval.
SLACK_SECONDS = 1.0


def kept_up(figures: Mapping[str, Any]) -> bool:
    """Whether of what was shown 95 % was no older than the interval and a second."""
    p95_ms = figures["age_ms"]["p95"]
    return p95_ms is not None and p95_ms <= 1000 * (figures["interval_s"] + SLACK_SECONDS)


def next_hosts(tried: Mapping[int, bool], first: int) -> int | None:
    """The number of hosts to try next, by those tried and whether they were kept up with; None
    when the limit is known well enough."""
    good = max((hosts for hosts, kept in tried.items() if kept), default=0)
    bad = min((hosts for hosts, kept in tried.items() if not kept and hosts > good), default=None)
    if bad is None:
        return 2 * good or first
    if bad - good <= max(1, _PRECISION * bad):
        return None
    # Far below the first guess it is sooner found by halves of the whole.
    return (good + bad) // 2 if good else bad // 2
