# SPDX-License-Identifier: Apache-2.0
"""The pre-copy state of a migration: its transfer rates, and what each iteration left to the next.

An *iteration start* is when QEMU collects the pages that the guest has dirtied meanwhile. Between
two of them "remaining" is a saw-tooth that says nothing about convergence.
:mod:`migprog.core.forecast.precopy_updates` updates the state.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from migprog.core.fields import counted
from migprog.core.forecast.dirty_rate import DirtyRate, IterationStart
from migprog.core.forecast.disk_copy import Copies
from migprog.core.forecast.job_sample import Sample
from migprog.core.forecast.resent import Resent
from migprog.core.forecast.transfer_rate import MemoryRate, Rate, Share
from migprog.core.forecast.vcpu_time import VcpuTime, limited

# A rate so much higher may make a plateau converge that was judged by the rate before.
FASTER = 1.3
# QEMU's main loop may be busy for seconds; no data for longer than this is a stall.
STANDSTILL_SECONDS = 8.0
# QEMU sends at the start of each slice of a tenth of a second.
SLICE_SECONDS = 0.1
# The memory rates before anything is measured.
UNMEASURED_RATES: Mapping[str, Any] = {
    "memory": MemoryRate(),
    "scanned": MemoryRate(),
    "wire": MemoryRate(),
}
# Device state counts where it is such a share of what moves, or of all that has moved.
_DEVICES_SHARE, _DEVICES_SHARE_OF_ALL = 0.4, 0.05


class PrecopyState(NamedTuple):
    """What is known of one migration so far. Times are those of :attr:`Sample.at`.

    A named tuple, because one is made for each sample, and a changed copy of it costs a tenth of a
    dataclass's. ``memory_size_bytes`` is the guest's memory, known before any of it moves;
    ``memory_resident_bytes`` its QEMU's resident memory: pages never written are not resident.
    ``has_host_devices``: it has devices of the host, whose state is moved, too.
    ``completion_time_seconds`` is how long earlier migrations took from their switchover to their
    end, ``resent`` what it is expected to send again by earlier migrations, ``vcpus`` the processor
    time of its vCPUs before the second iteration. ``is_foreseen``: that is by its own dirty rate.
    ``known_bytes_per_second`` is the transfer rate of earlier migrations, with the ``known_spread``
    of its range. ``first_iteration`` is the number of this
    migration's first iteration (QEMU may go on counting from a cancelled one),
    ``first_iteration_bytes`` what that had to send.
    ``iterations`` are the later ones, ``undisturbed`` those of them during which the guest was not
    paused: only these say something about convergence. ``iteration_started_at`` is when the latest
    iteration began, ``iteration_event_at`` when QEMU last sent an event that one begins, and
    ``iteration_start_bytes_per_second`` the rate at the first sample of it. ``moved_at`` is when a
    byte of any kind was last seen moving. ``paused_at`` is since when the guest is paused at its
    source (:mod:`migprog.core.forecast.guest_pause`), ``paused_seconds`` how long it was paused
    before, within the latest iteration; ``was_found_paused``: it may have been paused for longer
    than that. ``turned_at`` is when post-copy began, was interrupted or went on.

    ``surprises`` is by how much the latest iterations differed from what was expected of them
    (:func:`migprog.core.forecast.dirty_rate.surprises`).

    ``memory`` is the rate of the guest's bytes: before the second iteration of those that are not
    zeros, of which ``filled`` is the share; ``scanned`` is then the rate of all, ``zeros`` that of
    zeros alone. ``wire`` is the rate of bytes on the wire, ``cost`` the wire bytes for one byte of
    the guest, ``expansion`` the guest's bytes in one wire byte of pages that are not counted
    (see :mod:`migprog.core.forecast.transferred`). ``devices`` is the share of device state in what
    moves, ``devices_at`` when it was last seen moving.
    """

    started_at: float
    memory_size_bytes: int | None = None
    memory_resident_bytes: int | None = None
    has_host_devices: bool = False
    completion_time_seconds: float | None = None
    resent: Resent = Resent()
    is_foreseen: bool = False
    known_bytes_per_second: float | None = None
    known_spread: float = 0.0
    vcpus: VcpuTime | None = None
    latest: Sample | None = None
    moved_at: float | None = None
    disks: Copies = Copies()
    memory: MemoryRate = MemoryRate()
    scanned: MemoryRate = MemoryRate()
    zeros: Rate = Rate()
    filled: Share = Share()
    wire: MemoryRate = MemoryRate()
    cost: Share = Share()
    expansion: Share = Share()
    devices: Share = Share()
    devices_at: float | None = None
    iteration_event_at: float | None = None
    first_iteration: int | None = None
    first_iteration_bytes: int | None = None
    iteration_started_at: float | None = None
    iteration_start_bytes_per_second: float | None = None
    iterations: tuple[IterationStart, ...] = ()
    undisturbed: tuple[IterationStart, ...] = ()
    dirtying: DirtyRate | None = None
    surprises: tuple[float, ...] = ()
    stays_level: bool = False
    paused_at: float | None = None
    paused_seconds: float = 0.0
    was_found_paused: bool = False
    turned_at: float | None = None

    @property
    def disk_bytes_per_second(self) -> float | None:
        return self.disks.bytes_per_second(self.latest) if self.latest else None

    @property
    def memory_bytes_per_second(self) -> float | None:
        """The guest's bytes a second; the remaining bytes divided by it give a time."""
        return self.memory.bytes_per_second or self.scanned.bytes_per_second

    @property
    def wire_bytes_per_guest_byte(self) -> float:
        """A little more than 1 without compression; 1 before anything was measured."""
        return self.cost.share or 1.0

    @property
    def devices_move(self) -> bool:
        """Whether so much device state moves that the end depends on it."""
        latest = self.latest
        if latest is None or self.devices_at is None:
            return False
        if latest.at - self.devices_at >= STANDSTILL_SECONDS:
            return False
        sent = latest.vfio_transferred_bytes or 0
        least = _DEVICES_SHARE_OF_ALL * (sent + (latest.memory_processed_bytes or 0))
        return sent >= least or (self.devices.share or 0.0) >= _DEVICES_SHARE

    @property
    def devices_follow(self) -> bool:
        """Whether the server has devices whose state must be moved, and none of it has moved."""
        return self.latest is not None and self.latest.vfio_transferred_bytes == 0

    @property
    def still_seconds(self) -> float:
        """For how long nothing may move before the migration counts as stalled."""
        copies_disks = self.latest is not None and self.latest.memory_total_bytes is None
        return self.disks.still_seconds if copies_disks else STANDSTILL_SECONDS

    def expected_resent(self, bytes_per_second: float) -> Resent:
        """Return what is expected to be sent again, by earlier migrations and by what the guest's
        vCPUs have done in this one, at a transfer rate in bytes of the guest."""
        if self.has_host_devices:
            # Host devices write to the guest's memory without vCPU time.
            return self.resent
        return limited(self.resent, self.vcpus, self.started_at, bytes_per_second)

    def in_iteration_seconds(self, at: float) -> float:
        """Return how long the latest iteration has lasted."""
        return (
            0.0 if self.iteration_started_at is None else max(0.0, at - self.iteration_started_at)
        )

    @property
    def is_faster(self) -> bool:
        """Whether memory moves clearly faster than when the latest iteration began."""
        rate, then = self.memory_bytes_per_second, self.iteration_start_bytes_per_second
        return rate is not None and then is not None and rate > FASTER * then

    @property
    def on_plateau(self) -> bool:
        """Whether iterations do not get shorter, and will not at the present rate."""
        return self.stays_level and not self.is_faster

    def paused_in_iteration(self, until: float) -> float:
        """Return the seconds that the guest was paused in the latest iteration, ``until`` then."""
        if self.paused_at is None:
            return self.paused_seconds
        began = self.paused_at if self.iteration_started_at is None else self.iteration_started_at
        return self.paused_seconds + max(0.0, until - max(self.paused_at, began))


def throughput(precopy: PrecopyState) -> int | None:
    """Return bytes a second on the wire, lately: of memory and device state, or of disks while no
    memory moves."""
    rate = precopy.wire.bytes_per_second
    if precopy.turned_at is None:
        rate = rate or precopy.disk_bytes_per_second
    return counted(rate)


def last_iteration_start_bytes(precopy: PrecopyState) -> int | None:
    """Return what remained at the latest iteration start; None before the second iteration."""
    return precopy.iterations[-1].remaining_bytes if precopy.iterations else None
