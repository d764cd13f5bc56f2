# SPDX-License-Identifier: Apache-2.0
"""Search for the order in which a host's servers leave it soonest.

It begins with a few orders that are good in most cases, and improves the best of them step by step,
within a limited effort. It has no chance in it: the same values give the same order.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from migprog.core.drain_simulation import Span, Step, end_seconds, simulate
from migprog.core.forecast.before import Before
from migprog.core.forecast.migration_to_come import MigrationToCome

# The effort of the search, as the number of servers in all orders that are run through.
_EFFORT = 6000
# An order must be better by such a share to be preferred.
_BETTER = 1e-3
# The load of the guests for which an order must be good, too.
_BUSIER = 1.15
# A server that sends more than this share of its memory again is better alone.
_AGAIN = 0.2

# Each server with how many it runs beside at most, itself included; in the order of their start.
Order = list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class ServerToMove:
    """A server on the host, with its forecast at the rate that it has alone."""

    server_uuid: str
    memory_bytes: int
    before: Before


@dataclass(frozen=True, slots=True)
class Problem:
    """What does not change in a search."""

    migrations: Mapping[str, MigrationToCome]
    bytes_per_second: float
    network_bytes_per_second: float

    def simulate(
        self, order: Sequence[tuple[str, int]], factor: float = 1.0, load: float = 1.0
    ) -> list[Span]:
        """Run through an order with a rate, and a load of the guests, that is so much higher."""
        steps = [Step(uuid, _busier(self.migrations[uuid], load), beside) for uuid, beside in order]
        return simulate(
            steps, self.bytes_per_second * factor, self.network_bytes_per_second * factor
        )

    def end(self, order: Sequence[tuple[str, int]]) -> float:
        """Return what the search makes less: the end, and that with busier guests."""
        return end_seconds(self.simulate(order)) + end_seconds(self.simulate(order, load=_BUSIER))


def _busier(migration: MigrationToCome, load: float) -> MigrationToCome:
    return migration if load == 1.0 else migration._replace(curve=migration.curve.faster(load))


def by_size(servers: Sequence[ServerToMove]) -> list[ServerToMove]:
    return sorted(servers, key=lambda each: (-each.memory_bytes, each.server_uuid))


def by_seconds(servers: Sequence[ServerToMove]) -> list[ServerToMove]:
    """Return the ones that take longest first."""
    return sorted(servers, key=lambda each: (-(each.before.total_seconds or 0.0), each.server_uuid))


def search(problem: Problem, servers: Sequence[ServerToMove], most: int) -> Order:
    """Return the best order that was found, each server with how many it runs beside."""
    effort = max(12, _EFFORT // len(servers))
    best: Order = []
    best_end = math.inf
    for order in _first_orders(problem, servers, most):
        end = problem.end(order)
        effort -= 1
        if not best or end < best_end * (1 - _BETTER):
            best, best_end = order, end
    improved = True
    while improved and effort > 0:
        improved = False
        for order in _neighbours(best, most):
            if effort <= 0:
                break
            effort -= 1
            end = problem.end(order)
            if end < best_end * (1 - _BETTER):
                best, best_end, improved = order, end, True
                break
    return best


def _first_orders(problem: Problem, servers: Sequence[ServerToMove], most: int) -> Iterator[Order]:
    """Yield orders that are often good: so many at once, and those that would take much longer
    beside others alone, before the others or after them."""
    for at_once in range(1, most + 1):
        share = problem.network_bytes_per_second / at_once
        busy = {each.server_uuid for each in servers if at_once > 1 and _is_slowed(each, share)}
        for ordered in (by_seconds(servers), by_size(servers)):
            order = [(each.server_uuid, at_once) for each in ordered]
            yield order
            if busy:
                alone = [(uuid, 1) for uuid, _ in order if uuid in busy]
                rest = [each for each in order if each[0] not in busy]
                yield alone + rest
                yield rest + alone


def _is_slowed(server: ServerToMove, share_bytes_per_second: float) -> bool:
    """Return whether it sends much more again at such a share of the rate."""
    migration = server.before.migration
    assert migration is not None
    seconds = migration.memory_bytes / share_bytes_per_second
    dirtied = migration.curve.dirtied_in(max(1.0, seconds))
    return dirtied > _AGAIN * migration.memory_bytes


def _neighbours(order: Order, most: int) -> Iterator[Order]:
    """Yield orders that differ by one server: beside how many it runs, or its place."""
    for place, (uuid, beside) in enumerate(order):
        for other in range(1, most + 1):
            if other != beside:
                yield [*order[:place], (uuid, other), *order[place + 1 :]]
    for first, second in itertools.combinations(range(len(order)), 2):
        changed = list(order)
        changed.insert(second, changed.pop(first))
        yield changed
