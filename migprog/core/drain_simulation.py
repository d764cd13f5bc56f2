# SPDX-License-Identifier: Apache-2.0
"""Run through the migrations of a drain that share one network.

Each migration that transfers has an equal share of the rate, and never more than it has alone. So a
guest that converges alone may not beside another: its iterations then go on until that one ends.
Seconds since the begin of the drain; bytes of the guests.
"""

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from migprog.core.forecast.dirty_rate import MAX_RATIO
from migprog.core.forecast.estimate import MIRRORS_END_SECONDS, TURN_SECONDS
from migprog.core.forecast.migration_to_come import MigrationToCome, level_bytes_of
from migprog.core.forecast.precopy import SLICE_SECONDS
from migprog.core.forecast.throttling import throttled_seconds

# Iterations shorter than this are summed up as a geometric series.
_SHORT_SECONDS = 0.5
# Of what a migration takes beside the transfer, the part before it.
_BEFORE_SHARE = 0.5
# After so many iterations in one migration it does not end. Real ones have far fewer; beside a time
# of astronomic length, which wrong figures give, those of a few seconds would never pass.
_MOST_ITERATIONS = 300
# Two times nearer than this are the same.
_SAME_SECONDS = 1e-6


class Step(NamedTuple):
    """A migration in its place. ``beside``: at most so many run while it does, itself included.

    ``migration`` None: it runs already, and ``left_seconds`` are left of it at its present share.
    """

    server_uuid: str
    migration: MigrationToCome | None
    beside: int
    left_seconds: float = 0.0


class Span(NamedTuple):
    """When a migration runs; ``ends_seconds`` is infinite if it does not end."""

    server_uuid: str
    starts_seconds: float
    ends_seconds: float


class _Stage(enum.Enum):
    SETUP = enum.auto()
    DISKS = enum.auto()
    TURN = enum.auto()
    SCAN = enum.auto()
    MEMORY = enum.auto()
    LAST = enum.auto()
    STUCK = enum.auto()
    COMPLETION = enum.auto()
    DONE = enum.auto()


_TRANSFERS = frozenset({_Stage.DISKS, _Stage.MEMORY, _Stage.LAST, _Stage.STUCK})


@dataclass(slots=True)
class _Running:
    """A migration in progress. Of its stage are left ``left_bytes`` if that transfers, or else
    ``left_seconds``; ``iteration_at`` is when its present iteration began. ``unsent_bytes`` are
    those that fit the downtime limit: an iteration leaves them, and the last stage sends them."""

    step: Step
    starts_at: float
    stage: _Stage
    left_bytes: float = 0.0
    left_seconds: float = 0.0
    iteration_at: float = 0.0
    level_bytes: float = 0.0
    unsent_bytes: float = 0.0
    iterations: int = 0

    @property
    def transfers(self) -> bool:
        return self.stage in _TRANSFERS


def simulate(
    steps: Sequence[Step], bytes_per_second: float, network_bytes_per_second: float | None = None
) -> list[Span]:
    """Return when each migration runs, in the order of ``steps``; each starts as soon as those
    before it have started and enough of them have ended.

    ``bytes_per_second`` is the rate of one alone; all together have ``network_bytes_per_second``,
    the same by default.
    """
    network = bytes_per_second if network_bytes_per_second is None else network_bytes_per_second
    drain = _Drain(steps, bytes_per_second, network)
    while drain.advance():
        pass
    return [drain.span(step) for step in steps]


class _Drain:
    """The state of a drain at some time."""

    def __init__(
        self, steps: Sequence[Step], bytes_per_second: float, network_bytes_per_second: float
    ) -> None:
        self._waiting = list(reversed(steps))
        self._running: list[_Running] = []
        self._ended: dict[str, Span] = {}
        self._most = bytes_per_second
        self._network = network_bytes_per_second
        self._now = 0.0
        self._transferring = 0

    def span(self, step: Step) -> Span:
        """Return when a migration has run, so far as it has."""
        known = self._ended.get(step.server_uuid)
        if known is not None:
            return known
        starts = [each.starts_at for each in self._running if each.step is step]
        return Span(step.server_uuid, starts[0] if starts else math.inf, math.inf)

    def advance(self) -> bool:
        """Go on to the next stage of a migration; return whether there is one."""
        self._start()
        rate = self._rate()
        seconds = min((_seconds_left(each, rate) for each in self._running), default=math.inf)
        if math.isinf(seconds):
            return False
        self._now += seconds
        for each in self._running:
            if each.transfers:
                each.left_bytes -= seconds * rate
            else:
                each.left_seconds -= seconds
            if _seconds_left(each, rate) <= _SAME_SECONDS:
                _next_stage(each, self._now, rate)
            if each.stage is _Stage.DONE:
                uuid = each.step.server_uuid
                self._ended[uuid] = Span(uuid, each.starts_at, self._now)
        self._running = [each for each in self._running if each.stage is not _Stage.DONE]
        return True

    def _start(self) -> None:
        while self._waiting and _may_start(self._waiting[-1], self._running):
            self._running.append(_begun(self._waiting.pop(), self._now, self._most))

    def _rate(self) -> float:
        """Return the present rate of each; with another one, iterations that got no shorter may do
        so."""
        transferring = sum(each.transfers for each in self._running)
        if transferring != self._transferring:
            self._transferring = transferring
            for each in self._running:
                if each.stage is _Stage.STUCK:
                    each.stage, each.left_bytes = _Stage.MEMORY, each.level_bytes
                    each.iteration_at = self._now
        return min(self._most, self._network / max(1, transferring))


