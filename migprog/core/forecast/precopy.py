# SPDX-License-Identifier: Apache-2.0
"""The pre-copy state of a migration: its transfer rates, and what each iteration left to the next.

An *iteration start* is when QEMU collects the pages that the guest has dirtied meanwhile. Between
two of them "remaining" is a saw-tooth that says nothing about convergence. Within an iteration,
what remains plus what was copied is constant; at an iteration start the sum grows by just what the
guest has dirtied.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from migprog.core.fields import counted
from migprog.core.forecast import disk_copy, transferred
from migprog.core.forecast.dirty_rate import DirtyRate, IterationStart, dirtying, without_progress
from migprog.core.forecast.disk_copy import Copies
from migprog.core.forecast.job_sample import Sample
from migprog.core.forecast.resent import Resent
from migprog.core.forecast.transfer_rate import MemoryRate, Rate, Share
from migprog.core.forecast.transferred import Moved

# Late iterations may come ten a second; old ones do not matter to any verdict.
MAX_ITERATIONS = 64
# A rate so much higher may make a plateau converge that was judged by the rate before.
_FASTER = 1.3
# QEMU's main loop may be busy for seconds; no data for longer than this is a stall.
STANDSTILL_SECONDS = 8.0
# QEMU sends at the start of each slice of a tenth of a second.
SLICE_SECONDS = 0.1
_SMOOTHING_SECONDS = 20.0
# What counts of bytes on the wire have more than the guest's memory.
_HEADERS = 0.01
# A first iteration of which such a share is copied has begun before it was seen.
_AMID = 0.1
# The memory rates before anything is measured.
UNMEASURED_RATES: Mapping[str, Any] = {
    "memory": MemoryRate(),
    "scanned": MemoryRate(),
    "wire": MemoryRate(),
}
# The share of device state in all that moves is measured over the last seconds.
_LATELY_SECONDS = 5.0
# Device state counts where it is such a share of what moves, or of all that has moved.
_DEVICES_SHARE, _DEVICES_SHARE_OF_ALL = 0.4, 0.05


class PrecopyState(NamedTuple):
    """What is known of one migration so far. Times are those of :attr:`Sample.at`.

    A named tuple, because one is made for each sample, and a changed copy of it costs a tenth of a
    dataclass's. ``memory_size_bytes`` is the guest's memory, known before any of it moves;
    ``memory_resident_bytes`` its QEMU's resident memory: pages never written are not resident.
    ``has_host_devices``: it has devices of the host, whose state is moved, too.
    ``completion_time_seconds`` is how long earlier migrations took from their switchover to their
    end, ``resent`` what it is expected to send again. ``first_iteration`` is the number of this
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

    def in_iteration_seconds(self, at: float) -> float:
        """Return how long the latest iteration has lasted."""
        return (
            0.0 if self.iteration_started_at is None else max(0.0, at - self.iteration_started_at)
        )

    @property
    def is_faster(self) -> bool:
        """Whether memory moves clearly faster than when the latest iteration began."""
        rate, then = self.memory_bytes_per_second, self.iteration_start_bytes_per_second
        return rate is not None and then is not None and rate > _FASTER * then

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


def iteration_begins(course: PrecopyState, at: float) -> PrecopyState:
    """Return the state after QEMU's event that an iteration begins; its size comes later."""
    return course._replace(iteration_event_at=at)


def observe(course: PrecopyState, sample: Sample) -> PrecopyState:
    """Return the state with one more sample. Samples must come in order of time."""
    before = course.latest
    if before is None:
        disks = disk_copy.begin(sample)
        started = _iteration_start(course, sample, None)
        return course._replace(latest=sample, moved_at=sample.at, disks=disks, **started)
    if sample.at <= before.at or _forgets(before, sample):
        return course
    seconds = sample.at - before.at
    if sample.disks is None and before.disks is not None:
        # They are not read with every sample, and not once memory moves.
        sample = sample._replace(disks=before.disks)
    memory = transferred.between(before, sample, course.expansion.share)
    devices = transferred.difference(before.vfio_transferred_bytes, sample.vfio_transferred_bytes)
    # One reading does not separate what moved before post-copy began from what moved after.
    turned = course.turned_at is not None and before.at < course.turned_at
    new: dict[str, Any] = _iteration_start(course, sample, memory)
    disks = course.disks.after(before, sample)
    if disks is not course.disks:
        new["disks"] = disks
    moves = memory is not None and (memory.wire_bytes or memory.counts)
    if moves and before.at - (course.moved_at or before.at) >= course.still_seconds:
        # The stall that ends here is no measurement; the rate is measured from scratch.
        new |= UNMEASURED_RATES
    elif memory is not None and not turned:
        new |= _memory(course, memory, seconds)
        wire_bytes = max(memory.wire_bytes, devices or 0)
        new["wire"] = course.wire.after(wire_bytes, seconds)
        if devices or course.devices_at is not None:
            new["devices"] = course.devices.after(
                devices or 0, (devices or 0) + memory.wire_bytes, seconds, _LATELY_SECONDS
            )
    if devices:
        new["devices_at"] = sample.at
    turns = before.memory_total_bytes is None and sample.memory_total_bytes is not None
    if turns or moves or devices or disks.moved_at == sample.at:
        new["moved_at"] = sample.at
    return course._replace(latest=sample, **new)


