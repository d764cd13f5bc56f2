# SPDX-License-Identifier: Apache-2.0
"""The table of the operator's guide, for each verdict what each policy would do, against what the
code decides: the cells are derived, and compared word by word."""

import csv
import dataclasses
import pathlib

import pytest

from migprog.core.forecast.estimate import Estimate
from migprog.core.forecast.verdict import Verdict
from migprog.core.status import Phase
from migprog.core.steering.advice import Advice, State, SteeringAction
from migprog.core.steering.choices import CHOICES
from migprog.core.steering.history import History, settle
from migprog.core.steering.nova_next import foretell
from migprog.core.steering.nova_schedule import NovaOptions
from migprog.core.steering.requirements import NOVA, POLICIES
from migprog.core.steering.situation import Capabilities
from migprog.tests.unit.core.steering.situations import MIB, RATE, decide, situation

TABLE = pathlib.Path(__file__).parents[5] / "doc/source/steering-verdicts.csv"
ITERATION_SECONDS = 0.5
# Longer than any policy is patient.
UNTIL_SECONDS = 140.0
# What remains can be sent within so many seconds.
SIZES = (0.4, 0.5, 1, 2, 4, 5, 9, 10, 11, 119, 120, 121, 599, 600, 601)
IN_TIME = Estimate(5.0, 4.0, 6.0)
TOO_LATE = Estimate(1000.0, 900.0, 1100.0)
TOO_LATE_FOR_EVER = Estimate(1e6, 1e6, 1e6)
MEMORY = {"phase": Phase.MEMORY_ITERATIONS}


def whatever(verdict, *phases):
    """Situations with a verdict that differ in all else."""
    return [
        {"phase": phase, "verdict": verdict, "forecast": forecast}
        for phase in phases
        for forecast in (IN_TIME, TOO_LATE, TOO_LATE_FOR_EVER)
    ]


def too_late(phase, verdict):
    return [
        # The longest limit of a policy with a deadline ends it in time.
        {
            "phase": phase,
            "verdict": verdict,
            "forecast": TOO_LATE,
            "forecast_with": lambda limit: IN_TIME if limit > 4.99 else TOO_LATE,
        },
        {
            "phase": phase,
            "verdict": verdict,
            "forecast": TOO_LATE_FOR_EVER,
            "forecast_with": lambda _: TOO_LATE_FOR_EVER,
        },
    ]


ROWS = {
    "starting": whatever(Verdict.STARTING, Phase.SETUP),
    "copying": [
        *whatever(Verdict.COPYING, Phase.DISK_COPY, Phase.MEMORY_FIRST_ITERATION),
        *too_late(Phase.DISK_COPY, Verdict.COPYING),
    ],
    "converging, in time": [{**MEMORY, "verdict": Verdict.CONVERGING, "forecast": IN_TIME}],
    "converging, too late": too_late(Phase.MEMORY_ITERATIONS, Verdict.CONVERGING),
    "not-converging, memory": [{**MEMORY, "verdict": Verdict.NOT_CONVERGING}],
    "not-converging, disks": [{"phase": Phase.DISK_COPY, "verdict": Verdict.NOT_CONVERGING}],
    "stalled": whatever(Verdict.STALLED, Phase.DISK_COPY, Phase.MEMORY_ITERATIONS),
    "switching-over": whatever(Verdict.SWITCHING_OVER, Phase.SWITCHOVER),
    "post-copy": whatever(Verdict.POST_COPY, Phase.POST_COPY),
    "post-copy-paused": whatever(Verdict.POST_COPY_PAUSED, Phase.POST_COPY_PAUSED),
    "ended": whatever(Verdict.ENDED, Phase.DONE),
}


def course(values, rest_seconds):
    """One migration, at the start of each of its iterations."""
    size = round(rest_seconds * RATE)
    for number in range(2, int(UNTIL_SECONDS / ITERATION_SECONDS)):
        at = number * ITERATION_SECONDS
        starts = tuple((n * ITERATION_SECONDS, size) for n in range(max(1, number - 9), number + 1))
        yield situation(
            at,
            **{
                "iteration": number,
                "starts": starts,
                "remaining_bytes": size,
                "memory_bytes": 128 * MIB,
                "bandwidth_needed_bytes_per_second": 2 * RATE,
                "capabilities": Capabilities(bandwidth_cap_bytes_per_second=RATE),
            }
            | values,
        )


