# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprog.loadtest.limit import kept_up, next_hosts


def searched(capacity: int, first: int) -> tuple[int, int]:
    """The largest size found to be kept up with, and how many were tried."""
    tried: dict[int, bool] = {}
    while (hosts := next_hosts(tried, first)) is not None:
        assert hosts not in tried, "nothing is tried twice"
        tried[hosts] = hosts <= capacity
    return max((size for size, kept in tried.items() if kept), default=0), len(tried)


@given(st.integers(0, 20_000), st.integers(1, 5000))
def test_the_limit_is_found_to_a_tenth_in_a_few_runs(capacity, first):
    found, runs = searched(capacity, first)
    assert found <= capacity
    assert found >= 0.9 * capacity - 1
    assert runs <= 24


@pytest.mark.parametrize(("p95", "kept"), [(None, False), (2999.0, True), (3001.0, False)])
def test_fleet_is_kept_up_with_if_nearly_all_values_are_fresh(p95, kept):
    assert kept_up({"interval_seconds": 2.0, "age_ms": {"p95": p95}}) is kept
