# SPDX-License-Identifier: Apache-2.0
"""What is remembered of a migration to judge it: its paces, and what each pass left to the next.

A *boundary* is the start of one of QEMU's passes over guest memory, when it takes up what the
guest dirtied meanwhile. Between boundaries "remaining" is a saw-tooth that tells nothing about
convergence. Within a pass, what remains and what was copied add up to the same; at a boundary the
sum grows by just what the guest has dirtied.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from migprog.core.dirtying import Boundary, Dirtying, dirtying, undisturbed, without_progress
from migprog.core.field import counted
from migprog.core.pace import DiskPace, MemoryPace
from migprog.core.sample import Sample

# Late passes can come ten a second; what happened long ago does not matter to any judgement.
MAX_PASSES = 64
# With so much more pace a pass looks different that was judged by the pace before.
_FASTER = 1.3
# QEMU's main loop may be busy for seconds; what stands still for longer is stuck.
STANDSTILL_SECONDS = 8.0
# QEMU sends at the start of each slice of a tenth of a second.
SLICE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Course:
    """The way of one migration so far. Times are those of :attr:`Sample.at`.

    ``memory_size_bytes`` is the guest's memory, known before any of it moves;
    ``memory_resident_bytes`` how much its QEMU has of memory: what was never written is not among
    it. ``handover_seconds`` is how long earlier migrations took from their switch-over to their
    end. ``first_iteration`` is the number of this migration's first pass (QEMU may go on counting
    from a cancelled one), ``first_pass_bytes`` what that had to send; ``passes`` are the later
    ones. ``pass_began_at`` is when the latest pass began, ``told_at`` when QEMU last said that one
    begins, and ``pass_bytes_per_second`` what the pace was at the first sample of it. ``moved_at``
    is when a byte was last seen moving. ``paused_at`` is since when the guest is paused at its
    source (:mod:`migprog.core.pause`), ``paused_seconds`` how long it was before, within the latest
    pass. ``turned_at`` is when post-copy began, was interrupted or went on.
    """

    started_at: float
    memory_size_bytes: int | None = None
    memory_resident_bytes: int | None = None
    handover_seconds: float | None = None
    latest: Sample | None = None
    moved_at: float | None = None
    disk: DiskPace = field(default_factory=DiskPace)
    memory: MemoryPace = field(default_factory=MemoryPace)
    told_at: float | None = None
    first_iteration: int | None = None
    first_pass_bytes: int | None = None
    pass_began_at: float | None = None
    pass_bytes_per_second: float | None = None
    passes: tuple[Boundary, ...] = ()
    dirtying: Dirtying | None = None
    stays_level: bool = False
    paused_at: float | None = None
    paused_seconds: float = 0.0
    turned_at: float | None = None

    @property
    def disk_bytes_per_second(self) -> float | None:
        return self.disk.bytes_per_second

    @property
    def memory_bytes_per_second(self) -> float | None:
        return self.memory.bytes_per_second

    @property
    def still_seconds(self) -> float:
        """So long nothing may move without anybody's fault."""
        return STANDSTILL_SECONDS

    @property
    def is_faster(self) -> bool:
        """Whether memory moves a good deal faster than when the latest pass began."""
        pace, then = self.memory_bytes_per_second, self.pass_bytes_per_second
        return pace is not None and then is not None and pace > _FASTER * then

    @property
    def on_plateau(self) -> bool:
        """Whether passes do not get shorter, and will not at the pace of now."""
        return self.stays_level and not self.is_faster

    def paused_in_pass(self, until: float) -> float:
        """Seconds that the guest was paused in the latest pass, ``until`` then."""
        if self.paused_at is None:
            return self.paused_seconds
        began = self.paused_at if self.pass_began_at is None else self.pass_began_at
        return self.paused_seconds + max(0.0, until - max(self.paused_at, began))


def pass_begins(course: Course, at: float) -> Course:
    """The course after QEMU's word that a pass begins: the next sample tells with how much."""
    return replace(course, told_at=at)


