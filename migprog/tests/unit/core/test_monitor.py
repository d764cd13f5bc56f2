# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.simulated import MIB, Guest, precopy
from migprog.core.forecast import calibration
from migprog.core.forecast.calibration import ForecastCheck
from migprog.core.forecast.verdict import Verdict
from migprog.core.monitor import Monitor
from migprog.core.schedule import ReportReason, Rules
from migprog.core.server_facts import ServerFacts
from migprog.core.status import ENDED, Phase, Status
from migprog.recording.replay import replay
from migprog.tests.fixtures import hindsight
from migprog.tests.fixtures.driven import EPOCH, RULES, SERVER, UUID, drive, feed

CHATTY = Rules(report_interval_seconds=0.0, heartbeat_interval_seconds=0.0)
NOT_COMPARED = (ForecastCheck(25), ForecastCheck(50), ForecastCheck(75))
ACTIVE = {
    "operation": 5,
    "type": 2,
    "time_elapsed": 1000,
    "memory_total": 10,
    "memory_remaining": 9,
    "memory_iteration": 1,
}

guests = st.builds(
    Guest,
    memory_mib=st.integers(16, 512),
    disk_mib=st.sampled_from([0, 64, 512]),
    dirty_mib_s=st.floats(0, 80),
    working_set_mib=st.floats(1, 256),
    bandwidth_mib_s=st.floats(5, 60),
)


def last(told):
    return told[-1][1]


@given(guests)
@settings(deadline=None, max_examples=40)
def test_percent_never_goes_back_nor_away_and_ends_with_its_end(guest):
    told = [report for _, report in drive(precopy(guest, give_up_seconds=60.0), CHATTY)]
    known = list(itertools.dropwhile(lambda percent: percent is None, (r.percent for r in told)))
    assert None not in known
    assert known == sorted(known)
    assert all(report.percent in (None, *range(100)) for report in told[:-1])
    assert told[-1].status in (Status.COMPLETED, Status.CANCELLED)
    assert (told[-1].percent == 100) == (told[-1].status is Status.COMPLETED)
    assert [r.sequence for r in told] == list(range(1, len(told) + 1))


@given(guests)
@settings(deadline=None, max_examples=40)
def test_reports_are_few(guest):
    told = drive(precopy(guest, give_up_seconds=300.0))
    reasons = [reason for reason, _ in told]
    assert reasons[0] is ReportReason.FIRST
    assert reasons.count(ReportReason.FIRST) == 1
    progress = (ReportReason.STEP, ReportReason.FIGURES)
    steps = [report.sampled_at for reason, report in told if reason in progress]
    assert all(b - a >= RULES.step_seconds - 0.6 for a, b in itertools.pairwise(steps))
    points = sum(reason is ReportReason.STEP for reason in reasons)
    assert points <= 100 / RULES.step_points + 5
    figures = reasons.count(ReportReason.FIGURES)
    assert figures <= 1.2 * told[-1][1].total_seconds / RULES.report_interval_seconds + 1


def test_the_final_report_has_libvirts_final_counters():
    rows = list(precopy(Guest()))
    final = last(drive(rows))
    stats = rows[-1]["stats"]
    assert final.status is Status.COMPLETED
    assert final.phase is Phase.DONE
    assert final.memory_processed_bytes == stats["memory_processed"]
    assert final.memory_total_bytes == stats["memory_total"]
    assert final.memory_remaining_bytes == 0
    assert final.disk_total_bytes == 0
    assert final.downtime_seconds == stats["downtime"] / 1000
    assert final.total_seconds == stats["time_elapsed"] / 1000
    assert final.ended_at == final.sampled_at


def test_downtime_is_expected_until_libvirt_says_what_it_was():
    recording = hindsight.recording("downtime-to-2500-frees-40-of-25")
    *before, final = (each.report for each in replay(recording, CHATTY).reports)
    # The limit at first, then what each iteration leaves by QEMU's bandwidth.
    assert {each.expected_downtime_seconds for each in before} == {0.3, 1.599, 1.615}
    assert {each.downtime_seconds for each in before} == {None}
    assert final.status is Status.COMPLETED
    assert (final.expected_downtime_seconds, final.downtime_seconds) == (None, 0.042)


def test_no_downtime_is_expected_of_an_aborted_migration():
    monitor = Monitor(UUID, SERVER, found_at=1.0)
    monitor.read(ACTIVE | {"downtime": 300}, 0.3, 1.0)
    _, running = monitor.report_if_due(RULES, 1.0, EPOCH)
    monitor.read({"operation": 5, "type": 5}, None, 2.0)
    final, _ = end_of(monitor)
    assert (running.expected_downtime_seconds, running.downtime_limit_seconds) == (0.3, 0.3)
    # Its other figures are those that were seen last.
    assert (final.expected_downtime_seconds, final.downtime_limit_seconds) == (None, 0.3)


