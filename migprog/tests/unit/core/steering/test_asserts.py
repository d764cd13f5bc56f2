# SPDX-License-Identifier: Apache-2.0
"""A limit that steering has set and another party has lowered: when it is set again."""

import dataclasses
import itertools

import pytest

from migprog.core.forecast.estimate import Estimate
from migprog.core.forecast.verdict import Verdict
from migprog.core.steering.advice import Advice, AdviceReason, State, SteeringAction
from migprog.core.steering.history import add, settle
from migprog.tests.unit.core.steering.situations import (
    ALL,
    NEEDS,
    decide,
    level,
    needs,
    plateau,
)

GENTLE = needs(
    patience_seconds=60.0,
    may=frozenset({SteeringAction.RAISE_DOWNTIME, SteeringAction.ABORT}),
    hopeless_factor=2,
)
LOWERED = {"downtime_limit_seconds": 0.095}


def raised(requirements=NEEDS, **values):
    history, (advice, *_) = plateau(requirements, until=60, done=State.DONE, **values)
    return history, advice


def advised(history, requirements, first_at, count, answer=State.DONE, **values):
    """What is advised at ``count`` iteration starts from ``first_at`` on, while another party
    lowers the limit each time."""
    found = []
    for number in range(count):
        now = level(first_at + 5.0 * number, **(LOWERED | values))
        history, each = decide(requirements, now, history)
        if isinstance(each, Advice):
            found.append(each)
            history = history if answer is None else settle(history, answer)
    return history, found


def reasons(found):
    return [each.reason for each in found]


def test_a_limit_that_another_party_lowered_is_set_again_at_an_iteration_start():
    history, advice = raised()
    now = level(advice.at + 5, downtime_limit_seconds=0.095)
    history, again = decide(NEEDS, now, history)
    assert again.reason is AdviceReason.LIMIT_LOWERED
    assert again.sets_downtime_limit_seconds == advice.sets_downtime_limit_seconds
    assert "to 95 ms" in again.message


def test_a_limit_is_set_again_three_times_and_then_no_more():
    history, advice = raised()
    reasons = []
    requirements = needs(may=frozenset({SteeringAction.RAISE_DOWNTIME}))
    for number in range(1, 60):
        now = level(advice.at + 5 * number, downtime_limit_seconds=0.095)
        history, found = decide(requirements, now, history)
        if isinstance(found, Advice):
            reasons.append(found.reason)
            history = settle(history, State.DONE)
    assert reasons == [*(3 * [AdviceReason.LIMIT_LOWERED]), AdviceReason.LOWERED_REPEATEDLY]
    assert history.latest.action is SteeringAction.STOP_ASSERTING
    assert "3 times" in history.latest.message


def test_a_limit_that_another_party_raised_is_left_alone():
    history, advice = raised()
    now = level(advice.at + 5, downtime_limit_seconds=1.5)
    assert decide(NEEDS, now, history)[1] is None


def test_lowered_limit_is_not_set_again_once_the_migration_ends_in_time_without():
    history, advice = raised()
    now = level(advice.at + 5, **LOWERED)._replace(
        verdict=Verdict.CONVERGING, forecast=Estimate(5.0, 4.0, 6.0)
    )
    assert decide(NEEDS, now, history)[1] is None


@pytest.mark.parametrize("may", [frozenset(), frozenset({SteeringAction.ABORT})])
def test_lowered_limit_is_not_set_again_where_that_is_not_allowed_any_more(may):
    history, advice = raised()
    _, found = advised(history, needs(may=may, patience_seconds=6000.0), advice.at + 5, 5)
    assert found == []


def test_lowered_limit_is_set_again_to_what_is_allowed_by_now():
    history, advice = raised()
    less = dataclasses.replace(NEEDS, longest_downtime_seconds=0.9)
    _, (again, *_) = advised(history, less, advice.at + 5, 1)
    assert again.sets_downtime_limit_seconds == 0.9


