# SPDX-License-Identifier: Apache-2.0
"""Search the largest fleet that is kept up with. Pure: results in, next size to try out."""

from collections.abc import Mapping
from typing import Any

# The search ends when the smallest failing and the largest passing fleet differ by this share.
_PRECISION = 0.1
# How much older than the interval the shown data may be.
SLACK_SECONDS = 1.0


def kept_up(figures: Mapping[str, Any]) -> bool:
    """Return whether 95 % of the shown data was no older than the interval and a second."""
    p95_ms = figures["age_ms"]["p95"]
    return p95_ms is not None and p95_ms <= 1000 * (figures["interval_seconds"] + SLACK_SECONDS)


def next_hosts(tried: Mapping[int, bool], first: int) -> int | None:
    """Return the number of hosts to try next, None when the limit is known well enough. ``tried``:
    whether each number tried was kept up with."""
    good = max((hosts for hosts, kept in tried.items() if kept), default=0)
    bad = min((hosts for hosts, kept in tried.items() if not kept and hosts > good), default=None)
    if bad is None:
        return 2 * good or first
    if bad - good <= max(1, _PRECISION * bad):
        return None
    # If even the first size failed, halving finds the limit sooner.
    return (good + bad) // 2 if good else bad // 2
