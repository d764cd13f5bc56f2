# SPDX-License-Identifier: Apache-2.0
"""The plan of a drain, and its migrations under a shared rate."""

import itertools
import math
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migprog.core.drain_order import ServerToMove
from migprog.core.drain_plan import plan_drain, renew
from migprog.core.drain_simulation import Step, end_seconds, simulate
from migprog.core.forecast.before import Basis, Before
from migprog.core.forecast.dirty_curve import MIB, DirtyCurve
from migprog.core.forecast.migration_to_come import MigrationToCome, run_through
from migprog.core.learned import Rate

GIB = 2**30
RATE = Rate(1000.0 * MIB, 0.05, 5, "pair", 0.0)
BASIS = Basis(0.0, (), "pair", 5, 0.0)


def expected(gib=8.0, dirties_mib=1.0, knee=math.inf, **facts):
    known = {
        "memory_bytes": gib * GIB,
        "disk_bytes": 0.0,
        "scan_seconds": 0.0,
        "curve": DirtyCurve(dirties_mib * MIB, knee),
        "downtime_limit_seconds": 0.5,
        "overhead_seconds": 2.0,
    }
    return MigrationToCome(**(known | facts))


def candidate(name, gib=8.0, dirties_mib=1.0, converges=None, **facts):
    precopy = expected(gib, dirties_mib, **facts)
    seconds = run_through(precopy, RATE.bytes_per_second).seconds
    if converges is None:
        converges = "no" if seconds is None else "yes"
    total = None if seconds is None else seconds + precopy.overhead_seconds
    before = Before(
        total_seconds=total,
        low_seconds=total and 0.9 * total,
        high_seconds=1.1 * total if converges == "yes" else None,
        converges=converges,
        downtime_needed_seconds=None if converges == "yes" else 7.0,
        bandwidth_needed_bytes_per_second=None,
        helps=() if converges == "yes" else ("post-copy",),
        message="said",
        basis=BASIS,
        migration=precopy,
    )
    return ServerToMove(name, round(gib * GIB), before)


def alone(precopy, rate=RATE.bytes_per_second):
    (span,) = simulate([Step("a", precopy, 1)], rate)
    return span.ends_seconds


@pytest.mark.parametrize("dirties_mib", [0.1, 100, 400, 800])
def test_simulation_of_one_takes_as_long_as_its_forecast(dirties_mib):
    precopy = expected(dirties_mib=dirties_mib, disk_bytes=5.0 * GIB, scan_seconds=1.0)
    said = run_through(precopy, RATE.bytes_per_second).seconds + precopy.overhead_seconds
    assert alone(precopy) == pytest.approx(said, rel=0.1)


def test_two_at_once_take_as_long_as_both_in_turn_but_share_their_overhead():
    precopy = expected(dirties_mib=0.1)
    both = end_seconds(simulate([Step("a", precopy, 2), Step("b", precopy, 2)], 1000.0 * MIB))
    assert alone(precopy) < both < 2 * alone(precopy)


def test_guest_that_converges_alone_does_not_beside_another_until_that_ends():
    busy, large = expected(4, 700), expected(100)
    spans = simulate([Step("busy", busy, 2), Step("large", large, 2)], 1000.0 * MIB)
    assert alone(busy) < 20
    assert spans[0].ends_seconds > spans[1].ends_seconds


def test_two_that_do_not_converge_beside_each_other_never_end():
    steps = [Step(name, expected(4, 700), 2) for name in "ab"]
    assert math.isinf(end_seconds(simulate(steps, 1000.0 * MIB)))


def test_each_has_its_own_rate_where_the_network_has_enough():
    steps = [Step(name, expected(4, 700), 2) for name in "ab"]
    spans = simulate(steps, 1000.0 * MIB, network_bytes_per_second=2000.0 * MIB)
    assert end_seconds(spans) == pytest.approx(alone(expected(4, 700)))


def test_migration_waits_for_those_before_it():
    steps = [Step(name, expected(), 1) for name in "abc"]
    spans = simulate(steps, 1000.0 * MIB)
    for before, after in itertools.pairwise(spans):
        assert after.starts_seconds == pytest.approx(before.ends_seconds)


