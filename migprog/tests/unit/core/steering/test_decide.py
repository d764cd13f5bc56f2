# SPDX-License-Identifier: Apache-2.0
import itertools
import math

import pytest

from migprog.core.forecast.estimate import Estimate
from migprog.core.forecast.verdict import Verdict
from migprog.core.status import Phase, Status
from migprog.core.steering.advice import Advice, AdviceReason, State, SteeringAction
from migprog.core.steering.hindsight import End, Score, look_back
from migprog.core.steering.history import History
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
    situation,
)

QEMU_10_0, QEMU_10_1 = 10_000_000, 10_001_000


def actions(advised):
    return [each.action for each in advised]


def test_a_migration_whose_range_ends_in_time_is_left_alone():
    now = situation(100.0, forecast=Estimate(60.0, 40.0, 190.0))
    history, found = decide(needs(deadline_seconds=300.0), now, History())
    assert found is None and not history.advice


def test_a_plateau_gets_the_least_limit_that_suffices_within_its_patience():
    _, (advice,) = plateau(NEEDS, until=200)
    assert (
        advice.action is SteeringAction.RAISE_DOWNTIME
        and advice.reason is AdviceReason.NOT_CONVERGING
    )
    # 80 MiB at 100 MiB/s, and a margin.
    assert advice.figures["downtime_needed_seconds"] == pytest.approx(0.8)
    assert advice.figures["downtime_limit_seconds"] == pytest.approx(1.0)
    assert advice.at <= 5 + NEEDS.patience_seconds
    assert advice.works_by > advice.at
    assert "80 MiB per iteration" in advice.message and "(now 300 ms)" in advice.message


def test_a_plateau_is_given_a_chance_before_its_patience_ends():
    _, advised = plateau(NEEDS, until=40)
    assert advised == []


def test_a_plateau_that_needs_a_little_too_much_gets_the_longest_limit_and_is_then_given_up():
    requirements = needs(may=frozenset({SteeringAction.RAISE_DOWNTIME, SteeringAction.ABORT}))
    _, advised = plateau(requirements, until=400, done=State.DONE, remaining_mib=300)
    first, second = advised
    assert first.action is SteeringAction.RAISE_DOWNTIME
    assert first.sets_downtime_limit_seconds == requirements.longest_downtime_seconds
    assert second.action is SteeringAction.ABORT and second.at >= first.works_by


def test_a_limit_that_does_not_suffice_is_not_tried_where_something_else_does():
    _, advised = plateau(NEEDS, until=400, remaining_mib=300)
    assert actions(advised) == [SteeringAction.POST_COPY]


def test_advice_that_is_not_followed_is_given_once_and_nothing_larger():
    _, advised = plateau(NEEDS, until=1000)
    assert actions(advised) == [SteeringAction.RAISE_DOWNTIME]


def test_raise_that_fails_is_tried_three_times_and_nothing_larger_follows():
    _, advised = plateau(NEEDS, until=1000, done=State.FAILED)
    assert actions(advised) == 3 * [SteeringAction.RAISE_DOWNTIME]
    for before, after in itertools.pairwise(advised):
        assert after.at >= before.works_by


def test_post_copy_that_libvirt_refuses_is_not_repeated_but_an_abort_is():
    requirements = needs(may=ALL - {SteeringAction.RAISE_DOWNTIME})
    _, advised = plateau(requirements, until=1000, done=State.FAILED)
    assert actions(advised) == [
        SteeringAction.POST_COPY,
        SteeringAction.PAUSE,
        *3 * [SteeringAction.ABORT],
    ]
    for before, after in itertools.pairwise(advised):
        assert after.at >= before.works_by


def test_abort_that_is_done_is_not_repeated_whatever_failed_before():
    requirements = needs(may=frozenset({SteeringAction.ABORT}))
    history, advised = plateau(requirements, until=400, done=State.FAILED)
    assert len(advised) == 3
    history = history._replace(advice=history.advice[:1])
    _, advised = plateau(requirements, until=1000, done=State.DONE, history=history)
    assert actions(advised) == [SteeringAction.ABORT]


