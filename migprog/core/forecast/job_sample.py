# SPDX-License-Identifier: Apache-2.0
"""One reading of a libvirt job, in migprog's terms and units. ``None`` means: not known.

Each counter of ``virDomainGetJobStats`` that is read here, who counts it and in which unit:

========================  =======  =====================  ========================================
Key                       Counter  Unit                   May go back
========================  =======  =====================  ========================================
time_elapsed              libvirt  ms                     no
memory_total              QEMU     bytes of the guest     no; 0 until memory is copied
memory_processed          QEMU     bytes on the wire      no
memory_remaining          QEMU     bytes of the guest     yes, as each iteration begins; a balloon
                                                          or the guest's free pages reduce it
memory_normal             QEMU     pages sent whole, or   no
                                   compressed by multifd
memory_constant           QEMU     pages of zeros         no
compression_pages         QEMU     pages sent by XBZRLE   no
compression_overflow      QEMU     those among them that  no
                                   went whole (normal)
memory_page_size          QEMU     bytes                  constant
memory_iteration          QEMU     iterations begun       no
memory_dirty_rate         QEMU     pages a second         yes
vfio_data_transferred     QEMU     bytes on the wire      no
disk_total                QEMU     bytes of the guest     no; grows with what the guest writes, and
                                                          as the copy of each further disk begins
disk_processed            QEMU     bytes of the guest,    no; grows by steps of up to 16 MiB a disk
                                   holes too
disk_remaining            libvirt  disk_total -           yes
                                   disk_processed
downtime                  QEMU     ms                     yes
auto_converge_throttle    QEMU     percent                yes
========================  =======  =====================  ========================================

Pages that QEMU compresses by threads (zlib, zstd) are in none of the counters of pages: only
``memory_remaining`` shows them. ``vfio_data_transferred`` is among ``memory_processed`` since
QEMU 8.1. Of block jobs (``virDomainGetBlockJobInfo``): ``cur`` and ``end`` are bytes of the guest,
``bandwidth`` is bytes a second and 0 where there is no limit. Of vCPUs (``virDomainGetVcpus``):
their processor time, counted by Linux in hundredths of a second.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from migprog.core import libvirt_abi
from migprog.core.fields import MAX_DISKS


class JobState(enum.Enum):
    """The state of a domain's job according to libvirt."""

    NONE = "none"
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


