# SPDX-License-Identifier: Apache-2.0
"""One migration of a guest, watched from outside: what happens is read from libvirt alone, on
connections of the trial's own, so that it does not depend on what the agent says."""

import contextlib
import time
from typing import Any

import libvirt

from lab.hosts import Lab, Migration, Server
from lab.steering.course import Action, Course, Ending, Seen
from lab.steering.guests import Shape
from lab.steering.link import Link

_LOOK_SECONDS = 0.05
_LIMITS_EVERY = 4
_END_SECONDS = 60.0
# A source that stands longer than that before the end, and QEMU's downtime, was paused by somebody.
_SWITCHOVER_SECONDS = 1.5
_MIB = 2**20


class Trial:
    """Migrates a new guest of ``shape`` from the lab's first host to its second, over a link.

    One that has not ended ``bound_seconds`` after its begin is aborted.
    """

    def __init__(self, lab: Lab, link: Link, shape: Shape, name: str, bound_seconds: float) -> None:
        self._lab = lab
        self._link = link
        self._shape = shape
        self._bound_seconds = bound_seconds
        self.server: Server = lab.start_guest(lab.hosts[0], shape.guest(name))
        self._seen: list[Seen] = []
        self._actions: list[Action] = []
        self._limits: tuple[int, int] | None = None
        self._suspended_at: float | None = None

    def run(self) -> Course:
        """Migrate it, and wait for the end; the guest stays where it is."""
        source = self._lab.hosts[0]
        with contextlib.closing(source.connect_read_only()) as connection:
            domain = connection.lookupByUUIDString(self.server.uuid)
            event = libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE
            callback = connection.domainEventRegisterAny(domain, event, self._on_lifecycle, None)
            self._begun = time.monotonic()
            migration = self._migrate()
            try:
                was_ended = self._watch(migration, domain)
                outcome = migration.wait(_END_SECONDS)
                took_seconds = self._now()
            finally:
                with contextlib.suppress(libvirt.libvirtError):
                    connection.domainEventDeregisterAny(callback)
        stats = outcome.completed_stats or {}
        if outcome.completed:
            ending = Ending.COMPLETED
        elif was_ended:
            ending = Ending.BOUND
        else:
            ending = Ending.ABORTED if outcome.was_aborted else Ending.FAILED
        if ending is Ending.ABORTED:
            self._actions.append(Action(took_seconds, "abort"))
        self._note_pause(took_seconds, stats)
        return Course(
            ending=ending,
            total_seconds=_seconds(stats, "time_elapsed") if outcome.completed else took_seconds,
            downtime_seconds=_seconds(stats, "downtime") if outcome.completed else None,
            first_iteration_seconds=next(
                (seen.elapsed_seconds for seen in self._seen if seen.iteration > 1), None
            ),
            actions=tuple(self._actions),
            error=outcome.error,
        )

    def _migrate(self) -> Migration:
        shape = self._shape
        source, destination = self._lab.hosts
        return self._lab.migrate(
            self.server,
            source,
            destination,
            bandwidth_mib_s=shape.bandwidth_mib_s,
            post_copy=True,
            downtime_ms=shape.downtime_ms,
            **self._link.open(shape.bandwidth_mib_s * _MIB),
        )

    def _watch(self, migration: Migration, domain: libvirt.virDomain) -> bool:
        """Look until the end; return whether the migration was aborted because of the bound."""
        looks = 0
        while migration.running:
            with contextlib.suppress(libvirt.libvirtError):  # it may be over by now
                self._look(domain, looks % _LIMITS_EVERY == 0)
            looks += 1
            if self._now() > self._bound_seconds:
                try:
                    migration.abort()
                except libvirt.libvirtError:
                    return False  # in post-copy, which ends
                return True
            time.sleep(_LOOK_SECONDS)
        return False

    def _look(self, domain: libvirt.virDomain, at_limits: bool) -> None:
        stats = domain.jobStats()
        if stats["type"] == libvirt.VIR_DOMAIN_JOB_NONE or not stats.get("memory_total"):
            return
        elapsed_seconds = _seconds(stats, "time_elapsed")
        self._seen.append(Seen(elapsed_seconds, stats.get("memory_iteration", 0)))
        if not at_limits:
            return
        limits = domain.migrateGetMaxDowntime(), domain.migrateGetMaxSpeed(0)
        if self._limits is not None:
            for word, before, now in zip(
                ("downtime_ms", "bandwidth_mib_s"), self._limits, limits, strict=True
            ):
                if before != now:
                    self._actions.append(Action(self._now(), word, now))
        self._limits = limits

    def _on_lifecycle(
        self, _connection: Any, _domain: Any, event: int, detail: int, _opaque: None
    ) -> None:
        if event != libvirt.VIR_DOMAIN_EVENT_SUSPENDED:
            return
        if detail == libvirt.VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY:
            self._actions.append(Action(self._now(), "post-copy"))
        elif self._suspended_at is None:
            self._suspended_at = self._now()

    def _note_pause(self, took_seconds: float, stats: dict[str, Any]) -> None:
        """Tell a pause by somebody from the one that every migration ends with."""
        if self._suspended_at is None or any(a.word == "post-copy" for a in self._actions):
            return
        own_seconds = _seconds(stats, "downtime") + _SWITCHOVER_SECONDS
        if took_seconds - self._suspended_at > own_seconds:
            self._actions.append(Action(self._suspended_at, "pause"))

    def _now(self) -> float:
        return time.monotonic() - self._begun


def _seconds(stats: dict[str, Any], key: str) -> float:
    return stats.get(key, 0) / 1000
