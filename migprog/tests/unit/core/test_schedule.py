# SPDX-License-Identifier: Apache-2.0
import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprog.core.forecast.verdict import Verdict
from migprog.core.schedule import HostClock, ReportReason, ReportSummary, Rules, reason_to_report
from migprog.core.status import ENDED, Phase, Status

RULES = Rules(report_interval_seconds=5.0, heartbeat_interval_seconds=30.0)
TOLD = ReportSummary(
    100.0, Status.RUNNING, Phase.MEMORY_FIRST_ITERATION, Verdict.COPYING, 40, sampled_at=100.0
)

tellings = st.builds(
    ReportSummary,
    at=st.floats(0, 1000),
    status=st.sampled_from(Status),
    phase=st.sampled_from(Phase),
    verdict=st.sampled_from(Verdict),
    percent=st.none() | st.integers(0, 100),
)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"at": 100.1, "status": Status.POST_COPY}, ReportReason.STATUS),
        ({"at": 100.1, "phase": Phase.MEMORY_ITERATIONS}, ReportReason.PHASE),
        ({"at": 100.1, "verdict": Verdict.STALLED}, ReportReason.VERDICT),
        ({"at": 100.1, "latest_advice": (100.0, "advised")}, ReportReason.ADVICE),
        ({"at": 100.9, "percent": 60}, None),
        ({"at": 101.0, "percent": 43}, None),
        ({"at": 101.0, "percent": 44}, ReportReason.STEP),
        ({"at": 101.0, "has_eta": True}, ReportReason.STEP),
        ({"at": 104.7, "percent": 41, "sampled_at": 104.7}, None),
        ({"at": 104.8, "sampled_at": 104.7}, ReportReason.FIGURES),
        ({"at": 105.0, "percent": 41}, None),
        ({"at": 129.9}, None),
        ({"at": 130.0}, ReportReason.HEARTBEAT),
    ],
)
def test_when_to_report(change, reason):
    assert reason_to_report(TOLD._replace(**change), TOLD, RULES) is reason


def test_new_advice_and_its_result_are_reported_once_and_at_once():
    advised = TOLD._replace(latest_advice=(100.0, "advised"))
    assert reason_to_report(advised._replace(at=100.1), advised, RULES) is None
    done = advised._replace(at=100.1, latest_advice=(100.0, "done"))
    assert reason_to_report(done, advised, RULES) is ReportReason.ADVICE
    another = done._replace(at=100.2, latest_advice=(100.2, "done"))
    assert reason_to_report(another, done, RULES) is ReportReason.ADVICE
    # That it cannot be told any more is no news.
    assert reason_to_report(done._replace(latest_advice=None), done, RULES) is None
    closed = HostClock(sent_at=100.0).rules(RULES, 100.1)
    assert reason_to_report(done, advised, closed) is ReportReason.ADVICE


@given(tellings)
def test_first_report_is_due_at_once(new):
    assert reason_to_report(new, None, RULES) is ReportReason.FIRST


@given(tellings, tellings)
def test_change_of_status_never_waits_and_an_end_is_reported_once(new, last):
    reason = reason_to_report(new, last, RULES)
    if new.status is not last.status:
        assert reason is ReportReason.STATUS
    elif last.status in ENDED:
        assert reason is None


@given(tellings)
def test_the_first_percentage_leaves_at_once(last):
    unknown = last._replace(percent=None, status=Status.RUNNING)
    known = unknown._replace(at=unknown.at + 0.1, percent=3)
    assert reason_to_report(known, unknown, RULES) is ReportReason.NUMBER
    assert reason_to_report(known._replace(percent=4), known, RULES) is None


def test_first_percentage_above_0_leaves_at_once():
    begun = TOLD._replace(percent=0)
    assert (
        reason_to_report(begun._replace(at=100.1, percent=1), begun, RULES) is ReportReason.NUMBER
    )
    assert reason_to_report(begun._replace(at=101.0), begun, RULES) is None


@given(tellings.filter(lambda told: told.percent))
def test_progress_alone_never_leaves_twice_within_a_second(last):
    soon = last._replace(at=last.at + 0.99, percent=last.percent + 50)
    assert reason_to_report(soon, last, RULES) is None


def test_counters_are_as_old_as_their_sample():
    """A report may leave late: what is displayed is as old as what was read for it."""
    last = TOLD._replace(sampled_at=98.0)
    new = last._replace(at=102.9, sampled_at=102.9)
    assert reason_to_report(new, last, RULES) is ReportReason.FIGURES


def progress(rules, now, waited, points):
    """Why a migration is reported that was reported ``waited`` seconds ago."""
    last = TOLD._replace(at=now - waited, sampled_at=now - waited)
    return reason_to_report(last._replace(at=now, percent=40 + points, sampled_at=now), last, rules)


