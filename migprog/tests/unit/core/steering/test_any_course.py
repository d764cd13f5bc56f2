# SPDX-License-Identifier: Apache-2.0
"""What steering never does, whatever a migration, other parties and libvirt's answers are like."""

import dataclasses
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from migprog.core.forecast.estimate import Estimate
from migprog.core.forecast.verdict import Verdict
from migprog.core.status import Phase
from migprog.core.steering.advice import CARRIED_OUT, Advice, AdviceReason, State, SteeringAction
from migprog.core.steering.history import History, mode_changed, settle
from migprog.core.steering.requirements import POLICIES
from migprog.core.steering.situation import Capabilities
from migprog.tests.unit.core.steering.situations import ALL, MIB, RATE, decide, situation

by_chance = settings(max_examples=20, deadline=None)
SWITCHOVER = Phase.SWITCHOVER
QUIET = (Phase.SETUP, SWITCHOVER, Phase.POST_COPY, Phase.POST_COPY_PAUSED, Phase.DONE)

POLICY = st.builds(
    dataclasses.replace,
    st.sampled_from(list(POLICIES.values())),
    may=st.sets(st.sampled_from(sorted(ALL))).map(frozenset),
    patience_seconds=st.sampled_from([2.0, 20.0, 120.0]),
    longest_downtime_seconds=st.sampled_from([0.05, 0.3, 2.0, 2000.0]),
    deadline_seconds=st.sampled_from([None, 10.0, 60.0, 300.0, 3e7]),
    hopeless_factor=st.sampled_from([1.0, 2.0, 100.0]),
    longest_pause_seconds=st.sampled_from([0.0, 10.0, 1000.0]),
    max_bandwidth_bytes_per_second=st.sampled_from([None, MIB, 3 * RATE, 2**50]),
)
BYTES = st.sampled_from([0, 1, MIB, 30 * MIB, 80 * MIB, 80 * MIB, 300 * MIB, 2**50])
SECONDS = st.sampled_from([0.0, 0.001, 5.0, 50.0, 500.0, 9e7])
FORECAST = st.one_of(
    st.just(Estimate()),
    st.tuples(SECONDS, SECONDS, SECONDS)
    .map(sorted)
    .map(lambda each: Estimate(each[1], each[0], each[2])),
)
MOSTLY = [Phase.MEMORY_ITERATIONS] * 12
# What the migration, other parties and libvirt do until the next sample.
STEP = st.fixed_dictionaries(
    {
        "seconds": st.sampled_from([0.1, 0.5, 0.5, 2.0, 5.0, 40.0]),
        "begins": st.booleans(),
        "left": BYTES,
        "phase": st.sampled_from([*MOSTLY, *Phase]),
        "verdict": st.sampled_from([Verdict.NOT_CONVERGING] * 6 + list(Verdict)),
        "forecast": FORECAST,
        "rate": st.sampled_from([None, 0.0, 1e-9, RATE, RATE, RATE, RATE, 1e12]),
        "wire": st.sampled_from([None, RATE, RATE, RATE, RATE / 4]),
        "remaining": st.one_of(st.none(), BYTES),
        "age": st.sampled_from([0.0, 0.0, 0.0, 0.0, 5.0]),
        "paused": st.sampled_from([False] * 9 + [True]),
        "devices": st.sampled_from([False] * 4 + [True]),
        "can_slow": st.sampled_from([False] * 9 + [True]),
        "known": st.sampled_from([True] * 9 + [False]),
        "others_limit": st.sampled_from([None] * 6 + [0.0, 0.0004, 0.3, 1.0, 3000.0]),
        "cap": st.sampled_from([None, 0, RATE, RATE]),
        "needs_bandwidth": st.sampled_from([None, 0, 2 * RATE, 2**60]),
        "answer": st.sampled_from([State.DONE, State.DONE, State.FAILED, None]),
        "post_copy": st.sampled_from([None, True, False]),
    }
)


@dataclasses.dataclass
class Decision:
    now: object
    advice: Advice
    before: History