def end_seconds(spans: Sequence[Span]) -> float:
    """Return when the last migration ends."""
    return max((span.ends_seconds for span in spans), default=0.0)


def _may_start(step: Step, running: Sequence[_Running]) -> bool:
    if step.migration is None:
        return True
    limit = min([step.beside, *(each.step.beside for each in running)])
    return len(running) < max(1, limit)


def _begun(step: Step, now: float, rate: float) -> _Running:
    if step.migration is None:
        return _Running(step, now, _Stage.LAST, step.left_seconds * rate)
    seconds = _BEFORE_SHARE * step.migration.overhead_seconds
    return _Running(step, now, _Stage.SETUP, left_seconds=seconds)


def _seconds_left(running: _Running, rate: float) -> float:
    if running.stage is _Stage.STUCK:
        return math.inf
    if running.transfers:
        return max(0.0, running.left_bytes) / rate
    return max(0.0, running.left_seconds)


def _next_stage(running: _Running, now: float, rate: float) -> None:
    migration = running.step.migration
    if running.stage is _Stage.COMPLETION or migration is None:
        running.stage = _Stage.DONE
    elif running.stage is _Stage.SETUP and migration.disk_bytes:
        running.stage, running.left_bytes = _Stage.DISKS, migration.disk_bytes
    elif running.stage is _Stage.DISKS:
        running.stage, running.left_seconds = _Stage.TURN, TURN_SECONDS + MIRRORS_END_SECONDS
    elif running.stage in (_Stage.SETUP, _Stage.TURN):
        running.iteration_at = now
        running.stage, running.left_seconds = _Stage.SCAN, migration.scan_seconds
    elif running.stage is _Stage.SCAN:
        running.unsent_bytes = min(migration.memory_bytes, migration.downtime_limit_seconds * rate)
        left_bytes = migration.memory_bytes - running.unsent_bytes
        running.stage, running.left_bytes = _Stage.MEMORY, left_bytes
    elif running.stage is _Stage.MEMORY:
        _next_iteration(running, migration, now, rate)
    else:
        left_seconds = (1 - _BEFORE_SHARE) * migration.overhead_seconds
        running.stage, running.left_seconds = _Stage.COMPLETION, left_seconds


def _next_iteration(running: _Running, migration: MigrationToCome, now: float, rate: float) -> None:
    """Begin the iteration that sends what the guest has dirtied in the one before."""
    before_seconds = max(SLICE_SECONDS, now - running.iteration_at)
    dirtied = migration.curve.dirtied_in(before_seconds)
    dirtied = min(dirtied, migration.memory_bytes)
    running.iteration_at = now
    running.iterations += 1
    if running.iterations > _MOST_ITERATIONS:
        running.stage, running.left_bytes = _Stage.STUCK, math.inf
        running.level_bytes = math.inf
        return
    seconds = dirtied / rate
    following = migration.curve.dirtied_in(max(SLICE_SECONDS, seconds))
    ratio = following / max(dirtied, SLICE_SECONDS * rate)
    if dirtied <= migration.downtime_limit_seconds * rate:
        _finish(running, min(dirtied, SLICE_SECONDS * rate))
    elif ratio > MAX_RATIO and seconds >= MAX_RATIO * before_seconds:
        _stick(running, migration, dirtied, rate)
    elif seconds <= _SHORT_SECONDS and ratio <= MAX_RATIO:
        _finish(running, dirtied / (1 - ratio))
    else:
        running.left_bytes = dirtied


def _finish(running: _Running, more_bytes: float) -> None:
    """Send so much more, and what remains."""
    running.stage, running.left_bytes = _Stage.LAST, running.unsent_bytes + more_bytes


def _stick(running: _Running, migration: MigrationToCome, dirtied: float, rate: float) -> None:
    """Iterations get no shorter: it ends if they are short enough, or else with another rate."""
    level = level_bytes_of(migration, dirtied, rate)
    if level <= migration.downtime_limit_seconds * rate:
        _finish(running, level)
    elif migration.auto_converge:
        seconds = throttled_seconds(0.0, level / rate, migration.enough_percent)
        _finish(running, seconds * rate)
    else:
        running.stage, running.level_bytes = _Stage.STUCK, level
