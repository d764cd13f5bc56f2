# SPDX-License-Identifier: Apache-2.0
"""What is remembered of a migration to judge it: its paces, and what each pass left to the next.

A *boundary* is the start of one of QEMU's passes over guest memory, when it takes up what the
guest dirtied meanwhile. Between boundaries "remaining" is a saw-tooth that tells nothing about
convergence. Within a pass, what remains and what was copied add up to the same; at a boundary the
sum grows by just what the guest has dirtied.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from migprog.core.fields import counted
from migprog.core.forecast import disk_copy, transferred
from migprog.core.forecast.dirty_rate import DirtyRate, IterationStart, dirtying, without_progress
from migprog.core.forecast.disk_copy import Copies
from migprog.core.forecast.job_sample import Sample
from migprog.core.forecast.transfer_rate import MemoryRate, Rate, Share
from migprog.core.forecast.transferred import Moved

# Late passes can come ten a second; what happened long ago does not matter to any judgement.
MAX_ITERATIONS = 64
# With so much more pace a pass looks different that was judged by the pace before.
_FASTER = 1.3
# QEMU's main loop may be busy for seconds; what stands still for longer is stuck.
STANDSTILL_SECONDS = 8.0
# QEMU sends at the start of each slice of a tenth of a second.
SLICE_SECONDS = 0.1
_SMOOTHING_SECONDS = 20.0
# The paces of memory, when they are measured anew.
ANEW: Mapping[str, Any] = {
    "memory": MemoryRate(),
    "scanned": MemoryRate(),
    "wire": MemoryRate(),
}
# What the state of devices is of all that moves is a question of the last seconds.
_LATELY_SECONDS = 5.0
# The state of devices counts where it is such a share of what moves, or of all that has moved.
_DEVICES_SHARE, _DEVICES_SHARE_OF_ALL = 0.4, 0.05


class PrecopyState(NamedTuple):
    """The way of one migration so far. Times are those of :attr:`Sample.at`.

    A named tuple, of which a changed copy costs a tenth of a dataclass's: one is made each sample.

    ``memory_size_bytes`` is the guest's memory, known before any of it moves;
    ``memory_resident_bytes`` how much its QEMU has of memory: what was never written is not among
    it. ``has_host_devices``: it has devices of the host, whose state is moved, too.
    ``completion_time_seconds`` is how long earlier migrations took from their switch-over to their
    end, ``resent_share`` what earlier migrations of the server had to send again, as a share of
    what the first pass sent. ``first_iteration`` is the number of this migration's first pass (QEMU
    may go on counting from a cancelled one), ``first_iteration_bytes`` what that had to send;
    ``iterations`` are the later ones, ``undisturbed`` those among them that tell about convergence:
    what a paused guest leaves says nothing about it. ``iteration_started_at`` is when the latest
    iteration began, ``told_at`` when QEMU last said that one begins, and
    ``iteration_start_bytes_per_second`` what the pace was at the first sample of it. ``moved_at``
    is when a byte was last seen moving, of whatever kind. ``paused_at`` is since when the guest is
    paused at its source (:mod:`migprog.core.forecast.guest_pause`), ``paused_seconds`` how long it
    was before, within the latest iteration; ``was_found_paused``: it may have been paused for
    longer than that. ``turned_at`` is when post-copy began, was interrupted or went on.

    ``memory`` is the pace of the guest's bytes: before the second pass of those that are not zeros,
    which ``filled`` has the share of; ``scanned`` is then the pace of all, ``zeros`` that of zeros
    alone. ``wire`` is the pace of bytes on the wire, ``cost`` how many of them go for one of the
    guest's, ``expansion`` how many of the guest's go in one of them, of pages that are not counted
    (see :mod:`migprog.core.forecast.transferred`). ``devices`` is the share of the state of devices
    in what moves, ``devices_at`` when it was last seen moving.
    """

    started_at: float
    memory_size_bytes: int | None = None
    memory_resident_bytes: int | None = None
    has_host_devices: bool = False
    completion_time_seconds: float | None = None
    resent_share: float | None = None
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
    told_at: float | None = None
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
        """The guest's bytes a second: what remains, divided by it, gives a time."""
        return self.memory.bytes_per_second or self.scanned.bytes_per_second

    @property
    def wire_bytes_per_guest_byte(self) -> float:
        """1 and a little without compression; 1 also where nothing has been seen yet."""
        return self.cost.share or 1.0

    @property
    def devices_move(self) -> bool:
        """Whether the state of devices moves, so much that the end depends on it."""
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
        """Whether the server has devices whose state is to be moved, and none of it was yet."""
        return self.latest is not None and self.latest.vfio_transferred_bytes == 0

    @property
    def still_seconds(self) -> float:
        """So long nothing may move without anybody's fault."""
        copies_disks = self.latest is not None and self.latest.memory_total_bytes is None
        return self.disks.still_seconds if copies_disks else STANDSTILL_SECONDS

    def in_iteration_seconds(self, at: float) -> float:
        """How long the latest pass has lasted."""
        return (
            0.0 if self.iteration_started_at is None else max(0.0, at - self.iteration_started_at)
        )

    @property
    def is_faster(self) -> bool:
        """Whether memory moves a good deal faster than when the latest pass began."""
        pace, then = self.memory_bytes_per_second, self.iteration_start_bytes_per_second
        return pace is not None and then is not None and pace > _FASTER * then

    @property
    def on_plateau(self) -> bool:
        """Whether passes do not get shorter, and will not at the pace of now."""
        return self.stays_level and not self.is_faster

    def paused_in_iteration(self, until: float) -> float:
        """Seconds that the guest was paused in the latest pass, ``until`` then."""
        if self.paused_at is None:
            return self.paused_seconds
        began = self.paused_at if self.iteration_started_at is None else self.iteration_started_at
        return self.paused_seconds + max(0.0, until - max(self.paused_at, began))