def test_one_under_way_takes_what_is_left_of_it():
    spans = simulate([Step("a", None, 5, 30.0), Step("b", expected(), 1)], 1000.0 * MIB)
    assert spans[0].ends_seconds == pytest.approx(30.0)
    assert spans[1].starts_seconds == pytest.approx(30.0)


def test_plan_moves_busy_servers_alone_and_quiet_ones_beside_each_other():
    servers = [candidate(f"busy-{n}", 8, 600) for n in range(2)]
    servers += [candidate(f"quiet-{n}", 2) for n in range(6)]
    plan = plan_drain(servers, RATE)
    beside = {move.server_uuid: move.beside for move in plan.moves}
    assert {beside["busy-0"], beside["busy-1"]} == {1}
    assert max(beside.values()) > 1
    assert plan.usual_end_seconds is None or plan.gain > 0.2


def test_plan_is_never_worse_than_two_at_once():
    servers = [candidate(f"s{n}", 2 + n, 60 * n) for n in range(8)]
    plan = plan_drain(servers, RATE)
    assert plan.usual_end_seconds is None or plan.end_seconds <= plan.usual_end_seconds * 1.01


def test_server_that_does_not_converge_stays_with_what_helps():
    plan = plan_drain([candidate("a"), candidate("stuck", 8, 5000)], RATE)
    assert [move.server_uuid for move in plan.moves] == ["a"]
    (stay,) = plan.stays
    assert (stay.server_uuid, stay.helps, stay.downtime_needed_seconds) == (
        "stuck",
        ("post-copy",),
        7.0,
    )


def test_server_without_a_forecast_moves_last_and_alone():
    servers = [candidate("unsure", 8, 900, converges="unknown"), candidate("a"), candidate("b")]
    plan = plan_drain(servers, RATE)
    assert (plan.moves[-1].server_uuid, plan.moves[-1].beside) == ("unsure", 1)
    assert plan.moves[-1].helps == ("post-copy",)
    assert plan.high_end_seconds is None


def test_range_of_the_end_is_around_it_and_wider_with_the_rate():
    servers = [candidate(f"s{n}") for n in range(4)]
    plan = plan_drain(servers, RATE)
    unsure = plan_drain(servers, replace(RATE, spread=0.5))
    assert plan.low_end_seconds < plan.end_seconds < plan.high_end_seconds
    assert unsure.high_end_seconds > 1.2 * plan.high_end_seconds


@pytest.mark.parametrize(("deadline", "said"), [(1000, "yes"), (34, "unknown"), (5, "no")])
def test_deadline_is_met_missed_or_unknown(deadline, said):
    servers = [candidate(f"s{n}") for n in range(4)]
    assert plan_drain(servers, RATE, deadline_seconds=deadline).in_time == said


def test_at_once_is_a_limit():
    plan = plan_drain([candidate(f"s{n}", 1) for n in range(6)], RATE, at_once=1)
    assert {move.beside for move in plan.moves} == {1}


def test_host_without_servers_is_empty_at_once():
    plan = plan_drain([], RATE)
    assert (plan.moves, plan.end_seconds, plan.high_end_seconds, plan.gain) == ((), 0.0, 0.0, None)


def test_too_many_servers_are_refused():
    with pytest.raises(ValueError, match="must be at most 500, not 501"):
        plan_drain([candidate(str(n)) for n in range(501)], RATE)


def test_five_hundred_servers_are_planned_with_bounded_effort():
    servers = [candidate(f"s{n}", 1 + n % 30, 15 * (n % 40)) for n in range(500)]
    before = time.process_time()
    plan = plan_drain(servers, RATE)
    assert len(plan.moves) + len(plan.stays) == 500
    # Some seconds; without a limit of the effort it would be hours.
    assert time.process_time() - before < 60


def renewed(plan, servers, begun, done=None, running=None, **more):
    return renew(
        plan, servers, RATE, begun_seconds=begun, done=done or {}, running=running or {}, **more
    )


def test_plan_that_is_kept_is_neither_late_nor_early():
    servers = [candidate(f"s{n}") for n in range(4)]
    plan = plan_drain(servers, RATE, at_once=1)
    first, second = plan.moves[:2]
    now = first.ends_seconds + 2.0
    found = renewed(
        plan,
        servers,
        now,
        done={first.server_uuid: first.ends_seconds},
        running={second.server_uuid: second.ends_seconds - now},
    )
    assert found.late_seconds == pytest.approx(0.0, abs=0.5)


