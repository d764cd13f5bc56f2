# SPDX-License-Identifier: Apache-2.0
"""Make the plan of a host's drain of what is stored, and compare it with how the drain goes.

Nothing is stored: a plan is computed when it is asked for. Once its drain has begun, it is the one
of then, by the measurements and completed migrations of then, so each process of the API gives the
same. What takes long is kept in memory while nothing of it changes.
"""

import functools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from migprog import objects
from migprog.core import learned as learned_
from migprog.core import measurement as measurement_
from migprog.core.drain_course import Departure, Standing, began_at, standing
from migprog.core.drain_order import ServerToMove
from migprog.core.drain_plan import Plan, plan_drain, renew
from migprog.core.forecast.before import Before, forecast_before
from migprog.core.learned import Completed, Learned, Rate

# Forecasts get less sure with time; so much of it makes no difference.
_STEP_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a plan is asked for. ``at_once``: at most so many at once; ``made_at``: when the drain
    may have begun at the earliest, in seconds since the epoch."""

    destinations: tuple[str, ...] = ()
    at_once: int | None = None
    network_bytes_per_second: float | None = None
    downtime_limit_seconds: float | None = None
    deadline: datetime | None = None
    block_migration: bool = False
    auto_converge: bool = False
    made_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is stored of a host: ``servers`` are on it, or have left it since the drain began."""

    host: str
    servers: Sequence[objects.HostServer]
    departures: Sequence[Departure]
    completed: Sequence[Completed]
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A plan, how its drain stands (None: it has not begun), and what that makes of the plan.

    ``present`` is the plan renewed; ``late_seconds`` by how much it ends later than planned.
    ``befores``: the forecasts by server, with the measurements that they rest on. ``unmeasured``:
    servers without a measurement; ``arrived``: those that came since the begin. ``gone``: those
    of the plan that are no longer there, and have not left by a live migration.
    """

    plan: Plan
    present: Plan
    standing: Standing | None
    late_seconds: float | None
    rate: Rate
    befores: Mapping[str, Before]
    unmeasured: tuple[str, ...]
    arrived: tuple[str, ...]
    gone: frozenset[str]


def make(asked: Asked, known: Known) -> Made:
    """Return the plan of a host. Raises :class:`ValueError` if it has too many servers."""
    begun_at = find_begin(asked, known.departures, known.now)
    at = _soon(known.now) if begun_at is None else begun_at
    learned = _learned(asked, known, at)
    here = {each.uuid for each in known.servers if each.host == known.host}
    arrived = _arrived(known, here, begun_at)
    stands = None if begun_at is None else standing(known.departures, begun_at)
    left = set() if stands is None else {*stands.done, *stands.running}
    planned = [each for each in known.servers if each.uuid in left | here - {*arrived}]
    candidates = _candidates(planned, asked, learned, at)
    plan = _plan(candidates, learned.rate, asked)
    befores = {each.server_uuid: each.before for each in candidates}
    made = Made(
        plan=plan,
        present=plan,
        standing=None,
        late_seconds=None,
        rate=learned.rate,
        befores=befores,
        unmeasured=tuple(each.uuid for each in planned if each.uuid not in befores),
        arrived=arrived,
        gone=frozenset(),
    )
    return made if stands is None else _followed(made, stands, here, asked, known)


def _soon(now: float) -> float:
    """Return an instant that stays the same for a while."""
    return math.ceil(now / _STEP_SECONDS) * _STEP_SECONDS


def find_begin(asked: Asked, departures: Sequence[Departure], now: float) -> float | None:
    """Return when the drain of a plan has begun; None if it has not."""
    if asked.made_at is None:
        return began_at(departures, now)
    since = (each.started_at for each in departures if each.started_at >= asked.made_at)
    return min(since, default=None)


def _learned(asked: Asked, known: Known, at: float) -> Learned:
    """Return what migrations show that had completed by then: between the two hosts, where there is
    one destination."""
    dest = asked.destinations[0] if len(asked.destinations) == 1 else None
    return learned_.learn(known.completed, known.host, dest, at)


def _arrived(known: Known, here: Collection[str], begun_at: float | None) -> tuple[str, ...]:
    if begun_at is None:
        return ()
    since = (each for each in known.servers if each.uuid in here and each.arrived_at is not None)
    return tuple(each.uuid for each in since if _began(each) >= begun_at)


def _began(server: objects.HostServer) -> float:
    return server.arrived_at.timestamp() if server.arrived_at else 0.0


def _candidates(
    servers: Sequence[objects.HostServer], asked: Asked, learned: Learned, at: float
) -> list[ServerToMove]:
    found = []
    for each in servers:
        measured = _measured(each, at)
        if measured is None:
            continue
        if asked.downtime_limit_seconds is not None:
            measured = replace(measured, downtime_limit_seconds=asked.downtime_limit_seconds)
        before = _before(measured, learned, asked.block_migration, asked.auto_converge, at)
        found.append(ServerToMove(each.uuid, measured.memory_bytes, before))
    return found


def _measured(server: objects.HostServer, at: float) -> measurement_.Measurement | None:
    """Return the newest measurement of then, or else the first one since."""
    found = [known for each in server.measurements if (known := each.for_forecast()) is not None]
    then = [each for each in found if each.measured_at <= at]
    return measurement_.newest(then) if then else next(reversed(found), None)


@functools.lru_cache(maxsize=2048)
def _before(
    measured: measurement_.Measurement,
    learned: Learned,
    block: bool,
    auto_converge: bool,
    at: float,
) -> Before:
    return forecast_before(
        measured, learned, block_migration=block, auto_converge=auto_converge, now=at
    )


def _plan(candidates: Sequence[ServerToMove], rate: Rate, asked: Asked) -> Plan:
    return _searched(tuple(candidates), rate, asked.at_once, asked.network_bytes_per_second)


@functools.lru_cache(maxsize=32)
def _searched(
    candidates: tuple[ServerToMove, ...],
    rate: Rate,
    at_once: int | None,
    network_bytes_per_second: float | None,
) -> Plan:
    return plan_drain(
        candidates, rate, at_once=at_once, network_bytes_per_second=network_bytes_per_second
    )


def _followed(
    made: Made, stands: Standing, here: Collection[str], asked: Asked, known: Known
) -> Made:
    """Return the plan as its drain goes: what is still to come takes as long as the newest
    measurements and the present rate let expect."""
    of_then = _learned(asked, known, stands.begun_at)
    there = [each for each in known.servers if each.uuid in here]
    candidates = _candidates(there, asked, of_then, _soon(known.now))
    renewed = renew(
        made.plan,
        candidates,
        _learned(asked, known, known.now).rate,
        begun_seconds=max(0.0, known.now - stands.begun_at),
        done=stands.done,
        running=stands.running,
        network_bytes_per_second=asked.network_bytes_per_second,
    )
    moved = {*stands.done, *stands.running, *here}
    return replace(
        made,
        present=renewed.plan,
        standing=stands,
        late_seconds=renewed.late_seconds,
        befores={**made.befores, **{each.server_uuid: each.before for each in candidates}},
        gone=frozenset(each.server_uuid for each in made.plan.moves) - moved,
    )