def precopy(policy, steps):
    """Yield each decision with the situation and the history that it was made in."""
    history, at, iteration, limit = History(), 0.0, 1, 0.3
    starts: tuple[tuple[float, int], ...] = ()
    for step in steps:
        at += step["seconds"]
        if step["begins"]:
            iteration, starts = iteration + 1, (*starts, (at, step["left"]))[-10:]
        limit = limit if step["others_limit"] is None else step["others_limit"]
        now = situation(
            at,
            sampled_at=at - step["age"],
            phase=step["phase"],
            verdict=step["verdict"],
            downtime_limit_seconds=limit if step["known"] else 0.3,
            downtime_limit_is_known=step["known"],
            forecast=step["forecast"],
            forecast_with=lambda _limit, step=step: step["forecast"],
            iteration=iteration,
            starts=starts,
            bytes_per_second=step["rate"],
            wire_bytes_per_second=step["wire"],
            remaining_bytes=step["remaining"],
            guest_is_paused=step["paused"],
            has_host_devices=step["devices"],
            can_slow_further=step["can_slow"],
            bandwidth_needed_bytes_per_second=step["needs_bandwidth"],
            capabilities=Capabilities(
                post_copy=step["post_copy"], bandwidth_cap_bytes_per_second=step["cap"]
            ),
        )
        before = history
        history, found = decide(policy, now, history)
        assert len(history.advice) <= 20
        assert len(history.rates) <= 60
        if not isinstance(found, Advice):
            continue
        yield Decision(now, found, before)
        if step["answer"] is not None:
            history = settle(history, step["answer"])
        new = found.sets_downtime_limit_seconds
        if step["answer"] is State.DONE and new is not None:
            limit = new


COURSE = {"policy": POLICY, "steps": st.lists(STEP, min_size=30, max_size=80)}


def is_failed_abort(advice):
    return advice.action is SteeringAction.ABORT and advice.state is State.FAILED


def is_end_of_pause(decision):
    """Whether it ends a pause by steering that lasts too long."""
    made = [each for each in decision.before.made if not is_failed_abort(each)]
    is_pause = bool(made) and (made[-1].action, made[-1].state) == (
        SteeringAction.PAUSE,
        State.DONE,
    )
    return (
        is_pause and decision.advice.action is SteeringAction.ABORT and decision.now.guest_is_paused
    )


def ms(seconds):
    return round(seconds * 1000)


@by_chance
@given(**COURSE)
def test_each_decision_is_allowed_and_possible(policy, steps):
    for each in precopy(policy, steps):
        now, advice, action, figures = (
            each.now,
            each.advice,
            each.advice.action,
            each.advice.figures,
        )
        assert action in policy.may or action is SteeringAction.STOP_ASSERTING
        assert now.phase not in QUIET or (is_end_of_pause(each) and now.phase is SWITCHOVER)
        assert now.phase is not Phase.DISK_COPY or action is SteeringAction.RAISE_BANDWIDTH
        assert now.at - now.sampled_at <= 3.0
        assert all(math.isfinite(each) for each in (*figures.values(), advice.works_by))
        assert advice.works_by > advice.at
        assert "None" not in advice.message and "nan" not in advice.message
        if action is SteeringAction.RAISE_DOWNTIME:
            new = advice.sets_downtime_limit_seconds
            assert new <= policy.longest_downtime_seconds
            assert ms(new) > ms(now.downtime_limit_seconds)
        if action is SteeringAction.RAISE_BANDWIDTH:
            new = figures["bandwidth_bytes_per_second"]
            assert now.capabilities.bandwidth_cap_bytes_per_second < new
            assert math.ceil(new / MIB) * MIB <= policy.max_bandwidth_bytes_per_second
        if action in (SteeringAction.POST_COPY, SteeringAction.PAUSE):
            assert not now.has_host_devices
            assert now.rest_seconds is not None
        if action is SteeringAction.PAUSE:
            assert now.rest_seconds <= policy.longest_pause_seconds


