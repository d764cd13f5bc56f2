# SPDX-License-Identifier: Apache-2.0
"""Measure how fast bytes move, by what was seen to move in how many seconds."""

import math
from typing import NamedTuple

# QEMU sends in slices of a tenth of a second: over a shorter time than this they would show.
_LATELY_SECONDS = 0.9
# Over a shorter time than this, the first slice would be most of it.
_FIRST_SECONDS = 0.4
# A rate that differs by more than this share from the one before is a new rate.
_SAME = 0.15
# The weight of a second in by how much a rate varies.
_VARIES_WEIGHT = 0.1
_MEMORY_SMOOTHING_SECONDS = 20.0
_DISK_SMOOTHING_SECONDS = 30.0
# QEMU's mirror of a disk has 16 MiB in flight at most: libvirt's counters move by up to that much
# at a time, with each disk.
DISK_STEP_BYTES = 16 * 2**20
# The limit of a step's size; larger ones have never been seen.
_LARGEST_STEP_BYTES = 4 * DISK_STEP_BYTES
# So many of the latest steps are remembered, and so many make a measurement.
_STEPS_KEPT = 8
_STEPS_MEASURED = 4
# More a second than one connection carries: holes of a disk, which are skipped and not sent.
_HOLES_BYTES_PER_SECOND = 4 * 2**30
# How long the slowest and the fastest rate of disks are remembered.
_RANGE_SECONDS = 40.0
# A rate measured for less time than this counts as measured for so long when nothing moves.
_LEAST_SECONDS = 10.0


class Rate(NamedTuple):
    """Bytes and the seconds that they took, both fading with age: their quotient is the rate.

    So the first readings give a plain mean, and uneven sampling does not distort it.
    """

    moved_bytes: float = 0.0
    seconds: float = 0.0

    @property
    def bytes_per_second(self) -> float | None:
        """None before anything has moved."""
        return self.moved_bytes / self.seconds if self.moved_bytes and self.seconds else None

    def after(self, moved_bytes: float, seconds: float, smoothing_seconds: float) -> "Rate":
        fade = math.exp(-seconds / smoothing_seconds)
        return Rate(self.moved_bytes * fade + moved_bytes, self.seconds * fade + seconds)


class Share(NamedTuple):
    """A part of a whole, both in bytes and both fading with age: their quotient is the share."""

    part_bytes: float = 0.0
    whole_bytes: float = 0.0

    @property
    def share(self) -> float | None:
        """None before anything was counted."""
        return self.part_bytes / self.whole_bytes if self.whole_bytes else None

    def after(
        self, part_bytes: float, whole_bytes: float, seconds: float, smoothing_seconds: float
    ) -> "Share":
        """Return the share after ``seconds`` in which so much more was counted."""
        fade = math.exp(-seconds / smoothing_seconds)
        return Share(self.part_bytes * fade + part_bytes, self.whole_bytes * fade + whole_bytes)


class MemoryRate(NamedTuple):
    """The rate of memory: averaged while it is steady, measured from scratch when it changes.

    ``lately`` sums the readings of the latest second; nothing has moved for ``still_seconds``
    since the last of them. ``varies`` is by what share the rate of a second has been off lately.
    """

    rate: Rate = Rate()
    lately: Rate = Rate()
    still_seconds: float = 0.0
    varies: float = 0.0

    @property
    def bytes_per_second(self) -> float | None:
        """None before something has moved for long enough to measure."""
        known = self.rate.bytes_per_second
        if known is None and self.lately.seconds >= _FIRST_SECONDS:
            known = self.lately.bytes_per_second
        return known

    def after(self, moved_bytes: int, seconds: float) -> "MemoryRate":
        """Return the rate after one more reading. While nothing moves the rate stays: a network
        that recovers has its former rate. A second without data is no measurement; where bytes
        move again sooner, the time between counts."""
        if not moved_bytes:
            if not self.lately.moved_bytes:
                return self
            still_seconds = self.still_seconds + seconds
            if still_seconds >= _LATELY_SECONDS:
                return MemoryRate(self.rate, varies=self.varies)
            return MemoryRate(self.rate, self.lately, still_seconds, self.varies)
        seconds += self.still_seconds
        new = Rate(self.lately.moved_bytes + moved_bytes, self.lately.seconds + seconds)
        if new.seconds < _LATELY_SECONDS:
            return MemoryRate(self.rate, new, varies=self.varies)
        now, before = new.bytes_per_second, self.rate.bytes_per_second
        if now is None or before is None:
            return MemoryRate(new)
        off = abs(now - before) / before
        varies = self.varies + _VARIES_WEIGHT * (off - self.varies)
        if off > _SAME:
            return MemoryRate(new, varies=varies)
        rate = self.rate.after(new.moved_bytes, new.seconds, _MEMORY_SMOOTHING_SECONDS)
        return MemoryRate(rate, varies=varies)