_JOB_STATES = {
    libvirt_abi.JOB_BOUNDED: JobState.ACTIVE,
    libvirt_abi.JOB_UNBOUNDED: JobState.ACTIVE,
    libvirt_abi.JOB_COMPLETED: JobState.COMPLETED,
    libvirt_abi.JOB_FAILED: JobState.FAILED,
    libvirt_abi.JOB_CANCELLED: JobState.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Disk:
    """The copy of one disk, in bytes of the guest; ``name`` is its target in the guest ("vda").

    ``limit_bytes_per_second``: how fast its copy may be, None where there is no limit.
    """

    name: str
    total_bytes: int
    processed_bytes: int
    limit_bytes_per_second: int | None = None

    @property
    def remaining_bytes(self) -> int:
        return max(0, self.total_bytes - self.processed_bytes)


class Sample(NamedTuple):
    """Counters of an outgoing migration at one instant.

    ``at`` is a monotonic clock's seconds (or those of a recording): only differences mean
    anything. ``memory_processed_bytes`` counts bytes on the wire, so it exceeds the total when
    QEMU iterates; ``memory_copied_bytes`` counts the guest's bytes in the pages that QEMU counts,
    ``memory_zero_bytes`` those of pages of zeros among them, which cost nothing on the wire.
    ``memory_remaining_bytes`` is a saw-tooth: only its value at an iteration start shows whether
    the migration converges. ``vfio_transferred_bytes`` is the device state that was sent; no
    counter has its total. ``disks`` are those being copied, as far as libvirt reports them.
    ``vcpu_time_seconds`` is the processor time of all vCPUs together since the guest was started
    here; it is read in the first iteration and before it, and not with every sample.
    """

    at: float
    elapsed_seconds: float | None = None
    memory_total_bytes: int | None = None
    memory_processed_bytes: int | None = None
    memory_remaining_bytes: int | None = None
    disk_total_bytes: int | None = None
    disk_processed_bytes: int | None = None
    disk_remaining_bytes: int | None = None
    memory_copied_bytes: int | None = None
    memory_zero_bytes: int | None = None
    memory_iteration: int | None = None
    dirty_bytes_per_second: int | None = None
    expected_downtime_seconds: float | None = None
    cpu_throttle_percent: int | None = None
    downtime_seconds: float | None = None
    downtime_limit_seconds: float | None = None
    vfio_transferred_bytes: int | None = None
    disks: tuple[Disk, ...] | None = None
    vcpu_time_seconds: float | None = None


def is_outgoing(stats: Mapping[str, Any]) -> bool:
    """Return whether job statistics are those of a migration away from this host."""
    return stats.get("operation") == libvirt_abi.OPERATION_MIGRATION_OUT


def has_begun(stats: Mapping[str, Any]) -> bool:
    """Return whether job statistics are those of a job that has copied something."""
    return bool(stats.get("disk_processed") or stats.get("memory_processed"))


def copies_disks(stats: Mapping[str, Any]) -> bool:
    """Return whether job statistics are those of a job that copies disks, and no memory yet."""
    return bool(stats.get("disk_total")) and not stats.get("memory_total")


def outgoing_job(stats: Mapping[str, Any]) -> JobState:
    """Return the state of an outgoing migration's job; NONE for any other job."""
    if not is_outgoing(stats):
        return JobState.NONE
    return _JOB_STATES.get(stats.get("type", 0), JobState.NONE)


def is_completed_migration(stats: Mapping[str, Any]) -> bool:
    """Return whether job statistics are final ones of a migration that succeeded, at either end."""
    migrations = (libvirt_abi.OPERATION_MIGRATION_IN, libvirt_abi.OPERATION_MIGRATION_OUT)
    is_completed = stats.get("type") == libvirt_abi.JOB_COMPLETED
    return is_completed and stats.get("operation") in migrations


def from_job_stats(
    stats: Mapping[str, Any],
    at: float,
    downtime_limit_seconds: float | None = None,
    disks: Sequence[Disk] | None = None,
    vcpu_time_seconds: float | None = None,
) -> Sample:
    """Translate ``virDomainGetJobStats`` (or the stats of a JOB_COMPLETED event).

    libvirt fills in 0 for what it does not know yet. Guest memory is never 0 bytes, so memory
    counters count from when their total is known. Disks are copied before memory: once memory
    moves and no disk has been seen, 0 bytes of disk are a fact.
    """
    ended = outgoing_job(stats) is not JobState.ACTIVE
    memory_known = bool(stats.get("memory_total"))
    disk_known = bool(stats.get("disk_total")) or memory_known
    page_size_bytes = stats.get("memory_page_size")
    dirty_pages_per_second = stats.get("memory_dirty_rate")
    return Sample(
        at=at,
        elapsed_seconds=_seconds(stats.get("time_elapsed")),
        memory_total_bytes=stats.get("memory_total") if memory_known else None,
        memory_processed_bytes=stats.get("memory_processed") if memory_known else None,
        memory_remaining_bytes=stats.get("memory_remaining") if memory_known else None,
        disk_total_bytes=stats.get("disk_total") if disk_known else None,
        disk_processed_bytes=stats.get("disk_processed") if disk_known else None,
        disk_remaining_bytes=stats.get("disk_remaining") if disk_known else None,
        memory_copied_bytes=_copied_bytes(stats) if memory_known else None,
        memory_zero_bytes=_zero_bytes(stats) if memory_known else None,
        memory_iteration=stats.get("memory_iteration") or None,
        dirty_bytes_per_second=(
            dirty_pages_per_second * page_size_bytes
            if dirty_pages_per_second and page_size_bytes
            else None
        ),
        # While the job runs this is QEMU's expectation; at its end it is the measured downtime.
        expected_downtime_seconds=None if ended else _seconds(stats.get("downtime")),
        downtime_seconds=_seconds(stats.get("downtime")) if ended else None,
        cpu_throttle_percent=stats.get("auto_converge_throttle"),
        downtime_limit_seconds=downtime_limit_seconds,
        vfio_transferred_bytes=stats.get("vfio_data_transferred"),
        disks=tuple(disks[:MAX_DISKS]) if disks else None,
        vcpu_time_seconds=vcpu_time_seconds,
    )


def disk_of_block_job(name: str, info: Mapping[str, Any]) -> Disk | None:
    """Translate ``virDomainGetBlockJobInfo`` with its bandwidth in bytes; None if there is no job.

    libvirt gives 0 of 0, and later 0 of 1, bytes for a copy that is just beginning.
    """
    total_bytes, processed_bytes = info.get("end", 0), info.get("cur", 0)
    if not 0 <= processed_bytes <= total_bytes or total_bytes <= 1:
        return None
    return Disk(name, total_bytes, processed_bytes, info.get("bandwidth") or None)


def _copied_bytes(stats: Mapping[str, Any]) -> int | None:
    """Return the guest's bytes in the pages that are counted; None where they are not."""
    normal, page_size_bytes = stats.get("memory_normal"), stats.get("memory_page_size")
    if normal is None or page_size_bytes is None:
        return None
    # XBZRLE pages that overflowed were sent whole, and are among the normal ones.
    by_xbzrle = stats.get("compression_pages", 0) - stats.get("compression_overflow", 0)
    pages = normal + stats.get("memory_constant", 0) + max(0, by_xbzrle)
    return int(pages * page_size_bytes)


def _zero_bytes(stats: Mapping[str, Any]) -> int | None:
    page_size_bytes = stats.get("memory_page_size")
    return None if page_size_bytes is None else stats.get("memory_constant", 0) * page_size_bytes


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
