# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprog.core.flow_control import FlowControl
from migprog.core.schedule import Rules

QUICK, SLOW = 0.01, 2.0


def after(*answers, asked=5.0, most=30.0, apart=100.0):
    flow = FlowControl(asked, most)
    for number, took in enumerate(answers):
        now = 1000 + apart * number
        flow = flow.unanswered(now) if took is None else flow.answered(took, now)
    return flow.interval_seconds


def test_interval_is_the_configured_one_while_conductors_keep_up():
    assert after() == after(QUICK, QUICK) == 5.0


def test_slow_answers_raise_the_interval_up_to_the_heartbeat():
    assert [after(*[SLOW] * n) for n in range(5)] == [5.0, 10.0, 20.0, 30.0, 30.0]
    assert after(None, None) == 20.0


def test_one_jam_counts_once():
    assert after(SLOW, SLOW, None, apart=3.0) == 10.0
    assert after(SLOW, SLOW, apart=10.0) == 20.0


def test_quick_answers_shorten_the_interval_in_steps():
    intervals = [after(None, None, *[QUICK] * n) for n in range(8)]
    assert intervals[0] == 20.0
    rates = [5.0 / interval for interval in intervals]
    assert rates == pytest.approx([0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0, 1.0])


def test_another_interval_asked_for_is_taken_up():
    stretched = FlowControl(5.0, 30.0).answered(SLOW, 0.0)
    assert stretched.asked(2.0, 30.0).interval_seconds == 7.0
    assert stretched.asked(40.0, 30.0).interval_seconds == 40.0
    assert stretched.asked(5.0, 30.0) is stretched


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 100)), max_size=60),
    st.floats(0.5, 100),
    st.floats(0.5, 100),
    st.floats(0.1, 100),
)
def test_interval_stays_between_the_configured_one_and_the_heartbeat(answers, asked, most, apart):
    interval = after(*answers, asked=asked, most=most, apart=apart)
    assert asked - 1e-9 <= interval <= max(asked, most) + 1e-9


@pytest.mark.parametrize(
    ("asked", "slow"), [(0.1, 0.5), (1.0, 0.5), (1.5, 0.75), (2.0, 1.0), (5.0, 1.0), (60.0, 1.0)]
)
def test_slow_is_relative_to_the_interval(asked, slow):
    assert after(slow, asked=asked, most=120.0) == asked
    assert after(slow + 0.01, asked=asked, most=120.0) == 2 * asked


def test_slow_answers_stretch_the_second_between_messages_by_as_much():
    rules = Rules(report_interval_seconds=10.0, heartbeat_interval_seconds=30.0)
    flow = FlowControl(10.0, 30.0)
    assert flow.rules(rules) == rules
    stretched = flow.answered(SLOW, 0.0).rules(rules)
    assert (stretched.report_interval_seconds, stretched.step_seconds) == (20.0, 11.0)
    assert stretched.heartbeat_interval_seconds == 30.0


def test_an_interval_of_less_than_a_second_is_the_time_between_messages():
    assert FlowControl(0.2, 30.0).step_seconds == 0.2
