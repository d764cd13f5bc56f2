# SPDX-License-Identifier: Apache-2.0
"""Stands in for the module ``libvirt`` of the real agent, which finds it first in ``PYTHONPATH``.

Only what ``migprog.compute.libvirt.host`` uses, with libvirt's own names and numbers. Its servers
do what the plan says from when the file that ``MIGPROG_SOAK`` names is there. For each migration it
keeps what that file's ``leak_bytes`` and ``leak_descriptors`` say: the agent's process leaks, then.
"""

import contextlib
import heapq
import itertools
import json
import os
import pathlib
import queue
import time
import types
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from xml.sax import saxutils

from lab.soak.plan import Act, Ending, Journey, Step, journey
from migprog.concurrency import native_queue

VIR_ERR_NO_DOMAIN, VIR_ERR_OPERATION_INVALID, VIR_ERR_OPERATION_TIMEOUT = 42, 55, 68
VIR_DOMAIN_RUNNING, VIR_DOMAIN_PAUSED, VIR_DOMAIN_SHUTOFF = 1, 3, 5
VIR_DOMAIN_RUNNING_BOOTED = 1
VIR_DOMAIN_RUNNING_MIGRATED, VIR_DOMAIN_RUNNING_POSTCOPY = 2, 10
VIR_DOMAIN_PAUSED_POSTCOPY, VIR_DOMAIN_PAUSED_POSTCOPY_FAILED = 12, 13
VIR_DOMAIN_PAUSED_MIGRATION, VIR_DOMAIN_PAUSED_STARTING_UP = 2, 11
VIR_DOMAIN_JOB_STATS_COMPLETED, VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED = 1, 2
VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2 = 0, 16
VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, VIR_DOMAIN_EVENT_ID_JOB_COMPLETED = 18, 19
VIR_DOMAIN_EVENT_DEFINED, VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_RESUMED = 0, 2, 4
VIR_DOMAIN_CONTROL_OK, VIR_DOMAIN_CONTROL_JOB = 0, 1
VIR_DOMAIN_STATS_STATE, VIR_DOMAIN_STATS_BALLOON, VIR_DOMAIN_STATS_VCPU = 1, 4, 8
VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE = 1
VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT = 1 << 29
# Of our own: where the callback for QEMU's event is kept.
QEMU_MIGRATION = -1

_OPERATION_MIGRATION_IN = 4
# libvirt-domain.h: virDomainEventType and its details.
_STARTED, _STARTED_MIGRATED = (2, 0), (2, 1)
_SUSPENDED_MIGRATED, _RESUMED_MIGRATED = (3, 1), (4, 1)
_STOPPED, _STOPPED_CRASHED, _STOPPED_MIGRATED, _STOPPED_FAILED = (5, 0), (5, 2), (5, 3), (5, 5)
_LOOK_SECONDS = 0.05
_XML = """<domain type='kvm'>
  <name>instance</name>
  <metadata>
    <nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">
      <nova:name>{name}</nova:name>
      <nova:owner>
        <nova:user uuid="9f8b6d2c0c1e4d57a3f2b1e0d9c8b7a6">somebody</nova:user>
        <nova:project uuid="1a2b3c4d5e6f708192a3b4c5d6e7f809">something</nova:project>
      </nova:owner>
    </nova:instance>
  </metadata>
  <memory unit='b'>{memory_bytes}</memory>
</domain>"""


class libvirtError(Exception):
    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self._code = code

    def get_error_code(self) -> int:
        return self._code


class Domain:
    """A server at one host."""

    def __init__(self, journey: Journey, stands: tuple[int, int]) -> None:
        self._journey = journey
        self.stands = stands
        self.job_began_at: float | None = None
        self.completed: dict[str, Any] = {"type": 0}

    def UUIDString(self) -> str:
        return self._journey.server_uuid

    def XMLDesc(self) -> str:
        name = saxutils.escape(self._journey.server_name)
        return _XML.format(name=name, memory_bytes=self._journey.memory_bytes)

    def state(self) -> list[int]:
        return list(self.stands)

    def jobStats(self, flags: int = 0) -> dict[str, Any]:
        if flags & VIR_DOMAIN_JOB_STATS_COMPLETED:
            return dict(self.completed)
        began_at = self.job_began_at
        return {"type": 0} if began_at is None else self._journey.stats(time.monotonic() - began_at)

    def controlInfo(self) -> list[int]:
        return [VIR_DOMAIN_CONTROL_OK, 0, 0]

    def migrateGetMaxDowntime(self) -> int:
        return 300


