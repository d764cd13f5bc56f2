# SPDX-License-Identifier: Apache-2.0
"""The copies of a server's disks: how fast they are, and how long the rest will take.

All disks are copied at the same time. libvirt tells their sum; of each by itself only where it is
asked for block jobs. A guest that writes to what was copied makes more to copy: the total grows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from migprog.core.moved import difference
from migprog.core.pace import DiskPace, Rate
from migprog.core.sample import Disk, Sample

# A step of 16 MiB takes as long as this at the least speed that libvirt can be told, 1 MiB/s; and
# a little more.
_STILL_SECONDS = 20.0
# Before two steps were seen nobody knows how long one takes.
_FIRST_STILL_SECONDS = 45.0
# Nothing has moved for too long when so many times a step's time is over.
_STEPS_MISSED = 2.5
# The copies of a server's disks begin one after the other, each with its own total.
_BEGIN_SECONDS = 5.0
_SMOOTHING_SECONDS = 30.0
# What grows by more than this share of what is copied is never through.
_MAX_GROWTH = 0.95
# So long it must be seen before it is said.
_GROWTH_SECONDS = 10.0
# A copy that reaches this share of its limit is held up by that, and not by the others.
_AT_LIMIT = 0.7


@dataclass(frozen=True, slots=True)
class Left:
    """The time that the rest of the disks takes, in seconds, with its range."""

    seconds: float
    low_seconds: float
    high_seconds: float


@dataclass(frozen=True, slots=True)
class Copies:
    """``sum`` is the pace of all disks together, ``each`` that of those that libvirt tells of.

    ``began_at`` is when they were first seen, ``growth`` by how much the total grows.
    """

    sum: DiskPace = field(default_factory=DiskPace)
    each: Mapping[str, DiskPace] = field(default_factory=dict)
    began_at: float | None = None
    growth: Rate = field(default_factory=Rate)

    @property
    def moved_at(self) -> float | None:
        """When a step was last seen."""
        return self.sum.moved_at

    @property
    def still_seconds(self) -> float:
        """So long nothing may move: a step may take its time, and the next one longer."""
        steps = [self.sum.step_seconds, *(pace.step_seconds for pace in self.each.values())]
        known = [seconds for seconds in steps if seconds is not None]
        if not known:
            return _FIRST_STILL_SECONDS
        return max(_STILL_SECONDS, _STEPS_MISSED * max(known))

    def bytes_per_second(self, sample: Sample) -> float | None:
        """What is copied a second, or was before all was copied; None before the second step."""
        through = not sample.disk_remaining_bytes
        return self.sum.rate.bytes_per_second if through else self.sum.bytes_per_second(sample.at)

    @property
    def never_ends(self) -> bool:
        """Whether the guest writes as fast as its disks are copied."""
        pace, growth = self.sum.rate.bytes_per_second, self.growth.bytes_per_second
        if pace is None or growth is None or self.growth.seconds < _GROWTH_SECONDS:
            return False
        return growth >= _MAX_GROWTH * pace

    def after(self, before: Sample, now: Sample) -> "Copies":
        """The copies after one more sample; the same ones where it tells nothing of them."""
        moved = difference(before.disk_processed_bytes, now.disk_processed_bytes)
        if moved is None or now.memory_total_bytes is not None:
            # Once memory moves, disks are in step, and what is written goes to both ends at once.
            return self
        return Copies(
            sum=self.sum.after(moved, now.at),
            each=self._each(before, now) if now.disks is not before.disks else self.each,
            began_at=now.at if self.began_at is None else self.began_at,
            growth=self._growth(before, now),
        )

    def _each(self, before: Sample, now: Sample) -> Mapping[str, DiskPace]:
        earlier = {disk.name: disk.processed_bytes for disk in before.disks or ()}
        paces = dict(self.each)
        for disk in now.disks or ():
            pace = paces.get(disk.name)
            if pace is None or disk.name not in earlier:
                paces[disk.name] = pace or _begun(disk.processed_bytes, now.at)
            else:
                moved = max(0, disk.processed_bytes - earlier[disk.name])
                paces[disk.name] = pace.after(moved, now.at)
        return paces

    def _growth(self, before: Sample, now: Sample) -> Rate:
        grown = difference(before.disk_total_bytes, now.disk_total_bytes)
        if grown is None or self.began_at is None or now.at - self.began_at < _BEGIN_SECONDS:
            return self.growth
        if len(before.disks or ()) < len(now.disks or ()):
            return self.growth
        return self.growth.after(grown, now.at - before.at, _SMOOTHING_SECONDS)

    def left(self, sample: Sample) -> Left | None:
        """The time that the rest takes; None where nobody knows, or where it never ends."""
        pace = self.bytes_per_second(sample)
        if pace is None or self.never_ends:
            return None
        # Late steps make it slower, never the slowest of late faster.
        slowest, fastest = min(pace, self.sum.slowest), max(pace, self.sum.fastest)
        rest = max(0.0, (sample.disk_remaining_bytes or 0) - self.sum.unseen_bytes(sample.at))
        growth = self.growth.bytes_per_second or 0.0
        seconds = rest / max(pace - growth, (1 - _MAX_GROWTH) * pace)
        high = rest / max(slowest - growth, (1 - _MAX_GROWTH) * slowest)
        longest = self._longest_seconds(sample)
        if longest is not None:
            seconds = max(seconds, longest) if _are_limited(sample, self.each) else seconds
            high = max(high, longest)
        return Left(seconds, min(seconds, rest / fastest), max(seconds, high))

    def _longest_seconds(self, sample: Sample) -> float | None:
        """The time that the last of the disks takes at its own pace; None if one has none."""
        longest = 0.0
        for disk in sample.disks or ():
            if not disk.remaining_bytes:
                continue
            pace = self.each.get(disk.name)
            rate = pace.bytes_per_second(sample.at) if pace else None
            if pace is None or rate is None:
                return None
            rest = max(0.0, disk.remaining_bytes - pace.unseen_bytes(sample.at))
            longest = max(longest, rest / rate)
        return longest if sample.disks else None


def begin(sample: Sample) -> Copies:
    """The copies at the first sample of a migration."""
    processed_bytes = sample.disk_processed_bytes
    if processed_bytes is None or sample.memory_total_bytes is not None:
        return Copies()
    return Copies(
        sum=_begun(processed_bytes, sample.at),
        each={d.name: _begun(d.processed_bytes, sample.at) for d in sample.disks or ()},
        began_at=sample.at,
    )


def _begun(processed_bytes: int, at: float) -> DiskPace:
    """Where a step has been made already, the next one is counted from now."""
    return DiskPace(moved_at=at) if processed_bytes else DiskPace()


def _are_limited(sample: Sample, paces: Mapping[str, DiskPace]) -> bool:
    """Whether each copy is as fast as it may be: then none gets faster when another is through."""
    return all(_is_limited(disk, paces[disk.name], sample.at) for disk in _copied(sample))


def _copied(sample: Sample) -> list[Disk]:
    return [disk for disk in sample.disks or () if disk.remaining_bytes]


def _is_limited(disk: Disk, pace: DiskPace, at: float) -> bool:
    limit = disk.limit_bytes_per_second
    return limit is not None and (pace.bytes_per_second(at) or 0.0) >= _AT_LIMIT * limit
