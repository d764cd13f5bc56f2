# SPDX-License-Identifier: Apache-2.0
"""Whatever libvirt's counters count, the time left is right: constant rates, mixed at random."""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from migprog.core.forecast.first_iteration import QEMU_BYTES
from migprog.core.forecast.job_sample import Disk
from migprog.core.forecast.verdict import Verdict
from migprog.core.monitor import Monitor
from migprog.core.server_facts import ServerFacts
from migprog.tests.fixtures.synthetic import Compression, Copy, Shown, Synthetic

MIB = 2**20
UUID = "00000000-0000-0000-0000-000000000001"
LIMIT = 0.3


@dataclasses.dataclass(frozen=True)
class Said:
    """What was said at a sample."""

    at: float
    stage: str
    verdict: Verdict
    eta: float | None
    low: float | None
    high: float | None


class Watcher:
    """A monitor that is shown samples."""

    def __init__(self, one: Synthetic) -> None:
        self.monitor = Monitor(UUID, UUID, 0.0, completion_time_seconds=0.0)
        # How much of it is zeros is not known at first, but is soon seen where they are anywhere.
        is_seen = not one.zeros_last and one.zeros >= one.filled
        qemu_bytes = min(QEMU_BYTES, one.total // 8)
        resident = None if is_seen else int(1.01 * one.filled) + qemu_bytes
        self.monitor.learn(ServerFacts(memory_size_bytes=one.total, memory_resident_bytes=resident))

    def see(self, shown: Shown) -> Said:
        if shown.began is not None:
            self.monitor.iteration_begins(shown.began)
        disks = [Disk(*values) for values in shown.disks or ()]
        self.monitor.read(shown.stats, LIMIT, shown.at, disks)
        return self.now(shown.at, shown.stage)

    def now(self, at: float, stage: str) -> Said:
        said = self.monitor.preview(at, at)
        assert said.verdict is not None
        etas = (said.eta_seconds, said.eta_low_seconds, said.eta_high_seconds)
        return Said(at, stage, said.verdict, *etas)


def watched(one: Synthetic) -> tuple[list[Said], float]:
    """What was said at each sample, and when it ended."""
    *samples, end = one.samples()
    watcher = Watcher(one)
    return [watcher.see(shown) for shown in samples], end.at


def rates(least: float, most: float) -> st.SearchStrategy[float]:
    return st.floats(least * MIB, most * MIB)


@st.composite
def copies(draw: st.DrawFn, least: int = 0) -> tuple[Copy, ...]:
    """Disks of which each takes 8 to 40 steps, of which one takes 17 s at most."""
    found = []
    for _ in range(draw(st.integers(least, 3))):
        step = int(draw(st.floats(1, 16)) * MIB)
        rate = draw(rates(step / MIB / 17, 100))
        written = draw(st.sampled_from([0.0, 0.0, 0.3])) * rate
        seconds = max(30.0, draw(st.integers(8, 40)) * step / rate)
        found.append(Copy(int(rate * seconds), rate, step, written))
    return tuple(found)


@st.composite
def migrations(draw: st.DrawFn) -> Synthetic:
    wire = draw(rates(1, 1000))
    compression = draw(st.sampled_from(Compression))
    ratio = 1.0 if compression is Compression.NONE else draw(st.floats(1.2, 60))
    zeros_last = draw(st.booleans())
    # A pass of 10 s to 100 s.
    filled = int(wire * ratio * draw(st.floats(10, 100)))
    return Synthetic(
        filled=filled,
        zeros=int(filled * draw(st.sampled_from([0.0, 0.1, 1.0, 5.0]))),
        wire=wire,
        ratio=ratio,
        # How long zeros at the end will take is not known before they come.
        scan=(200 if zeros_last else 20) * wire * ratio,
        zeros_last=zeros_last,
        compression=compression,
        # About what is guessed before the first iteration is through.
        dirtied=draw(st.floats(0.06, 0.1)),
        disks=draw(copies()),
        disks_are_told=draw(st.booleans()),
        device_seconds=draw(st.sampled_from([0.0, 20.0])),
        devices_are_counted=draw(st.booleans()),
        poll=draw(st.sampled_from([0.25, 0.5, 1.0, 2.0])),
    )


def is_near(said: Said, left: float, one: Synthetic) -> bool:
    """What the guest dirties in the first iteration, and the time of zeros, is a guess at first."""
    assert said.eta is not None
    whole_iteration = one.filled / one.wire / one.ratio
    return abs(said.eta - left) <= 0.25 * left + 3 + 0.05 * whole_iteration


@settings(max_examples=50, deadline=None)
@given(migrations())
def test_the_time_left_is_right_whatever_the_counters_count(one):
    said, end = watched(one)
    assert Verdict.STALLED not in {each.verdict for each in said}
    memory_from = next(each.at for each in said if each.stage == "memory")
    for each in said:
        if each.stage == "devices":
            assert each.at < end - one.device_seconds + 3 or each.eta is None
        elif each.stage == "memory" and each.at > memory_from + 3:
            assert is_near(each, end - one.device_seconds - each.at, one), each


@st.composite
def disks_alone(draw: st.DrawFn) -> Synthetic:
    """Next to no memory follows the disks."""
    disks = draw(copies(1))
    rate = min(disk.rate for disk in disks)
    # What is not told of each is only the sum.
    told = len(disks) > 1 or draw(st.booleans())
    poll = draw(st.sampled_from([0.25, 0.5, 1.0, 2.0]))
    return Synthetic(int(rate / 2), 0, rate, disks=disks, disks_are_told=told, poll=poll)


@settings(max_examples=50, deadline=None)
@given(disks_alone())
def test_the_time_left_is_right_whatever_the_steps_of_disks(one):
    said, end = watched(one)
    assert Verdict.STALLED not in {each.verdict for each in said}
    step_seconds = max(disk.step / disk.rate for disk in one.disks)
    known_from = 10.0 + 3 * (step_seconds + one.poll)
    last = None
    for each in said:
        if each.stage == "disks" and each.at > known_from:
            left = end - each.at
            assert each.eta is not None
            assert abs(each.eta - left) <= 0.25 * left + step_seconds + 2 * one.poll + 4, each
            # It does not come and go.
            assert last is None or last.eta is not None
            last = each


def silences(one: Synthetic, fraction: float) -> tuple[float, float | None, float]:
    """Stop everything after that part of the samples: how long the longest step of that stage took
    before, and after what silence it is called stalled: since something moved, and since the stop.
    """
    *samples, _ = one.samples()
    watcher = Watcher(one)
    stop = samples[int(fraction * (len(samples) - 1))]
    moved_at, before, longest, step_at, stage = 0.0, None, 0.0, 0.0, ""
    for shown in samples:
        watcher.see(shown)
        if shown.stage != stage:
            # What follows the disks is not counted by their steps.
            stage, longest, step_at = shown.stage, 0.0, shown.at
        moving = {k: shown.stats.get(k) for k in MOVING}
        if before is None or any((moving[k] or 0) > (before[k] or 0) for k in MOVING):
            longest = max(longest, shown.at - step_at)
            moved_at, step_at, before = shown.at, shown.at, moving
        if shown is stop:
            break
    for seconds in range(1, 200):
        at = stop.at + seconds
        watcher.see(dataclasses.replace(stop, at=at, began=None))
        if watcher.now(at, stop.stage).verdict is Verdict.STALLED:
            return longest, at - moved_at, at - stop.at
    return longest, None, 0.0


MOVING = (
    *("disk_processed", "memory_processed", "memory_normal", "memory_constant"),
    *("compression_pages", "vfio_data_transferred"),
)


@settings(max_examples=50, deadline=None)
@given(migrations(), st.floats(0.05, 0.95))
def test_a_stall_is_called_when_nothing_moves_for_longer_than_a_step_takes(one, fraction):
    longest, silence, _ = silences(one, fraction)
    assert silence is not None
    assert silence >= max(8.0, longest)
    # Where no step was seen by itself, the first may be one of 64 MiB, at 1 MiB/s.
    is_seen = longest > 2 * one.poll
    assert silence <= (max(46.0, 2.5 * longest + 3) if is_seen else 180.0)
