# SPDX-License-Identifier: Apache-2.0
"""The drain of a host by a plan, and two at once, the largest first, by turns.

All guests share one link. They move from one host to another and back; what each writes stays the
same, so that the drains are the same but for their order.
"""

import contextlib
import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import libvirt

from lab.before import guests
from lab.before.guests import Drawn
from lab.before.measure import measure
from lab.before.trial import seen, watch
from lab.hosts import Host, Lab, LabError, Migration, Server
from lab.steering.link import Link
from migprog.core.drain_order import ServerToMove
from migprog.core.drain_plan import Plan, plan_drain
from migprog.core.forecast.before import Before, forecast_before
from migprog.core.learned import Completed, Learned, learn
from migprog.core.measurement import Measurement, together

GAIN, END_ERROR = 0.20, 0.15
_BANDWIDTHS_MIB_S = (18, 26)
# QEMU's own limit must not be what limits: the link does.
_UNLIMITED_MIB_S = 1000
_KNOWN_SECONDS = (2.0, 3.0)
# A drain that lasts longer does not end.
_BOUND_SECONDS = 200.0
_LOOK_SECONDS = 0.05
_END_SECONDS = 60.0
_MIB = 2**20

Say = Callable[[str], None]
Order = Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Drained:
    """One drain: its seconds, and the names of the guests that did not leave."""

    seconds: float
    left_behind: tuple[str, ...]


class Stage:
    """Two hosts, a link between them, and guests that move from one to the other."""

    def __init__(self, drawn: Sequence[Drawn], bandwidth_mib_s: int) -> None:
        self._drawn = drawn
        self._bandwidth = bandwidth_mib_s
        self._lab = Lab(hosts=("lab-a", "lab-b"))
        self._link = Link()
        self._at = 0
        self._quiet_guests = 0
        self.completed: list[Completed] = []
        self.servers: dict[str, tuple[Server, Drawn]] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.enter_context(self._lab)
            undo.enter_context(self._link)
            self._link.bytes_per_second = self._bandwidth * _MIB
            for number, each in enumerate(self._drawn, 1):
                server = self._lab.start_guest(self._source, each.guest(f"guest-{number}"))
                self.servers[server.uuid] = server, each
            self._stack = undo.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    @property
    def _source(self) -> Host:
        return self._lab.hosts[self._at]

    @property
    def _destination(self) -> Host:
        return self._lab.hosts[1 - self._at]

    def learn(self) -> None:
        """Migrate quiet guests alone: these count, and none before."""
        self.completed = []
        for seconds in _KNOWN_SECONDS:
            self._quiet_guests += 1
            drawn = guests.quiet(self._bandwidth, seconds)
            guest = drawn.guest(f"known-{self._quiet_guests}")
            server = self._lab.start_guest(self._source, guest)
            begun = time.monotonic()
            migration = self._migrate(server)
            looks = watch(migration, begun + _END_SECONDS)
            outcome = migration.wait(_END_SECONDS)
            took = time.monotonic() - begun
            what = seen(looks, outcome.completed, took, outcome.completed_stats, outcome.error)
            self._lab.destroy_guest(server)
            if not what.completed or what.bytes_per_second is None:
                raise LabError(f"a quiet guest did not migrate: {outcome.error}")
            # The call of an operator lasts longer than libvirt's job.
            overhead = (what.overhead_seconds or 0.0) + took - what.total_seconds
            self.completed.append(
                Completed("a", "b", time.time(), what.bytes_per_second, took, overhead)
            )

    def measure(self) -> dict[str, Measurement]:
        """Measure all guests, one after the other."""
        found = {}
        for uuid, (_server, drawn) in self.servers.items():
            found[uuid] = measure(self._source, uuid, drawn.memory_mib * _MIB)
            if self._forecast(found[uuid]).converges == "unknown":
                again = measure(self._source, uuid, drawn.memory_mib * _MIB)
                found[uuid] = together(again, found[uuid])
        return found

    def plan(self, measured: Mapping[str, Measurement]) -> Plan:
        """Plan the drain."""
        candidates = [
            ServerToMove(uuid, each.memory_bytes, self._forecast(each))
            for uuid, each in measured.items()
        ]
        return plan_drain(candidates, self._learned().rate)

    def _learned(self) -> Learned:
        return learn(self.completed, "a", "b", time.time())

    def _forecast(self, measurement: Measurement) -> Before:
        learned = self._learned()
        return forecast_before(measurement, learned, block_migration=False, now=time.time())

    def drain(self, order: Order) -> Drained:
        """Move the guests; each starts as soon as those before it have started and enough of them
        have ended. Afterwards the other host is the source, and all are there."""
        begun = time.monotonic()
        waiting, running = list(reversed(order)), dict[str, tuple[Migration, int]]()
        while (waiting or running) and time.monotonic() < begun + _BOUND_SECONDS:
            while waiting and _may_start(
                waiting[-1][1], [beside for _, beside in running.values()]
            ):
                uuid, beside = waiting.pop()
                running[uuid] = self._migrate(self.servers[uuid][0]), beside
            for uuid in [each for each in running if not running[each][0].running]:
                outcome = running.pop(uuid)[0].wait(_END_SECONDS)
                if not outcome.completed:
                    raise LabError(f"{self.servers[uuid][0].name} did not migrate: {outcome.error}")
            time.sleep(_LOOK_SECONDS)
        seconds = time.monotonic() - begun
        left = [*running, *(uuid for uuid, _ in waiting)]
        self._end([migration for migration, _ in running.values()], left, order)
        self._at = 1 - self._at
        return Drained(seconds, tuple(self.servers[uuid][1].kind for uuid in left))

    def _end(self, running: Sequence[Migration], left: Sequence[str], order: Order) -> None:
        """Bring those that are left, or do not move, to the other host, paused."""
        for migration in running:
            with contextlib.suppress(libvirt.libvirtError, LabError):
                migration.abort()
            migration.wait(_END_SECONDS)
        moved = {uuid for uuid, _ in order} - set(left)
        for uuid in self.servers.keys() - moved:
            with contextlib.closing(self._source.connect()) as connection:
                domain = connection.lookupByUUIDString(uuid)
                domain.suspend()
                outcome = self._migrate(self.servers[uuid][0]).wait(_BOUND_SECONDS)
            if not outcome.completed:
                raise LabError(f"a paused guest did not migrate: {outcome.error}")
            with contextlib.closing(self._destination.connect()) as connection:
                connection.lookupByUUIDString(uuid).resume()

    def _migrate(self, server: Server) -> Migration:
        return self._lab.migrate(
            server,
            self._source,
            self._destination,
            bandwidth_mib_s=_UNLIMITED_MIB_S,
            **self._link.carry(),
        )


