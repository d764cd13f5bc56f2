# SPDX-License-Identifier: Apache-2.0
"""Decisions on migrations that converge, and end after their deadline."""

import pytest

from migprog.core.forecast.estimate import Estimate
from migprog.core.steering.advice import Advice, AdviceReason, SteeringAction
from migprog.core.steering.history import History
from migprog.tests.unit.core.steering.situations import MIB, decide, needs, situation


def late(at, low, eta, high, iteration, forecast_with=None):
    return situation(
        at,
        forecast=Estimate(eta, low, high),
        iteration=iteration,
        starts=((at - 10.0, 90 * MIB), (at, 85 * MIB)),
        forecast_with=forecast_with or (lambda limit: Estimate(*(3 * [200.0 / (1 + limit)]))),
    )


def test_one_that_is_late_for_certain_gets_the_least_limit_that_is_in_time():
    requirements = needs(deadline_seconds=200.0)
    _, found = decide(requirements, late(100.0, 110, 150, 190, 3), History())
    assert found.reason is AdviceReason.DEADLINE_AT_RISK
    limit = found.sets_downtime_limit_seconds
    assert 200 / (1 + limit) + limit == pytest.approx(100.0, abs=0.5)


def test_one_that_is_late_as_expected_must_be_so_at_two_iteration_starts():
    requirements, history = needs(deadline_seconds=200.0), History()
    history, found = decide(requirements, late(100.0, 60, 110, 190, 3), history)
    assert found is None
    _, found = decide(requirements, late(110.0, 60, 110, 190, 4), history)
    assert isinstance(found, Advice)


def test_one_whose_iterations_are_short_is_late_for_some_seconds_before_anything_is_done():
    """Each iteration is a chance to end: a few starts in a row may pass within a second."""
    requirements, history, acted_at = needs(deadline_seconds=130.0), History(), None
    for number in range(100):
        at = 100.0 + 0.4 * number
        short = ((at - 0.4, 90 * MIB), (at, 85 * MIB))
        now = late(at, 10, 40, 190, 3 + number)._replace(starts=short)
        history, found = decide(requirements, now, history)
        if isinstance(found, Advice):
            acted_at = at
            break
    assert acted_at is not None
    assert 105.0 < acted_at < 112.0


def test_migration_late_by_its_range_alone_is_left_alone():
    history = History()
    for number in range(20):
        now = late(100.0 + number, 20, 60, 300, number)
        history, found = decide(needs(deadline_seconds=200.0), now, history)
        assert found is None


def test_a_deadline_that_no_action_can_meet_ends_it_early():
    requirements = needs(deadline_seconds=110.0, may=frozenset({SteeringAction.ABORT}))
    hopeless = late(100.0, 500, 700, 900, 3, forecast_with=lambda _: Estimate(700, 500, 900))
    _, found = decide(requirements, hopeless, History())
    assert (
        found.action is SteeringAction.ABORT and found.reason is AdviceReason.DEADLINE_UNREACHABLE
    )
    near = late(100.0, 15, 18, 25, 3, forecast_with=lambda _: Estimate(18, 15, 25))
    assert decide(requirements, near, History())[1] is None


def test_a_deadline_by_size_counts_memory_and_disks():
    requirements = needs(deadline_seconds_per_gib=10.0)
    now = situation(1.0, memory_bytes=3 * 2**30, disks_bytes=(5 * 2**30,))
    assert requirements.deadline_after_seconds(now.size_bytes) == 80.0
    assert requirements.deadline_after_seconds(2**20) == 20.0
