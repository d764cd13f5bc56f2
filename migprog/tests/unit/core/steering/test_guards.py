# SPDX-License-Identifier: Apache-2.0
"""What steering does where little is known, samples are few, or figures are odd."""

import pytest

from migprog.core.status import Phase
from migprog.core.steering.advice import Advice, AdviceReason, State, SteeringAction
from migprog.core.steering.history import History, add, mode_changed, observe, settle
from migprog.core.steering.hold import Hold
from migprog.core.steering.situation import Capabilities
from migprog.tests.unit.core.steering.situations import (
    ALL,
    MIB,
    NEEDS,
    RATE,
    decide,
    level,
    needs,
    plateau,
)

# The rate.


def test_change_of_the_rate_is_seen_between_samples_that_are_seconds_apart():
    history = History()
    for number, rate in enumerate([RATE, RATE / 4, RATE]):
        at = 100.0 + 6.0 * number
        history, _ = decide(NEEDS, level(at, seconds=6.0, wire_bytes_per_second=rate), history)
        assert history.rate_changes is (number > 0)


def test_change_of_the_rate_is_over_once_the_rate_is_not_known():
    history = History()
    for at, rate in ((100.0, RATE), (101.0, 2 * RATE)):
        history = observe(history, level(at, wire_bytes_per_second=rate))
    assert history.rate_changes
    for at in (103.0, 105.0, 107.0):
        history, found = decide(NEEDS, level(at, wire_bytes_per_second=None), history)
        assert (found is Hold.RATE_CHANGES) is (at < 106.0)


def test_rates_that_are_remembered_are_few():
    history = History()
    for number in range(1000):
        history = observe(history, level(100.0 + 0.5 * number))
    assert len(history.rates) <= 12


# The limit in force.


def test_limit_that_is_not_known_is_not_given_as_known():
    _, (advice, *_) = plateau(NEEDS, until=100, downtime_limit_is_known=False)
    assert "now not known; QEMU's default is 300 ms" in advice.message
    assert "downtime_limit_before_seconds" not in advice.figures


def test_abort_says_that_the_limit_in_force_is_not_known():
    requirements = needs(may=frozenset({SteeringAction.ABORT}), patience_seconds=60.0)
    _, (advice, *_) = plateau(
        requirements, until=200, remaining_mib=25, downtime_limit_is_known=False
    )
    assert "should have sufficed" not in advice.message
    assert "the downtime limit is not known; QEMU's default is 300 ms" in advice.message


@pytest.mark.parametrize("remaining_mib", [0, 1, 80])
def test_limit_of_zero_is_raised_to_one_that_works_and_once(remaining_mib):
    _, advised = plateau(
        needs(may=frozenset({SteeringAction.RAISE_DOWNTIME}), patience_seconds=60.0),
        until=300,
        done=State.DONE,
        remaining_mib=remaining_mib,
        downtime_limit_seconds=0.0,
    )
    limits = [each.sets_downtime_limit_seconds for each in advised]
    assert limits[0] >= 0.05
    assert limits == sorted(set(limits))


