# SPDX-License-Identifier: Apache-2.0
"""A fake of the modules ``libvirt`` and ``libvirt_qemu``, with servers that only compute.

It has what :mod:`migprog.compute.libvirt` uses, with libvirt's own names and numbers. A
:class:`Hypervisor` says which servers there are and what they do; :func:`install` makes it the one
that all connections of this process lead to. Tests of a single class use :class:`Domain` and
:class:`Connection` without that.
"""

import sys
import types
import uuid
from collections.abc import Callable, Sequence
from typing import Any
from xml.sax import saxutils

from migprog.concurrency import native_sleep

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
# Of our own: where the callback for QEMU's MIGRATION event is kept.
QEMU_MIGRATION = -1

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
  <memory unit='bytes'>{memory_bytes}</memory>
</domain>"""


class libvirtError(Exception):
    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self._code = code

    def get_error_code(self) -> int:
        return self._code


class Domain:
    """A server without a job. ``domain_state``: its state and the reason."""

    def __init__(
        self,
        server_uuid: str,
        name: str = "web",
        memory_bytes: int = 2**30,
        domain_state: tuple[int, int] = (VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED),
    ) -> None:
        self.server_uuid = server_uuid
        self.name = name
        self.memory_bytes = memory_bytes
        self.domain_state = domain_state

    def UUIDString(self) -> str:
        return self.server_uuid

    def XMLDesc(self) -> str:
        return _XML.format(name=saxutils.escape(self.name), memory_bytes=self.memory_bytes)

    def state(self) -> list[int]:
        return list(self.domain_state)

    def jobStats(self, _flags: int = 0) -> dict[str, Any]:
        return {"type": 0}

    def controlInfo(self) -> Sequence[int]:
        return [VIR_DOMAIN_CONTROL_OK, 0, 0]

    def migrateGetMaxDowntime(self) -> int | None:
        return 300

    def vcpus(self) -> tuple[list[tuple[int, int, int, int]], list[tuple[bool, ...]]]:
        raise libvirtError("cpu affinity is not supported", VIR_ERR_OPERATION_INVALID)

    def stats(self) -> dict[str, Any]:
        """Return its statistics, of all groups."""
        state, reason = self.domain_state
        return {"state.state": state, "state.reason": reason, "balloon.rss": 65536}


class Hypervisor:
    """One host with its servers, by UUID; ``callbacks`` are those of the agent, by event."""

    name = "fake"

    def __init__(self) -> None:
        self.domains: dict[str, Any] = {}
        self.callbacks: dict[int, Callable[..., None]] = {}

    def connect(self, _uri: str) -> "Connection":
        return Connection(self)

    def all_stats(self) -> list[tuple[Any, dict[str, Any]]]:
        """Return the servers that run, with their statistics."""
        return [(domain, domain.stats()) for domain in list(self.domains.values())]

    def run_events(self) -> None:
        """Wait for the next events, and call back; runs in the thread of libvirt's event loop."""
        native_sleep(3600.0)

    def call_back(self, event: int, domain: Any, *values: Any) -> None:
        if event in self.callbacks:
            self.callbacks[event](None, domain, *values, None)


class Connection:
    """Calls that ask for nothing are answered with nothing."""

    def __init__(self, hypervisor: Hypervisor | None = None) -> None:
        self.hypervisor = hypervisor or Hypervisor()

    def getHostname(self) -> str:
        return self.hypervisor.name

    def getURI(self) -> str:
        return f"qemu:///{self.hypervisor.name}"

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
        self.hypervisor.callbacks[event] = callback
        return event

    def getAllDomainStats(self, _stats: int, _flags: int) -> list[tuple[Any, dict[str, Any]]]:
        return self.hypervisor.all_stats()

    def domainListGetStats(
        self, domains: list[Any], _stats: int, _flags: int
    ) -> list[tuple[Any, dict[str, Any]]]:
        return [(domain, domain.stats()) for domain in domains]

    def lookupByUUIDString(self, server_uuid: str) -> Any:
        try:
            return self.hypervisor.domains[server_uuid]
        except KeyError:
            raise libvirtError(f"Domain not found: {server_uuid}", VIR_ERR_NO_DOMAIN) from None

    def close(self) -> None:
        pass


# The hypervisor of this process; set by :func:`install`.
_here = Hypervisor()


def open(uri: str) -> Connection:
    return _here.connect(uri)


openReadOnly = open


def registerErrorHandler(_handler: Any, _opaque: Any) -> None:
    pass


def virEventRegisterDefaultImpl() -> None:
    pass


def virEventRunDefaultImpl() -> None:
    _here.run_events()


def _register_qemu_event(
    connection: Connection, _domain: None, event: str, callback: Callable[..., None], _opaque: Any
) -> int:
    if event == "MIGRATION":
        connection.hypervisor.callbacks[QEMU_MIGRATION] = callback
    return 0


def install(hypervisor: Hypervisor) -> None:
    """Let ``import libvirt`` and ``import libvirt_qemu`` find this; for the process's life."""
    global _here
    _here = hypervisor
    qemu = types.ModuleType("libvirt_qemu")
    vars(qemu)["qemuMonitorEventRegister"] = _register_qemu_event
    sys.modules |= {"libvirt": sys.modules[__name__], "libvirt_qemu": qemu}
