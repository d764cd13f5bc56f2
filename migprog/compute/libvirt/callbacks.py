# SPDX-License-Identifier: Apache-2.0
"""What libvirt's event loop calls back: each event becomes a message, and may ask for a search.

libvirt calls in its event loop's thread, which must not wait: no call to libvirt, no lock, no log.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import libvirt
import libvirt_qemu

from migprog.compute.libvirt.domain_reader import Reader
from migprog.concurrency import Inbox
from migprog.core.observation import Iteration, JobCompleted, JobEvent, Lifecycle

# Among the UUIDs of servers to search, it means all servers.
ALL = ""
_CHANGES = (libvirt.VIR_DOMAIN_EVENT_DEFINED, libvirt.VIR_DOMAIN_EVENT_STARTED)
_APPEARS = (libvirt.VIR_DOMAIN_EVENT_STARTED, libvirt.VIR_DOMAIN_EVENT_RESUMED)


class Callbacks:
    """The callbacks of one host; ``search`` asks for a search of a server, or of :data:`ALL`,
    ``read_next`` for a reading of one that is watched, and returns whether it will come soon."""

    def __init__(
        self,
        inbox: Inbox,
        reader: Reader,
        search: Callable[[str], None],
        read_next: Callable[[str], bool],
    ) -> None:
        self._inbox = inbox
        self._reader = reader
        self._search = search
        self._read_next = read_next

    def register(self, connection: Any) -> None:
        """Subscribe to libvirt's events. Raises :class:`libvirtError`."""
        connection.registerCloseCallback(self._on_close, None)
        for event, callback in (
            (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_lifecycle),
            (libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, self._on_iteration),
            (libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, self._on_job_completed),
            (libvirt.VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2, self._on_block_job),
        ):
            connection.domainEventRegisterAny(None, event, callback, None)

    def register_qemu(self, connection: Any) -> None:
        """Subscribe to QEMU's own events. Raises :class:`libvirtError`."""
        for name in ("MIGRATION", "JOB_STATUS_CHANGE"):
            libvirt_qemu.qemuMonitorEventRegister(connection, None, name, self._on_qemu, None)

    def _on_close(self, _connection: Any, _reason: int, _opaque: Any) -> None:
        self._search(ALL)

    def _on_lifecycle(
        self, _connection: Any, domain: Any, event: int, detail: int, _opaque: Any
    ) -> None:
        server_uuid = domain.UUIDString()
        self._inbox.put(
            Lifecycle(
                server_uuid=server_uuid,
                at=time.monotonic(),
                event=event,
                detail=detail,
                facts=self._reader.facts.get(server_uuid),
            )
        )
        if event in _CHANGES:
            self._reader.forget(server_uuid)
        if event in _APPEARS:
            # Read its facts now: a migration may end before the next search.
            self._search(server_uuid)

    def _on_iteration(self, _connection: Any, domain: Any, iteration: int, _opaque: Any) -> None:
        at, server_uuid = time.monotonic(), domain.UUIDString()
        begins = Iteration(server_uuid=server_uuid, at=at, number=iteration)
        self._inbox.put(begins, wakes=False)
        # An iteration has new counters. Their reading wakes the agent's loop, once for both, unless
        # the event would wait for it: behind another call, or for a server that answers late.
        if not self._read_next(server_uuid):
            self._inbox.wake()

    def _on_job_completed(
        self, _connection: Any, domain: Any, stats: dict[str, Any], _opaque: Any
    ) -> None:
        server_uuid = domain.UUIDString()
        facts = self._reader.facts.get(server_uuid)
        self._inbox.put(
            JobCompleted(server_uuid=server_uuid, at=time.monotonic(), stats=stats, facts=facts)
        )

    def _on_block_job(self, _connection: Any, domain: Any, *_details: Any) -> None:
        self._inbox.put(JobEvent(server_uuid=domain.UUIDString(), at=time.monotonic()))

    def _on_qemu(
        self,
        _connection: Any,
        domain: Any,
        event: str,
        _seconds: int,
        _micros: int,
        details: str | None,
        _opaque: Any,
    ) -> None:
        status = qemu_migration_status(details) if event == "MIGRATION" else None
        server_uuid = domain.UUIDString()
        self._inbox.put(JobEvent(server_uuid=server_uuid, at=time.monotonic(), qemu_status=status))
        self._search(server_uuid)


def qemu_migration_status(details: str | None) -> str | None:
    """Return the status in QEMU's MIGRATION event."""
    try:
        status = json.loads(details or "").get("status")
    except (ValueError, AttributeError):
        return None
    return status if isinstance(status, str) else None