def test_limit_above_the_need_is_raised_to_the_longest_by_a_small_step():
    _, advised = plateau(
        needs(may=frozenset({SteeringAction.RAISE_DOWNTIME, SteeringAction.ABORT})),
        until=600,
        done=State.DONE,
        remaining_mib=195,
        downtime_limit_seconds=1.8,
    )
    assert advised[0].sets_downtime_limit_seconds == 2.0
    assert "2.0 s, which should have sufficed" in advised[-1].message


def ends_in(at, low, eta, high):
    forecast = Estimate(eta, low, high)
    return situation(at, forecast=forecast, forecast_with=lambda limit: forecast)


@pytest.mark.parametrize("deadline", [110.0, 99.0, 60.0])
def test_converging_migration_is_not_aborted_shortly_before_its_end(deadline):
    requirements = needs(deadline_seconds=deadline, may=frozenset({SteeringAction.ABORT}))
    history = History()
    for number in range(20):
        now = ends_in(100.0 + number, 20.0, 22.0, 25.0)._replace(iteration=number)
        history, found = decide(requirements, now, history)
        assert not isinstance(found, Advice)


def test_converging_migration_that_misses_its_deadline_by_far_is_aborted():
    requirements = needs(deadline_seconds=120.0, may=frozenset({SteeringAction.ABORT}))
    history, advised = History(), []
    for number in range(4):
        now = ends_in(60.0 + number, 400.0, 420.0, 450.0)._replace(iteration=number)
        history, found = decide(requirements, now, history)
        advised += [found] if isinstance(found, Advice) else []
    assert [(each.action, each.reason) for each in advised] == [
        (SteeringAction.ABORT, AdviceReason.DEADLINE_UNREACHABLE)
    ]


@pytest.mark.parametrize("allowed", [200_000_000, 200 * MIB, 150 * MIB + 1])
def test_cap_in_whole_mib_is_never_above_what_is_allowed(allowed):
    _, (advice, *_) = plateau(
        needs(
            may=frozenset({SteeringAction.RAISE_BANDWIDTH}), max_bandwidth_bytes_per_second=allowed
        ),
        until=400,
        capabilities=Capabilities(bandwidth_cap_bytes_per_second=RATE),
        bandwidth_needed_bytes_per_second=allowed - 1,
    )
    mib = math.ceil(advice.figures["bandwidth_bytes_per_second"] / MIB)
    assert allowed - MIB < mib * MIB <= allowed


def test_passed_deadline_does_not_shorten_the_patience_before_an_abort():
    requirements = needs(
        deadline_seconds=10.0, patience_seconds=120.0, may=frozenset({SteeringAction.ABORT})
    )
    _, (advice,) = plateau(requirements, until=400, remaining_mib=1000)
    assert advice.at >= 100


def test_actions_follow_where_each_before_did_not_help():
    _, advised = plateau(NEEDS, until=1000, done=State.FOLLOWED)
    assert actions(advised) == [
        *(3 * [SteeringAction.RAISE_DOWNTIME]),
        SteeringAction.POST_COPY,
        SteeringAction.PAUSE,
        SteeringAction.ABORT,
    ]


def test_actions_come_from_the_least_to_the_most_intrusive():
    capabilities = Capabilities(bandwidth_cap_bytes_per_second=RATE)
    values = {
        "capabilities": capabilities,
        "bandwidth_needed_bytes_per_second": 150 * MIB,
    }
    requirements = needs(max_bandwidth_bytes_per_second=400 * MIB)
    _, advised = plateau(requirements, until=2000, done=State.FOLLOWED, **values)
    assert actions(advised) == [
        *(3 * [SteeringAction.RAISE_DOWNTIME]),
        SteeringAction.RAISE_BANDWIDTH,
        SteeringAction.POST_COPY,
        SteeringAction.PAUSE,
        SteeringAction.ABORT,
    ]
    assert advised[3].figures["bandwidth_bytes_per_second"] == pytest.approx(1.25 * 150 * MIB)


@pytest.mark.parametrize("forbidden", sorted(ALL))
def test_an_action_that_is_not_allowed_is_never_taken(forbidden):
    _, advised = plateau(needs(may=ALL - {forbidden}), until=2000, done=State.FAILED)
    assert forbidden not in actions(advised) and advised


def test_nothing_is_allowed_nothing_is_advised():
    _, advised = plateau(needs(may=frozenset()), until=2000)
    assert advised == []


