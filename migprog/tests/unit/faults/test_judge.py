# SPDX-License-Identifier: Apache-2.0
"""The judge of the fault suite: it must see each kind of wrong, and nothing where all is right."""

import dataclasses

import pytest

from lab.faults import judge
from lab.faults.ground_truth import Ending, Outage, Part, Seen, Truth
from lab.faults.judge import Wrong

STATS = {
    "memory_total": 4000,
    "memory_processed": 3000,
    "memory_remaining": 0,
    "disk_total": 20,
    "disk_processed": 20,
    "disk_remaining": 0,
    "downtime": 30,
    "memory_iteration": 2,
    "time_elapsed": 5000,
}
TRUTH = Truth(
    server_uuid="s",
    source="a",
    destination="b",
    began_at=100.0,
    ended_at=105.0,
    ending=Ending.COMPLETED,
    stats=STATS,
)
RECORD = {
    "id": 1,
    "status": "completed",
    "in_progress": False,
    "error": None,
    "percent": 100,
    "source_compute": "a",
    "dest_compute": "b",
    "total_seconds": 5.0,
    "downtime_seconds": 0.03,
    "memory_iteration": 2,
    "memory_total_bytes": 4000,
    "memory_processed_bytes": 3000,
    "memory_remaining_bytes": 0,
    "disk_total_bytes": 20,
    "disk_processed_bytes": 20,
    "disk_remaining_bytes": 0,
}
CANCELLED = dataclasses.replace(TRUTH, ending=Ending.CANCELLED, stats=None, was_aborted=True)
FAILED = dataclasses.replace(TRUTH, ending=Ending.FAILED, stats=None)


def wrongs(truth, *records, outages=()):
    return [finding.wrong for finding in judge.judge(truth, records, outages)]


def ended(status, **values):
    return RECORD | {"status": status, "percent": 40, "dest_compute": None} | values


def test_one_record_with_all_that_libvirt_knows_is_right():
    assert wrongs(TRUTH, RECORD) == []
    assert wrongs(CANCELLED, ended("cancelled")) == []
    assert wrongs(FAILED, ended("failed")) == []


def test_no_record_is_one_lost_and_two_are_one_too_many():
    assert wrongs(TRUTH) == [Wrong.LOST]
    assert wrongs(TRUTH, RECORD, RECORD | {"id": 2}) == [Wrong.DUPLICATED]
    unfinished = ended("running", in_progress=True)
    assert wrongs(TRUTH, unfinished, RECORD | {"id": 2}) == [Wrong.DUPLICATED]
    assert wrongs(TRUTH, unfinished, unfinished) == [Wrong.DUPLICATED, Wrong.WRONG]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, None) for name in RECORD if name not in ("id", "error")),
        ("status", "unknown"),
        ("status", "failed"),
        ("percent", 99),
        ("dest_compute", "a"),
        ("source_compute", "b"),
        ("memory_processed_bytes", 2999),
        ("memory_iteration", 1),
        ("total_seconds", 5.6),
        ("downtime_seconds", 0.0),
        ("error", "it is not known how it ended"),
        ("in_progress", True),
    ],
)
def test_single_value_that_differs_from_libvirts_is_wrong(name, value):
    assert wrongs(TRUTH, RECORD | {name: value}) == [Wrong.WRONG]


def test_at_the_destination_the_job_looks_some_milliseconds_shorter():
    assert wrongs(TRUTH, RECORD | {"total_seconds": 4.55}) == []


def test_figures_that_libvirt_did_not_give_are_not_judged():
    truth = dataclasses.replace(TRUTH, stats=None)
    assert wrongs(truth, RECORD | {"memory_processed_bytes": 1}) == []


@pytest.mark.parametrize(
    ("truth", "status"),
    [(CANCELLED, "failed"), (FAILED, "cancelled"), (FAILED, "completed"), (CANCELLED, "running")],
)
def test_another_ending_is_wrong(truth, status):
    assert wrongs(truth, ended(status)) == [Wrong.WRONG]


@pytest.mark.parametrize(
    ("host", "from_", "until", "right"),
    [
        ("a", 104.0, 106.0, True),
        ("a", 106.0, 109.0, True),  # it died before it could be certain
        ("a", 101.0, 104.0, True),  # it was not back for long enough to have looked
        ("a", 108.5, 120.0, False),
        ("a", 100.0, 102.5, False),
        ("b", 104.0, 106.0, False),  # the other host's
    ],
)
def test_unknown_is_right_only_if_no_agent_could_see_the_end(host, from_, until, right):
    outages = [Outage(Part.AGENT, host, from_, until)]
    for truth in (CANCELLED, FAILED):
        assert (wrongs(truth, ended("unknown"), outages=outages) == []) is right
        assert wrongs(truth, ended(truth.ending), outages=outages) == []
    assert wrongs(TRUTH, RECORD | {"status": "unknown"}, outages=outages) == [Wrong.WRONG]


def test_an_aborted_one_may_fail_if_libvirt_says_so():
    assert wrongs(CANCELLED, ended("failed")) == [Wrong.WRONG]
    called_failed = dataclasses.replace(CANCELLED, was_aborted=False, error="it failed")
    assert wrongs(called_failed, ended("failed")) == wrongs(called_failed, ended("cancelled")) == []


