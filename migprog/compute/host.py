# SPDX-License-Identifier: Apache-2.0
"""The only file that knows libvirt: it turns calls and events into values for an inbox.

Kinds of real threads that run here, whatever the concurrency backend: one runs libvirt's event
loop. One a connection connects, searches for migrations and connects anew. One a migration reads
its statistics, so that a call which hangs costs its own server's figures and nothing else. One does
something that an operator asked for. None of them logs, locks or decides: they hand over.
"""

import contextlib
import dataclasses
import functools
import queue
import time
from collections.abc import Mapping
from typing import Any

import libvirt
import libvirt_qemu

from migprog.compute import domain_xml
from migprog.compute.block_jobs import BlockJobs
from migprog.compute.messages import (
    Acted,
    Arrived,
    Connected,
    Disconnected,
    Found,
    Hosted,
    Iteration,
    JobCompleted,
    JobEvent,
    Lifecycle,
    Reading,
)
from migprog.compute.sampler import Sampler
from migprog.concurrency import Inbox, native_queue, native_thread
from migprog.core import actions, sample
from migprog.core.actions import Action
from migprog.core.status import Phase

_GONE = (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID)
# The paused states of a domain that is being received; asking for its job's statistics may block.
_INCOMING = {
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP),
    (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY),
}
_ARRIVED = (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_MIGRATED)
# How a server stands at its source.
_PHASES = {
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY): Phase.POST_COPY,
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED): Phase.POST_COPY_PAUSED,
}
# Without the second, reading them would be the end of them.
_COMPLETED = libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
# A server may be told to have arrived before its job is through: so often it is asked, and seconds
# between.
_COMPLETED_ATTEMPTS, _COMPLETED_PAUSE_SECONDS = 20, 0.1
# A libvirt that does not answer for so long (interval × count seconds) is taken for gone.
_KEEPALIVE = (5, 6)
# Between two searches that events asked for: a block job changes its state in bursts.
_SEARCH_PAUSE_SECONDS = 0.1


