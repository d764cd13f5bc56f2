# SPDX-License-Identifier: Apache-2.0
"""Recordings of situations from public reports: what must be said of their phases, and when."""

import re

import pytest

from lab.corpus import files
from lab.simulated import Guest, precopy
from migprog.core.forecast.completion_time import CompletionTimes
from migprog.core.forecast.verdict import Verdict
from migprog.core.monitor import Monitor
from migprog.core.schedule import ReportReason, Rules
from migprog.core.status import Phase, Status
from migprog.recording import format
from migprog.recording.replay import replay
from migprog.tests.fixtures.driven import EPOCH, SERVER, UUID, drive, feed
from migprog.tests.fixtures.durations import PATTERN, seconds_of
from migprog.tests.fixtures.standstill import (
    MIGRATED,
    RESUMED,
    SUSPENDED,
    Driven,
    brought_to,
    first_iteration,
    memory,
    second_pass,
)

FIELD = files.HERE / "field"
DEFAULTS = Rules(report_interval_seconds=5.0, heartbeat_interval_seconds=30.0)
MEMORY = (Phase.MEMORY_FIRST_ITERATION, Phase.MEMORY_ITERATIONS)


def recorded(name):
    return format.read(str(FIELD / f"{name}.jsonl.gz"))


def monitored(name):
    """The monitor after all that was seen, half a second after half a second."""
    monitor, now = Monitor(UUID, SERVER, 0.0), 0.0
    for row in recorded(name).rows:
        while now + 0.5 < row["t"]:
            now += 0.5
            monitor.report_if_due(DEFAULTS, now, EPOCH + now)
        if row["kind"] != "end":
            feed(monitor, row)
    return monitor


def lines(name):
    return replay(recorded(name), DEFAULTS).lines


def reports(name):
    return replay(recorded(name), DEFAULTS).reports


def shown_at(sent, t):
    """What the API would have shown at ``t``."""
    return [each.report for each in sent if each.t <= t][-1]


def test_hanging_switchover_is_stalled_within_seconds_without_an_eta():
    """Paused at 4.5 s, and libvirt answers again at 109.5."""
    sent = reports("lab-destination-hangs-at-switch-over")
    for t in range(15, 109):
        report = shown_at(sent, t)
        assert (report.phase, report.verdict) == (Phase.SWITCHOVER, Verdict.STALLED)
        assert report.eta_seconds is report.eta_high_seconds is None
        paused, silent = map(seconds_of, re.findall(f"for {PATTERN}", report.verdict_message))
        assert report.verdict_message.startswith("guest paused for ")
        # As of a heartbeat ago at the most.
        assert t - 4.5 - 31 <= paused <= t - 4
        assert silent <= paused
    assert sent[-1].report.status is Status.COMPLETED


def test_a_switch_over_that_hung_is_no_measure_for_others():
    monitor = monitored("lab-destination-hangs-at-switch-over")
    assert monitor.ending.completion_time_seconds is None


def test_pause_by_another_tool_is_no_switchover():
    """Paused at 6.6 s with 200 MiB left at 10 MiB/s; it ends at 45.4 s."""
    paused = [line for line in lines("lab-paused-by-another") if 6.6 < line.t < 44.5]
    assert len(paused) > 60
    for line in paused:
        assert line.phase in MEMORY
        assert line.verdict == Verdict.CONVERGING
        assert re.match(f"guest paused for {PATTERN}", line.verdict_message)
        assert line.eta_low_seconds <= 45.4 - line.t <= line.eta_high_seconds
        assert line.percent <= 100 * line.t / 45.4 + 20
    # What the guest dirtied before it was paused shows when the second iteration begins.
    for line in paused:
        if line.t > 25.5:
            assert line.eta_seconds == pytest.approx(45.4 - line.t, abs=1.5)
        else:
            assert line.eta_seconds > 1 + (25.1 - line.t)


def test_a_pause_by_another_is_no_measure_for_others():
    monitor = monitored("lab-paused-by-another")
    assert monitor.ending.completion_time_seconds is None


