# SPDX-License-Identifier: Apache-2.0
"""The migrations during faults: guests migrate back and forth between two hosts.

All are alike and their bandwidth is limited, so that a longer one shows a delay.
"""

import contextlib
import itertools
import random
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import libvirt

from lab.faults.ground_truth import Ending, Truth
from lab.hosts import Guest, Host, Lab, LabError, Migration, NovaMetadata, Outcome, Server
from lab.hosts.migration import COMPLETED, Stats
from lab.parts import processes

_BANDWIDTH_MIB_S = 4
# Of ten, so many are aborted, and of so many QEMU is killed at the destination.
_CANCELLED, _FAILED = 2, 1
# After their bytes flow, which they do for three seconds.
_ENDS_SECONDS = (0.2, 2.0)
_END_SECONDS = 150.0
_LOOK_SECONDS = 30.0
_GONE = (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to become of a guest's migration; seconds from the round's begin, and from when its
    bytes flow."""

    guest: int
    begins_after_seconds: float
    ending: Ending = Ending.COMPLETED
    ends_after_seconds: float = 0.0


def plan(rng: random.Random, guests: int, at_once: int, within_seconds: float) -> list[Plan]:
    """So many of the ``guests`` migrate, beginning ``within_seconds``; some will not complete."""
    endings = [Ending.COMPLETED] * (10 - _CANCELLED - _FAILED)
    endings += [Ending.CANCELLED] * _CANCELLED + [Ending.FAILED] * _FAILED
    return [
        Plan(
            guest, rng.uniform(0, within_seconds), rng.choice(endings), rng.uniform(*_ENDS_SECONDS)
        )
        for guest in rng.sample(range(guests), at_once)
    ]


class Journey:
    """One planned migration, in a thread."""

    def __init__(self, lab: Lab, server: Server, hosts: tuple[Host, Host], plan: Plan) -> None:
        self.server = server
        self.source, self.destination = hosts
        self.flows = threading.Event()
        self._lab = lab
        self._plan = plan
        self._began_at = self._ended_at = 0.0
        self._cancelled = False
        self._outcome: Outcome | None = None
        self._thread = threading.Thread(target=self._run, name=f"journey {server.name}")
        self._thread.start()

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def join(self) -> None:
        self._thread.join()

    def truth(self) -> Truth | None:
        """What has become of it, when libvirt is there again; None: it did not begin, as libvirt
        was away.

        Where the server runs is what counts: libvirt may have been away when it ended.
        """
        self._thread.join()
        if self._outcome is None:
            return None
        ending = Ending.CANCELLED if self._cancelled else Ending.FAILED
        stats = self._outcome.completed_stats
        if self._outcome.completed:
            ending = Ending.COMPLETED
        else:
            processes.wait_for(self._is_idle, _LOOK_SECONDS, "the job to end")
            if runs(self.destination, self.server):
                ending, stats = Ending.COMPLETED, self._stats()
        return Truth(
            server_uuid=self.server.uuid,
            source=self.source.name,
            destination=self.destination.name,
            began_at=self._began_at,
            ended_at=self._ended_at,
            ending=ending,
            stats=stats if ending is Ending.COMPLETED else None,
            error=self._outcome.error,
            was_aborted=self._outcome.was_aborted,
        )

    def _run(self) -> None:
        try:
            time.sleep(self._plan.begins_after_seconds)
            self._began_at = time.time()
            self._migrate()
        finally:
            self._ended_at = time.time()
            self.flows.set()

    def _migrate(self) -> None:
        try:
            migration = self._lab.migrate(
                self.server, self.source, self.destination, bandwidth_mib_s=_BANDWIDTH_MIB_S
            )
        except libvirt.libvirtError:
            return
        # It may be over before its time, as libvirt may be away.
        with contextlib.suppress(LabError):
            migration.wait_for(lambda stats: stats.get("memory_processed"))
            self.flows.set()
            self._cancelled = self._end(migration)
        self._outcome = migration.wait(_END_SECONDS)

    def _end(self, migration: Migration) -> bool:
        """End it as planned; return whether it was cancelled, if that was possible."""
        if self._plan.ending is Ending.COMPLETED:
            return False
        time.sleep(self._plan.ends_after_seconds)
        if self._plan.ending is Ending.FAILED:
            # It may just have ended.
            with contextlib.suppress(OSError, LabError):
                self.destination.signal_guest(self.server.name, signal.SIGKILL)
            return False
        try:
            migration.abort()
        except libvirt.libvirtError:
            return False
        return True

    def _is_idle(self) -> bool:
        """Return whether the source's libvirt shows that the migration is over."""
        try:
            with self.source.connect() as connection:
                stats = connection.lookupByUUIDString(self.server.uuid).jobStats()
        except libvirt.libvirtError as error:
            return error.get_error_code() in _GONE
        return bool(stats["type"] == libvirt.VIR_DOMAIN_JOB_NONE)

    def _stats(self) -> Stats | None:
        """Return the final statistics from the destination."""
        with contextlib.suppress(libvirt.libvirtError), self.destination.connect() as connection:
            stats = connection.lookupByUUIDString(self.server.uuid).jobStats(COMPLETED)
            return stats if stats.get("memory_total") else None
        return None


class Fleet:
    """The guests and their hosts; at first half of them are on each."""

    def __init__(self, lab: Lab, size: int) -> None:
        self._lab = lab
        self._numbers = itertools.count()
        self._at: list[tuple[Server, int]] = [self._new(number % 2) for number in range(size)]

    def set_out(self, plans: Sequence[Plan]) -> list[Journey]:
        """Start migrations."""
        journeys = []
        for each in plans:
            server, where = self._at[each.guest]
            hosts = (self._lab.hosts[where], self._lab.hosts[1 - where])
            journeys.append(Journey(self._lab, server, hosts, each))
        return journeys

    def look(self) -> None:
        """Find the hosts of the guests; replace guests that did not survive."""
        for number, (server, where) in enumerate(self._at):
            at = [index for index, host in enumerate(self._lab.hosts) if runs(host, server)]
            if len(at) == 1:
                self._at[number] = (server, at[0])
            else:
                self._lab.destroy_guest(server)
                self._at[number] = self._new(where)

    def _new(self, where: int) -> tuple[Server, int]:
        name = f"guest-{next(self._numbers)}"
        guest = Guest(
            name=name,
            memory_mib=24,
            fill_mib=12,
            working_set_mib=1,
            segments=((1000, 0.2),),
            nova=NovaMetadata(server_name=name),
        )
        return self._lab.start_guest(self._lab.hosts[where], guest), where


def runs(host: Host, server: Server) -> bool:
    """Return whether a server runs on a host, whose libvirt may be restarting."""

    def look() -> str | None:
        try:
            with host.connect() as connection:
                domain = connection.lookupByUUIDString(server.uuid)
                is_running = domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING
                return "yes" if is_running else "no"
        except libvirt.libvirtError as error:
            return "no" if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN else None

    return processes.wait_for(look, _LOOK_SECONDS, f"{host.name} to answer") == "yes"