class Host:
    """A libvirt that is watched; what it sees goes to ``inbox`` as :data:`messages.Message`."""

    def __init__(
        self, uri: str, inbox: Inbox, scan_interval_seconds: float, qemu_events: bool
    ) -> None:
        self.uri = uri
        self.scan_interval_seconds = scan_interval_seconds
        self._inbox = inbox
        self._connection: libvirt.virConnect | None = None
        self._qemu_events = qemu_events
        self._qemu_connection: libvirt.virConnect | None = None
        self._facts: dict[str, domain_xml.Facts] = {}
        # Those that are sampled and whose resident memory was not read yet.
        self._without_resident: set[str] = set()
        self._searched = False
        # Those that an agent before has left, and that were not seen migrating since.
        self._left: set[str] = set()
        # Those whose threads run; one that hangs stays until its call returns.
        self._samplers: set[Sampler] = set()
        # Wakes the searching thread: True to search at once, None to stop.
        self._wakes: queue.SimpleQueue[bool | None] = native_queue()

    def start(self) -> None:
        _run_event_loop()
        native_thread(self._run, f"libvirt {self.uri}")

    def stop(self) -> None:
        self._wakes.put(None)

    def sampler(self, server_uuid: str, left: bool = False) -> Sampler:
        """A thread of its own that reads the statistics of one server on request.

        ``left``: it migrated when an agent before was here; where is it now?
        """
        (self._left.add if left else self._left.discard)(server_uuid)
        self._without_resident.add(server_uuid)
        read = functools.partial(self._read, server_uuid, BlockJobs(time.monotonic))
        sampler = Sampler(server_uuid, read, self._inbox, self._samplers.discard)
        self._samplers.add(sampler)
        sampler.start()
        return sampler

    def read_completed(self, server_uuid: str, at: float) -> None:
        """Have the final statistics of the job that brought a server here read and handed over."""
        native_thread(lambda: self._completed(server_uuid, at), f"arrival {server_uuid}")

    def act(self, action: Action, server_uuid: str, seen_at: float) -> None:
        """Have something done to the migration of a server that was last seen at ``seen_at``, and
        what came of it handed over as :class:`Acted`."""
        native_thread(
            lambda: self._inbox.put(self._acted(action, server_uuid, seen_at)),
            f"{action} {server_uuid}",
        )

    def _acted(self, action: Action, server_uuid: str, seen_at: float) -> Acted:
        at = time.monotonic()
        result: dict[str, Any]
        try:
            # Of its own: what watches cannot change a thing, and what can is soon closed.
            with contextlib.closing(libvirt.open(self.uri)) as connection:
                connection.setKeepAlive(*_KEEPALIVE)
                domain = connection.lookupByUUIDString(server_uuid)
                result = _ACTS[action](domain, seen_at)
        except libvirt.libvirtError as error:
            gone = error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN
            result = {"refused": actions.OVER} if gone else {"error": str(error)}
        except Exception as error:
            result = {"error": repr(error)}
        return Acted(server_uuid=server_uuid, at=at, **result)

    def _run(self) -> None:
        while True:
            try:
                if self._connection is None:
                    self._connect()
                elif not self._connection.isAlive():
                    self._lost("the connection was closed")
                    continue
                self._search()
            except libvirt.libvirtError as error:
                self._lost(str(error))
            except Exception as error:
                # Whatever nobody foresaw: to look anew is better than to look no more.
                self._lost(repr(error))
            if not self._wait():
                break
        self._close()

    def _wait(self) -> bool:
        """Wait for the next search; False when told to stop."""
        try:
            wake = self._wakes.get(timeout=self.scan_interval_seconds)
            time_is_up = time.monotonic() + _SEARCH_PAUSE_SECONDS
            while wake is not None and (left := time_is_up - time.monotonic()) > 0:
                wake = self._wakes.get(timeout=left)
        except queue.Empty:
            return True
        return wake is not None

    def _connect(self) -> None:
        connection = libvirt.openReadOnly(self.uri)
        connection.setKeepAlive(*_KEEPALIVE)
        connection.registerCloseCallback(self._closed, None)
        for event, callback in (
            (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_lifecycle),
            (libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, self._on_iteration),
            (libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, self._on_job_completed),
            (libvirt.VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2, self._on_block_job),
        ):
            connection.domainEventRegisterAny(None, event, callback, None)
        self._connection = connection
        without = self._connect_qemu() if self._qemu_events else None
        self._inbox.put(
            Connected(
                node=connection.getHostname(),
                libvirt_version=connection.getLibVersion(),
                hypervisor_version=connection.getVersion(),
                without_qemu_events=without,
            )
        )

    def _connect_qemu(self) -> str | None:
        """Have QEMU's own events told; gives the reason where that is refused.

        libvirt tells them on read-write connections alone, so this one is for nothing else.
        """
        try:
            connection = libvirt.open(self.uri)
            connection.setKeepAlive(*_KEEPALIVE)
            for name in ("MIGRATION", "JOB_STATUS_CHANGE"):
                libvirt_qemu.qemuMonitorEventRegister(connection, None, name, self._on_qemu, None)
        except libvirt.libvirtError as error:
            return str(error)
        self._qemu_connection = connection
        return None

    def _search(self) -> None:
        """Look at every running server once; hand over those that are migrating away.

        Those that have a sampler are its business: one that hangs must not hold up the search.
        """
        connection = self._connection
        if connection is None:
            return
        states = connection.getAllDomainStats(
            libvirt.VIR_DOMAIN_STATS_STATE,
            libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE
            | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT,
        )
        sampled = {sampler.server_uuid for sampler in list(self._samplers)}
        present = set()
        found = []
        for domain, state in states:
            server_uuid = domain.UUIDString()
            present.add(server_uuid)
            stands = (state.get("state.state"), state.get("state.reason"))
            if stands == _ARRIVED:
                found.append(server_uuid)
            if stands in _INCOMING:
                continue
            with contextlib.suppress(libvirt.libvirtError):
                if server_uuid not in self._facts:
                    self._facts[server_uuid] = domain_xml.read(domain.XMLDesc())
                if server_uuid in sampled:
                    continue
                # Before the call: its job began no later than that tells.
                at = time.monotonic()
                stats = domain.jobStats()
                if sample.outgoing_job(stats) is sample.JobState.ACTIVE:
                    self._read_resident(connection, domain, server_uuid)
                    phase = _PHASES.get(stands)
                    self._inbox.put(self._reading(server_uuid, stats, at, phase=phase))
        for server_uuid in set(self._facts) - present:
            del self._facts[server_uuid]
        if not self._searched and found:
            self._inbox.put(Found(tuple(found)))
        self._searched = True
        memory_bytes = sum(facts.memory_size_bytes or 0 for facts in self._facts.values())
        self._inbox.put(Hosted(len(present), memory_bytes))

    def _reading(
        self,
        server_uuid: str,
        stats: Mapping[str, Any],
        at: float,
        pause_limit_seconds: float | None = None,
        phase: Phase | None = None,
    ) -> Reading:
        return Reading(
            server_uuid=server_uuid,
            at=at,
            stats=stats,
            pause_limit_seconds=pause_limit_seconds,
            facts=self._facts.get(server_uuid),
            phase=phase,
        )

    def _read(self, server_uuid: str, block_jobs: BlockJobs) -> Reading:
        """Read a server's statistics; runs in its sampler's thread."""
        connection = self._connection
        if connection is None:
            return Reading(server_uuid=server_uuid, at=time.monotonic(), error="not connected")
        try:
            domain = connection.lookupByUUIDString(server_uuid)
            if server_uuid in self._left:
                return self._look_for(domain, server_uuid)
            disks = block_jobs.read(
                lambda: _disk_targets(domain), lambda name: _block_job(domain, name)
            )
            stats = domain.jobStats()
            block_jobs.take(stats)
            if server_uuid in self._without_resident:
                self._read_resident(connection, domain, server_uuid)
            pause_limit_seconds = _pause_limit_seconds(domain)
            reading = self._reading(server_uuid, stats, time.monotonic(), pause_limit_seconds)
            return dataclasses.replace(reading, disks=disks) if disks else reading
        except libvirt.libvirtError as error:
            return Reading(
                server_uuid=server_uuid,
                at=time.monotonic(),
                gone=error.get_error_code() in _GONE,
                error=str(error),
                error_code=error.get_error_code(),
            )

    def _look_for(self, domain: Any, server_uuid: str) -> Reading:
        """Read a server that may be anywhere by now: on its way back here, too."""
        at = time.monotonic()
        stands = tuple(domain.state())
        if stands in _INCOMING:
            text = "it is being switched over, or arrives here"
            return Reading(server_uuid=server_uuid, at=at, error=text)
        if stands[0] == libvirt.VIR_DOMAIN_SHUTOFF:
            stats = domain.jobStats(_COMPLETED)
            return Reading(server_uuid=server_uuid, at=at, gone=True, stats=stats)
        stats = domain.jobStats()
        if sample.outgoing_job(stats) is sample.JobState.ACTIVE:
            self._left.discard(server_uuid)
        return self._reading(server_uuid, stats, at, phase=_PHASES.get(stands))

    def _completed(self, server_uuid: str, at: float) -> None:
        """Read the final statistics of the job that brought a server here; in its own thread."""
        found = None
        # eventlet's sleep is not for real threads.
        pause: queue.SimpleQueue[None] = native_queue()
        with contextlib.suppress(libvirt.libvirtError):
            for _ in range(_COMPLETED_ATTEMPTS):
                connection = self._connection
                if connection is None:
                    break
                stats = connection.lookupByUUIDString(server_uuid).jobStats(_COMPLETED)
                if sample.is_completed_migration(stats):
                    found = stats
                    break
                with contextlib.suppress(queue.Empty):
                    pause.get(timeout=_COMPLETED_PAUSE_SECONDS)
        self._inbox.put(Arrived(server_uuid=server_uuid, at=at, stats=found))

    def _read_resident(self, connection: Any, domain: Any, server_uuid: str) -> None:
        """Read once how much memory it has; that costs as much as its statistics do."""
        self._without_resident.discard(server_uuid)
        facts = self._facts.get(server_uuid)
        if facts is None or facts.huge_pages:
            return
        with contextlib.suppress(libvirt.libvirtError):
            ((_, stats),) = connection.domainListGetStats(
                [domain],
                libvirt.VIR_DOMAIN_STATS_BALLOON,
                libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT,
            )
            if "balloon.rss" in stats:
                resident_bytes = stats["balloon.rss"] * 1024
                self._facts[server_uuid] = dataclasses.replace(
                    facts, memory_resident_bytes=resident_bytes
                )

    def _lost(self, error: str) -> None:
        self._close()
        self._inbox.put(Disconnected(error=error))

    def _close(self) -> None:
        connections = (self._connection, self._qemu_connection)
        self._connection = self._qemu_connection = None
        for connection in connections:
            if connection is not None:
                with contextlib.suppress(libvirt.libvirtError):
                    connection.close()

    # libvirt calls these in its event loop's thread.

    def _closed(self, _connection: Any, _reason: int, _opaque: Any) -> None:
        self._wakes.put(True)

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
                facts=self._facts.get(server_uuid),
            )
        )
        if event in (libvirt.VIR_DOMAIN_EVENT_STARTED, libvirt.VIR_DOMAIN_EVENT_RESUMED):
            # Read what is to be known of it now: a migration may be over before the next search.
            self._wakes.put(True)

    def _on_iteration(self, _connection: Any, domain: Any, iteration: int, _opaque: Any) -> None:
        at = time.monotonic()
        self._inbox.put(Iteration(server_uuid=domain.UUIDString(), at=at, number=iteration))

    def _on_job_completed(
        self, _connection: Any, domain: Any, stats: dict[str, Any], _opaque: Any
    ) -> None:
        server_uuid = domain.UUIDString()
        facts = self._facts.get(server_uuid)
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
        status = domain_xml.qemu_migration_status(details) if event == "MIGRATION" else None
        self._inbox.put(
            JobEvent(server_uuid=domain.UUIDString(), at=time.monotonic(), qemu_status=status)
        )
        self._wakes.put(True)