def test_a_usual_switch_over_is():
    driven = brought_to(Phase.SWITCHOVER)
    driven.now += 0.7
    driven.lifecycle(5, 3)
    assert driven.monitor.ending.completion_time_seconds == pytest.approx(0.7)


def test_one_odd_completion_time_does_not_change_what_is_expected():
    times = CompletionTimes()
    assert times.expected_seconds() is None
    for seconds in (1.5, 1.7, 40.0, 1.6):
        times = times.after(seconds)
    assert times.expected_seconds() == pytest.approx(1.65)
    for _ in range(20):
        times = times.after(0.5)
    assert times.expected_seconds() == 0.5
    assert len(times.latest) < 20


def test_a_guest_that_is_resumed_goes_on_in_memory_and_dirties_again():
    driven = brought_to(Phase.MEMORY_ITERATIONS, paused=True)
    assert "guest paused" in driven.said.verdict_message
    driven.copies(3, lambda sent: second_pass(50 + sent))
    paused = driven.said
    assert paused.phase is Phase.MEMORY_ITERATIONS
    driven.lifecycle(RESUMED, 0)
    driven.copies(1, lambda sent: second_pass(80 + sent))
    resumed = driven.said
    assert resumed.phase is Phase.MEMORY_ITERATIONS
    assert "paused" not in resumed.verdict_message
    # It dirties memory again, which is copied in iterations to come.
    assert resumed.eta_seconds > paused.eta_seconds


def test_memory_dirtied_before_a_pause_is_sent_before_switchover():
    """With the end of the iteration in which it was paused little remains, and then all of that."""
    driven = brought_to(Phase.MEMORY_FIRST_ITERATION)
    driven.lifecycle(SUSPENDED, MIGRATED)
    driven.copies(19.5, lambda sent: first_iteration(200 + sent))
    driven.now += 0.4
    driven.monitor.iteration_begins(driven.now)
    driven.report()
    said = [driven.said]
    driven.now += 0.1
    driven.read(second_pass(0))
    said.append(driven.said)
    driven.copies(19.5, second_pass)
    driven.now += 0.4
    # In this one it has dirtied nothing: what remained is what there is.
    driven.monitor.iteration_begins(driven.now)
    driven.report()
    said.append(driven.said)
    assert [each.phase for each in said] == [*MEMORY, Phase.SWITCHOVER]
    assert said[1].percent - said[0].percent < 10


def test_guest_paused_before_its_memory_moves_dirties_nothing():
    driven = Driven()
    driven.read({})
    driven.lifecycle(SUSPENDED, MIGRATED)
    driven.copies(2, first_iteration)
    said = driven.said
    assert (said.phase, said.verdict) == (Phase.MEMORY_FIRST_ITERATION, Verdict.CONVERGING)
    assert said.eta_seconds == pytest.approx(38 + 1.45, rel=0.1)
    assert said.eta_high_seconds < 60


def test_pause_of_the_guest_does_not_affect_the_convergence_verdict():
    """400, 200, 100 MiB, then 5 in an iteration with a pause, then 25: it converges all the way."""
    driven = Driven()
    driven.read({})
    driven.copies(40, first_iteration)
    sent = 400
    for iteration, begins_with in enumerate((200, 100, 5, 25, 12, 6), start=2):
        driven.monitor.iteration_begins(driven.now)

        def stats(moved, sent=sent, begins_with=begins_with, iteration=iteration):
            return memory(sent + moved, max(0, begins_with - moved), iteration)

        if begins_with == 100:
            driven.copies(1, stats)
            driven.lifecycle(SUSPENDED, MIGRATED)
            driven.copies(8, lambda moved: stats(10 + moved))
            driven.lifecycle(RESUMED, 0)
        driven.copies(max(0.5, begins_with / 10), stats)
        assert driven.said.verdict is not Verdict.NOT_CONVERGING
        sent += begins_with