def _memory(course: PrecopyState, memory: Moved, seconds: float) -> Mapping[str, Any]:
    """Return what changes in the memory rates by what has moved in so many seconds."""
    new: dict[str, Any] = {}
    if memory.unexplained_bytes:
        new["expansion"] = course.expansion.after(
            memory.uncounted_bytes, memory.unexplained_bytes, seconds, _SMOOTHING_SECONDS
        )
    bytes_ = memory.guest_bytes
    if not course.iterations:
        bytes_ = memory.filled_bytes
        new["scanned"] = course.scanned.after(memory.guest_bytes, seconds)
        new["filled"] = course.filled.after(bytes_, memory.guest_bytes, seconds, _LATELY_SECONDS)
        if _scans_zeros(course, memory, seconds):
            for_filled = memory.filled_bytes / (course.memory.bytes_per_second or math.inf)
            new["zeros"] = course.zeros.after(
                memory.zero_bytes, max(0.0, seconds - for_filled), _SMOOTHING_SECONDS
            )
            return new
        # Take off the time that the zeros took, where their rate is known.
        seconds -= memory.zero_bytes / (course.zeros.bytes_per_second or math.inf)
        if seconds <= 0:
            return new
    new["memory"] = course.memory.after(bytes_, seconds)
    if bytes_:
        new["cost"] = course.cost.after(memory.wire_bytes, bytes_, seconds, _SMOOTHING_SECONDS)
    return new


def _scans_zeros(course: PrecopyState, memory: Moved, seconds: float) -> bool:
    """Return whether less was sent only because pages were zeros, and were scanned no slower. Such
    a reading does not measure the transfer rate."""
    if not memory.zero_bytes:
        return False
    rate, scanned = course.memory.bytes_per_second, course.scanned.bytes_per_second
    if rate is None or scanned is None:
        return memory.filled_bytes == 0
    slower = memory.filled_bytes < (1 / _FASTER) * rate * seconds
    return slower and memory.guest_bytes >= (1 / _FASTER) * scanned * seconds


def throughput(course: PrecopyState) -> int | None:
    """Return bytes a second on the wire, lately: of memory and device state, or of disks while no
    memory moves."""
    rate = course.wire.bytes_per_second
    if course.turned_at is None:
        rate = rate or course.disk_bytes_per_second
    return counted(rate)


def last_iteration_start_bytes(course: PrecopyState) -> int | None:
    """Return what remained at the latest iteration start; None before the second iteration."""
    return course.iterations[-1].remaining_bytes if course.iterations else None


def _forgets(before: Sample, now: Sample) -> bool:
    """Return whether a job was reset: its counters are zero again and must not be used."""
    return before.memory_total_bytes is not None and now.memory_total_bytes is None


def _iteration_start(course: PrecopyState, sample: Sample, memory: Moved | None) -> dict[str, Any]:
    """Return what changes in the state if the sample is the first of an iteration; ``memory`` is
    what moved since the sample before."""
    iteration, remaining = sample.memory_iteration, sample.memory_remaining_bytes
    if iteration is None or remaining is None:
        return {}
    if course.first_iteration is None:
        return {
            "first_iteration": iteration,
            "first_iteration_bytes": sample.memory_total_bytes or remaining,
            "iteration_started_at": _began_at(course, sample),
            "iteration_start_bytes_per_second": course.memory_bytes_per_second,
            "paused_seconds": 0.0,
        }
    last = course.iterations[-1].iteration if course.iterations else course.first_iteration
    if iteration <= last:
        return {}
    at = _began_at(course, sample)
    paused_seconds = course.paused_in_iteration(at)
    # Some of it has been sent since; the first slice is sent at once.
    sent = (sample.at - at + SLICE_SECONDS / 2) * (course.memory_bytes_per_second or 0)
    iteration_start = IterationStart(
        at=at,
        iteration=iteration,
        remaining_bytes=remaining + int(sent),
        dirtied_bytes=_dirtied(course.latest, sample, memory),
        seconds=max(0.0, course.in_iteration_seconds(at) - paused_seconds),
        was_paused=paused_seconds > 0,
    )
    iterations = (*course.iterations, iteration_start)[-MAX_ITERATIONS:]
    undisturbed = tuple([each for each in iterations if not each.was_paused])
    return {
        "iterations": iterations,
        "undisturbed": undisturbed,
        "iteration_started_at": at,
        "iteration_start_bytes_per_second": course.memory_bytes_per_second,
        "dirtying": dirtying(iterations),
        "stays_level": without_progress(undisturbed),
        "paused_seconds": 0.0,
    }


def _began_at(course: PrecopyState, sample: Sample) -> float:
    """Return when the iteration began: by QEMU's event, if one came since the last sample."""
    earliest = course.latest.at if course.latest else course.started_at
    event_at = course.iteration_event_at
    if event_at is not None and earliest < event_at <= sample.at:
        return event_at
    return course.started_at if course.latest is None and _is_amid_first(sample) else sample.at


def _is_amid_first(sample: Sample) -> bool:
    """Return whether a sample is amid the first iteration, where nothing was sent twice yet, and no
    disk was copied before it. An agent that was restarted sees this."""
    total, remaining = sample.memory_total_bytes, sample.memory_remaining_bytes
    copied = sample.memory_copied_bytes or sample.memory_processed_bytes
    if sample.disk_total_bytes or total is None or remaining is None or copied is None:
        return False
    return copied > _AMID * total and copied + remaining <= (1 + _HEADERS) * total


def _dirtied(before: Sample | None, now: Sample, memory: Moved | None) -> int | None:
    """Return what the guest has dirtied between two readings, between which ``memory`` moved."""
    if before is None or before.memory_remaining_bytes is None or memory is None:
        return None
    if now.memory_remaining_bytes is None:
        return None
    more = now.memory_remaining_bytes - before.memory_remaining_bytes
    return max(0, more + memory.guest_bytes)
