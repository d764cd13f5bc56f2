# SPDX-License-Identifier: Apache-2.0
"""Copies of disks: steps, holes, several at once, and a guest that writes to them."""

import pytest

from migprog.core.forecast.estimate import forecast
from migprog.core.forecast.job_sample import Disk, Sample
from migprog.core.forecast.precopy import PrecopyState
from migprog.core.forecast.precopy_updates import observe
from migprog.core.forecast.transfer_rate import DiskRate
from migprog.core.forecast.verdict import Verdict, judge
from migprog.core.status import Phase

MIB = 2**20


def paced(*steps):
    """(seconds, MiB) each, read once a second while nothing moves."""
    pace, at = DiskRate().after(MIB, 0.0), 0.0
    for seconds, mib in steps:
        for second in range(1, int(seconds)):
            pace = pace.after(0, at + second)
        at += seconds
        pace = pace.after(int(mib * MIB), at)
    return pace, at


def mib_s(pace, at):
    return pace.bytes_per_second(at) / MIB


def test_slower_disk_is_measured_again_at_its_first_slow_step():
    assert mib_s(*paced(*[(1, 100)] * 20, (16, 16))) == pytest.approx(1.0)


def test_faster_disk_is_measured_again_after_some_steps():
    pace, at = paced(*[(16, 16)] * 8, *[(1, 16)] * 4)
    assert mib_s(pace, at) == pytest.approx(16.0, rel=0.35)


def test_steps_of_two_disks_in_turn_do_not_change_the_rate():
    pace, at = paced(*[(1, 16), (15, 16)] * 6)
    assert mib_s(pace, at) == pytest.approx(2.0, rel=0.15)


def test_holes_do_not_affect_the_rate():
    pace, _ = paced((1, 40_000), (1, 40_000))
    assert pace.bytes_per_second(2.0) is None
    # Of the reading after them a part was holes, too.
    assert mib_s(*paced((1, 40_000), (1, 3_000), (1, 90), (1, 90))) == pytest.approx(90)


def test_late_step_lowers_the_rate():
    pace, at = paced(*[(4, 16)] * 6)
    assert mib_s(pace, at + 4) == pytest.approx(4.0)
    assert mib_s(pace, at + 40) < 2.5


def test_varying_rate_is_remembered_for_a_while():
    pace, _ = paced(*[(1, 200)] * 10, *[(1, 50)] * 3)
    assert pace.fastest == pytest.approx(200 * MIB, rel=0.2)
    pace, _ = paced(*[(1, 200)] * 10, *[(1, 50)] * 300)
    assert pace.fastest == pytest.approx(50 * MIB, rel=0.05)


def precopy(*rows, each=False, limit=None):
    """Rows of (seconds, [(total, copied) in MiB, ...])."""
    seen = PrecopyState(started_at=0.0, memory_size_bytes=MIB)
    for at, disks in rows:
        sums = [sum(column) * MIB for column in zip(*disks, strict=True)]
        told = tuple(
            Disk(f"vd{n}", total * MIB, copied * MIB, limit)
            for n, (total, copied) in enumerate(disks)
        )
        seen = observe(
            seen,
            Sample(
                at=float(at),
                disk_total_bytes=sums[0],
                disk_processed_bytes=sums[1],
                disk_remaining_bytes=sums[0] - sums[1],
                disks=told if each else None,
            ),
        )
    return seen


def eta(seen):
    return forecast(seen, Phase.DISK_COPY, Verdict.COPYING).eta_seconds


def test_disks_with_a_limit_each_end_with_the_last_of_them():
    rows = [(at, [(1600, 10 * at), (9600, 10 * at)]) for at in range(60)]
    limited = precopy(*rows, each=True, limit=10 * MIB)
    assert eta(limited) == pytest.approx(900, rel=0.05)
    # On a link that they share the second one takes over what the first leaves.
    assert eta(precopy(*rows, each=True)) == pytest.approx(500, rel=0.05)
    high = forecast(precopy(*rows, each=True), Phase.DISK_COPY, Verdict.COPYING).eta_high_seconds
    assert high > 900
    assert eta(precopy(*rows)) == pytest.approx(500, rel=0.05)


def test_a_total_that_grows_takes_longer():
    """100 MiB/s, of which 50 are what the guest writes again."""
    rows = [(at, [(10_000 + 50 * at, 100 * at)]) for at in range(60)]
    assert eta(precopy(*rows)) == pytest.approx((10_000 - 50 * 60) / 50, rel=0.1)


def test_a_guest_that_writes_as_fast_as_is_copied_never_ends():
    seen = precopy(*[(at, [(10_000 + 100 * at, 100 * at)]) for at in range(60)])
    judgement = judge(seen, Phase.DISK_COPY, 59.0, None)
    assert judgement.verdict is Verdict.NOT_CONVERGING
    assert judgement.reason == "disk-write-rate-too-high"
    assert "writes to its disks as fast as they are copied" in judgement.message
    assert eta(seen) is None


def test_disks_that_begin_one_after_the_other_are_no_growth():
    rows = [(at, [(10_000, 100 * at)]) for at in range(20)]
    rows += [(at, [(10_000, 100 * at), (9_000, 0)]) for at in range(20, 40)]
    assert not precopy(*rows, each=True).disks.never_end


def stalled_after(seen):
    """Seconds of readings in which nothing moves, until that is said."""
    start = seen.latest.at
    for now in range(int(start) + 1, int(start) + 200):
        seen = observe(seen, seen.latest._replace(at=float(now)))
        if judge(seen, Phase.DISK_COPY, float(now), None).verdict is Verdict.STALLED:
            return now - start
    raise AssertionError("nothing was said")


def test_a_disk_is_stalled_when_nothing_moves_for_longer_than_a_step_takes():
    # Before two steps: one of 16 MiB may take its time.
    assert stalled_after(precopy((0, [(80, 0)]), (1, [(80, 16)]))) == 45
    # One of 64 MiB takes 64 s at 1 MiB/s.
    assert 64 < stalled_after(precopy((0, [(800, 0)]), (1, [(800, 64)]), (2, [(800, 64)]))) <= 180
    slow = [(at, [(800, at // 16 * 16)]) for at in range(97)]
    assert stalled_after(precopy(*slow)) == 40
    # A fast one may have got slow: at 1 MiB/s a step takes 16 s.
    assert stalled_after(precopy(*[(at, [(8000, 100 * at)]) for at in range(30)])) == 20