def test_a_host_that_has_just_sent_holds_progress_back():
    clock = HostClock(sent_at=99.5)
    assert progress(clock.rules(RULES, 100.0), 100.0, waited=4.0, points=9) is None
    assert progress(clock.rules(RULES, 100.5), 100.5, waited=4.0, points=9) is ReportReason.STEP
    changed = TOLD._replace(at=100.0, verdict=Verdict.STALLED)
    assert reason_to_report(changed, TOLD, clock.rules(RULES, 100.0)) is ReportReason.VERDICT


def test_a_host_that_has_just_sent_still_sends_heartbeats():
    clock = HostClock(sent_at=99.5)
    rules = clock.rules(RULES, 100.0)
    assert progress(rules, 100.0, waited=30.0, points=0) is ReportReason.HEARTBEAT


@pytest.mark.parametrize(
    ("waited", "points", "reason"),
    [(0.2, 0, None), (0.6, 0, ReportReason.FIGURES), (0.2, 4, ReportReason.STEP)],
)
def test_when_the_oldest_counters_are_due_all_are_reported(waited, points, reason):
    clock = HostClock(oldest_at=95.1)
    assert clock.figures_are_due(RULES, 100.0) and not clock.figures_are_due(RULES, 99.0)
    assert progress(clock.rules(RULES, 100.0), 100.0, waited, points) is reason


def test_report_due_within_a_second_waits_for_the_message():
    clock = HostClock(oldest_at=95.0)
    assert progress(clock.rules(RULES, 98.7), 98.7, waited=3.0, points=9) is ReportReason.STEP
    assert progress(clock.rules(RULES, 98.8), 98.8, waited=3.0, points=9) is None


@pytest.mark.parametrize(("points", "reason"), [(2, ReportReason.STEP), (1, None)])
def test_message_includes_migrations_that_moved_by_half_a_step(points, reason):
    clock = HostClock(oldest_at=98.0)
    assert progress(clock.rules(RULES, 100.0), 100.0, waited=0.5, points=points) is None
    assert progress(clock.along(RULES, 100.0), 100.0, waited=0.5, points=points) is reason


def test_a_change_within_the_second_takes_nothing_along():
    assert HostClock(sent_at=99.5, oldest_at=98.0).along(RULES, 100.0) is None


def sent(rules, migrations, seconds, poll=0.5):
    """Messages of a host and the reports in each: ``migrations`` are points a second each, from the
    first number above 0 on."""
    messages, sent_at = [], 0.0
    told: dict[int, ReportSummary] = {}

    def report(now, rules):
        due = []
        for number, pace in enumerate(migrations):
            new = TOLD._replace(at=now, sampled_at=now, percent=min(99, 1 + int(pace * now)))
            if reason_to_report(new, told.get(number), rules) is not None:
                told[number] = new
                due.append(number)
        return due

    for now in (poll * tick for tick in range(int(seconds / poll))):
        oldest_at = min((each.read_at for each in told.values()), default=None)
        clock = HostClock(sent_at, oldest_at)
        due = report(now, clock.rules(rules, now))
        if due:
            along = clock.along(rules, now)
            due += report(now, along) if along else []
            if clock.may_send(rules, now):
                sent_at = now
            messages.append((now, due))
    return messages


def test_many_migrations_of_a_host_share_one_message_a_second():
    messages = sent(RULES, [3.0, 2.5, 1.0, 0.2], seconds=30)
    times = [now for now, _ in messages]
    assert min(b - a for a, b in itertools.pairwise(times)) >= 1.0
    assert len(messages) <= 31
    reports = [number for _, due in messages for number in due]
    # A step of the fastest takes along what has moved by half a step; the last moves 0.2 points a
    # second, and is reported with the counters of all.
    assert [reports.count(number) for number in range(4)] == pytest.approx([18, 18, 13, 7], abs=2)


@pytest.mark.parametrize(
    ("interval", "seconds", "most"), [(10.0, 600.0, 75), (10.0, 3600.0, 370), (2.0, 300.0, 151)]
)
def test_a_long_migration_costs_little_more_than_a_message_an_interval(interval, seconds, most):
    rules = replace(RULES, report_interval_seconds=interval)
    assert seconds / (interval + 0.5) <= len(sent(rules, [100 / seconds], seconds)) <= most


def test_at_two_seconds_ten_migrations_of_five_minutes_share_a_message_each_time():
    rules = replace(RULES, report_interval_seconds=2.0)
    messages = sent(rules, [100 / 300] * 10, seconds=300)
    assert len(messages) <= 151
    assert sum(len(due) for _, due in messages) <= 1510


@given(
    st.lists(st.floats(0, 5), min_size=1, max_size=5),
    st.sampled_from([1.0, 2.0, 5.0, 10.0]),
)
def test_no_counters_are_ever_older_than_the_interval_and_a_second(paces, interval):
    rules = replace(RULES, report_interval_seconds=interval)
    last = dict.fromkeys(range(len(paces)), 0.0)
    for now, due in sent(rules, paces, seconds=30):
        for number in due:
            assert now - last[number] <= interval + 0.5
            last[number] = now
    assert all(30 - at <= interval + 1 for at in last.values())
