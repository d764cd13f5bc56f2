# SPDX-License-Identifier: Apache-2.0
"""A guest that steering pauses: when, and what becomes of a pause that lasts."""

import dataclasses
import itertools

import pytest

from migprog.core.forecast.estimate import Estimate
from migprog.core.status import Phase
from migprog.core.steering.advice import Advice, AdviceReason, State, SteeringAction
from migprog.core.steering.history import History, settle
from migprog.tests.unit.core.steering.situations import (
    MIB,
    RATE,
    decide,
    level,
    needs,
    plateau,
    situation,
)

PAUSING = needs(may=frozenset({SteeringAction.PAUSE, SteeringAction.ABORT}), patience_seconds=60.0)


def first_actions(advised):
    return [each.action for each in advised][:1]


@pytest.mark.parametrize(
    "values",
    [
        {"has_host_devices": True},
        {"phase": Phase.MEMORY_FIRST_ITERATION},
        {"remaining_bytes": 11 * RATE},
        {"remaining_bytes": None},
        {"bytes_per_second": None},
    ],
)
def test_server_is_not_paused_where_that_is_not_safe_or_short(values):
    requirements = needs(may=frozenset({SteeringAction.PAUSE}), patience_seconds=60.0)
    assert first_actions(plateau(requirements, until=200)[1]) == [SteeringAction.PAUSE]
    assert plateau(requirements, until=200, **values)[1] == []


def test_server_is_not_paused_soon_after_a_stall():
    requirements = needs(may=frozenset({SteeringAction.PAUSE}), patience_seconds=5.0)
    stalled = History(stalled_at=60.0, level_since=70.0)
    assert decide(requirements, level(100.0), stalled)[1] is None
    assert isinstance(decide(requirements, level(130.0), stalled)[1], Advice)


@pytest.mark.parametrize(("left", "is_paused"), [(20.0, True), (2.0, False), (-30.0, False)])
def test_converging_server_is_paused_for_its_deadline_only_if_that_meets_it(left, is_paused):
    requirements = needs(may=frozenset({SteeringAction.PAUSE}), deadline_seconds=100.0 + left)
    forecast = Estimate(90.0, 80.0, 100.0)
    now = situation(
        100.0,
        forecast=forecast,
        forecast_with=lambda limit: forecast,
        remaining_bytes=5 * RATE,
    )
    _, found = decide(requirements, now, History(late_starts=5))
    assert isinstance(found, Advice) is is_paused


def test_pause_says_that_its_time_is_a_forecast():
    _, (advice, *_) = plateau(PAUSING, until=200)
    assert "at the present rate" in advice.message and "800 ms" in advice.message


def paused(at, pause, **values):
    """The server has been paused by steering, and what remains moves more slowly than expected."""
    return level(at, guest_is_paused=True)._replace(iteration=3, **values)


def pausing(requirements=PAUSING, state=State.DONE):
    history, (pause,) = plateau(requirements, until=100)
    return settle(history, state), pause


SLOW = {"bytes_per_second": MIB, "remaining_bytes": 800 * MIB}


def advised_while_paused(requirements, history, pause, seconds, answer=State.DONE, **values):
    found = []
    for number in range(1, seconds):
        now = paused(pause.at + number, pause, **(SLOW | values))
        history, each = decide(requirements, now, history)
        if isinstance(each, Advice):
            found.append((number, each))
            history = settle(history, answer)
    return found


def test_pause_that_lasts_far_longer_than_allowed_is_ended_by_an_abort():
    history, pause = pausing()
    ((after, abort),) = advised_while_paused(PAUSING, history, pause, 600)
    assert abort.action is SteeringAction.ABORT and abort.reason is AdviceReason.HOPELESS
    # Twice the longest pause, as for all that is hopeless by the factor.
    assert after == pytest.approx(20, abs=2)
    assert "paused for 2" in abort.message and "longest allowed is 10 s" in abort.message


def test_pause_whose_abort_libvirt_refuses_is_aborted_again_three_times_in_all():
    history, pause = pausing()
    found = advised_while_paused(PAUSING, history, pause, 600, State.FAILED)
    assert [each.action for _, each in found] == 3 * [SteeringAction.ABORT]
    for (_, before), (_, after) in itertools.pairwise(found):
        assert after.at >= before.works_by


def test_pause_that_lasts_too_long_is_not_aborted_shortly_before_its_end():
    history, pause = pausing()
    assert advised_while_paused(PAUSING, history, pause, 100, remaining_bytes=5 * MIB) == []


def test_pause_without_data_moving_is_ended_by_an_abort():
    history, pause = pausing()
    found = advised_while_paused(PAUSING, history, pause, 100, bytes_per_second=None)
    assert [each.action for _, each in found] == [SteeringAction.ABORT]


def test_pause_whose_end_looks_like_a_switchover_is_ended_by_an_abort():
    history, pause = pausing()
    found = advised_while_paused(PAUSING, history, pause, 100, phase=Phase.SWITCHOVER)
    assert [each.action for _, each in found] == [SteeringAction.ABORT]


@pytest.mark.parametrize("phase", [Phase.POST_COPY, Phase.DONE, Phase.SETUP])
def test_pause_is_ended_by_no_abort_once_the_server_is_at_its_destination(phase):
    history, pause = pausing()
    assert advised_while_paused(PAUSING, history, pause, 600, phase=phase) == []


@pytest.mark.parametrize("state", [State.FAILED, State.ADVISED, State.FOLLOWED])
def test_pause_by_another_party_is_left_alone(state):
    history, pause = pausing(state=state)
    assert advised_while_paused(PAUSING, history, pause, 600) == []


def test_pause_is_not_ended_by_an_abort_that_is_not_allowed():
    requirements = dataclasses.replace(PAUSING, may=frozenset({SteeringAction.PAUSE}))
    history, pause = pausing(requirements)
    assert advised_while_paused(requirements, history, pause, 600) == []


def test_pause_is_not_ended_by_stale_samples():
    history, pause = pausing()
    assert advised_while_paused(PAUSING, history, pause, 600, sampled_at=pause.at) == []