@pytest.mark.parametrize("pace", [0, 10, 20])
def test_completed_migration_reports_its_forecast_checks(pace):
    told = drive(precopy(Guest(dirty_mib_s=pace, bandwidth_mib_s=25)), CHATTY)
    final, before = last(told), [report for _, report in told[:-1]]
    assert all(calibration.from_fields(report) == NOT_COMPARED for report in before)
    total = final.ended_at - final.started_at
    for quarter in calibration.from_fields(final):
        instant = final.started_at + total * quarter.at_percent / 100
        in_force = [report for report in before if report.sampled_at <= instant][-1]
        told_end = in_force.sampled_at + in_force.eta_seconds
        assert quarter.eta_seconds == in_force.eta_seconds
        assert quarter.error_seconds == pytest.approx(told_end - final.ended_at, abs=1e-3)
        in_range = (
            in_force.eta_low_seconds
            <= final.ended_at - in_force.sampled_at
            <= in_force.eta_high_seconds
        )
        assert quarter.in_range is in_range


def test_without_a_reported_eta_there_is_no_forecast_check():
    monitor = monitor_that_runs()
    monitor.lifecycle(5, 3, 3.0)
    final, _ = end_of(monitor, at=3.0)
    assert final.status is Status.COMPLETED
    assert calibration.from_fields(final) == NOT_COMPARED


def test_one_that_did_not_complete_has_no_end_to_compare_with():
    told = drive(precopy(Guest(dirty_mib_s=1), give_up_seconds=8.0), CHATTY)
    assert any(report.eta_seconds for _, report in told)
    assert last(told).status is Status.CANCELLED
    assert calibration.from_fields(last(told)) == NOT_COMPARED


def test_a_guest_that_dirties_faster_than_it_is_sent_does_not_converge():
    guest = Guest(dirty_mib_s=60, working_set_mib=128, bandwidth_mib_s=25)
    told = drive(precopy(guest, give_up_seconds=120))
    stuck = [report for _, report in told if report.verdict is Verdict.NOT_CONVERGING]
    assert stuck
    assert stuck[0].sampled_at - EPOCH < 40
    assert all(report.eta_seconds is None for report in stuck)
    assert last(told).verdict_message.startswith(
        "not-converging at the end: remaining memory no longer shrinks ("
    )
    assert "needs a downtime limit of 5." in stuck[0].verdict_message
    assert last(told).status is Status.CANCELLED


@pytest.mark.parametrize("pace", [0, 2, 10, 20])
def test_a_steady_guest_that_converges_is_never_called_stuck(pace):
    told = drive(precopy(Guest(dirty_mib_s=pace, bandwidth_mib_s=25)), CHATTY)
    assert {report.verdict for _, report in told}.isdisjoint(
        {Verdict.NOT_CONVERGING, Verdict.STALLED}
    )


def test_memory_that_waits_for_the_disks_is_in_the_forecast():
    guest = Guest(memory_mib=256, disk_mib=256, dirty_mib_s=1, bandwidth_mib_s=16)
    told = drive(precopy(guest), CHATTY, ServerFacts(memory_size_bytes=256 * MIB))
    first = next(report for _, report in told if report.eta_seconds is not None)
    assert first.phase is Phase.DISK_COPY
    assert first.percent < 10
    assert 25 < first.eta_seconds < 45


