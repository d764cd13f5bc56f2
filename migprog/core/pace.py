# SPDX-License-Identifier: Apache-2.0
"""How fast bytes move, by what was seen to move in how many seconds."""

import math
from dataclasses import dataclass

# QEMU sends in slices of a tenth of a second: over less than this they would show.
_LATELY_SECONDS = 0.9
# And over less than this, a first slice would be most of it.
_FIRST_SECONDS = 0.4
# A pace that differs by more from the one before is another.
_SAME = 0.15
_MEMORY_SMOOTHING_SECONDS = 20.0
_DISK_SMOOTHING_SECONDS = 30.0


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

    def after(self, moved_bytes: float, seconds: float, smoothing_seconds: float) -> "Rate":
        fade = math.exp(-seconds / smoothing_seconds)
        return Rate(self.moved_bytes * fade + moved_bytes, self.seconds * fade + seconds)


@dataclass(frozen=True, slots=True)
class MemoryPace:
    """The pace of memory: long measured while it stays the same, measured anew when it changes.

    ``lately`` gathers the readings of the latest second.
    """

    rate: Rate = Rate()
    lately: Rate = Rate()

    @property
    def bytes_per_second(self) -> float | None:
        """None before anything has moved, for long enough to tell."""
        known = self.rate.bytes_per_second
        if known is None and self.lately.seconds >= _FIRST_SECONDS:
            known = self.lately.bytes_per_second
        return known

    def after(self, moved_bytes: int, seconds: float) -> "MemoryPace":
        """The pace after one more reading. While nothing at all moves it is what it was: a network
        that comes back has the pace that it had."""
        if not moved_bytes and not self.lately.moved_bytes:
            return self
        new = Rate(self.lately.moved_bytes + moved_bytes, self.lately.seconds + seconds)
        if new.seconds < _LATELY_SECONDS:
            return MemoryPace(self.rate, new)
        now, before = new.bytes_per_second, self.rate.bytes_per_second
        if now is None or before is None or abs(now - before) > _SAME * before:
            return MemoryPace(new)
        return MemoryPace(self.rate.after(new.moved_bytes, new.seconds, _MEMORY_SMOOTHING_SECONDS))


@dataclass(frozen=True, slots=True)
class DiskPace:
    """The pace of disks. libvirt's counters of them move in steps of 16 MiB: only from one step to
    another do they tell a pace, and the first is no more than a place to count from."""

    rate: Rate = Rate()
    moved_at: float | None = None

    @property
    def bytes_per_second(self) -> float | None:
        """None before the second step."""
        return self.rate.bytes_per_second

    def after(self, moved_bytes: int, at: float) -> "DiskPace":
        if not moved_bytes:
            return self
        if self.moved_at is None:
            return DiskPace(self.rate, at)
        seconds = at - self.moved_at
        return DiskPace(self.rate.after(moved_bytes, seconds, _DISK_SMOOTHING_SECONDS), at)