def _pause_limit_seconds(domain: Any) -> float | None:
    """The max downtime in force, where it may be read: libvirt wants a read-write connection."""
    with contextlib.suppress(libvirt.libvirtError):
        milliseconds = domain.migrateGetMaxDowntime()
        # Where that fails libvirt-python does not raise, but gives None: as a job ends, say.
        return None if milliseconds is None else float(milliseconds) / 1000
    return None


def _disk_targets(domain: Any) -> tuple[str, ...]:
    with contextlib.suppress(libvirt.libvirtError):
        return domain_xml.disk_targets(domain.XMLDesc())
    return ()


def _block_job(domain: Any, name: str) -> Mapping[str, Any] | None:
    """What libvirt says of the copy of a disk, with its bandwidth in bytes; empty where there is
    none, None where it says nothing."""
    with contextlib.suppress(libvirt.libvirtError):
        info = domain.blockJobInfo(name, libvirt.VIR_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES)
        is_copy = info and info.get("type") == libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_COPY
        return info if is_copy else {}
    return None


def _abort(domain: Any, seen_at: float) -> dict[str, Any]:
    if not _is_there(domain, seen_at):
        return {"refused": actions.OVER}
    domain.abortJob()
    return {"how": "it is aborted"}


def _force_complete(domain: Any, seen_at: float) -> dict[str, Any]:
    """As Nova does it: by post-copy where that was allowed when it began, else by a pause."""
    if not _is_there(domain, seen_at):
        return {"refused": actions.OVER}
    try:
        domain.migrateStartPostCopy(0)
    except libvirt.libvirtError as error:
        # Nothing tells what a migration was allowed, but for this.
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
            raise
        return _pause(domain, seen_at)
    return {"how": "post-copy begins"}


