# SPDX-License-Identifier: Apache-2.0
"""Forecasts of simulated migrations, whose end is known."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.corpus import files
from lab.simulated import MIB, Guest, precopy
from migprog.core import progress
from migprog.core.forecast import estimate, guest_pause
from migprog.core.forecast.dirty_rate import DirtyRate, IterationStart
from migprog.core.forecast.estimate import Estimate
from migprog.core.forecast.job_sample import Sample
from migprog.core.forecast.precopy import PrecopyState
from migprog.core.forecast.transfer_rate import MemoryRate, Rate
from migprog.core.forecast.verdict import Verdict
from migprog.core.schedule import Rules
from migprog.core.status import Phase
from migprog.recording.format import read
from migprog.recording.replay import replay
from migprog.tests.fixtures.driven import drive

CHATTY = Rules(report_interval_seconds=0.0, heartbeat_interval_seconds=0.0)


def reports_and_end(guest):
    told = [report for _, report in drive(precopy(guest, give_up_seconds=60.0), CHATTY)]
    return told, told[-1].ended_at


@given(
    st.builds(
        Guest,
        memory_mib=st.integers(16, 512),
        disk_mib=st.sampled_from([0, 256]),
        dirty_mib_s=st.floats(0, 80),
        working_set_mib=st.floats(1, 256),
        bandwidth_mib_s=st.floats(5, 60),
    )
)
@settings(max_examples=40)
def test_the_range_holds_the_estimate(guest):
    for report in reports_and_end(guest)[0]:
        if report.eta_seconds is not None:
            assert 0 <= report.eta_low_seconds <= report.eta_seconds <= report.eta_high_seconds
        else:
            assert report.eta_low_seconds is report.eta_high_seconds is None


@pytest.mark.parametrize("pace_mib_s", [2, 8, 15])
def test_end_of_a_steady_guest_is_known_after_two_iterations(pace_mib_s):
    guest = Guest(dirty_mib_s=pace_mib_s, working_set_mib=200, bandwidth_mib_s=25)
    told, end = reports_and_end(guest)
    late = [r for r in told if r.verdict is Verdict.CONVERGING and end - r.sampled_at > 2]
    for report in late:
        left = end - report.sampled_at
        # The simulated hand-over takes no time; a real one does.
        assert (
            abs(report.eta_seconds - guest_pause.COMPLETION_TIME_SECONDS - left) < 0.15 * left + 0.5
        )


def test_no_estimate_before_a_byte_has_moved():
    precopy = PrecopyState(started_at=0.0, latest=Sample(at=1.0))
    assert estimate.forecast(precopy, Phase.SETUP, Verdict.STARTING) == Estimate()
    assert progress.percent(precopy, Estimate(), None) is None


@pytest.mark.parametrize(
    ("moved", "started_at", "percent"),
    [
        ({"disk_total_bytes": 9 * MIB, "disk_processed_bytes": 2 * MIB}, 0.0, 0),
        ({"memory_total_bytes": 9 * MIB, "memory_processed_bytes": 2 * MIB}, 0.0, 0),
        ({"disk_total_bytes": 9 * MIB, "disk_processed_bytes": 0}, 0.0, None),
        # Found when it had run for a while: it may be anywhere.
        ({"disk_total_bytes": 9 * MIB, "disk_processed_bytes": 2 * MIB}, -60.0, None),
    ],
)
def test_percent_is_0_from_first_bytes_until_the_rate_is_known(moved, started_at, percent):
    precopy = PrecopyState(started_at=started_at, latest=Sample(at=1.0, **moved))
    assert progress.percent(precopy, Estimate(), None) == percent


@pytest.mark.parametrize("path", files.recordings("nova").values(), ids=lambda path: path.name)
def test_percent_is_known_as_soon_as_bytes_are(path):
    recording = read(str(path))
    moving = next(
        row["t"] for row in recording.rows if (row.get("stats") or {}).get("data_processed")
    )
    lines = replay(recording, Rules(10.0, 30.0)).lines
    assert next(line.t for line in lines if line.percent is not None) == moving


def test_percent_never_decreases():
    precopy = PrecopyState(started_at=0.0, latest=Sample(at=10.0))
    assert progress.percent(precopy, Estimate(eta_seconds=30.0), 60) == 60
    assert progress.percent(precopy, Estimate(), 60) == 60
    assert progress.percent(precopy, Estimate(eta_seconds=0.0), 60) == 99


def first_iteration(resident_mib):
    """A guest of 1000 MiB of which 300 have been sent in 30 s, 100 of them zeros."""
    return PrecopyState(
        started_at=0.0,
        memory_size_bytes=1000 * MIB,
        memory_resident_bytes=None if resident_mib is None else resident_mib * MIB,
        first_iteration=1,
        first_iteration_bytes=1000 * MIB,
        memory=MemoryRate(Rate(200.0 * MIB, 20.0)),
        latest=Sample(
            at=30.0,
            memory_total_bytes=1000 * MIB,
            memory_remaining_bytes=700 * MIB,
            memory_processed_bytes=200 * MIB,
            memory_copied_bytes=300 * MIB,
            memory_zero_bytes=100 * MIB,
            memory_iteration=1,
        ),
    )


def test_memory_that_was_never_written_is_not_waited_for():
    def eta(resident_mib):
        said = estimate.forecast(
            first_iteration(resident_mib), Phase.MEMORY_FIRST_ITERATION, Verdict.COPYING
        )
        return said.eta_seconds

    # 400 MiB were never written, of which 100 have passed: 300 less to send, at 10 MiB/s; and as
    # much less time for the guest to dirty something, of which 8 % are guessed. QEMU has 32 MiB for
    # itself.
    assert eta(1200) - eta(632) == pytest.approx(30 * 1.08)
    # What was sent already shows that this cannot be all.
    assert eta(1200) == eta(150)
    # Where nobody knows, a tenth is taken for such.
    assert eta(1200) - eta(None) == pytest.approx(10)


def late(dirtied_share, surprise, varies=0.0, paused_at=None, remaining_mib=50):
    """A guest in its third iteration, at 10 MiB/s; how much it dirties is a share of that."""
    starts = tuple(
        IterationStart(at, number, int(seconds * dirtied_share * 10 * MIB), 1, seconds)
        for at, number, seconds in ((10.0, 2, 10.0), (20.0, 3, 10.0))
    )
    return PrecopyState(
        started_at=0.0,
        completion_time_seconds=2.0,
        latest=Sample(
            at=20.0, memory_total_bytes=100 * MIB, memory_remaining_bytes=remaining_mib * MIB
        ),
        memory=MemoryRate(Rate(200.0 * MIB, 20.0), varies=varies),
        iteration_started_at=20.0,
        iterations=starts,
        dirtying=DirtyRate(10.0, dirtied_share * 100 * MIB, 1.0),
        surprises=surprise,
        moved_at=20.0,
        paused_at=paused_at,
    )


def width(*how):
    found = estimate.forecast(late(*how), Phase.MEMORY_ITERATIONS, Verdict.CONVERGING)
    return (found.eta_high_seconds - found.eta_low_seconds) / found.eta_seconds


def test_range_is_wider_near_the_bandwidth_and_by_what_varies():
    assert width(0.8, (0.05,)) > 2 * width(0.3, (0.05,))
    assert width(0.5, (0.3,)) > 2 * width(0.5, (0.05,))
    assert width(0.5, (0.0,), 0.2) > width(0.5, (0.0,), 0.0)


def eta_of(starts, surprise):
    """The ETA at the start of an iteration of 5 s, where the last ones left so many MiB."""
    iterations = tuple(
        IterationStart(10.0 * number, number + 1, mib * MIB, mib * MIB, seconds)
        for number, (seconds, mib) in enumerate(starts, start=1)
    )
    precopy = late(0.8, (surprise,))._replace(iterations=iterations)
    found = estimate.forecast(precopy, Phase.MEMORY_ITERATIONS, Verdict.CONVERGING)
    return found.eta_seconds


def test_a_load_that_has_surprised_is_expected_to_change_again():
    slower = ((10.0, 90), (9.0, 50))
    assert eta_of(slower, 0.5) < 0.8 * eta_of(slower, 0.1) < 0.8 * eta_of(slower, 0.0)


def test_a_guest_that_has_come_round_its_working_set_is_expected_to_go_on():
    round_its_set = ((10.0, 60), (6.0, 50))
    assert eta_of(round_its_set, 0.5) == eta_of(round_its_set, 0.0)


def test_completion_is_counted_from_the_pause_once_all_is_sent():
    """The last bytes were seen moving by a reading half a second after the pause."""
    paused = late(0.3, (0.0,), 0.0, 19.5, 0)._replace(
        iteration_event_at=19.5, iteration_started_at=19.5
    )
    found = estimate.forecast(paused, Phase.SWITCHOVER, Verdict.SWITCHING_OVER)
    assert found.eta_seconds == pytest.approx(1.5)


def test_switchover_longer_than_any_before_lasts_half_as_long_again():
    paused = late(0.3, (0.0,), 0.0, 10.0, 0)._replace(
        iteration_event_at=10.0, iteration_started_at=10.0
    )
    found = estimate.forecast(paused, Phase.SWITCHOVER, Verdict.SWITCHING_OVER)
    assert found.eta_seconds == pytest.approx(5.0)


def test_post_copy_ends_with_its_last_byte():
    found = estimate.forecast(late(0.3, ()), Phase.POST_COPY, Verdict.POST_COPY)
    assert found.eta_seconds == pytest.approx(5.0)