@pytest.mark.parametrize(
    ("host", "from_", "until", "unseen"),
    [
        ("a", 99.0, 110.0, True),
        ("a", 100.9, 103.5, True),
        ("a", 101.5, 110.0, False),
        ("a", 99.0, 102.5, False),
        ("b", 99.0, 110.0, False),
    ],
)
def test_migration_that_the_sources_agent_did_not_see(host, from_, until, unseen):
    """There is a record all the same, by its arrival: without a source."""
    outages = [Outage(Part.AGENT, host, from_, until)]
    assert wrongs(TRUTH, outages=outages) == [Wrong.LOST]
    without = RECORD | {"source_compute": None}
    assert (wrongs(TRUTH, without, outages=outages) == []) is unseen
    assert wrongs(TRUTH, RECORD, outages=outages) == []
    for truth in (CANCELLED, FAILED):
        assert wrongs(truth, outages=outages) == [Wrong.LOST]
        without = ended("unknown", source_compute=None)
        assert (wrongs(truth, without, outages=outages) == []) is unseen


@pytest.mark.parametrize(
    ("from_", "kept", "unseen"),
    [
        (103.5, "", True),
        (103.5, f'{{"server_uuid": "{TRUTH.server_uuid}"}}', False),
        (111.0, "", False),
    ],
)
def test_source_is_missing_where_its_agent_had_nothing_of_it_on_disk(from_, kept, unseen):
    outages = [Outage(Part.AGENT, "a", from_, 120.0, kept)]
    without = RECORD | {"source_compute": None}
    assert (wrongs(TRUTH, without, outages=outages) == []) is unseen


def test_migration_ended_by_a_libvirtd_restart_may_be_failed_or_cancelled():
    outages = [Outage(Part.LIBVIRT, "b", 102.0, 103.0)]
    assert wrongs(FAILED, ended("cancelled"), outages=outages) == []
    assert wrongs(FAILED, ended("failed"), outages=outages) == []
    assert wrongs(FAILED, ended("unknown"), outages=outages) == [Wrong.WRONG]
    late = [Outage(Part.LIBVIRT, "b", 106.0, 107.0)]
    assert wrongs(FAILED, ended("cancelled"), outages=late) == [Wrong.WRONG]


def test_judge_waits_until_a_record_has_its_end_and_destination():
    assert judge.is_settled(TRUTH, RECORD)
    assert not judge.is_settled(TRUTH, RECORD | {"dest_compute": None})
    assert not judge.is_settled(TRUTH, RECORD | {"in_progress": True})
    assert not judge.is_settled(TRUTH, RECORD | {"status": "unknown"})
    assert judge.is_settled(FAILED, ended("failed")) and judge.is_settled(FAILED, ended("unknown"))
    assert not judge.is_settled(FAILED, ended("running", in_progress=True))


def seen(*percents, status=200):
    return [Seen(at, at + 0.1, status, {"m": percent}) for at, percent in enumerate(percents)]


def test_a_percentage_that_goes_back_or_becomes_unknown_is_seen():
    assert judge.percents_back(seen(None, 1, 1, 7, 100)) == []
    for sequence in ((7, 6), (7, None, 7), (1, 50, 49, 100)):
        (finding,) = judge.percents_back(seen(*sequence))
        assert finding.wrong is Wrong.PERCENT_BACK
    other = Seen(3.0, 3.1, 200, {"another": 1})
    assert judge.percents_back([*seen(7), other]) == []


def test_an_error_of_the_api_is_right_only_while_its_database_is_away():
    (answer,) = seen(None, status=503)
    answer = dataclasses.replace(answer, asked_at=10.0, answered_at=10.1)
    for from_, until, right in (
        (9.0, 11.0, True),
        (5.0, 9.5, True),  # connections are found dead one by one
        (5.0, 8.9, False),
        (10.2, 12.0, False),
    ):
        outages = [Outage(Part.DATABASE, None, from_, until)]
        found = [finding.wrong for finding in judge.errors_beyond([answer], outages)]
        assert found == ([] if right else [Wrong.API_5XX])
    elsewhere = [Outage(Part.AGENT, "a", 9.0, 11.0)]
    assert judge.errors_beyond([answer], elsewhere)
    assert judge.errors_beyond(seen(1) + seen(None, status=404) + seen(None, status=None), []) == []


def test_how_much_longer_watched_migrations_took():
    assert judge.slowdown([2.0, 3.0, 90.0], [2.0, 1.0, 3.0]) == 1.5
    assert judge.slowdown([], [1.0]) is judge.slowdown([1.0], []) is None


@pytest.mark.parametrize(
    ("speaks", "source", "wrong"),
    [("u", "a", 0), ("before", "a", 1), ("before", None, 0), ("u", None, 0)],
)
def test_another_migration_that_speaks_for_the_server_is_wrong(speaks, source, wrong):
    record = RECORD | {"uuid": "u", "source_compute": source}
    findings = judge.does_not_speak(TRUTH, [record], {"migration_uuid": speaks})
    assert [each.wrong for each in findings] == [Wrong.WRONG] * wrong