class DiskRate(NamedTuple):
    """The rate of disks, whose counters move in steps: averaged while it is steady, measured from
    scratch at the first step that does not fit.

    Only the time between two steps gives a rate; the first one, of ``first_bytes``, is where
    counting begins. ``moved_at`` is when the latest step was seen, ``is_still`` whether a reading
    since then had none; ``in_holes``: it was of holes. ``lately`` sums the steps since the last
    measurement, ``steps`` has the seconds before each of the latest steps and its bytes.
    ``slowest`` and ``fastest`` are the extreme rates of the last time.
    """

    rate: Rate = Rate()
    lately: Rate = Rate()
    moved_at: float | None = None
    first_bytes: int = 0
    is_still: bool = False
    in_holes: bool = False
    steps: tuple[tuple[float, int], ...] = ()
    slowest: float = 0.0
    fastest: float = 0.0

    @property
    def step_seconds(self) -> float | None:
        """The longest time that one of the latest steps took; None before the second step."""
        return max((seconds for seconds, _ in self.steps), default=None)

    @property
    def largest_step_bytes(self) -> int:
        """The largest step seen; at least QEMU's own step."""
        first_bytes = self.first_bytes if self.is_still and not self.steps else 0
        return max(DISK_STEP_BYTES, min(_LARGEST_STEP_BYTES, first_bytes), self._step_bytes)

    @property
    def _step_bytes(self) -> int:
        return max((moved_bytes for _, moved_bytes in self.steps), default=0)

    def bytes_per_second(self, at: float) -> float | None:
        """Return the rate; None before the second step. It falls while a step is late."""
        rate = self.rate.bytes_per_second
        if rate is None or self.moved_at is None:
            return rate
        late = max(0.0, at - self.moved_at - (self.step_seconds or 0.0))
        measured = max(_LEAST_SECONDS, self.rate.seconds)
        return rate * measured / (measured + late)

    def unseen_bytes(self, at: float) -> float:
        """Estimate what has been copied since the latest step."""
        rate = self.rate.bytes_per_second
        if rate is None or self.moved_at is None or not self.is_still:
            return 0.0
        return min(float(self._step_bytes), rate * max(0.0, at - self.moved_at))

    def after(self, moved_bytes: int, at: float) -> "DiskRate":
        """Return the rate after one more reading."""
        if not moved_bytes:
            still = self.is_still or self.moved_at is None
            return self if still else self._replace(is_still=True)
        if self.moved_at is None:
            return self._replace(moved_at=at, first_bytes=moved_bytes)
        seconds = at - self.moved_at
        if moved_bytes > _HOLES_BYTES_PER_SECOND * seconds:
            return self._replace(moved_at=at, is_still=False, in_holes=True)
        if self.in_holes:
            # This reading includes holes, too.
            return self._replace(moved_at=at, is_still=False, in_holes=False)
        # Where each reading finds something moved, there may have been several steps.
        step_bytes = moved_bytes if self.is_still else min(moved_bytes, DISK_STEP_BYTES)
        new = self._replace(
            lately=Rate(self.lately.moved_bytes + moved_bytes, self.lately.seconds + seconds),
            moved_at=at,
            is_still=False,
            steps=(*self.steps, (seconds, step_bytes))[-_STEPS_KEPT:],
        )
        return new._measured() if new.lately.seconds >= _LATELY_SECONDS else new

    def _measured(self) -> "DiskRate":
        lately, rate = self.lately, self.rate
        # One step more or less is chance, and a reading may come in the middle of one.
        step_bytes = max(DISK_STEP_BYTES, self._step_bytes)
        if rate.moved_bytes + lately.moved_bytes <= _STEPS_MEASURED * step_bytes:
            moved_bytes = rate.moved_bytes + lately.moved_bytes
            return self._with(Rate(moved_bytes, rate.seconds + lately.seconds))
        expected = (rate.bytes_per_second or 0.0) * lately.seconds
        if abs(lately.moved_bytes - expected) > _SAME * expected + step_bytes:
            return self._with(lately)
        if lately.moved_bytes < _STEPS_MEASURED * step_bytes:
            return self
        return self._with(rate.after(lately.moved_bytes, lately.seconds, _DISK_SMOOTHING_SECONDS))

    def _with(self, rate: Rate) -> "DiskRate":
        now = rate.bytes_per_second or 0.0
        fade = math.exp(-self.lately.seconds / _RANGE_SECONDS)
        slowest, fastest = self.slowest or now, self.fastest or now
        return self._replace(
            rate=rate,
            lately=Rate(),
            slowest=min(now, now * (slowest / now) ** fade),
            fastest=max(now, now * (fastest / now) ** fade),
        )
