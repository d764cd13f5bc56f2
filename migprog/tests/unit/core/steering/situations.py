# SPDX-License-Identifier: Apache-2.0
"""Situations to decide on, each different in what a test is about."""

from migprog.core.forecast.estimate import Estimate
from migprog.core.forecast.verdict import Verdict
from migprog.core.status import Phase
from migprog.core.steering import decide as decide_
from migprog.core.steering.advice import CARRIED_OUT, Advice, SteeringAction
from migprog.core.steering.history import History, settle
from migprog.core.steering.requirements import Requirements
from migprog.core.steering.situation import Situation

MIB = 2**20
RATE = 100 * MIB
ALL = frozenset(SteeringAction) - {SteeringAction.STOP_ASSERTING}
NEEDS = Requirements(longest_downtime_seconds=2.0, may=ALL, patience_seconds=60.0)


def decide(requirements, now, history):
    return decide_.decide(requirements, now, history)


def needs(**values):
    return Requirements(**({"longest_downtime_seconds": 2.0, "may": ALL} | values))


def level(at, remaining_mib=80, seconds=5.0, count=6, **values):
    """On a plateau: the latest of ``count`` iterations that each left the same has just begun."""
    starts = tuple(
        (at - seconds * (count - 1 - number), remaining_mib * MIB) for number in range(count)
    )
    return situation(
        at,
        verdict=Verdict.NOT_CONVERGING,
        starts=starts,
        iteration=int(at / seconds),
        **values,
    )


def situation(at, **values):
    default = {
        "started_at": 0.0,
        "watched_since": 0.0,
        "sampled_at": at,
        "phase": Phase.MEMORY_ITERATIONS,
        "verdict": Verdict.CONVERGING,
        "downtime_limit_seconds": 0.3,
        "forecast": Estimate(),
        "forecast_with": lambda limit: Estimate(5.0, 4.0, 6.0),
        "iteration": 5,
        "starts": ((at - 5.0, 90 * MIB), (at, 80 * MIB)),
        "bytes_per_second": RATE,
        "wire_bytes_per_second": RATE,
        "remaining_bytes": 80 * MIB,
        "memory_bytes": 4096 * MIB,
    }
    return Situation(at=at, **(default | values))


def plateau(requirements, until, done=None, history=None, **values):
    """Decide every five seconds on a plateau; return the history and what was advised, carried out
    as ``done`` says: a state, or None where nobody carries it out. A limit that is set is in force
    from then on."""
    history, advised = History() if history is None else history, []
    limit = values.pop("downtime_limit_seconds", 0.3)
    for number in range(6, int(until / 5) + 1):
        now = level(number * 5.0, downtime_limit_seconds=limit, **values)
        history, found = decide(requirements, now, history)
        if isinstance(found, Advice):
            advised.append(found)
            if done is not None:
                history = settle(history, done)
            if done in CARRIED_OUT and found.sets_downtime_limit_seconds is not None:
                limit = found.sets_downtime_limit_seconds
    return history, advised
