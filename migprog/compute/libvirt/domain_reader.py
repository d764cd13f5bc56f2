# SPDX-License-Identifier: Apache-2.0
"""Read one server from libvirt: its job's statistics, and the facts that do not change.

Every call here may hang, and belongs in a real thread.
"""

import contextlib
import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import libvirt

from migprog.compute.libvirt import domain_xml
from migprog.compute.libvirt.block_jobs import BlockJobs
from migprog.compute.libvirt.job_queries import Lock
from migprog.compute.libvirt.vcpu_time import VcpuTimes
from migprog.concurrency import native_sleep
from migprog.core import libvirt_abi
from migprog.core.forecast import job_sample
from migprog.core.forecast.job_sample import JobState
from migprog.core.observation import Reading
from migprog.core.server_facts import ServerFacts
from migprog.core.status import Phase

# A domain that is being received; or one that migrates away and is paused, for its switchover or
# for any other reason.
_PAUSED = (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION)
# The states of a domain that is being received; asking for its job's statistics may block.
_INCOMING = {
    _PAUSED,
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP),
    (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY),
}
# The phases that a domain's state shows at its source.
PHASES = {
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY): Phase.POST_COPY,
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED): Phase.POST_COPY_PAUSED,
}
# Without the second flag, reading the statistics would delete them.
_COMPLETED = libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
# A server may be reported as arrived before its job has ended: the number of attempts, and the
# seconds between them.
_COMPLETED_ATTEMPTS, _COMPLETED_PAUSE_SECONDS = 20, 0.1
# A QEMU that was started to receive a server runs no processors: none of them has had more time
# than this, which is counted in hundredths of a second. The vCPUs of a server that has run here
# have had more.
_RECEIVING_NANOSECONDS = 10_000_000
_NANOSECONDS = 1e9
_OUTGOING = (JobState.ACTIVE, JobState.FAILED, JobState.CANCELLED)
# An answer that took longer was delayed: its job may have begun meanwhile.
_PROMPT_SECONDS = 1.0