class Hypervisor:
    """One host; its servers are in ``domains`` as long as they are there."""

    def __init__(self) -> None:
        self.name = ""
        self.domains: dict[str, Domain] = {}
        self.callbacks: dict[int, Callable[..., None]] = {}
        self._began_at = 0.0
        self._leaks = types.SimpleNamespace(leak_bytes=0, leak_descriptors=0)
        self._kept: list[Any] = []

    def run(self) -> None:
        """Do what the plan says, for ever."""
        self._await_begin()
        for step, each in self._steps():
            _sleep(self._began_at + step.at - time.monotonic())
            # One that has vanished from its source is not there to be removed.
            with contextlib.suppress(KeyError):
                self._do(step, each)
        _sleep(3600)

    def _await_begin(self) -> None:
        path = pathlib.Path(os.environ["MIGPROG_SOAK"])
        while not path.exists() or not self.name:
            _sleep(_LOOK_SECONDS)
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
                self._appears(journey, (VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED), _STARTED)
            case Act.RECEIVE:
                stands = (VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION)
                self._appears(journey, stands, _STARTED_MIGRATED)
            case Act.SET_OUT:
                self.domains[uuid].job_began_at = self._began_at + step.at
                self._qemu(self.domains[uuid], "setup", "active")
            case Act.PASS:
                iteration = VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION
                self._tell(iteration, self.domains[uuid], step.value)
            case Act.PAUSE:
                domain = self.domains[uuid]
                domain.stands = (VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION)
                self._lifecycle(domain, _SUSPENDED_MIGRATED)
            case Act.END if self.name == journey.source:
                self._ends_here(journey)
                self._keep()
            case Act.END:
                self._ends_there(journey)
            case Act.REMOVE:
                self._goes(uuid, _STOPPED)

    def _ends_here(self, journey: Journey) -> None:
        uuid = journey.server_uuid
        domain = self.domains[uuid]
        domain.job_began_at = None
        match journey.ending:
            case Ending.COMPLETED:
                self._tell(VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, domain, journey.final())
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
        domain.stands = (VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_MIGRATED)
        self._lifecycle(domain, _RESUMED_MIGRATED)

    def _keep(self) -> None:
        if self._leaks.leak_bytes:
            self._kept.append(bytearray(b"x" * self._leaks.leak_bytes))
        self._kept += [os.dup(2) for _ in range(self._leaks.leak_descriptors)]

    def _appears(self, journey: Journey, stands: tuple[int, int], event: tuple[int, int]) -> None:
        domain = self.domains[journey.server_uuid] = Domain(journey, stands)
        self._lifecycle(domain, event)

    def _goes(self, uuid: str, event: tuple[int, int]) -> None:
        self._lifecycle(self.domains.pop(uuid), event)

    def _lifecycle(self, domain: Domain, event: tuple[int, int]) -> None:
        self._tell(VIR_DOMAIN_EVENT_ID_LIFECYCLE, domain, *event)

    def _qemu(self, domain: Domain, *statuses: str) -> None:
        for status in statuses:
            details = json.dumps({"status": status})
            self._tell(QEMU_MIGRATION, domain, "MIGRATION", 0, 0, details)

    def _tell(self, event: int, domain: Domain, *values: Any) -> None:
        if event in self.callbacks:
            self.callbacks[event](None, domain, *values, None)


_here = Hypervisor()


class Connection:
    """Calls that ask for nothing are answered with nothing."""

    hypervisor = _here

    def getHostname(self) -> str:
        return _here.name

    def getURI(self) -> str:
        return f"qemu:///{_here.name}"

    def getType(self) -> str:
        return "QEMU"

    def getCapabilities(self) -> str:
        # Several agents on one machine are tried at once.
        return f"<capabilities><host><uuid>{uuid.uuid4()}</uuid></host></capabilities>"

    def getLibVersion(self) -> int:
        return 9_000_000

    def getVersion(self) -> int:
        return 7_002_000

    def isAlive(self) -> int:
        return 1

    def setKeepAlive(self, _interval: int, _count: int) -> None:
        pass

    def registerCloseCallback(self, _callback: Any, _opaque: Any) -> None:
        pass

    def domainEventRegisterAny(
        self, _domain: None, event: int, callback: Callable[..., None], _opaque: Any
    ) -> int:
        _here.callbacks[event] = callback
        return event

    def getAllDomainStats(self, _stats: int, _flags: int) -> list[tuple[Domain, dict[str, Any]]]:
        return [(domain, _state(domain)) for domain in list(_here.domains.values())]

    def domainListGetStats(
        self, domains: list[Domain], _stats: int, _flags: int
    ) -> list[tuple[Domain, dict[str, Any]]]:
        return [(domain, {"balloon.rss": 65536} | _state(domain)) for domain in domains]

    def lookupByUUIDString(self, server_uuid: str) -> Domain:
        try:
            return _here.domains[server_uuid]
        except KeyError:
            raise libvirtError(f"Domain not found: {server_uuid}", VIR_ERR_NO_DOMAIN) from None

    def close(self) -> None:
        pass


def _state(domain: Domain) -> dict[str, Any]:
    return {"state.state": domain.stands[0], "state.reason": domain.stands[1]}


def open(uri: str) -> Connection:
    _here.name = uri.rpartition("/")[2]
    return Connection()


openReadOnly = open


def registerErrorHandler(_handler: Any, _opaque: Any) -> None:
    pass


def virEventRegisterDefaultImpl() -> None:
    pass


def virEventRunDefaultImpl() -> None:
    _here.run()


def _sleep(seconds: float) -> None:
    """eventlet's is not for real threads."""
    if seconds > 0:
        never: queue.SimpleQueue[None] = native_queue()
        with contextlib.suppress(queue.Empty):
            never.get(timeout=seconds)