def iteration_begins(course: PrecopyState, at: float) -> PrecopyState:
    """The course after QEMU's word that a pass begins: the next sample tells with how much."""
    return course._replace(told_at=at)


def observe(course: PrecopyState, sample: Sample) -> PrecopyState:
    """The course with one more sample. Samples must come in the order of their time."""
    before = course.latest
    if before is None:
        disks = disk_copy.begin(sample)
        pass_ = _pass(course, sample, None)
        return course._replace(latest=sample, moved_at=sample.at, disks=disks, **pass_)
    if sample.at <= before.at or _forgets(before, sample):
        return course
    seconds = sample.at - before.at
    if sample.disks is None and before.disks is not None:
        # They are not read with every sample, and not once memory moves.
        sample = sample._replace(disks=before.disks)
    memory = transferred.between(before, sample, course.expansion.share)
    devices = transferred.difference(before.vfio_transferred_bytes, sample.vfio_transferred_bytes)
    # What moved before post-copy turned, and what after, is not told apart in one reading.
    turned = course.turned_at is not None and before.at < course.turned_at
    new: dict[str, Any] = _pass(course, sample, memory)
    disks = course.disks.after(before, sample)
    if disks is not course.disks:
        new["disks"] = disks
    moves = memory is not None and (memory.wire_bytes or memory.counts)
    if moves and before.at - (course.moved_at or before.at) >= course.still_seconds:
        # Nor is the standstill that it ends; its rate is measured anew.
        new |= ANEW
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
    """What changes in the paces of memory by what has moved in so many seconds."""
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
        # The time that the zeros among them took is known where there were others before.
        seconds -= memory.zero_bytes / (course.zeros.bytes_per_second or math.inf)
        if seconds <= 0:
            return new
    new["memory"] = course.memory.after(bytes_, seconds)
    if bytes_:
        new["cost"] = course.cost.after(memory.wire_bytes, bytes_, seconds, _SMOOTHING_SECONDS)
    return new


def _scans_zeros(course: PrecopyState, memory: Moved, seconds: float) -> bool:
    """Whether less was sent since there was less to send: pages went no slower, but they were
    zeros. That says nothing of the pace."""
    if not memory.zero_bytes:
        return False
    pace, scanned = course.memory.bytes_per_second, course.scanned.bytes_per_second
    if pace is None or scanned is None:
        return memory.filled_bytes == 0
    slower = memory.filled_bytes < (1 / _FASTER) * pace * seconds
    return slower and memory.guest_bytes >= (1 / _FASTER) * scanned * seconds


def pace(course: PrecopyState) -> int | None:
    """Bytes that moved a second on the wire, lately: of memory and the state of devices, or of
    disks while no memory moves."""
    rate = course.wire.bytes_per_second
    if course.turned_at is None:
        rate = rate or course.disk_bytes_per_second
    return counted(rate)


def last_iteration_start_bytes(course: PrecopyState) -> int | None:
    """What was left when the latest pass began; None before the second pass."""
    return course.iterations[-1].remaining_bytes if course.iterations else None


def _forgets(before: Sample, now: Sample) -> bool:
    """A job that is wound up shows zeros again: what was known of it is not to be lost."""
    return before.memory_total_bytes is not None and now.memory_total_bytes is None


def _pass(course: PrecopyState, sample: Sample, memory: Moved | None) -> dict[str, Any]:
    """What changes in the course if the sample is the first of a pass; ``memory`` is what moved
    since the one before."""
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
    # Some of it has been sent since, the first slice at once.
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
    """When the pass began: as QEMU said, if that was since the last sample."""
    earliest = course.latest.at if course.latest else course.started_at
    told_at = course.told_at
    return told_at if told_at is not None and earliest < told_at <= sample.at else sample.at


def _dirtied(before: Sample | None, now: Sample, memory: Moved | None) -> int | None:
    """What the guest has dirtied from one reading to another, between which so much moved."""
    if before is None or before.memory_remaining_bytes is None or memory is None:
        return None
    if now.memory_remaining_bytes is None:
        return None
    more = now.memory_remaining_bytes - before.memory_remaining_bytes
    return max(0, more + memory.guest_bytes)
