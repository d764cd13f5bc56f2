# SPDX-License-Identifier: Apache-2.0
"""The fake hypervisor of a soaked agent: its servers do what the plan says.

They begin when the file that ``MIGPROG_SOAK`` names is there. For each migration the agent's
process keeps what that file's ``leak_bytes`` and ``leak_descriptors`` say: it leaks, then.
"""

import heapq
import itertools
import json
import os
import pathlib
import time
import traceback
import types
from collections.abc import Iterator
from typing import Any

from lab import fake_libvirt as libvirt
from lab.soak.plan import Act, Ending, Journey, Step, journey
from migprog.concurrency import native_sleep

_OPERATION_MIGRATION_IN = 4
# libvirt-domain.h: virDomainEventType and its details.
_STARTED, _STARTED_MIGRATED = (2, 0), (2, 1)
_SUSPENDED_MIGRATED, _RESUMED_MIGRATED = (3, 1), (4, 1)
_STOPPED, _STOPPED_CRASHED, _STOPPED_MIGRATED, _STOPPED_FAILED = (5, 0), (5, 2), (5, 3), (5, 5)
_RUNNING = (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_BOOTED)
_PAUSED = (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION)
_LOOK_SECONDS = 0.05
# Exit status of an agent whose stand-in has failed.
_FAILED = 70


class Domain(libvirt.Domain):
    """A server at one host."""

    def __init__(self, journey: Journey, domain_state: tuple[int, int]) -> None:
        super().__init__(
            journey.server_uuid, journey.server_name, journey.memory_bytes, domain_state
        )
        self._journey = journey
        self.job_began_at: float | None = None
        self.completed: dict[str, Any] = {"type": 0}

    def jobStats(self, flags: int = 0) -> dict[str, Any]:
        if flags & libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED:
            return dict(self.completed)
        began_at = self.job_began_at
        return {"type": 0} if began_at is None else self._journey.stats(time.monotonic() - began_at)


class SoakHypervisor(libvirt.Hypervisor):
    """One host; its servers are in ``domains`` as long as they are there."""

    def __init__(self) -> None:
        super().__init__()
        self.name = ""
        self._began_at = 0.0
        self._leaks = types.SimpleNamespace(leak_bytes=0, leak_descriptors=0)
        self._kept: list[Any] = []

    def connect(self, uri: str) -> libvirt.Connection:
        self.name = uri.rpartition("/")[2]
        return super().connect(uri)

    def run_events(self) -> None:
        """Do what the plan says, for ever. An error ends the process: without events, nothing that
        the agent reports would be judged rightly."""
        try:
            self._do_all()
        except Exception:
            traceback.print_exc()
            os._exit(_FAILED)

    def _do_all(self) -> None:
        self._await_begin()
        for step, each in self._steps():
            native_sleep(self._began_at + step.at - time.monotonic())
            self._do(step, each)
        native_sleep(3600.0)

    def _await_begin(self) -> None:
        path = pathlib.Path(os.environ["MIGPROG_SOAK"])
        while not path.exists() or not self.name:
            native_sleep(_LOOK_SECONDS)
        self._leaks = types.SimpleNamespace(**json.loads(path.read_text()))
        self._began_at = self._leaks.begins_at

    def _steps(self) -> Iterator[tuple[Step, Journey]]:
        """Those of this host in order. They are made as they come: no list that gets shorter may
        hide another that gets longer."""
        waiting: list[tuple[float, int, Step, Journey]] = []
        tie = itertools.count()
        for number in range(self._leaks.count):
            plan = self._leaks
            each = journey(number, plan.seed, plan.per_second, plan.without)
            while waiting and waiting[0][0] <= each.first_at:
                yield heapq.heappop(waiting)[2:]
            for step in each.steps():
                if step.host == self.name:
                    heapq.heappush(waiting, (step.at, next(tie), step, each))
        while waiting:
            yield heapq.heappop(waiting)[2:]

    def _do(self, step: Step, journey: Journey) -> None:
        uuid = journey.server_uuid
        match step.act:
            case Act.BOOT:
                self._appears(
                    journey,
                    _RUNNING,
                    _STARTED,
                )
            case Act.RECEIVE:
                self._appears(journey, _PAUSED, _STARTED_MIGRATED)
            case Act.SET_OUT:
                self.domains[uuid].job_began_at = self._began_at + step.at
                self._qemu(self.domains[uuid], "setup", "active")
            case Act.ITERATION:
                iteration = libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION
                self.call_back(iteration, self.domains[uuid], step.value)
            case Act.PAUSE:
                domain = self.domains[uuid]
                domain.domain_state = (
                    libvirt.VIR_DOMAIN_PAUSED,
                    libvirt.VIR_DOMAIN_PAUSED_MIGRATION,
                )
                self._lifecycle(domain, _SUSPENDED_MIGRATED)
            case Act.END if self.name == journey.source:
                self._ends_here(journey)
                self._keep()
            case Act.END:
                self._ends_there(journey)
            case Act.REMOVE if uuid in self.domains:
                # One that has vanished from its source is not there.
                self._goes(uuid, _STOPPED)

    def _ends_here(self, journey: Journey) -> None:
        uuid = journey.server_uuid
        domain = self.domains[uuid]
        domain.job_began_at = None
        match journey.ending:
            case Ending.COMPLETED:
                self.call_back(libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, domain, journey.final())
                self._goes(uuid, _STOPPED_MIGRATED)
            case Ending.FAILED:
                self._qemu(domain, "failed")
            case Ending.ABORTED:
                self._qemu(domain, "cancelling", "cancelled")
            case Ending.CRASHED:
                self._goes(uuid, _STOPPED_CRASHED)
            case Ending.VANISHED:
                del self.domains[uuid]

    def _ends_there(self, journey: Journey) -> None:
        if journey.ending is not Ending.COMPLETED:
            self._goes(journey.server_uuid, _STOPPED_FAILED)
            return
        domain = self.domains[journey.server_uuid]
        domain.completed = journey.final() | {"operation": _OPERATION_MIGRATION_IN}
        domain.domain_state = (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_MIGRATED)
        self._lifecycle(domain, _RESUMED_MIGRATED)

    def _keep(self) -> None:
        if self._leaks.leak_bytes:
            self._kept.append(bytearray(b"x" * self._leaks.leak_bytes))
        self._kept += [os.dup(2) for _ in range(self._leaks.leak_descriptors)]

    def _appears(
        self, journey: Journey, domain_state: tuple[int, int], event: tuple[int, int]
    ) -> None:
        domain = self.domains[journey.server_uuid] = Domain(journey, domain_state)
        self._lifecycle(domain, event)

    def _goes(self, uuid: str, event: tuple[int, int]) -> None:
        self._lifecycle(self.domains.pop(uuid), event)

    def _lifecycle(self, domain: Domain, event: tuple[int, int]) -> None:
        self.call_back(libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, domain, *event)

    def _qemu(self, domain: Domain, *statuses: str) -> None:
        for status in statuses:
            details = json.dumps({"status": status})
            self.call_back(libvirt.QEMU_MIGRATION, domain, "MIGRATION", 0, 0, details)
