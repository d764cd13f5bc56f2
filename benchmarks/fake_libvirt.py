# SPDX-License-Identifier: Apache-2.0
"""Stands in for the modules ``libvirt`` and ``libvirt_qemu``: servers by arithmetic, at no cost.

Only what ``migprog.compute.libvirt.host`` uses, with libvirt's own names and numbers. All that it
answers was made beforehand. :func:`install` it before anything else is imported: eventlet must not
get at the clock and the sleep of its event loop, which runs in a real thread.
"""

import bisect
import itertools
import sys
import time
import types
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lab.simulated import Guest, precopy

VIR_ERR_NO_DOMAIN, VIR_ERR_OPERATION_INVALID, VIR_ERR_OPERATION_TIMEOUT = 42, 55, 68
_VIR_ERR_OPERATION_DENIED = 29
VIR_DOMAIN_RUNNING, VIR_DOMAIN_PAUSED = 1, 3
VIR_DOMAIN_RUNNING_MIGRATED, VIR_DOMAIN_RUNNING_POSTCOPY = 2, 10
VIR_DOMAIN_PAUSED_POSTCOPY, VIR_DOMAIN_PAUSED_POSTCOPY_FAILED = 12, 13
VIR_DOMAIN_SHUTOFF = 5
VIR_DOMAIN_JOB_STATS_COMPLETED, VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED = 1, 2
VIR_DOMAIN_PAUSED_MIGRATION, VIR_DOMAIN_PAUSED_STARTING_UP = 2, 11
VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2 = 0, 16
VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, VIR_DOMAIN_EVENT_ID_JOB_COMPLETED = 18, 19
VIR_DOMAIN_EVENT_DEFINED, VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_RESUMED = 0, 2, 4
VIR_DOMAIN_CONTROL_OK, VIR_DOMAIN_CONTROL_JOB = 0, 1
VIR_DOMAIN_STATS_STATE, VIR_DOMAIN_STATS_BALLOON, VIR_DOMAIN_STATS_VCPU = 1, 4, 8
VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE = 1
VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT = 1 << 29

NODE = "benchmark"
_MEMORY_MIB = 4096
_POLL_SECONDS = 0.5
_BANDWIDTH_MIB_S = 40.0
# Those that were found later began so much earlier: no two do the same at the same time.
_APART_SECONDS = 0.37
# What libvirt tells as well; nobody asks for it, but it is there to be carried about.
_MORE = {
    "setup_time": 1,
    "data_total": 1,
    "data_processed": 1,
    "data_remaining": 1,
    "memory_bps": 41943040,
    "memory_normal_bytes": 1,
    "memory_postcopy_requests": 0,
}
_XML = """<domain type='kvm'>
  <name>instance-{number:08x}</name>
  <metadata>
    <nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">
      <nova:name>server {number}</nova:name>
      <nova:owner>
        <nova:user uuid="9f8b6d2c0c1e4d57a3f2b1e0d9c8b7a6">somebody</nova:user>
        <nova:project uuid="1a2b3c4d5e6f708192a3b4c5d6e7f809">something</nova:project>
      </nova:owner>
    </nova:instance>
  </metadata>
  <memory unit='KiB'>{memory_kib}</memory>
</domain>"""

# The only hypervisor there is; set by :func:`install`.
_here: "Hypervisor"


class libvirtError(Exception):
    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self._code = code

    def get_error_code(self) -> int:
        return self._code


class Domain:
    """A running server without a job."""

    def __init__(self, number: int) -> None:
        self._uuid = f"00000000-0000-4000-8000-{number:012x}"
        self._xml = _XML.format(number=number, memory_kib=_MEMORY_MIB * 1024)

    def UUIDString(self) -> str:
        return self._uuid

    def XMLDesc(self) -> str:
        return self._xml

    def state(self) -> list[int]:
        return [VIR_DOMAIN_RUNNING, 1]

    def jobStats(self, _flags: int = 0) -> dict[str, Any]:
        return {"type": 0}

    def controlInfo(self) -> list[int]:
        return [VIR_DOMAIN_CONTROL_OK, 0, 0]

    def migrateGetMaxDowntime(self) -> int:
        raise libvirtError("read-only access prevents it", _VIR_ERR_OPERATION_DENIED)