def _pause(domain: Any, seen_at: float) -> dict[str, Any]:
    """Suspend a server for its migration: libvirt has it run again at the end, wherever it is."""
    if not _is_there(domain, seen_at):
        return {"refused": actions.OVER}
    if domain.state()[0] != libvirt.VIR_DOMAIN_RUNNING:
        return {"refused": "the server is paused already: nothing writes to its memory"}
    domain.suspend()
    paused_by_user = [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER]
    stands = None
    with contextlib.suppress(libvirt.libvirtError):
        stands = domain.state()
    if stands == paused_by_user:
        # The migration ended just before, else libvirt would call it the migration's pause.
        domain.resume()
        return {"refused": actions.OVER}
    return {"how": "the server is paused until it is at its destination", "paused": True}


def _is_there(domain: Any, seen_at: float) -> bool:
    at = time.monotonic()
    return actions.is_of(domain.jobStats(), at, seen_at)


_ACTS = {Action.ABORT: _abort, Action.FORCE_COMPLETE: _force_complete}


@functools.cache
def _run_event_loop() -> None:
    """Run libvirt's event loop in a thread, once a process, before the first connection."""

    def run() -> None:
        while True:
            with contextlib.suppress(libvirt.libvirtError):
                libvirt.virEventRunDefaultImpl()

    libvirt.registerErrorHandler(lambda _opaque, _error: None, None)
    libvirt.virEventRegisterDefaultImpl()
    native_thread(run, "libvirt events")
