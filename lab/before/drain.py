# SPDX-License-Identifier: Apache-2.0
"""The drain of a host by a plan, and two at once, the largest first, by turns.

All guests share one link. They move from one host to another and back; what each writes stays the
same, so that the drains are the same but for their order.
"""

import contextlib
import random
import statistics
import time
from collections.abc import Callable, Sequence
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
from migprog.core.forecast.before import forecast_before
from migprog.core.learned import Completed, learn
from migprog.core.measurement import together

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
        """Migrate quiet guests alone."""
        for number, seconds in enumerate(_KNOWN_SECONDS):
            drawn = guests.quiet(self._bandwidth, seconds)
            server = self._lab.start_guest(self._source, drawn.guest(f"known-{number}"))
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

    def plan(self) -> Plan:
        """Measure all guests, one after the other, and plan their drain."""
        candidates = []
        learned = learn(self.completed, "a", "b", time.time())
        for uuid, (_server, drawn) in self.servers.items():
            measurement = measure(self._source, uuid, drawn.memory_mib * _MIB)
            before = forecast_before(measurement, learned, block_migration=False, now=time.time())
            if before.converges == "unknown":
                again = measure(self._source, uuid, drawn.memory_mib * _MIB)
                measurement = together(again, measurement)
                now = time.time()
                before = forecast_before(measurement, learned, block_migration=False, now=now)
            candidates.append(ServerToMove(uuid, measurement.memory_bytes, before))
        return plan_drain(candidates, learned.rate)

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
    """Drain a host of so many guests by the plan and as usual, by turns."""
    bandwidth = rng.randint(*_BANDWIDTHS_MIB_S)
    drawn = guests.draw_for_drain(rng, count, bandwidth)
    for each in drawn:
        say(each.text())
    with Stage(drawn, bandwidth) as stage:
        stage.learn()
        plan = stage.plan()
        moving = {move.server_uuid for move in plan.moves}
        by_size = sorted(moving, key=lambda uuid: -stage.servers[uuid][1].memory_mib)
        orders: dict[str, Order] = {
            "plan": [(move.server_uuid, move.beside) for move in plan.moves],
            "usual": [(uuid, 2) for uuid in by_size],
        }
        for move in plan.moves:
            say(
                f"plan: {stage.servers[move.server_uuid][1].kind}, at most {move.beside} at once, "
                f"{move.starts_seconds:.0f} to {move.ends_seconds:.0f} s"
            )
        drains: dict[str, list[Drained]] = {"plan": [], "usual": []}
        for _ in range(rounds):
            for name, order in orders.items():
                drained = stage.drain(order)
                drains[name].append(drained)
                say(f"{name}: {drained.seconds:.1f} s, left behind: {drained.left_behind}")
    return figures(plan, drains["plan"], drains["usual"], drawn)


def figures(
    plan: Plan, planned: Sequence[Drained], usual: Sequence[Drained], drawn: Sequence[Drawn]
) -> dict[str, Any]:
    """Return what came of it as plain values: medians. Pure."""
    seconds = statistics.median(each.seconds for each in planned)
    usual_seconds = statistics.median(each.seconds for each in usual)
    return {
        "guests": len(drawn),
        "moves": len(plan.moves),
        "stays": len(plan.stays),
        "plan_seconds": round(seconds, 2),
        "usual_seconds": round(usual_seconds, 2),
        "said_seconds": round(plan.end_seconds, 2),
        "said_low_seconds": round(plan.low_end_seconds, 2),
        "said_high_seconds": plan.high_end_seconds and round(plan.high_end_seconds, 2),
        "gain_against_two_at_once": round(1 - seconds / usual_seconds, 3),
        "end_error": round(abs(plan.end_seconds - seconds) / seconds, 3),
        "failed": sum(len(each.left_behind) for each in planned),
        "usual_did_not_end": sum(bool(each.left_behind) for each in usual),
        "plan_runs": [round(each.seconds, 2) for each in planned],
        "usual_runs": [round(each.seconds, 2) for each in usual],
    }


def is_right(known: dict[str, Any]) -> bool:
    return (
        known["gain_against_two_at_once"] >= GAIN
        and known["end_error"] <= END_ERROR
        and not known["failed"]
    )
