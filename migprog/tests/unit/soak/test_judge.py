# SPDX-License-Identifier: Apache-2.0
import pytest

from lab.soak import table
from lab.soak.growth import Point
from lab.soak.judge import Wrong, expected, judge
from lab.soak.plan import STATUSES, Act, Ending, journey
from lab.soak.run import Result
from lab.soak.usage import Series

JOURNEYS = [journey(number, seed=1, per_second=10) for number in range(200)]
BY_ENDING = {each.ending: each for each in JOURNEYS}


def record(journey, **changes):
    return {"server_uuid": journey.server_uuid, **expected(journey)} | changes


def wrongs(journey, *records):
    return [finding.wrong for finding in judge([journey], records)]


def test_all_endings_and_both_directions_are_there():
    assert set(BY_ENDING) == set(Ending) == set(STATUSES)
    assert {(each.source, each.dest) for each in JOURNEYS} == {
        ("soak-a", "soak-b"),
        ("soak-b", "soak-a"),
    }
    assert len({each.server_uuid for each in JOURNEYS}) == len(JOURNEYS)


def test_the_same_number_is_the_same_migration_everywhere():
    assert journey(7, 1, 10) == JOURNEYS[7] != journey(7, 2, 10)


@pytest.mark.parametrize("ending", Ending)
def test_steps_are_in_order_and_end_the_job(ending):
    each = BY_ENDING[ending]
    steps = each.steps()
    assert [step.at for step in steps] == sorted(step.at for step in steps)
    assert steps[0].at == each.first_at
    ends = [step.host for step in steps if step.act is Act.END]
    assert ends == [each.source, each.dest]


@pytest.mark.parametrize("ending", Ending)
def test_one_true_record_is_right(ending):
    each = BY_ENDING[ending]
    assert wrongs(each, record(each)) == []
    assert wrongs(each) == [Wrong.LOST]
    assert wrongs(each, record(each), record(each)) == [Wrong.DUPLICATED]
    assert wrongs(each, record(each, status="running")) == [Wrong.WRONG]


@pytest.mark.parametrize(
    ("column", "value"),
    [("memory_processed_bytes", 1), ("total_seconds", 0.5), ("dest_compute", None)],
)
def test_final_figures_must_be_those_of_libvirt(column, value):
    each = BY_ENDING[Ending.COMPLETED]
    assert wrongs(each, record(each, **{column: value})) == [Wrong.WRONG]


def result(findings=(), left=(), per_migration=0):
    series = Series(pid=1)
    for name, points in series.points.items():
        grown = per_migration if name == "descriptors" else 0
        points += [Point(10 * n, 15 + 10 * n * grown) for n in range(20)]
    return Result(JOURNEYS, list(findings), list(left), {"agent": series}, 20.0)


def test_document_is_right_unless_records_files_or_growth_are_wrong():
    lost = judge(JOURNEYS, map(record, JOURNEYS[1:]))
    right = table.document(result())
    assert right["right"]
    assert right["migrations"] == sum(each["migrations"] for each in right["groups"].values())
    for wrong in (result(findings=lost), result(left=["a.json"]), result(per_migration=1)):
        assert not table.document(wrong)["right"]
    assert table.document(result(per_migration=1), tolerance=600)["right"]
    known = table.document(result(findings=lost, per_migration=1))
    assert known["lost"] == known["groups"][JOURNEYS[0].ending]["lost"] == 1
    assert [use["what"] for use in known["uses"] if use["grows"]] == ["descriptors"]
    assert "GROWS" in table.text(known)
