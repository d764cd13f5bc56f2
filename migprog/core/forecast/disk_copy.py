# SPDX-License-Identifier: Apache-2.0
"""The copies of a server's disks: how fast they are, and how long the rest will take.

All disks are copied at the same time. libvirt reports their sum; it reports single disks only when
asked for block jobs. A guest that writes to what was copied makes more to copy: the total grows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from migprog.core.forecast.job_sample import Disk, Sample
from migprog.core.forecast.transfer_rate import DISK_STEP_BYTES, DiskRate, Share

# The lowest bandwidth limit that libvirt accepts when a migration begins.
_LEAST_BYTES_PER_SECOND = float(2**20)
# No data moves if no step has come for so many times the time of a step: of the longest step seen;
# of the next one at the lowest bandwidth limit; of the first one.
_STEPS_MISSED, _SLOW_STEPS_MISSED, _FIRST_STEPS_MISSED = 2.5, 1.25, 2.8
# The limit of that time for steps of any size.
_LONGEST_STILL_SECONDS = 180.0
# The copies of a server's disks begin one after the other, each with its own total.
_BEGIN_SECONDS = 5.0
_SMOOTHING_SECONDS = 30.0
# A total that grows by more than this share of what is copied is never complete.
_MAX_GROWTH = 0.95
# So many bytes must have been copied before a copy counts as never complete.
_MEASURED_BYTES = 4 * DISK_STEP_BYTES
# A copy that reaches this share of its bandwidth limit is held up by that, not by other copies.
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
    rate: DiskRate = field(default_factory=DiskRate)
    growth: Share = field(default_factory=Share)

    @property
    def still_to_do(self) -> float:
        """By what to multiply the remaining bytes: what the guest writes meanwhile is copied again,
        and so on (a geometric series)."""
        return 1 / (1 - min(_MAX_GROWTH, self.growth.share or 0.0))

    def after(self, before: Disk, now: Disk, at: float, seconds: float, begins: bool) -> "Copy":
        """Return the copy after a reading, ``seconds`` after the one ``before``. ``begins``:
        another disk is in the sum now."""
        moved = max(0, now.processed_bytes - before.processed_bytes)
        growth = self.growth
        if not begins and at >= self.began_at + _BEGIN_SECONDS:
            grown = max(0, now.total_bytes - before.total_bytes)
            growth = growth.after(grown, moved, seconds, _SMOOTHING_SECONDS)
        return Copy(self.began_at, self.rate.after(moved, at), growth)


@dataclass(frozen=True, slots=True)
class Copies:
    """``sum`` is all disks together, None before any is known, ``each`` those that libvirt
    reports. ``read_at`` is when the latter were read last."""

    sum: Copy | None = None
    each: Mapping[str, Copy] = field(default_factory=dict)
    read_at: float | None = None

    @property
    def moved_at(self) -> float | None:
        """The time of the latest step; None before the first."""
        return None if self.sum is None else self.sum.rate.moved_at

    @property
    def still_seconds(self) -> float:
        """For how long nothing may move before the copy counts as stalled."""
        rates = [copy.rate for copy in (self.sum, *self.each.values()) if copy]
        largest_bytes = max((rate.largest_step_bytes for rate in rates), default=DISK_STEP_BYTES)
        slowest_seconds = largest_bytes / _LEAST_BYTES_PER_SECOND
        known = [seconds for rate in rates if (seconds := rate.step_seconds) is not None]
        if known:
            seconds = max(_STEPS_MISSED * max(known), _SLOW_STEPS_MISSED * slowest_seconds)
        else:
            seconds = _FIRST_STEPS_MISSED * slowest_seconds
        return min(_LONGEST_STILL_SECONDS, seconds)

    def bytes_per_second(self, sample: Sample) -> float | None:
        """Return bytes copied a second, or those before all was copied; None before step 2."""
        if self.sum is None:
            return None
        if not sample.disk_remaining_bytes:
            return self.sum.rate.rate.bytes_per_second
        return self.sum.rate.bytes_per_second(sample.at)

    @property
    def never_end(self) -> bool:
        """Whether the guest writes about as fast as its disks are copied."""
        if self.sum is None or self.sum.growth.whole_bytes < _MEASURED_BYTES:
            return False
        return (self.sum.growth.share or 0.0) >= _MAX_GROWTH

    def after(self, before: Sample, now: Sample) -> "Copies":
        """Return the copies after one more sample; the same object if it does not show them."""
        disks = _sum(now)
        if disks is None or now.memory_total_bytes is not None:
            # Once memory moves, the mirrors are ready and writes go to both hosts at once.
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
        """Estimate the time that the rest takes; None if it is unknown, or never ends."""
        rate = self.bytes_per_second(sample)
        if self.sum is None or rate is None or self.never_end:
            return None
        # Late steps lower the rate, but never raise the slowest one seen.
        slowest, fastest = min(rate, self.sum.rate.slowest), max(rate, self.sum.rate.fastest)
        unseen = self.sum.rate.unseen_bytes(sample.at)
        rest = max(0.0, (sample.disk_remaining_bytes or 0) - unseen)
        to_do = rest * self.sum.still_to_do
        seconds, high = to_do / rate, to_do / slowest
        longest = self._longest_seconds(sample)
        if longest is not None:
            seconds = longest if self._are_limited(sample) else seconds
            high = max(high, longest)
        return Left(seconds, min(seconds, rest / fastest), max(seconds, high))

    def _longest_seconds(self, sample: Sample) -> float | None:
        """Return the time of the disk that is copied last, each at its own rate; None if one has
        no rate yet."""
        longest = 0.0
        for disk in _unfinished(sample):
            copy = self.each.get(disk.name)
            rate = copy.rate.bytes_per_second(sample.at) if copy else None
            if copy is None or rate is None:
                return None
            rest = max(0.0, disk.remaining_bytes - copy.rate.unseen_bytes(sample.at))
            longest = max(longest, rest * copy.still_to_do / rate)
        return longest if sample.disks else None

    def _are_limited(self, sample: Sample) -> bool:
        """Return whether each copy is at its bandwidth limit: then none speeds up when another
        ends."""
        return all(
            disk.limit_bytes_per_second is not None
            and (self.each[disk.name].rate.bytes_per_second(sample.at) or 0.0)
            >= _AT_LIMIT * disk.limit_bytes_per_second
            for disk in _unfinished(sample)
        )


def begin(sample: Sample) -> Copies:
    """Return the copies at the first sample of a migration."""
    disks = _sum(sample)
    if disks is None or sample.memory_total_bytes is not None:
        return Copies()
    each = {disk.name: _begun(disk, sample.at) for disk in sample.disks or ()}
    return Copies(_begun(disks, sample.at), each, sample.at if each else None)


def _sum(sample: Sample) -> Disk | None:
    """Return all disks as if they were one."""
    total, processed = sample.disk_total_bytes, sample.disk_processed_bytes
    return None if total is None or processed is None else Disk("", total, processed)


def _unfinished(sample: Sample) -> list[Disk]:
    return [disk for disk in sample.disks or () if disk.remaining_bytes]


def _begun(disk: Disk, at: float) -> Copy:
    """Begin a copy; where something was copied already, the next step counts from now."""
    bytes_ = disk.processed_bytes
    return Copy(at, DiskRate(moved_at=at, first_bytes=bytes_) if bytes_ else DiskRate())