def advised(policy, values, rest_seconds):
    """All that the policy decides, if nothing of it helps."""
    history, found, limit = History(), [], 0.3
    for now in course(values, rest_seconds):
        if limit != now.downtime_limit_seconds:
            now = now._replace(downtime_limit_seconds=limit)
        history, each = decide(policy, now, history)
        if isinstance(each, Advice):
            found.append(each)
            history = settle(history, State.FOLLOWED)
            limit = each.sets_downtime_limit_seconds or limit
    return found


LIMITS = {
    SteeringAction.RAISE_DOWNTIME: ("downtime_limit_seconds", "up to"),
    SteeringAction.POST_COPY: ("rest_seconds", "of at most"),
    SteeringAction.PAUSE: ("rest_seconds", "of at most"),
}


def all_advised(policy, situations):
    return [a for values in situations for size in SIZES for a in advised(policy, values, size)]


def cell(policy, situations):
    allowed = dataclasses.replace(policy, max_bandwidth_bytes_per_second=10 * RATE)
    found = all_advised(allowed, situations)
    actions = [
        action
        for action in dict.fromkeys(action for action, _ in CHOICES)
        if any(each.action is action for each in found)
    ]
    if not actions:
        return "nothing"
    by_default = all_advised(policy, situations)
    parts = []
    for action in actions:
        part = action.value
        if action in LIMITS:
            name, words = LIMITS[action]
            most = max(each.figures[name] for each in found if each.action is action)
            part += f" ({words} {round(most, 1):g} s)"
        if all(each.action is not action for each in by_default):
            part += " (if allowed)"
        parts.append(part)
    first = min(each.at for each in found) - ITERATION_SECONDS
    soon = first < 0.5 * policy.patience_seconds
    when = "" if soon else f"after {first:.0f} to {policy.patience_seconds:g} s: "
    return when + ", ".join(parts)


def cell_of_nova(situations):
    said = [
        foretell(NovaOptions(), now, History())[1]
        for values in situations
        for now in course(values, 1.0)
    ]
    return "nothing" if said[0] is None else "says Nova's next step"


@pytest.fixture(scope="module")
def rows():
    with TABLE.open() as file:
        return list(csv.DictReader(file))


def test_table_has_each_verdict_and_policy(rows):
    assert [row["Verdict"] for row in rows] == list(ROWS)
    assert {row["Verdict"].partition(",")[0] for row in rows} == {word.value for word in Verdict}
    assert list(rows[0]) == ["Verdict", *POLICIES, NOVA]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("verdict", ROWS)
def test_cell_is_what_the_policy_decides(rows, verdict, policy):
    (row,) = [row for row in rows if row["Verdict"] == verdict]
    assert row[policy] == cell(POLICIES[policy], ROWS[verdict])


@pytest.mark.parametrize("verdict", ROWS)
def test_cell_is_what_is_said_of_nova(rows, verdict):
    (row,) = [row for row in rows if row["Verdict"] == verdict]
    assert row[NOVA] == cell_of_nova(ROWS[verdict])


def test_a_plateau_near_its_deadline_is_acted_on_earlier():
    policy = dataclasses.replace(POLICIES["finish-by-deadline"], deadline_seconds=60.0)
    first = advised(policy, ROWS["not-converging, memory"][0], 1.0)[0]
    assert first.at < 0.5 * policy.patience_seconds


@pytest.mark.parametrize(("rest_seconds", "action"), [(3.9, "raise-downtime"), (4.1, "abort")])
def test_gentle_aborts_without_a_raise_only_what_is_hopeless(rest_seconds, action):
    first = advised(POLICIES["gentle"], ROWS["not-converging, memory"][0], rest_seconds)[0]
    assert first.action == action