@pytest.mark.parametrize("state", [State.ADVISED, State.DONE, State.FAILED])
def test_lowered_limit_is_not_set_again_after_an_abort(state):
    history, advice = raised()
    abort = Advice(
        action=SteeringAction.ABORT,
        reason=AdviceReason.HOPELESS,
        message="",
        at=advice.at + 1,
        works_by=advice.at + 2,
        state=state,
    )
    _, found = advised(add(history, abort), GENTLE, advice.at + 5, 20)
    assert found == []


def test_lowered_limit_is_set_again_before_the_raise_must_have_worked():
    """A raise that is not in force any more cannot work."""
    history, advice = raised()
    _, (again, *_) = advised(history, NEEDS, advice.at + 5, 1)
    assert again.at < advice.works_by


def test_nothing_is_set_again_while_another_action_may_yet_work():
    history, advice = raised()
    more = Advice(
        action=SteeringAction.RAISE_BANDWIDTH,
        reason=AdviceReason.NOT_CONVERGING,
        message="",
        at=advice.at + 1,
        works_by=advice.at + 42,
        state=State.DONE,
    )
    _, (again, *_) = advised(add(history, more), NEEDS, advice.at + 5, 20)
    assert again.at >= more.works_by


def test_assertions_that_failed_do_not_count_as_set_and_are_bounded():
    history, advice = raised()
    history, found = advised(history, GENTLE, advice.at + 5, 100, answer=State.FAILED)
    assert reasons(found) == [*(3 * [AdviceReason.LIMIT_LOWERED]), AdviceReason.LOWERED_REPEATEDLY]
    for before, after in itertools.pairwise(found[:3]):
        assert after.at >= before.works_by
    assert "3 times" not in found[-1].message and "could not be set again" in found[-1].message


def test_failed_assertion_leaves_three_that_work():
    history, advice = raised()
    history, found = advised(history, GENTLE, advice.at + 5, 1, answer=State.FAILED)
    history, more = advised(history, GENTLE, found[0].works_by + 5, 60)
    assert reasons(more) == [*(3 * [AdviceReason.LIMIT_LOWERED]), AdviceReason.LOWERED_REPEATEDLY]
    assert "it was set again 3 times" in more[-1].message


def test_assertion_that_was_not_carried_out_is_not_repeated():
    history, advice = raised()
    _, found = advised(history, GENTLE, advice.at + 5, 60, answer=None)
    assert reasons(found) == [AdviceReason.LIMIT_LOWERED]


# Once it has stopped.


def stopped(requirements, **values):
    history, advice = raised(requirements, **values)
    history, found = advised(history, requirements, advice.at + 5, 4, **values)
    assert found[-1].action is SteeringAction.STOP_ASSERTING
    return history, found[-1]


def test_post_copy_follows_where_the_limit_is_lowered_each_time():
    requirements = needs(may=ALL - {SteeringAction.PAUSE}, patience_seconds=60.0)
    history, stop = stopped(requirements)
    _, found = advised(history, requirements, stop.at + 5, 60)
    assert [each.action for each in found][:1] == [SteeringAction.POST_COPY]
    assert found[0].at >= stop.works_by


def test_nothing_is_aborted_for_a_limit_that_another_party_keeps_too_low():
    """The limit that is allowed would suffice: whether it will be set is that party's business."""
    history, stop = stopped(GENTLE)
    _, found = advised(history, GENTLE, stop.at + 5, 200)
    assert found == []


def test_one_that_needs_more_than_is_allowed_is_given_up_even_so():
    history, stop = stopped(GENTLE)
    _, found = advised(history, GENTLE, stop.at + 5, 60, remaining_mib=300)
    assert [each.action for each in found] == [SteeringAction.ABORT]
    assert found[0].at >= stop.works_by
    assert "needs a downtime of 3.0 s" in found[0].message
