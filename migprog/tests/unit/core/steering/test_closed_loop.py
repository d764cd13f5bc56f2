# SPDX-License-Identifier: Apache-2.0
"""Steering on guests drawn by chance, in a simulation in which its actions take effect."""

import dataclasses
import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migprog.core.steering import nova_schedule
from migprog.core.steering.advice import AdviceReason, State, SteeringAction
from migprog.core.steering.nova_schedule import NovaOptions
from migprog.core.steering.requirements import POLICIES
from migprog.core.steering.situation import Capabilities
from migprog.tests.fixtures import random_guests
from migprog.tests.fixtures.closed_loop import MIB, Simulation

HORIZON_SECONDS = 3600.0
SEEDS = st.integers(0, 2**32)
by_chance = settings(max_examples=5, deadline=None)
POLICY = pytest.mark.parametrize("name", sorted(POLICIES))


@functools.lru_cache(maxsize=64)
def untuned(guest):
    return Simulation(guest, None).run(HORIZON_SECONDS)


def steered(guest, policy, **values):
    return Simulation(guest, policy, **values).run(HORIZON_SECONDS)


def is_in_time(guest, policy):
    end = untuned(guest)
    deadline = policy.deadline_after_seconds(guest.memory_mib * MIB)
    return end.how == "completed" and (deadline is None or end.end <= deadline)


def patience_is_used(outcome, policy, advice):
    waited = advice.at - (outcome.not_converging_since or advice.at)
    return advice.reason is AdviceReason.NOT_CONVERGING and waited >= 0.6 * policy.patience_seconds


def latest_abort(guest, policy, outcome):
    """Until when a hopeless one must be given up: its patience, or enough long iterations."""
    iteration = outcome.longest_iteration_seconds
    return outcome.not_converging_since + max(policy.patience_seconds, 6 * iteration)


@POLICY
@by_chance
@given(seed=SEEDS)
def test_one_that_ends_by_itself_in_time_sees_no_action_and_others_do_not_run_on(name, seed):
    guest, policy = random_guests.steady(seed), POLICIES[name]
    outcome = steered(guest, policy)
    if is_in_time(guest, policy):
        assert outcome.how == "completed"
        # A plateau of nearly two minutes may end by chance; nobody can wait for it.
        assert all(patience_is_used(outcome, policy, each) for each in outcome.advice)
    else:
        assert outcome.how != "running" and outcome.advice
        assert not (outcome.how == "aborted" and untuned(guest).how == "completed")


@POLICY
@by_chance
@given(seed=SEEDS)
def test_bursts_shorter_than_the_patience_are_waited_for(name, seed):
    guest, policy = random_guests.bursting(seed), POLICIES[name]
    if is_in_time(guest, policy):
        assert steered(guest, policy).how == "completed"


@by_chance
@given(seed=SEEDS)
def test_gentle_completes_one_that_needs_more_downtime(seed):
    guest = random_guests.converging_only_with_more_downtime(seed)
    assert untuned(guest).how == "running"
    outcome = steered(guest, POLICIES["gentle"])
    assert outcome.how == "completed"
    assert {each.action for each in outcome.advice} == {SteeringAction.RAISE_DOWNTIME}
    assert outcome.downtime_seconds <= POLICIES["gentle"].longest_downtime_seconds
    # The smallest that suffices: not more than the working set needs, and a margin.
    needed = sum(load.working_set_mib for load in guest.loads) / guest.bandwidth_mib_per_second
    assert outcome.advice[-1].sets_downtime_limit_seconds <= 1.5 * needed


@by_chance
@given(seed=SEEDS)
def test_gentle_gives_a_hopeless_one_up_within_its_patience(seed):
    guest, policy = random_guests.hopeless(seed), POLICIES["gentle"]
    outcome = steered(guest, policy)
    assert outcome.how == "aborted"
    assert outcome.end <= latest_abort(guest, policy, outcome)
    assert outcome.advice[-1].reason is AdviceReason.HOPELESS


@by_chance
@given(seed=SEEDS)
def test_post_copy_completes_a_hopeless_one_and_does_nothing_after(seed):
    outcome = steered(random_guests.hopeless(seed), POLICIES["post-copy"])
    assert outcome.how == "completed" and outcome.was_post_copy
    assert outcome.advice[-1].action is SteeringAction.POST_COPY


@by_chance
@given(seed=SEEDS)
def test_post_copy_policy_gives_a_hopeless_one_up_where_post_copy_is_not_possible(seed):
    capabilities = Capabilities(post_copy=False)
    outcome = steered(
        random_guests.hopeless(seed), POLICIES["post-copy"], capabilities=capabilities
    )
    assert outcome.how == "aborted"


@by_chance
@given(seed=SEEDS)
def test_a_deadline_is_met_where_everything_is_allowed(seed):
    guest = random_guests.steady(seed)
    first = untuned(guest)
    deadline = first.first_iteration_ended_at + 60 + 2 * first.first_iteration_ended_at
    policy = dataclasses.replace(
        POLICIES["finish-by-deadline"], deadline_seconds=deadline, patience_seconds=30.0
    )
    outcome = steered(guest, policy)
    assert outcome.how == "completed" and outcome.end <= deadline


@by_chance
@given(seed=SEEDS)
def test_what_is_only_advised_is_advised_once(seed):
    guest = random_guests.converging_only_with_more_downtime(seed)
    outcome = steered(guest, POLICIES["gentle"], acts=False)
    assert outcome.how == "running"
    limits = [each.sets_downtime_limit_seconds for each in outcome.advice]
    assert 1 <= len(limits) <= 4 and limits == sorted(set(limits))


@by_chance
@given(seed=SEEDS)
def test_one_beside_novas_schedule_completes_and_the_record_shows_who_set_what(seed):
    """Nova's steps come every 20 s, and lower the limit that was raised."""
    guest = random_guests.converging_only_with_more_downtime(seed)
    steps = nova_schedule.downtime_steps(NovaOptions(downtime_delay=10, downtime_steps=100), 2.0)
    others = tuple((step.after_seconds, step.downtime_ms / 1000) for step in steps)
    policy = dataclasses.replace(POLICIES["gentle"], patience_seconds=60.0)
    outcome = steered(guest, policy, others_limits=others)
    assert outcome.how == "completed"
    assert outcome.end < others[-1][0]
    assert outcome.advice[0].action is SteeringAction.RAISE_DOWNTIME
    for each in outcome.advice[1:]:
        assert each.reason in (AdviceReason.LIMIT_LOWERED, AdviceReason.NOT_CONVERGING)


def test_a_bandwidth_cap_is_raised_where_that_suffices():
    guest = random_guests.hopeless(1)
    cap = round(guest.bandwidth_mib_per_second * MIB)
    policy = dataclasses.replace(
        POLICIES["gentle"],
        may=frozenset({SteeringAction.RAISE_BANDWIDTH}),
        max_bandwidth_bytes_per_second=100 * cap,
    )
    capabilities = Capabilities(bandwidth_cap_bytes_per_second=cap)
    (advice,) = steered(guest, policy, capabilities=capabilities).advice
    assert advice.action is SteeringAction.RAISE_BANDWIDTH
    assert advice.figures["bandwidth_bytes_per_second"] > cap


def test_the_record_says_what_was_done():
    guest = random_guests.converging_only_with_more_downtime(3)
    simulation = Simulation(guest, POLICIES["gentle"])
    simulation.run(HORIZON_SECONDS)
    assert [each.state for each in simulation.history.advice] == [State.DONE]
