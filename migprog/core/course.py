# SPDX-License-Identifier: Apache-2.0
"""What is remembered of a migration to judge it: its paces, and what each pass left to the next.

A *boundary* is the start of one of QEMU's passes over guest memory, when it takes up what the
guest dirtied meanwhile. Between boundaries "remaining" is a saw-tooth that tells nothing about
convergence. Within a pass, what remains and what was copied add up to the same; at a boundary the
sum grows by just what the guest has dirtied.
"""

import math
from dataclasses import dataclass, replace

from migprog.core.sample import Sample

# Seconds over which a rate is smoothed.
_MEMORY_SMOOTHING_SECONDS = 2.5
_DISK_SMOOTHING_SECONDS = 30.0
# Late passes can come ten a second; what happened long ago does not matter to any judgement.
MAX_BOUNDARIES = 64


@dataclass(frozen=True, slots=True)
class Boundary:
    """The start of a pass: its time, its number, and what it has to send.

    ``dirtied_bytes`` is what the guest dirtied since the boundary before; None at the first.
    """

    at: float
    iteration: int
    remaining_bytes: int
    dirtied_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """Bytes and the seconds that they took, both fading with age: their quotient is the rate.

    So the first readings give a plain mean, and uneven sampling does not bend it.
    """

    moved_bytes: float = 0.0
    seconds: float = 0.0

    @property
    def bytes_per_second(self) -> float | None:
        """None before anything has moved."""
        return self.moved_bytes / self.seconds if self.moved_bytes and self.seconds else None

    def after(self, moved_bytes: int, seconds: float, smoothing_seconds: float) -> "Rate":
        fade = math.exp(-seconds / smoothing_seconds)
        return Rate(self.moved_bytes * fade + moved_bytes, self.seconds * fade + seconds)


@dataclass(frozen=True, slots=True)
class Course:
    """The way of one migration so far. Times are those of :attr:`Sample.at`.

    ``memory_size_bytes`` is the guest's memory, known before any of it moves; ``handover_seconds``
    how long earlier migrations took from their switch-over to their end. ``first_iteration``
    is the number of this migration's first pass: QEMU may go on counting from a cancelled one.
    ``pass_began_at`` is when QEMU last said that it begins a pass. ``moved_at`` is when a byte was
    last seen moving, ``disk_moved_at`` a byte of a disk.
    """

    started_at: float
    memory_size_bytes: int | None = None
    handover_seconds: float | None = None
    latest: Sample | None = None
    first_iteration: int | None = None
    pass_began_at: float | None = None
    boundaries: tuple[Boundary, ...] = ()
    disk_rate: Rate = Rate()
    memory_rate: Rate = Rate()
    moved_at: float | None = None
    disk_moved_at: float | None = None

    @property
    def disk_bytes_per_second(self) -> float | None:
        return self.disk_rate.bytes_per_second

    @property
    def memory_bytes_per_second(self) -> float | None:
        return self.memory_rate.bytes_per_second

    @property
    def passes(self) -> tuple[Boundary, ...]:
        """The boundaries that tell what a pass left: all that are remembered but the first."""
        return tuple(b for b in self.boundaries if b.iteration != self.first_iteration)


def pass_begins(course: Course, at: float) -> Course:
    """The course after QEMU's word that a pass begins: the next sample tells with how much."""
    return replace(course, pass_began_at=at)


def observe(course: Course, sample: Sample) -> Course:
    """The course with one more sample. Samples must come in the order of their time."""
    before = course.latest
    if before is None:
        return replace(_with_boundary(course, sample), latest=sample, moved_at=sample.at)
    if sample.at <= before.at or _forgets(before, sample):
        return course
    course = _with_boundary(course, sample)
    disk_moved = _moved(before.disk_processed_bytes, sample.disk_processed_bytes)
    memory_moved = _moved(before.memory_processed_bytes, sample.memory_processed_bytes)
    if disk_moved:
        course = _disk_moved(course, disk_moved, sample.at)
    if memory_moved is not None:
        rate = course.memory_rate.after(
            memory_moved, sample.at - before.at, _MEMORY_SMOOTHING_SECONDS
        )
        course = replace(course, memory_rate=rate)
    if disk_moved or memory_moved:
        course = replace(course, moved_at=sample.at)
    return replace(course, latest=sample)


def pace(course: Course) -> int | None:
    """Bytes that moved a second, lately: of memory, or of disks while no memory moves."""
    rate = course.memory_bytes_per_second or course.disk_bytes_per_second
    return None if rate is None else round(rate)


def last_boundary_bytes(course: Course) -> int | None:
    """What was left when the latest pass began; None before the second pass."""
    return course.passes[-1].remaining_bytes if course.passes else None


def _disk_moved(course: Course, moved_bytes: int, at: float) -> Course:
    """libvirt's disk counters move in steps of 16 MiB: only from one step to another do they tell
    a pace. The first step is no more than a place to count from."""
    if course.disk_moved_at is None:
        return replace(course, disk_moved_at=at)
    seconds = at - course.disk_moved_at
    rate = course.disk_rate.after(moved_bytes, seconds, _DISK_SMOOTHING_SECONDS)
    return replace(course, disk_rate=rate, disk_moved_at=at)


def _forgets(before: Sample, now: Sample) -> bool:
    """A job that is wound up shows zeros again: what was known of it is not to be lost."""
    return before.memory_total_bytes is not None and now.memory_total_bytes is None


def _with_boundary(course: Course, sample: Sample) -> Course:
    iteration, remaining = sample.memory_iteration, sample.memory_remaining_bytes
    if iteration is None or remaining is None:
        return course
    at = _began_at(course, sample)
    if course.first_iteration is None:
        first = Boundary(at, iteration, sample.memory_total_bytes or remaining)
        return replace(course, first_iteration=iteration, boundaries=(first,))
    if iteration <= course.boundaries[-1].iteration:
        return course
    # Some of it has been sent since.
    sent = int((sample.at - at) * (course.memory_bytes_per_second or 0))
    boundary = Boundary(at, iteration, remaining + sent, _dirtied(course.latest, sample))
    return replace(course, boundaries=(*course.boundaries, boundary)[-MAX_BOUNDARIES:])


def _began_at(course: Course, sample: Sample) -> float:
    """When the pass began: as QEMU said, if that was since the last sample."""
    earliest = course.latest.at if course.latest else course.started_at
    began_at = course.pass_began_at
    return began_at if began_at is not None and earliest < began_at <= sample.at else sample.at


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