class Reader:
    """What is known of a host's servers. Changed by single steps of the interpreter, in any thread.

    ``facts`` are those of servers that were seen running. ``reads_bandwidth``: read the
    bandwidth limit with the rest; any thread may change it.
    """

    def __init__(self) -> None:
        self.reads_bandwidth = False
        self.facts: dict[str, ServerFacts] = {}
        # Those that are watched and whose facts were not read again since.
        self._new: set[str] = set()
        # Those with a checkpoint of an earlier agent that were not seen migrating since.
        self._left: set[str] = set()
        # When the jobs began that hold servers' locks.
        self._jobs: dict[str, float] = {}

    def begin(self, server_uuid: str, left: bool) -> None:
        """Begin to watch a server; ``left``: an earlier agent has left it migrating."""
        (self._left.add if left else self._left.discard)(server_uuid)
        self._new.add(server_uuid)

    def learn(self, domain: Any, server_uuid: str) -> None:
        """Read the facts of a server, unless they are known."""
        if server_uuid not in self.facts:
            self.facts[server_uuid] = domain_xml.read(domain.XMLDesc())

    def forget(self, server_uuid: str) -> None:
        """Forget a server's facts, which may have changed."""
        self.facts.pop(server_uuid, None)
        self._jobs.pop(server_uuid, None)

    def reading(
        self,
        server_uuid: str,
        stats: Mapping[str, Any],
        at: float,
        downtime_limit_seconds: float | None = None,
        phase: Phase | None = None,
        is_paused: bool = False,
    ) -> Reading:
        return Reading(
            server_uuid=server_uuid,
            at=at,
            stats=stats,
            downtime_limit_seconds=downtime_limit_seconds,
            facts=self.facts.get(server_uuid),
            phase=phase,
            is_paused=is_paused,
        )

    def read(
        self, connection: Any, server_uuid: str, block_jobs: BlockJobs, vcpu_times: VcpuTimes
    ) -> Reading:
        """Read a watched server's statistics, how far the copies of its disks are, and what its
        vCPUs have used of the processor."""
        try:
            domain = connection.lookupByUUIDString(server_uuid)
            if server_uuid in self._left:
                return self._look_for(domain, server_uuid)
            disks = block_jobs.read(
                lambda: _disk_targets(domain), lambda name: _block_job(domain, name)
            )
            stats = domain.jobStats()
            block_jobs.take(stats)
            if server_uuid in self._new and job_sample.outgoing_job(stats) is JobState.ACTIVE:
                # Its owner may have renamed it since.
                self.forget(server_uuid)
                self.learn(domain, server_uuid)
                self.read_resident(connection, domain, server_uuid)
            bandwidth_limit = _bandwidth_limit(domain) if self.reads_bandwidth else None
            limit_seconds = downtime_limit_seconds(domain)
            at = time.monotonic()
            return Reading(
                server_uuid=server_uuid,
                at=at,
                stats=stats,
                downtime_limit_seconds=limit_seconds,
                bandwidth_limit_bytes_per_second=bandwidth_limit,
                disks=disks,
                vcpu_time_seconds=vcpu_times.read(stats, lambda: vcpu_time_seconds(domain)),
                facts=self.facts.get(server_uuid),
            )
        except libvirt.libvirtError as error:
            return Reading(
                server_uuid=server_uuid,
                at=time.monotonic(),
                gone=error.get_error_code() in libvirt_abi.GONE,
                error=str(error),
                error_code=error.get_error_code(),
            )

    def find(
        self,
        connection: Any,
        domain: Any,
        server_uuid: str,
        domain_state: tuple[int, int] | None = None,
    ) -> Reading | None:
        """Read a server that migrates away, or has just failed to; None for any other.

        ``domain_state``: its state and reason, if known. Raises :class:`libvirtError`.
        """
        before = time.monotonic()
        stats = domain.jobStats()
        began_at = self._jobs.pop(server_uuid, None)
        if not job_sample.is_outgoing(stats):
            return None
        state = job_sample.outgoing_job(stats)
        if state not in _OUTGOING:
            return None
        # The job began no later than what is read before the call shows.
        after = time.monotonic()
        at = before if after - before < _PROMPT_SECONDS else after
        if state is JobState.ACTIVE:
            self.read_resident(connection, domain, server_uuid)
        elif began_at is not None:
            # libvirt forgets a job's time as the job fails.
            stats = stats | {"time_elapsed": max(0, round((at - began_at) * 1000))}
        phase = None if domain_state is None else PHASES.get(domain_state)
        return self.reading(server_uuid, stats, at, phase=phase, is_paused=domain_state == _PAUSED)

    def lock(self, domain: Any) -> Lock:
        """Return whether a server's lock is held. libvirt answers this at once, whatever hangs."""
        at = time.monotonic()
        try:
            state, _, elapsed_ms = domain.controlInfo()
        except libvirt.libvirtError:
            # If something is wrong with the server, the next call fails at once.
            return Lock.FREE
        if state == libvirt.VIR_DOMAIN_CONTROL_JOB:
            self._jobs[domain.UUIDString()] = at - elapsed_ms / 1000
            return Lock.JOB
        return Lock.FREE if state == libvirt.VIR_DOMAIN_CONTROL_OK else Lock.HELD

    def _look_for(self, domain: Any, server_uuid: str) -> Reading:
        """Read a server that may be anywhere by now, even on its way back here."""
        at = time.monotonic()
        domain_state = tuple(domain.state())
        if arrives(domain, domain_state):
            text = "it arrives here"
            return Reading(server_uuid=server_uuid, at=at, error=text)
        if domain_state[0] == libvirt.VIR_DOMAIN_SHUTOFF:
            stats = domain.jobStats(_COMPLETED)
            return Reading(server_uuid=server_uuid, at=at, gone=True, stats=stats)
        stats = domain.jobStats()
        if job_sample.outgoing_job(stats) is JobState.ACTIVE:
            self._left.discard(server_uuid)
        return self.reading(
            server_uuid,
            stats,
            at,
            phase=PHASES.get(domain_state),
            is_paused=domain_state == _PAUSED,
        )

    def read_resident(self, connection: Any, domain: Any, server_uuid: str) -> None:
        """Read its resident memory once; that costs as much as reading its statistics."""
        self._new.discard(server_uuid)
        facts = self.facts.get(server_uuid)
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
                self.facts[server_uuid] = dataclasses.replace(
                    facts, memory_resident_bytes=resident_bytes
                )