def too_short_to_be_polled():
    return [row for row in precopy(Guest(memory_mib=1)) if row["kind"] == "event"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_migration_seen_by_events_only_is_reported_once_in_any_order(order):
    events = [row for row in too_short_to_be_polled() if row["event"] != "iteration"]
    assert len(events) == 3
    told = drive([events[i] | {"t": 1.0} for i in order])
    assert [report.status for _, report in told] == [Status.COMPLETED]
    assert last(told).memory_total_bytes == MIB


def monitor_that_runs():
    monitor = Monitor(UUID, SERVER, found_at=1.0)
    monitor.read(ACTIVE, 0.3, 1.0)
    monitor.report_if_due(RULES, 1.0, EPOCH)
    return monitor


def end_of(monitor, at=2.0):
    """The final report, and when it left."""
    for later in (0.0, 1.0, 2.0, 3.0):
        due = monitor.report_if_due(RULES, at + later, EPOCH + at + later)
        if due is not None and due[1].status in ENDED:
            assert monitor.over
            return due[1], later
    raise AssertionError("no end was told")


def test_an_abort_is_seen_by_the_jobs_type():
    monitor = monitor_that_runs()
    monitor.read({"operation": 5, "type": 5}, None, 2.0)
    report, waited = end_of(monitor)
    assert (report.status, waited) == (Status.CANCELLED, 0.0)
    assert report.error == "the migration was aborted"
    assert report.memory_total_bytes == 10  # the last that was known, not the zeros at the end


def test_an_abort_is_seen_by_qemus_word():
    monitor = monitor_that_runs()
    monitor.qemu_migration("cancelling", 2.0)
    monitor.read({"type": 0}, None, 2.0)
    assert end_of(monitor)[0].status is Status.CANCELLED


def test_a_failure_is_seen_by_qemus_word():
    monitor = monitor_that_runs()
    monitor.qemu_migration("failed", 2.0)
    report, waited = end_of(monitor)
    assert (report.status, waited) == (Status.FAILED, 0.0)


def test_a_job_that_vanishes_failed_unless_an_event_knows_better():
    monitor = monitor_that_runs()
    monitor.read({"type": 0}, None, 2.0)
    report, _ = end_of(monitor)
    assert report.status is Status.FAILED
    assert "goes on running at its source" in report.error

    monitor = monitor_that_runs()
    monitor.read({"type": 0}, None, 2.0)
    monitor.lifecycle(5, 3, 2.1)
    assert end_of(monitor)[0].status is Status.COMPLETED


def test_a_server_that_is_gone_without_a_word_is_unknown_not_guessed():
    monitor = monitor_that_runs()
    monitor.gone("no domain", 2.0)
    report, waited = end_of(monitor)
    assert report.status is Status.UNKNOWN
    assert waited >= 2.0
    assert "its end was not seen" in report.error


def test_a_failed_poll_is_no_end():
    monitor = monitor_that_runs()
    assert monitor.report_if_due(RULES, 2.0, EPOCH) is None
    assert not monitor.over


def test_a_switch_over_that_fails_goes_on():
    monitor = monitor_that_runs()
    monitor.lifecycle(3, 1, 2.0)
    assert monitor.report_if_due(RULES, 2.0, EPOCH)[1].phase is Phase.SWITCHOVER
    monitor.lifecycle(4, 0, 3.0)
    assert monitor.report_if_due(RULES, 3.0, EPOCH)[1].phase is Phase.MEMORY_FIRST_ITERATION


def test_post_copy_and_its_loss():
    monitor = monitor_that_runs()
    monitor.lifecycle(3, 1, 2.0)
    monitor.lifecycle(3, 7, 2.0)
    report = monitor.report_if_due(RULES, 2.0, EPOCH)[1]
    assert (report.status, report.phase) == (Status.POST_COPY, Phase.POST_COPY)
    monitor.lifecycle(3, 8, 3.0)
    report = monitor.report_if_due(RULES, 3.0, EPOCH)[1]
    assert (report.status, report.phase) == (Status.POST_COPY, Phase.POST_COPY_PAUSED)
    assert report.verdict is Verdict.POST_COPY_PAUSED


def test_a_crash_at_the_source_is_a_failure():
    monitor = monitor_that_runs()
    monitor.lifecycle(5, 2, 2.0)
    assert end_of(monitor)[0].status is Status.FAILED


def test_migration_without_statistics_is_reported():
    monitor = Monitor(UUID, SERVER, found_at=1.0)
    assert monitor.report_if_due(RULES, 1.0, EPOCH) is None
    reason, report = monitor.report_if_due(RULES, 2.0, EPOCH + 2)
    assert (reason, report.phase, report.percent) == (ReportReason.FIRST, Phase.SETUP, None)


def test_migration_found_late_has_libvirts_start():
    monitor = Monitor(UUID, SERVER, found_at=500.0)
    monitor.read(ACTIVE | {"time_elapsed": 400_000}, 0.3, 500.0)
    _, report = monitor.report_if_due(RULES, 500.0, EPOCH)
    assert report.started_at == EPOCH - 400.0


def test_all_its_instants_are_by_one_clock_even_when_the_hosts_is_set():
    monitor = monitor_that_runs()
    monitor.lifecycle(3, 1, 2.0)
    _, second = monitor.report_if_due(RULES, 2.0, EPOCH - 3600 + 1)
    assert second.started_at == EPOCH - 1.0
    monitor.lifecycle(5, 3, 3.0)
    monitor.job_completed(ACTIVE | {"type": 3}, 3.0)
    _, last = monitor.report_if_due(RULES, 3.0, EPOCH - 3600 + 2)
    assert (last.started_at, last.ended_at, last.sampled_at) == (EPOCH - 1, EPOCH + 2, EPOCH + 2)


@given(
    st.lists(st.sampled_from(["sample", "none", "cancelled", "gone", "3,1", "3,7", "4,0", "5,3"]))
)
@settings(deadline=None)
def test_whatever_comes_in_whatever_order_there_is_one_end_at_most(rows):
    monitor = Monitor(UUID, SERVER, found_at=0.0)
    ends = 0
    for at, row in enumerate(rows, start=1):
        if "," in row:
            code, detail = map(int, row.split(","))
            feed(
                monitor,
                {"t": at, "kind": "event", "event": "lifecycle"} | {"code": code, "detail": detail},
            )
        elif row == "gone":
            monitor.gone("x", at)
        else:
            stats = {
                "sample": ACTIVE,
                "none": {"type": 0},
                "cancelled": {"operation": 5, "type": 5},
            }
            monitor.read(stats[row], None, at)
        due = monitor.report_if_due(CHATTY, at, EPOCH + at)
        ends += due is not None and due[1].status in ENDED
        if monitor.over:
            assert monitor.report_if_due(CHATTY, at + 100, EPOCH) is None
            break
    assert ends <= 1