@by_chance
@given(**COURSE)
def test_only_another_follows_an_abort_that_failed_and_nothing_is_done_twice(policy, steps):
    made, carried_out = [], []
    for each in precopy(policy, steps):
        advice = each.advice
        aborts = [a for a in each.before.made if a.action is SteeringAction.ABORT]
        assert len(aborts) < 3 and all(map(is_failed_abort, aborts))
        assert not aborts or advice.action is SteeringAction.ABORT
        is_once = advice.action in (
            SteeringAction.POST_COPY,
            SteeringAction.PAUSE,
            SteeringAction.STOP_ASSERTING,
        )
        assert not (is_once and advice.action in made)
        made.append(advice.action)
        carried_out = [a for a in each.before.made if a.state in CARRIED_OUT]
        set_by_us = [a for a in carried_out if a.action is SteeringAction.RAISE_DOWNTIME]
        asserted = [a for a in set_by_us if a.reason is AdviceReason.LIMIT_LOWERED]
        assert len(set_by_us) - len(asserted) <= 3
        assert len(asserted) <= 3
        if (
            set_by_us
            and advice.action is SteeringAction.RAISE_DOWNTIME
            and each.now.known_limit_seconds
        ):
            # The same limit again only where another party has undone it.
            new = advice.sets_downtime_limit_seconds
            in_force = each.now.downtime_limit_seconds
            assert all(
                ms(new) > ms(a.sets_downtime_limit_seconds)
                or in_force < a.sets_downtime_limit_seconds
                for a in set_by_us
            )


@by_chance
@given(**COURSE)
def test_nothing_else_is_done_while_the_last_may_yet_work(policy, steps):
    for each in precopy(policy, steps):
        latest, advice = each.before.latest, each.advice
        if latest is None or advice.at >= latest.works_by:
            continue
        # Only a limit that is not in force any more.
        assert advice.reason in (AdviceReason.LIMIT_LOWERED, AdviceReason.LOWERED_REPEATEDLY)
        assert latest.state is State.DONE
        assert each.now.downtime_limit_seconds < latest.sets_downtime_limit_seconds


@by_chance
@given(**COURSE)
def test_converging_migration_is_aborted_only_if_it_misses_its_deadline_by_the_factor(
    policy, steps
):
    for each in precopy(policy, steps):
        now, advice = each.now, each.advice
        if advice.action is not SteeringAction.ABORT or now.verdict is not Verdict.CONVERGING:
            continue
        if is_end_of_pause(each):
            continue
        assert advice.reason is AdviceReason.DEADLINE_UNREACHABLE
        deadline = policy.deadline_after_seconds(now.size_bytes)
        low = now.forecast.eta_low_seconds
        assert now.elapsed_seconds + low > policy.hopeless_factor * deadline
        assert low > now.elapsed_seconds


@by_chance
@given(**COURSE)
def test_nothing_is_aborted_that_an_allowed_limit_would_end_which_was_not_in_force(policy, steps):
    for each in precopy(policy, steps):
        now, advice = each.now, each.advice
        needed = advice.figures.get("downtime_needed_seconds")
        if advice.reason is not AdviceReason.HOPELESS or needed is None:
            continue
        if (
            SteeringAction.RAISE_DOWNTIME not in policy.may
            or needed > policy.longest_downtime_seconds
        ):
            continue
        tried = [
            a
            for a in each.before.made
            if a.action is SteeringAction.RAISE_DOWNTIME and a.state in CARRIED_OUT
        ]
        is_in_force = ms(now.downtime_limit_seconds) >= ms(policy.longest_downtime_seconds) / 1.15
        assert is_in_force or tried
        if tried and now.downtime_limit_is_known:
            assert now.downtime_limit_seconds * 1.05 >= tried[-1].sets_downtime_limit_seconds


@by_chance
@given(policy=POLICY, steps=COURSE["steps"], other=COURSE["steps"])
def test_another_mode_decides_again_and_asserts_nothing(policy, steps, other):
    history = History()
    for each in precopy(policy, steps):
        history = each.before
    for acts in (True, False):
        changed = mode_changed(history, acts)
        assert changed.downtime_limit_seconds is None
        assert [a.state for a in changed.advice] == [a.state for a in history.advice]
        if acts:
            assert all(a.state is not State.ADVISED for a in changed.made)