def test_plan_is_late_by_what_a_migration_takes_longer():
    servers = [candidate(f"s{n}") for n in range(4)]
    plan = plan_drain(servers, RATE, at_once=1)
    first = plan.moves[0]
    found = renewed(plan, servers, 5.0, running={first.server_uuid: first.ends_seconds - 5.0 + 30})
    assert found.late_seconds == pytest.approx(30.0, abs=0.5)
    assert found.plan.moves[0].server_uuid == first.server_uuid


def test_plan_is_early_when_a_server_has_left_by_itself():
    servers = [candidate(f"s{n}") for n in range(4)]
    plan = plan_drain(servers, RATE, at_once=1)
    gone = plan.moves[2].server_uuid
    found = renewed(plan, servers, 0.0, done={gone: 0.0})
    assert found.late_seconds == pytest.approx(-alone(expected()), abs=0.5)
    assert gone not in [move.server_uuid for move in found.plan.moves]


def test_drain_that_is_over_ends_when_the_last_left():
    servers = [candidate("a")]
    plan = plan_drain(servers, RATE)
    found = renewed(plan, servers, 60.0, done={"a": 12.0})
    assert found.plan.end_seconds == 12.0
    assert found.late_seconds == pytest.approx(12.0 - plan.end_seconds)


loads = st.lists(
    st.tuples(st.floats(0.2, 64.0), st.floats(0.1, 1500.0), st.sampled_from([0.1, 5.0, math.inf])),
    max_size=7,
)


@settings(max_examples=40, deadline=None)
@given(loads, st.integers(1, 4))
def test_any_servers_give_a_plan_with_each_of_them_once(servers, at_once):
    candidates = [
        candidate(f"s{n}", gib, dirties, knee=knee)
        for n, (gib, dirties, knee) in enumerate(servers)
    ]
    plan = plan_drain(candidates, RATE, at_once=at_once)
    names = [move.server_uuid for move in plan.moves] + [stay.server_uuid for stay in plan.stays]
    assert sorted(names) == sorted(each.server_uuid for each in candidates)
    assert math.isfinite(plan.end_seconds)
    assert plan.low_end_seconds <= plan.end_seconds
    assert plan == plan_drain(candidates, RATE, at_once=at_once)
    for move in plan.moves:
        others = [
            each
            for each in plan.moves
            if each is not move
            and each.starts_seconds < move.ends_seconds - 1e-3
            and move.starts_seconds < each.ends_seconds - 1e-3
        ]
        assert sum(each.starts_seconds <= move.starts_seconds for each in others) < move.beside


def test_one_that_may_not_converge_leaves_the_end_open_and_not_unknown():
    stuck = candidate("unsure", 8, 2000, converges="unknown")
    unsure = replace(stuck, before=replace(stuck.before, total_seconds=40.0, low_seconds=30.0))
    fine = [candidate("a"), candidate("b", 16)]
    without, plan = plan_drain(fine, RATE), plan_drain([*fine, unsure], RATE)
    assert plan.moves[-1].server_uuid == "unsure"
    assert plan.end_seconds == pytest.approx(without.end_seconds + 40)
    assert plan.usual_end_seconds == pytest.approx(without.usual_end_seconds + 40)
    assert 30 < plan.low_end_seconds < plan.end_seconds
    assert plan.high_end_seconds is None
    renewed = renew(
        plan, [*fine, unsure], RATE, begun_seconds=5.0, done={"a": 5.0}, running={"b": 10.0}
    )
    assert renewed.plan.end_seconds == pytest.approx(55)
    assert [(move.server_uuid, move.beside) for move in renewed.plan.moves] == [
        ("b", plan.at_once),
        ("unsure", 1),
    ]


def test_range_of_what_is_left_does_not_vanish_when_it_is_late():
    servers = [candidate("a"), candidate("b")]
    plan = plan_drain(servers, RATE)
    late = renew(plan, servers, RATE, begun_seconds=900.0, done={"a": 9.0}, running={"b": 300.0})
    assert late.plan.low_end_seconds < late.plan.end_seconds - 5
    assert late.plan.high_end_seconds > late.plan.end_seconds + 5