def arrives(domain: Any, domain_state: tuple[Any, ...]) -> bool:
    """Return whether a server in this state is being received; waits for no server."""
    return domain_state in _INCOMING and not (domain_state == _PAUSED and _has_run(domain))


def _has_run(domain: Any) -> bool:
    """Return whether a server's processors have run on this host."""
    return max(_vcpu_nanoseconds(domain), default=0) > _RECEIVING_NANOSECONDS


def vcpu_time_seconds(domain: Any) -> float | None:
    """Return the processor time of all vCPUs of a server together since it was started here; None
    where libvirt does not have it."""
    return sum(_vcpu_nanoseconds(domain)) / _NANOSECONDS or None


def _vcpu_nanoseconds(domain: Any) -> list[int]:
    """Return the processor time of each vCPU; empty where it cannot be read.

    libvirt reads it in ``/proc``, whatever QEMU does and whoever holds the server's lock. For
    ``VIR_DOMAIN_STATS_VCPU`` it asks QEMU too (libvirt 9.0), and hangs if that does.
    """
    with contextlib.suppress(libvirt.libvirtError):
        vcpus, _ = domain.vcpus()
        return [nanoseconds for _, _, nanoseconds, _ in vcpus]
    return []


def completed(connection: Any, server_uuid: str) -> Mapping[str, Any] | None:
    """Read the final statistics of the job that brought a server here, if libvirt has them."""
    with contextlib.suppress(libvirt.libvirtError):
        for _ in range(_COMPLETED_ATTEMPTS):
            stats: Mapping[str, Any] = connection.lookupByUUIDString(server_uuid).jobStats(
                _COMPLETED
            )
            if job_sample.is_completed_migration(stats):
                return stats
            native_sleep(_COMPLETED_PAUSE_SECONDS)
    return None


def downtime_limit_seconds(domain: Any) -> float | None:
    """Return the max downtime in force, or None: libvirt requires a read-write connection."""
    with contextlib.suppress(libvirt.libvirtError):
        milliseconds = domain.migrateGetMaxDowntime()
        # On failure libvirt-python does not raise, but returns None, for example as a job ends.
        return None if milliseconds is None else float(milliseconds) / 1000
    return None


def _bandwidth_limit(domain: Any) -> int | None:
    """Return the bandwidth limit in bytes a second; None where it cannot be read."""
    with contextlib.suppress(libvirt.libvirtError):
        mib_per_second: int | None = domain.migrateGetMaxSpeed(0)
        return None if mib_per_second is None else mib_per_second * 2**20
    return None


def _disk_targets(domain: Any) -> tuple[str, ...]:
    with contextlib.suppress(libvirt.libvirtError):
        return domain_xml.disk_targets(domain.XMLDesc())
    return ()


def _block_job(domain: Any, name: str) -> Mapping[str, Any] | None:
    """Return libvirt's information on the copy of a disk, with its bandwidth in bytes; empty if
    there is none, None if the call failed."""
    with contextlib.suppress(libvirt.libvirtError):
        info = domain.blockJobInfo(name, libvirt.VIR_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES)
        is_copy = info and info.get("type") == libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_COPY
        return info if is_copy else {}
    return None
