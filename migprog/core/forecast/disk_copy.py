# SPDX-License-Identifier: Apache-2.0
"""The copies of a server's disks: how fast they are, and how long the rest will take.

All disks are copied at the same time. libvirt tells their sum; of each by itself only where it is
asked for block jobs. A guest that writes to what was copied makes more to copy: the total grows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from migprog.core.forecast.job_sample import Disk, Sample
from migprog.core.forecast.transfer_rate import DISK_STEP_BYTES, DiskRate, Share

# The least speed that libvirt can be told when a migration begins.
_LEAST_BYTES_PER_SECOND = float(2**20)
# Nothing has moved for too long when so many times a step's time is over: that of the steps seen;
# that of the next one, as the copy may have got as slow as may be; and that of the second.
_STEPS_MISSED, _SLOW_STEPS_MISSED, _FIRST_STEPS_MISSED = 2.5, 1.25, 2.8
# However large a step is.
_LONGEST_STILL_SECONDS = 180.0
# The copies of a server's disks begin one after the other, each with its own total.
_BEGIN_SECONDS = 5.0
_SMOOTHING_SECONDS = 30.0
# What grows by more than this share of what is copied is never through.
_MAX_GROWTH = 0.95
# So many bytes must have been copied before it is said.
_MEASURED_BYTES = 4 * DISK_STEP_BYTES
# A copy that reaches this share of its limit is held up by that, and not by the others.
_AT_LIMIT = 0.7


@dataclass(frozen=True, slots=True)
class Left:
    """The time that the rest of the disks takes, in seconds, with its range."""

    seconds: float
    low_seconds: float
    high_seconds: float


@dataclass(frozen=True, slots=True)
class Copy:
    """A disk's copy, or that of all disks together.

    ``growth`` is by how much its total grows, as a share of what is copied meanwhile.
    """

    began_at: float
    pace: DiskRate = field(default_factory=DiskRate)
    growth: Share = field(default_factory=Share)

    @property
    def still_to_do(self) -> float:
        """How much more there is to copy than remains now, in proportion: of what is written again
        something is written again."""
        return 1 / (1 - min(_MAX_GROWTH, self.growth.share or 0.0))

    def after(self, before: Disk, now: Disk, at: float, seconds: float, begins: bool) -> "Copy":
        """The copy after a reading, ``seconds`` after the one ``before``. ``begins``: another disk
        is in it now."""
        moved = max(0, now.processed_bytes - before.processed_bytes)
        growth = self.growth
        if not begins and at >= self.began_at + _BEGIN_SECONDS:
            grown = max(0, now.total_bytes - before.total_bytes)
            growth = growth.after(grown, moved, seconds, _SMOOTHING_SECONDS)
        return Copy(self.began_at, self.pace.after(moved, at), growth)


@dataclass(frozen=True, slots=True)
class Copies:
    """``sum`` is all disks together, None before any is known, ``each`` those that libvirt tells
    of. ``read_at`` is when the latter were read last."""

    sum: Copy | None = None
    each: Mapping[str, Copy] = field(default_factory=dict)
    read_at: float | None = None

    @property
    def moved_at(self) -> float | None:
        """When a step was last seen."""
        return None if self.sum is None else self.sum.pace.moved_at

    @property
    def still_seconds(self) -> float:
        """So long nothing may move: a step may take its time, and the next one longer."""
        paces = [copy.pace for copy in (self.sum, *self.each.values()) if copy]
        largest_bytes = max((pace.largest_step_bytes for pace in paces), default=DISK_STEP_BYTES)
        slowest_seconds = largest_bytes / _LEAST_BYTES_PER_SECOND
        known = [seconds for pace in paces if (seconds := pace.step_seconds) is not None]
        if known:
            seconds = max(_STEPS_MISSED * max(known), _SLOW_STEPS_MISSED * slowest_seconds)
        else:
            seconds = _FIRST_STEPS_MISSED * slowest_seconds
        return min(_LONGEST_STILL_SECONDS, seconds)

    def bytes_per_second(self, sample: Sample) -> float | None:
        """What is copied a second, or was before all was copied; None before the second step."""
        if self.sum is None:
            return None
        if not sample.disk_remaining_bytes:
            return self.sum.pace.rate.bytes_per_second
        return self.sum.pace.bytes_per_second(sample.at)

    @property
    def never_end(self) -> bool:
        """Whether the guest writes as fast as its disks are copied."""
        if self.sum is None or self.sum.growth.whole_bytes < _MEASURED_BYTES:
            return False
        return (self.sum.growth.share or 0.0) >= _MAX_GROWTH

    def after(self, before: Sample, now: Sample) -> "Copies":
        """The copies after one more sample; the same ones where it tells nothing of them."""
        disks = _sum(now)
        if disks is None or now.memory_total_bytes is not None:
            # Once memory moves, disks are in step, and what is written goes to both ends at once.
            return self
        earlier = _sum(before)
        if earlier is None or self.sum is None:
            return begin(now)
        begins = len(before.disks or ()) < len(now.disks or ())
        sum_ = self.sum.after(earlier, disks, now.at, now.at - before.at, begins)
        if now.disks is None or now.disks is before.disks:
            return Copies(sum_, self.each, self.read_at)
        return Copies(sum_, self._each(before, now), now.at)

    def _each(self, before: Sample, now: Sample) -> Mapping[str, Copy]:
        earlier = {disk.name: disk for disk in before.disks or ()}
        seconds = now.at - (now.at if self.read_at is None else self.read_at)
        copies = dict(self.each)
        for disk in now.disks or ():
            copy, then = copies.get(disk.name), earlier.get(disk.name)
            if copy is None or then is None:
                copies[disk.name] = _begun(disk, now.at)
            else:
                copies[disk.name] = copy.after(then, disk, now.at, seconds, begins=False)
        return copies

    def left(self, sample: Sample) -> Left | None:
        """The time that the rest takes; None where nobody knows, or where it never ends."""
        pace = self.bytes_per_second(sample)
        if self.sum is None or pace is None or self.never_end:
            return None
        # Late steps make it slower, never the slowest of late faster.
        slowest, fastest = min(pace, self.sum.pace.slowest), max(pace, self.sum.pace.fastest)
        unseen = self.sum.pace.unseen_bytes(sample.at)
        rest = max(0.0, (sample.disk_remaining_bytes or 0) - unseen)
        to_do = rest * self.sum.still_to_do
        seconds, high = to_do / pace, to_do / slowest
        longest = self._longest_seconds(sample)
        if longest is not None:
            seconds = longest if self._are_limited(sample) else seconds
            high = max(high, longest)
        return Left(seconds, min(seconds, rest / fastest), max(seconds, high))

    def _longest_seconds(self, sample: Sample) -> float | None:
        """The time that the last of the disks takes at its own pace; None if one has none."""
        longest = 0.0
        for disk in _unfinished(sample):
            copy = self.each.get(disk.name)
            rate = copy.pace.bytes_per_second(sample.at) if copy else None
            if copy is None or rate is None:
                return None
            rest = max(0.0, disk.remaining_bytes - copy.pace.unseen_bytes(sample.at))
            longest = max(longest, rest * copy.still_to_do / rate)
        return longest if sample.disks else None

    def _are_limited(self, sample: Sample) -> bool:
        """Whether each copy is as fast as it may be: then none gets faster when another ends."""
        return all(
            disk.limit_bytes_per_second is not None
            and (self.each[disk.name].pace.bytes_per_second(sample.at) or 0.0)
            >= _AT_LIMIT * disk.limit_bytes_per_second
            for disk in _unfinished(sample)
        )


def begin(sample: Sample) -> Copies:
    """The copies at the first sample of a migration."""
    disks = _sum(sample)
    if disks is None or sample.memory_total_bytes is not None:
        return Copies()
    each = {disk.name: _begun(disk, sample.at) for disk in sample.disks or ()}
    return Copies(_begun(disks, sample.at), each, sample.at if each else None)


def _sum(sample: Sample) -> Disk | None:
    """All disks as if they were one."""
    total, processed = sample.disk_total_bytes, sample.disk_processed_bytes
    return None if total is None or processed is None else Disk("", total, processed)


def _unfinished(sample: Sample) -> list[Disk]:
    return [disk for disk in sample.disks or () if disk.remaining_bytes]


def _begun(disk: Disk, at: float) -> Copy:
    """Where a step has been made already, the next one is counted from now."""
    bytes_ = disk.processed_bytes
    return Copy(at, DiskRate(moved_at=at, first_bytes=bytes_) if bytes_ else DiskRate())