def test_a_hopeless_migration_is_given_up_within_its_patience():
    requirements = needs(
        may=frozenset({SteeringAction.RAISE_DOWNTIME, SteeringAction.ABORT}), patience_seconds=60
    )
    _, (advice,) = plateau(requirements, until=400, remaining_mib=1000)
    assert advice.action is SteeringAction.ABORT and advice.reason is AdviceReason.HOPELESS
    assert advice.at <= 5 + 60
    assert "10 s" in advice.message and "2.0 s" in advice.message


def test_a_migration_that_is_not_hopeless_by_the_factor_is_not_aborted_at_once():
    requirements = needs(may=frozenset({SteeringAction.RAISE_DOWNTIME, SteeringAction.ABORT}))
    _, advised = plateau(requirements, until=400, remaining_mib=390)
    assert actions(advised)[0] is SteeringAction.RAISE_DOWNTIME


def test_nothing_is_aborted_while_auto_converge_can_slow_the_guest_further():
    requirements = needs(may=frozenset({SteeringAction.ABORT}))
    _, advised = plateau(requirements, until=1000, remaining_mib=1000, can_slow_further=True)
    assert advised == []


def test_long_iterations_are_enough_of_them_before_an_abort():
    """Two iterations of a large server may take longer than the patience."""
    requirements = needs(may=frozenset({SteeringAction.ABORT}))
    three = level(1000.0, remaining_mib=9000, seconds=90.0, count=3)
    _, found = decide(requirements, three, History())
    assert found is None
    six = level(1270.0, remaining_mib=9000, seconds=90.0, count=6)
    _, found = decide(requirements, six, History())
    assert isinstance(found, Advice) and found.action is SteeringAction.ABORT


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"phase": Phase.SETUP}, Hold.NOTHING_COPIED),
        ({"phase": Phase.SWITCHOVER}, Hold.SERVER_LEAVES),
        ({"phase": Phase.POST_COPY}, Hold.SERVER_LEAVES),
        ({"phase": Phase.POST_COPY_PAUSED}, Hold.SERVER_LEAVES),
        ({"phase": Phase.DONE}, Hold.SERVER_LEAVES),
        ({"guest_is_paused": True}, Hold.GUEST_PAUSED),
        ({"sampled_at": 195.0}, Hold.SAMPLE_TOO_OLD),
        ({"watched_since": 193.0}, Hold.WATCHED_TOO_BRIEFLY),
        ({"verdict": Verdict.STALLED}, Hold.NO_DATA_MOVES),
    ],
)
def test_nothing_is_done_when_it_must_not_be(values, why):
    history, _ = plateau(needs(patience_seconds=400), until=195)
    history = history._replace(level_since=5.0)
    now = level(200.0)
    assert isinstance(decide(NEEDS, now, history)[1], Advice)
    assert decide(NEEDS, now._replace(**values), history)[1] is why


def test_a_migration_found_at_its_start_needs_no_time_to_be_known():
    now = level(8.0, seconds=1.0, started_at=0.0, watched_since=0.5)
    requirements = needs(patience_seconds=5.0)
    assert isinstance(decide(requirements, now, History())[1], Advice)


def test_nothing_is_done_while_the_rate_changes():
    history, _ = plateau(needs(patience_seconds=400), until=195)
    slower = level(198.0)._replace(wire_bytes_per_second=RATE / 2, iteration=99)
    history, found = decide(NEEDS, slower, history)
    assert found is Hold.RATE_CHANGES
    later, _ = decide(NEEDS, slower._replace(at=204.0, sampled_at=204.0), history)
    assert not later.rate_changes


def test_nothing_is_done_within_an_iteration():
    history, _ = plateau(needs(patience_seconds=400), until=195)
    now = level(200.0)
    history, found = decide(needs(patience_seconds=4000), now, history)
    assert found is None
    again = now._replace(at=200.5, sampled_at=200.5)
    assert decide(NEEDS, again, history)[1] is Hold.WITHIN_ITERATION


def test_a_better_moment_is_awaited_until_the_patience_ends():
    """Sizes swing between 50 and 150 MiB: the limit for the lower ones is set at a lower one."""
    history, sizes = History(), itertools.cycle((150, 50))
    starts, advised = [], []
    for number, mib in zip(range(1, 40), sizes, strict=False):
        starts.append((number * 5.0, mib * MIB))
        now = level(number * 5.0)._replace(starts=tuple(starts), iteration=number)
        history, found = decide(NEEDS, now, history)
        if isinstance(found, Advice):
            advised.append((mib, found))
    ((mib, advice),) = advised
    assert mib == 50 and advice.sets_downtime_limit_seconds == pytest.approx(0.625)


