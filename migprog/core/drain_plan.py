# SPDX-License-Identifier: Apache-2.0
"""Plan the drain of a host: which server moves when, beside how many others, and when it ends.

Orders are run through with the servers' forecasts under a shared rate
(:mod:`migprog.core.drain_simulation`), and the best that is found is the plan
(:mod:`migprog.core.drain_order`). Seconds since the begin of the drain.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from migprog.core.drain_order import Order, Problem, ServerToMove, by_seconds, by_size, search
from migprog.core.drain_simulation import Span, Step, end_seconds, simulate
from migprog.core.forecast.before import Before
from migprog.core.learned import Rate

MAX_SERVERS = 500
# At most so many at once are considered, unless the caller wants fewer.
MOST_AT_ONCE = 4
# What is said to be usual: two at once, the largest first.
_USUAL_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Move:
    """A migration of the plan, in its place. ``beside``: at most so many run while it does, itself
    included. ``converges``: ``yes``, or ``unknown``: it may need help."""

    server_uuid: str
    beside: int
    starts_seconds: float
    ends_seconds: float
    converges: str
    helps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stay:
    """A server that does not move without help: what would help, in words and as a sentence."""

    server_uuid: str
    helps: tuple[str, ...]
    message: str
    downtime_needed_seconds: float | None
    bandwidth_needed_bytes_per_second: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """``moves`` are in the order of their start. ``end_seconds`` is when the last of them ends,
    with an 80 % range; ``high_end_seconds`` is None if one may not converge.

    ``usual_end_seconds`` is the end with two at once, the largest first; None: it would not end.
    ``in_time``: whether it ends before the deadline (``yes``, ``no``, ``unknown``), None without
    one.
    """

    moves: tuple[Move, ...]
    stays: tuple[Stay, ...]
    at_once: int
    end_seconds: float
    low_end_seconds: float
    high_end_seconds: float | None
    usual_end_seconds: float | None
    in_time: str | None = None

    @property
    def gain(self) -> float | None:
        """The share of the usual time that it saves; None if that would not end."""
        usual = self.usual_end_seconds
        return None if not usual else 1 - self.end_seconds / usual


@dataclass(frozen=True, slots=True)
class Renewed:
    """A plan while it is carried out, from now on: ``late_seconds`` is by how much its end is later
    than planned (negative: earlier); None if that is not known."""

    plan: Plan
    late_seconds: float | None


def plan_drain(
    servers: Sequence[ServerToMove],
    rate: Rate,
    *,
    at_once: int | None = None,
    network_bytes_per_second: float | None = None,
    deadline_seconds: float | None = None,
) -> Plan:
    """Plan a drain of at most MAX_SERVERS servers.

    ``rate`` is that of a migration alone; ``network_bytes_per_second`` that of all together, the
    same by default. ``at_once``: at most so many at once.
    """
    if len(servers) > MAX_SERVERS:
        raise ValueError(f"servers: must be at most {MAX_SERVERS}, not {len(servers)}")
    movable = [each for each in servers if _moves(each.before)]
    stays = tuple(_stay(each) for each in servers if not _moves(each.before))
    sure = [each for each in movable if each.before.converges == "yes"]
    unsure = [each for each in movable if each.before.converges != "yes"]
    problem = Problem(
        {each.server_uuid: each.before.migration for each in movable if each.before.migration},
        rate.bytes_per_second,
        network_bytes_per_second or rate.bytes_per_second,
    )
    most = max(1, MOST_AT_ONCE if at_once is None else at_once)
    order = search(problem, sure, most) if sure else []
    # Those that may not converge come last, each alone: they hold nothing up.
    last = [Span(each.server_uuid, 0.0, _seconds(problem, each)) for each in by_seconds(unsure)]
    usual = [(each.server_uuid, min(most, _USUAL_AT_ONCE)) for each in by_size(sure)]
    usual_end = end_seconds(_then(problem.simulate(usual), last))
    plan = _plan(problem, order, last, {each.server_uuid: each for each in movable}, rate)
    return replace(
        plan,
        stays=stays,
        usual_end_seconds=usual_end if math.isfinite(usual_end) else None,
        in_time=deadline_met(plan, deadline_seconds),
    )


def renew(
    plan: Plan,
    servers: Sequence[ServerToMove],
    rate: Rate,
    *,
    begun_seconds: float,
    done: Mapping[str, float],
    running: Mapping[str, float | None],
    network_bytes_per_second: float | None = None,
    deadline_seconds: float | None = None,
) -> Renewed:
    """Renew a plan ``begun_seconds`` after its begin; the order stays.

    ``done``: servers that have left, and when; ``running``: those that migrate, with the seconds
    that are left of each (None: not known, which counts as planned). Servers that are new on the
    host are not among the moves: a new plan has them.
    """
    known = {each.server_uuid: each for each in servers if _moves(each.before)}
    planned = {move.server_uuid: move for move in plan.moves}
    waiting = [
        (move.server_uuid, move.beside)
        for move in plan.moves
        if move.server_uuid not in done
        and move.server_uuid not in running
        and move.server_uuid in known
    ]
    sure = [each for each in waiting if known[each[0]].before.converges == "yes"]
    unsure = [known[uuid] for uuid, _ in waiting if known[uuid].before.converges != "yes"]
    under_way = [
        Step(uuid, None, MAX_SERVERS, _left_seconds(seconds, planned.get(uuid), begun_seconds))
        for uuid, seconds in running.items()
    ]
    problem = Problem(
        {uuid: known[uuid].before.migration for uuid, _ in waiting},  # type: ignore[misc]
        rate.bytes_per_second,
        network_bytes_per_second or rate.bytes_per_second,
    )
    steps = [
        *under_way,
        *(Step(uuid, problem.migrations[uuid], beside) for uuid, beside in sure),
    ]
    last = [Span(each.server_uuid, 0.0, _seconds(problem, each)) for each in unsure]
    spans = _then(simulate(steps, problem.bytes_per_second, problem.network_bytes_per_second), last)
    beside = dict(waiting)
    moves = tuple(
        Move(
            span.server_uuid,
            beside.get(span.server_uuid, plan.at_once),
            begun_seconds + span.starts_seconds,
            begun_seconds + span.ends_seconds,
            known[span.server_uuid].before.converges if span.server_uuid in known else "unknown",
        )
        for span in spans
    )
    end = begun_seconds + end_seconds(spans) if spans else max(done.values(), default=begun_seconds)
    late = end - plan.end_seconds if math.isfinite(end) else None
    # What is left is as uncertain as the whole was.
    left = (end - begun_seconds) / plan.end_seconds if plan.end_seconds and spans else 0.0
    low, high = plan.end_seconds - plan.low_end_seconds, None
    if plan.high_end_seconds is not None:
        high = end + (plan.high_end_seconds - plan.end_seconds) * left
    renewed = replace(
        plan,
        moves=moves,
        end_seconds=end,
        low_end_seconds=max(begun_seconds, end - low * left) if spans else end,
        high_end_seconds=high,
    )
    return Renewed(replace(renewed, in_time=deadline_met(renewed, deadline_seconds)), late)


def _left_seconds(seconds: float | None, planned: Move | None, begun_seconds: float) -> float:
    if seconds is not None:
        return max(0.0, seconds)
    return max(0.0, planned.ends_seconds - begun_seconds) if planned else 0.0


def _moves(before: Before) -> bool:
    return before.migration is not None and before.converges != "no"


def _stay(server: ServerToMove) -> Stay:
    before = server.before
    return Stay(
        server.server_uuid,
        before.helps,
        before.message,
        before.downtime_needed_seconds,
        before.bandwidth_needed_bytes_per_second,
    )


def _seconds(problem: Problem, server: ServerToMove) -> float:
    """Return how long one that may not converge takes alone: if it is not seen to end, as long as
    those of its possible courses that do."""
    end = end_seconds(problem.simulate([(server.server_uuid, 1)]))
    total = server.before.total_seconds
    return end if math.isfinite(end) or total is None else total


def _then(spans: Sequence[Span], last: Sequence[Span]) -> list[Span]:
    """Return the spans with those of ``last`` one after the other behind them."""
    found = list(spans)
    for each in last:
        end = end_seconds(found)
        found.append(Span(each.server_uuid, end, end + each.ends_seconds))
    return found


def _plan(
    problem: Problem,
    order: Order,
    last: Sequence[Span],
    servers: Mapping[str, ServerToMove],
    rate: Rate,
) -> Plan:
    spans = _then(problem.simulate(order), last)
    whole = [*order, *((each.server_uuid, 1) for each in last)]
    moves = tuple(
        Move(
            uuid,
            beside,
            span.starts_seconds,
            span.ends_seconds,
            servers[uuid].before.converges,
            servers[uuid].before.helps,
        )
        for (uuid, beside), span in zip(whole, spans, strict=True)
    )
    end = end_seconds(spans)
    low, high = _range(problem, order, last, servers, rate, end)
    return Plan(
        moves=moves,
        stays=(),
        at_once=max((beside for _, beside in whole), default=0),
        end_seconds=end,
        low_end_seconds=low,
        high_end_seconds=high,
        usual_end_seconds=None,
    )


def _range(
    problem: Problem,
    order: Order,
    last: Sequence[Span],
    servers: Mapping[str, ServerToMove],
    rate: Rate,
    end: float,
) -> tuple[float, float | None]:
    """Return an 80 % range of the end: all have the rate in common, the rest is each one's own."""
    if not order and not last:
        return end, end
    more_rate = 1 + rate.spread
    fastest = end_seconds(_then(problem.simulate(order, factor=more_rate), last))
    slowest = end_seconds(_then(problem.simulate(order, factor=1 / more_rate), last))
    befores = [servers[uuid].before for uuid in (*dict(order), *(each[0] for each in last))]
    alone = sum(each.total_seconds or 0.0 for each in befores)
    beside = max(1.0, alone / end) if end else 1.0
    less = math.hypot(*((each.total_seconds or 0) - (each.low_seconds or 0) for each in befores))
    low = max(0.0, end - math.hypot(end - fastest, less / beside))
    if any(each.high_seconds is None for each in befores) or math.isinf(slowest):
        return low, None
    more = math.hypot(*((each.high_seconds or 0) - (each.total_seconds or 0) for each in befores))
    return low, end + math.hypot(slowest - end, more / beside)


def deadline_met(plan: Plan, deadline_seconds: float | None) -> str | None:
    """Return whether a plan ends before a deadline, see :class:`Plan`."""
    if deadline_seconds is None:
        return None
    if plan.high_end_seconds is not None and plan.high_end_seconds <= deadline_seconds:
        return "yes"
    return "no" if plan.low_end_seconds > deadline_seconds else "unknown"