def observe(course: Course, sample: Sample) -> Course:
    """The course with one more sample. Samples must come in the order of their time."""
    before = course.latest
    if before is None:
        return replace(course, latest=sample, moved_at=sample.at, **_pass(course, sample))
    if sample.at <= before.at or _forgets(before, sample):
        return course
    # One new course a sample: making one costs more than all the rest.
    new: dict[str, Any] = _pass(course, sample)
    disk_moved = _moved(before.disk_processed_bytes, sample.disk_processed_bytes)
    memory_moved = _moved(before.memory_processed_bytes, sample.memory_processed_bytes)
    if disk_moved:
        new["disk"] = course.disk.after(disk_moved, sample.at)
    # What moved before post-copy turned, and what after, is not told apart in one reading.
    turned = course.turned_at is not None and before.at < course.turned_at
    if memory_moved and before.at - (course.moved_at or before.at) >= course.still_seconds:
        # Nor is the standstill that it ends; its rate is measured anew.
        new["memory"] = MemoryPace()
    elif memory_moved is not None and not turned:
        new["memory"] = course.memory.after(memory_moved, sample.at - before.at)
    if disk_moved or memory_moved:
        new["moved_at"] = sample.at
    return replace(course, latest=sample, **new)


def pace(course: Course) -> int | None:
    """Bytes that moved a second, lately: of memory, or of disks while no memory moves."""
    rate = course.memory_bytes_per_second
    if course.turned_at is None:
        rate = rate or course.disk_bytes_per_second
    return counted(rate)


def last_boundary_bytes(course: Course) -> int | None:
    """What was left when the latest pass began; None before the second pass."""
    return course.passes[-1].remaining_bytes if course.passes else None


def _forgets(before: Sample, now: Sample) -> bool:
    """A job that is wound up shows zeros again: what was known of it is not to be lost."""
    return before.memory_total_bytes is not None and now.memory_total_bytes is None


def _pass(course: Course, sample: Sample) -> dict[str, Any]:
    """What changes in the course if the sample is the first of a pass."""
    iteration, remaining = sample.memory_iteration, sample.memory_remaining_bytes
    if iteration is None or remaining is None:
        return {}
    if course.first_iteration is None:
        return {
            "first_iteration": iteration,
            "first_pass_bytes": sample.memory_total_bytes or remaining,
            "pass_began_at": _began_at(course, sample),
            "pass_bytes_per_second": course.memory_bytes_per_second,
            "paused_seconds": 0.0,
        }
    last = course.passes[-1].iteration if course.passes else course.first_iteration
    if iteration <= last:
        return {}
    at = _began_at(course, sample)
    paused_seconds = course.paused_in_pass(at)
    # Some of it has been sent since, the first slice at once.
    sent = (sample.at - at + SLICE_SECONDS / 2) * (course.memory_bytes_per_second or 0)
    boundary = Boundary(
        at=at,
        iteration=iteration,
        remaining_bytes=remaining + int(sent),
        dirtied_bytes=_dirtied(course.latest, sample),
        seconds=max(0.0, at - (course.pass_began_at or at) - paused_seconds),
        was_paused=paused_seconds > 0,
    )
    passes = (*course.passes, boundary)[-MAX_PASSES:]
    return {
        "passes": passes,
        "pass_began_at": at,
        "pass_bytes_per_second": course.memory_bytes_per_second,
        "dirtying": dirtying(passes),
        "stays_level": without_progress(undisturbed(passes)),
        "paused_seconds": 0.0,
    }


def _began_at(course: Course, sample: Sample) -> float:
    """When the pass began: as QEMU said, if that was since the last sample."""
    earliest = course.latest.at if course.latest else course.started_at
    told_at = course.told_at
    return told_at if told_at is not None and earliest < told_at <= sample.at else sample.at


def _dirtied(before: Sample | None, now: Sample) -> int | None:
    """What the guest has dirtied from one reading to another."""
    if before is None or before.memory_remaining_bytes is None:
        return None
    if now.memory_remaining_bytes is None:
        return None
    copied = _moved(before.memory_copied_bytes, now.memory_copied_bytes)
    if copied is None:
        return None
    return max(0, now.memory_remaining_bytes - before.memory_remaining_bytes + copied)


def _moved(before: int | None, now: int | None) -> int | None:
    """Bytes moved between two readings; None if not both are known."""
    return None if before is None or now is None else max(0, now - before)
