# SPDX-License-Identifier: Apache-2.0
"""What another party has done of what steering has only advised."""

import pytest

from migprog.core.status import Phase
from migprog.core.steering.advice import State, SteeringAction
from migprog.core.steering.situation import Capabilities
from migprog.tests.unit.core.steering.situations import (
    MIB,
    NEEDS,
    RATE,
    decide,
    level,
    needs,
    plateau,
)


@pytest.mark.parametrize(
    ("action", "values", "is_followed"),
    [
        (SteeringAction.RAISE_DOWNTIME, {"downtime_limit_seconds": 0.97}, True),
        (SteeringAction.RAISE_DOWNTIME, {"downtime_limit_seconds": 0.9}, False),
        (
            SteeringAction.RAISE_DOWNTIME,
            {"downtime_limit_seconds": 2.0, "downtime_limit_is_known": False},
            False,
        ),
        (SteeringAction.RAISE_DOWNTIME, {"phase": Phase.POST_COPY}, True),
        (SteeringAction.RAISE_DOWNTIME, {"guest_is_paused": True}, True),
        (SteeringAction.POST_COPY, {"phase": Phase.POST_COPY}, True),
        (SteeringAction.POST_COPY, {"guest_is_paused": True}, False),
        (SteeringAction.POST_COPY, {"downtime_limit_seconds": 2.0}, False),
        (SteeringAction.PAUSE, {"guest_is_paused": True}, True),
        (SteeringAction.ABORT, {"phase": Phase.POST_COPY}, False),
        (SteeringAction.ABORT, {}, False),
    ],
)
def test_advice_that_another_party_has_done_or_more_is_followed(action, values, is_followed):
    size = {} if action is SteeringAction.RAISE_DOWNTIME else {"remaining_mib": 1000}
    history, (advice,) = plateau(needs(may=frozenset({action})), until=200, **size)
    history, _ = decide(NEEDS, level(advice.at + 5, **(size | values)), history)
    assert [each.state is State.FOLLOWED for each in history.advice[:1]] == [is_followed]
    # It stays so.
    history, _ = decide(NEEDS, level(advice.at + 10, **size), history)
    assert [each.state is State.FOLLOWED for each in history.advice[:1]] == [is_followed]


def test_bandwidth_that_another_party_has_raised_is_followed():
    capped = Capabilities(bandwidth_cap_bytes_per_second=RATE)
    values = {"bandwidth_needed_bytes_per_second": 150 * MIB}
    requirements = needs(
        may=frozenset({SteeringAction.RAISE_BANDWIDTH}), max_bandwidth_bytes_per_second=400 * MIB
    )
    history, (advice,) = plateau(requirements, until=100, capabilities=capped, **values)
    for cap, state in ((RATE, State.ADVISED), (2 * RATE, State.FOLLOWED)):
        now = level(advice.at + 5, capabilities=Capabilities(bandwidth_cap_bytes_per_second=cap))
        assert decide(requirements, now, history)[0].advice[0].state is state


def test_what_steering_did_or_could_not_do_is_nothing_that_another_party_did():
    requirements = needs(may=frozenset({SteeringAction.RAISE_DOWNTIME}))
    for state in (State.DONE, State.FAILED):
        history, advised = plateau(requirements, until=200, done=state)
        history, _ = decide(NEEDS, level(advised[-1].at + 5, downtime_limit_seconds=2.0), history)
        assert history.advice[0].state is state


def test_a_larger_action_is_advised_once_the_smaller_was_followed_in_vain():
    history, _ = plateau(NEEDS, until=200)
    _, (higher,) = plateau(NEEDS, until=1000, history=history, downtime_limit_seconds=1.0)
    assert higher.sets_downtime_limit_seconds == pytest.approx(1.15)
    _, (more,) = plateau(NEEDS, until=1000, history=history, downtime_limit_seconds=2.0)
    assert more.action is SteeringAction.POST_COPY