def _may_start(beside: int, others: Sequence[int]) -> bool:
    return len(others) < min([beside, *others])


def try_all(count: int, rng: random.Random, rounds: int, say: Say) -> dict[str, Any]:
    """Drain a host of so many guests by a plan and as usual, by turns.

    Each round has a plan of its own: the machine may have become faster or slower.
    """
    bandwidth = rng.randint(*_BANDWIDTHS_MIB_S)
    drawn = guests.draw_for_drain(rng, count, bandwidth)
    for each in drawn:
        say(each.text())
    with Stage(drawn, bandwidth) as stage:
        stage.learn()
        measured = stage.measure()
        plans: list[Plan] = []
        drains: dict[str, list[Drained]] = {"plan": [], "usual": []}
        for number in range(rounds):
            if number:
                stage.learn()
            plans.append(stage.plan(measured))
            _say_plan(plans[-1], stage, say)
            for name, order in _orders(plans[-1], stage).items():
                drained = stage.drain(order)
                drains[name].append(drained)
                say(f"{name}: {drained.seconds:.1f} s, left behind: {drained.left_behind}")
    return figures(plans, drains["plan"], drains["usual"], drawn)


def _orders(plan: Plan, stage: Stage) -> dict[str, Order]:
    moving = {move.server_uuid for move in plan.moves}
    by_size = sorted(moving, key=lambda uuid: -stage.servers[uuid][1].memory_mib)
    return {
        "plan": [(move.server_uuid, move.beside) for move in plan.moves],
        "usual": [(uuid, 2) for uuid in by_size],
    }


def _say_plan(plan: Plan, stage: Stage, say: Say) -> None:
    for move in plan.moves:
        say(
            f"plan: {stage.servers[move.server_uuid][1].kind}, at most {move.beside} at once, "
            f"{move.starts_seconds:.0f} to {move.ends_seconds:.0f} s"
        )


def figures(
    plans: Sequence[Plan],
    planned: Sequence[Drained],
    usual: Sequence[Drained],
    drawn: Sequence[Drawn],
) -> dict[str, Any]:
    """Return what came of it as plain values: medians, and the last plan's moves. Pure."""
    seconds = statistics.median(each.seconds for each in planned)
    usual_seconds = statistics.median(each.seconds for each in usual)
    return {
        "guests": len(drawn),
        "moves": len(plans[-1].moves),
        "stays": len(plans[-1].stays),
        "plan_seconds": round(seconds, 2),
        "usual_seconds": round(usual_seconds, 2),
        "said_seconds": round(statistics.median(each.end_seconds for each in plans), 2),
        "said_runs": [
            (each.end_seconds, each.low_end_seconds, each.high_end_seconds) for each in plans
        ],
        "gain_against_two_at_once": round(1 - seconds / usual_seconds, 3),
        "end_error": round(
            statistics.median(
                abs(plan.end_seconds - each.seconds) / each.seconds
                for plan, each in zip(plans, planned, strict=True)
            ),
            3,
        ),
        "ends_in_range": sum(
            plan.low_end_seconds <= each.seconds <= (plan.high_end_seconds or math.inf)
            for plan, each in zip(plans, planned, strict=True)
        ),
        "failed": sum(len(each.left_behind) for each in planned),
        "usual_did_not_end": sum(bool(each.left_behind) for each in usual),
        "plan_runs": [round(each.seconds, 2) for each in planned],
        "usual_runs": [round(each.seconds, 2) for each in usual],
    }


def is_right(known: dict[str, Any]) -> bool:
    is_end_right = known["end_error"] <= END_ERROR or 2 * known["ends_in_range"] > len(
        known["plan_runs"]
    )
    return known["gain_against_two_at_once"] >= GAIN and is_end_right and not known["failed"]