@pytest.mark.parametrize("limit", [0.0, 0.0004, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("remaining_mib", [0, 1, 20, 40, 200, 300])
def test_each_raise_is_one(limit, remaining_mib):
    """libvirt takes whole milliseconds."""
    before = limit
    _, advised = plateau(
        needs(may=frozenset({SteeringAction.RAISE_DOWNTIME}), patience_seconds=60.0),
        until=400,
        done=State.DONE,
        remaining_mib=remaining_mib,
        downtime_limit_seconds=limit,
    )
    for each in advised:
        assert round(each.sets_downtime_limit_seconds * 1000) > round(before * 1000)
        before = each.sets_downtime_limit_seconds


# Disks.


def disks(at, **values):
    capped = Capabilities(bandwidth_cap_bytes_per_second=RATE)
    now = level(at)._replace(phase=Phase.DISK_COPY, starts=(), capabilities=capped)
    return now._replace(**values)


FAST = needs(max_bandwidth_bytes_per_second=10 * RATE)


def earlier(action, at, works_by, state):
    return Advice(
        action=action,
        reason=AdviceReason.HOPELESS,
        message="",
        at=at,
        works_by=works_by,
        state=state,
    )


def test_disks_get_nothing_after_an_abort():
    history = add(History(), earlier(SteeringAction.ABORT, 100.0, 110.0, State.DONE))
    assert decide(FAST, disks(500.0), history)[1] is None


def test_disks_get_nothing_while_another_action_may_yet_work():
    history = add(History(), earlier(SteeringAction.RAISE_DOWNTIME, 490.0, 510.0, State.DONE))
    assert decide(FAST, disks(500.0), history)[1] is None
    assert isinstance(decide(FAST, disks(511.0), history)[1], Advice)


def test_bandwidth_that_could_not_be_set_is_tried_three_times_for_disks():
    history, advised = History(), []
    for number in range(200):
        history, found = decide(FAST, disks(500.0 + 5.0 * number), history)
        if isinstance(found, Advice):
            advised.append(found)
            history = settle(history, State.FAILED)
    assert [each.action for each in advised] == 3 * [SteeringAction.RAISE_BANDWIDTH]


@pytest.mark.parametrize("cap", [None, 0])
def test_bandwidth_without_a_cap_is_not_set(cap):
    capabilities = Capabilities(bandwidth_cap_bytes_per_second=cap)
    assert decide(FAST, disks(500.0, capabilities=capabilities), History())[1] is None


def test_bandwidth_is_not_set_to_the_cap_in_force():
    """libvirt takes whole MiB/s."""
    capabilities = Capabilities(bandwidth_cap_bytes_per_second=3 * MIB)
    now = disks(500.0, capabilities=capabilities, wire_bytes_per_second=3.0 * MIB)
    for most, is_raised in ((3.9 * MIB, False), (4 * MIB, True)):
        allowed = needs(max_bandwidth_bytes_per_second=int(most))
        assert isinstance(decide(allowed, now, History())[1], Advice) is is_raised


# Another mode.


def test_what_was_only_advised_is_decided_again_once_steering_acts():
    requirements = needs(may=ALL - {SteeringAction.POST_COPY}, patience_seconds=60.0)
    history, (first,) = plateau(requirements, until=200)
    assert plateau(requirements, until=300, history=history)[1] == []
    history = mode_changed(history, acts=True)
    history, (again, *_) = plateau(requirements, until=300, history=history, done=State.DONE)
    assert again.action is first.action is SteeringAction.RAISE_DOWNTIME
    assert [each.state for each in history.advice][:2] == [State.ADVISED, State.DONE]


def test_limit_is_not_asserted_once_steering_only_advises():
    history, _ = plateau(NEEDS, until=60, done=State.DONE)
    history = mode_changed(history, acts=False)
    assert history.downtime_limit_seconds is None
    lowered = level(100.0, downtime_limit_seconds=0.095)
    found = decide(NEEDS, lowered, history)[1]
    assert not isinstance(found, Advice) or found.reason is not AdviceReason.LIMIT_LOWERED


# Another party that undoes what was advised.


def test_raise_that_another_party_has_undone_is_advised_again_and_no_abort():
    requirements = needs(
        may=frozenset({SteeringAction.RAISE_DOWNTIME, SteeringAction.ABORT}), patience_seconds=60.0
    )
    _, (first,) = plateau(requirements, until=200)
    now = level(first.at + 5.0, downtime_limit_seconds=1.0)
    history, _ = decide(requirements, now, add(History(), first))
    assert history.advice[0].state is State.FOLLOWED
    _, advised = plateau(requirements, until=400, history=history, downtime_limit_seconds=0.095)
    assert [each.action for each in advised] == [SteeringAction.RAISE_DOWNTIME]
    assert advised[0].sets_downtime_limit_seconds == first.sets_downtime_limit_seconds