class MigratingDomain(Domain):
    """One that migrates all the time. ``largest_gap_seconds``: between two readings, so far."""

    def __init__(self, number: int, course: "PrecopyState", began_at: float) -> None:
        super().__init__(number)
        self._course = course
        self._began_at = began_at
        self.readings = 0
        self.largest_gap_seconds = 0.0
        self._read_at: float | None = None

    def forget(self) -> None:
        """Count readings and gaps from now on."""
        self.readings, self.largest_gap_seconds, self._read_at = 0, 0.0, None

    def jobStats(self, _flags: int = 0) -> dict[str, Any]:
        now = time.monotonic()
        if self._read_at is not None and now - self._read_at > self.largest_gap_seconds:
            self.largest_gap_seconds = now - self._read_at
        self._read_at = now
        self.readings += 1
        return self._course.samples[int((now - self._began_at) / _POLL_SECONDS)]

    def iterations(self, now: float) -> Iterator[tuple[float, "MigratingDomain", int]]:
        """When which pass of its begins, after ``now``."""
        first = bisect.bisect(self._course.iterations, now - self._began_at)
        for number, at in enumerate(self._course.iterations[first:], first + 1):
            yield self._began_at + at, self, number


class PrecopyState:
    """How a guest's migration goes: job statistics at each poll, and when its passes begin."""

    def __init__(self, guest: Guest, seconds: float) -> None:
        rows = list(precopy(guest, _POLL_SECONDS, give_up_seconds=seconds))
        self.samples: Sequence[dict[str, Any]] = [
            row["stats"] | _MORE for row in rows if row["kind"] == "sample"
        ]
        self.iterations = [row["t"] for row in rows if row.get("event") == "iteration"]


class Hypervisor:
    """``migrating`` servers that migrate for ``seconds`` from now on, and ``idle`` ones.

    Of the migrating every other one is in its long first pass, so that there is progress to be
    told of; the rest never converge, so that there are many passes to be judged.
    """

    def __init__(self, migrating: int, idle: int, seconds: float) -> None:
        seconds += migrating * _APART_SECONDS + 1
        long_mib = int(2 * seconds * _BANDWIDTH_MIB_S)
        long = PrecopyState(Guest(memory_mib=long_mib, bandwidth_mib_s=_BANDWIDTH_MIB_S), seconds)
        stuck = PrecopyState(
            Guest(dirty_mib_s=80, working_set_mib=80, bandwidth_mib_s=_BANDWIDTH_MIB_S), seconds
        )
        now = time.monotonic()
        self.migrating = [
            MigratingDomain(number, (long, stuck)[number % 2], now - number * _APART_SECONDS)
            for number in range(migrating)
        ]
        domains = [*self.migrating, *(Domain(migrating + number) for number in range(idle))]
        self.by_uuid = {domain.UUIDString(): domain for domain in domains}
        self.states = [(domain, {"state.state": 1, "state.reason": 1}) for domain in domains]
        self.searches = 0
        self.callbacks: dict[int, Callable[..., None]] = {}
        each = (domain.iterations(now) for domain in self.migrating)
        self.events = iter(sorted(itertools.chain.from_iterable(each), key=lambda event: event[0]))


class Connection:
    """Read-only or not; calls that ask for nothing are answered with nothing."""

    def getHostname(self) -> str:
        return NODE

    def getURI(self) -> str:
        return f"qemu:///{NODE}"

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
        _here.searches += 1
        return _here.states

    def domainListGetStats(
        self, domains: list[Domain], _stats: int, _flags: int
    ) -> list[tuple[Domain, dict[str, Any]]]:
        stats = {"balloon.rss": _MEMORY_MIB * 1024, "state.state": 1, "state.reason": 1}
        return [(domain, stats) for domain in domains]

    def lookupByUUIDString(self, server_uuid: str) -> Domain:
        return _here.by_uuid[server_uuid]

    def close(self) -> None:
        pass


def open(_uri: str) -> Connection:
    return Connection()


openReadOnly = open


def registerErrorHandler(_handler: Any, _opaque: Any) -> None:
    pass


def virEventRegisterDefaultImpl() -> None:
    pass


def virEventRunDefaultImpl(_sleep: Callable[[float], None] = time.sleep) -> None:
    """Wait for the next event and hand it over."""
    event = next(_here.events, None)
    if event is None:
        _sleep(3600)
        return
    at, domain, number = event
    _sleep(max(0.0, at - time.monotonic()))
    callback = _here.callbacks.get(VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION)
    if callback is not None:
        callback(None, domain, number, None)


def install(hypervisor: Hypervisor) -> None:
    """Let ``import libvirt`` and ``import libvirt_qemu`` find this; for the process's life."""
    global _here
    _here = hypervisor
    qemu = types.ModuleType("libvirt_qemu")
    vars(qemu)["qemuMonitorEventRegister"] = lambda *_details: 0
    sys.modules |= {"libvirt": sys.modules[__name__], "libvirt_qemu": qemu}