def test_post_copy_without_moving_bytes_is_stalled_without_an_eta():
    """Nothing moves from 9.5 to 48.5 s; it ends at 82.4 s, the last 16 MiB being zeros."""
    sent = reports("lab-post-copy-stuck")
    for t in range(18, 48):
        report = shown_at(sent, t)
        assert (report.status, report.verdict) == (Status.POST_COPY, Verdict.STALLED)
        assert report.eta_seconds is None
    for line in lines("lab-post-copy-stuck"):
        if 51 < line.t < 82:
            assert line.eta_seconds == pytest.approx(82.4 - line.t, rel=0.3, abs=4)


def test_eta_does_not_leap_when_post_copy_stalls():
    said = [line for line in lines("lab-post-copy-stuck") if 5 < line.t < 17.5]
    assert len(said) > 20
    for line in said:
        assert 35 < line.eta_seconds < 45


def test_post_copy_that_is_interrupted_has_no_time_left_and_then_its_own():
    """Interrupted from 7.8 to 19.9 s; it ends at 45.5 s."""
    said = lines("lab-post-copy-recovered")
    interrupted = [line for line in said if 7.9 < line.t < 19.9]
    assert {line.phase for line in interrupted} == {Phase.POST_COPY_PAUSED}
    assert {line.eta_seconds for line in interrupted} == {None}
    after = [line for line in said if 21.5 < line.t < 45]
    assert len(after) > 30
    for line in after:
        assert line.eta_seconds == pytest.approx(45.5 - line.t, rel=0.3, abs=4)
    # With the intervals of an installation without any settings it is shown soon, too.
    assert shown_at(reports("lab-post-copy-recovered"), 26).eta_seconds == pytest.approx(20, abs=4)


def test_post_copy_goes_by_its_own_rate():
    """The cap of 10 MiB/s does not hold for post-copy, that goes at 100."""
    driven = Driven()
    driven.read({})
    driven.copies(20, first_iteration)
    driven.lifecycle(SUSPENDED, MIGRATED)
    driven.lifecycle(SUSPENDED, 7)
    assert driven.said.eta_seconds is None
    driven.copies(1, lambda sent: memory(200 + 10 * sent, 200 - 10 * sent, 2))
    assert driven.said.eta_seconds == pytest.approx(1.0, abs=0.3)


def test_long_setup_is_reported_once_per_interval():
    """It is read each 3 s: of two readings in an interval the later one is reported at its end."""
    sent = reports("setup-for-9-minutes")
    for t in range(30, 540):
        report = shown_at(sent, t)
        assert (report.verdict, report.eta_seconds) == (Verdict.STARTING, None)
        (said,) = re.findall(f"copied for {PATTERN} since it started", report.verdict_message)
        seconds = seconds_of(said)
        assert t - 12 <= seconds <= t
    assert len(sent) <= 2 + 540 / 3


def test_sample_without_an_iteration_is_of_memory_if_memory_has_moved():
    said = [line for line in lines("fields-missing") if 0.5 < line.t < 41]
    assert {line.phase for line in said} <= set(MEMORY)
    never = Driven()
    never.read({})
    for sent in (10, 20, 30):
        never.now += 1.0
        never.read(
            {key: v for key, v in first_iteration(sent).items() if key != "memory_iteration"}
        )
    assert never.said.phase is Phase.MEMORY_FIRST_ITERATION
    assert never.said.eta_seconds is not None


@pytest.mark.parametrize("pace", [0, 2])
def test_a_short_migration_shows_its_first_percentage_at_once(pace):
    rows = list(precopy(Guest(memory_mib=128, dirty_mib_s=pace, bandwidth_mib_s=20)))
    assert 6 < rows[-1]["t"] < 9
    told = drive(rows, DEFAULTS)
    first = next(report for _, report in told if report.percent)
    assert first.sampled_at - first.started_at < 2
    assert first.eta_seconds is not None
    # 0 as the first bytes are seen, and this.
    assert [reason for reason, _ in told].count(ReportReason.NUMBER) <= 2