@pytest.mark.parametrize(
    ("values", "is_safe"),
    [
        ({}, True),
        ({"has_host_devices": True}, False),
        ({"capabilities": Capabilities(post_copy=False)}, False),
        ({"capabilities": Capabilities(multifd=True, qemu_version=QEMU_10_0)}, False),
        ({"capabilities": Capabilities(multifd=True)}, False),
        ({"capabilities": Capabilities(multifd=True, qemu_version=QEMU_10_1)}, True),
        ({"remaining_bytes": 121 * RATE}, False),
        ({"remaining_bytes": None}, False),
    ],
)
def test_post_copy_begins_only_where_it_is_safe_and_short(values, is_safe):
    requirements = needs(may=frozenset({SteeringAction.POST_COPY}), post_copy_seconds=120.0)
    _, advised = plateau(requirements, until=300, **values)
    assert actions(advised) == ([SteeringAction.POST_COPY] if is_safe else [])


def test_post_copy_does_not_begin_soon_after_a_stall():
    requirements = needs(may=frozenset({SteeringAction.POST_COPY}), patience_seconds=5)
    _, found = decide(requirements, level(100.0), History(stalled_at=60.0, level_since=70.0))
    assert found is None
    _, found = decide(requirements, level(130.0), History(stalled_at=60.0, level_since=70.0))
    assert isinstance(found, Advice)


def test_a_stall_ends_what_was_known_of_a_plateau():
    history, _ = plateau(NEEDS, until=40)
    assert history.level_since is not None
    stalled = level(45.0)._replace(verdict=Verdict.STALLED)
    history, _ = decide(NEEDS, stalled, history)
    assert history.level_since is None
    history, _ = decide(NEEDS, level(60.0), history)
    assert history.level_since is not None and history.level_since > 45.0


# Disks.


def test_disks_get_bandwidth_alone():
    capped = Capabilities(bandwidth_cap_bytes_per_second=RATE)
    requirements = needs(max_bandwidth_bytes_per_second=10 * RATE)
    now = level(500.0)._replace(phase=Phase.DISK_COPY, starts=(), capabilities=capped)
    history, found = decide(requirements, now, History())
    assert found.action is SteeringAction.RAISE_BANDWIDTH
    assert found.reason is AdviceReason.DISKS_DO_NOT_CONVERGE
    assert decide(requirements, now._replace(at=501.0, sampled_at=501.0), history)[1] is None
    assert decide(needs(), now, History())[1] is None


def test_bandwidth_for_a_deadline_says_how_long_is_left():
    """By that a completion after the deadline counts as too late, though nothing was done."""
    capped = Capabilities(bandwidth_cap_bytes_per_second=RATE)
    requirements = needs(max_bandwidth_bytes_per_second=10 * RATE, deadline_seconds=600.0)
    now = level(500.0)._replace(
        phase=Phase.DISK_COPY,
        verdict=Verdict.COPYING,
        starts=(),
        capabilities=capped,
        forecast=Estimate(400.0, 300.0, 500.0),
    )
    _, found = decide(requirements, now, History())
    assert found.action is SteeringAction.RAISE_BANDWIDTH
    end = End(Status.COMPLETED, 700.0)
    assert found.figures["left_seconds"] == 100.0
    assert [each.score for each in look_back([found.to_fields()], end)] == [Score.WARRANTED]


def test_entries_are_bounded():
    history, (advice,) = plateau(NEEDS, until=60, done=State.DONE)
    for number in range(50):
        history = history._replace(advice=(*history.advice, advice)[-20:])
        history, _ = decide(NEEDS, level(1000.0 + 5 * number), history)
    assert len(history.advice) <= 20


def test_an_advice_is_plain_values():
    _, (advice,) = plateau(NEEDS, until=60, done=State.DONE)
    fields = advice.to_fields(epoch_offset_seconds=1000.0)
    assert fields["action"] == "raise-downtime" and fields["reason"] == "not-converging"
    assert fields["at"] == 1000.0 + advice.at and fields["state"] == "advised"
    assert fields["figures"]["downtime_limit_seconds"] == 1.0
