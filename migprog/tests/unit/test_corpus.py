# SPDX-License-Identifier: Apache-2.0
"""Whether the corpus is what it says: its recordings whole, and its halves a fair pair."""

import functools
import itertools
import json
import statistics

import pytest

from lab.corpus import files, handmade

KINDS = {"header", "sample", "event", "action", "wobble", "end"}
EVENTS = {"iteration": "iteration", "lifecycle": "code", "job_completed": "stats"}
ACTIONS = {"bandwidth", "downtime", "postcopy", "abort", "network"}
STOPPED_MIGRATED = (5, 3)
SUSPENDED_POST_COPY = (3, 7)
MIB = 2**20

read = functools.cache(files.read)


@functools.cache
def made():
    return dict(handmade.recordings())


RECORDED = [
    pytest.param(half, scenario, id=scenario.name)
    for half, scenarios in files.RECORDED.items()
    for scenario in scenarios
]
PATHS = {
    name: path
    for folder in (*files.RECORDED, "handmade")
    for name, path in files.recordings(folder).items()
}
ALL = [pytest.param(path, id=name) for name, path in PATHS.items()]


def lifecycle(rows):
    return [(row["code"], row["detail"]) for row in rows if row.get("event") == "lifecycle"]


def iterations(rows):
    return [row["iteration"] for row in rows if row.get("event") == "iteration"]


@pytest.mark.parametrize("path", ALL)
def test_a_recording_has_the_format(path):
    header, *rows = read(path)
    assert header["kind"] == "header" and header["scenario"] == path.name.split(".jsonl")[0]
    assert {"mem_mib", "fill_mib", "ws_mib", "segments", "bandwidth_mib_s", "uuid"} <= set(header)
    assert [row["kind"] for row in rows].index("end") == len(rows) - 1
    assert all(a["t"] <= b["t"] for a, b in itertools.pairwise(rows))
    for row in rows:
        match row["kind"]:
            case "sample":
                assert "type" in row["stats"] if "stats" in row else row["error"] and row["code"]
            case "event":
                assert EVENTS[row["event"]] in row
            case "action":
                assert row["action"] in ACTIONS and "arg" in row
            case "wobble":
                assert row["mib_s"] > 0
            case "end":
                assert row["outcome"] in ("completed", "failed") and "completed_stats" in row
            case kind:
                pytest.fail(kind)


@pytest.mark.parametrize("path", ALL)
def test_end_is_as_libvirt_reports_it(path):
    rows = read(path)
    completed = rows[-1]["outcome"] == "completed"
    assert completed == (STOPPED_MIGRATED in lifecycle(rows))
    assert completed == (rows[-1]["error"] is None)
    assert completed == any(row.get("event") == "job_completed" for row in rows)
    assert iterations(rows) == sorted(set(iterations(rows)))


@pytest.mark.parametrize(("half", "scenario"), RECORDED)
def test_a_recording_is_of_its_scenario(half, scenario):
    header, *rows = read(files.path_of(scenario.name, half))
    told = json.loads(json.dumps(scenario.header()))
    assert {key: header[key] for key in told} == told
    assert rows[-1]["outcome"] in scenario.expected
    assert rows[-1]["t"] <= 90
    done = [[row["action"], row["arg"]] for row in rows if row["kind"] == "action"]
    asked = [[action, argument] for _, action, argument in scenario.actions]
    assert done == asked[: len(done)]
    assert bool(done) == bool(asked) or scenario.may_end_before_actions
    assert scenario.post_copy == (SUSPENDED_POST_COPY in lifecycle(rows))


@pytest.mark.parametrize(("half", "scenario"), RECORDED)
def test_actions_were_carried_out_in_time(half, scenario):
    """A recorder that is late has recorded something else than its scenario says."""
    rows = read(files.path_of(scenario.name, half))
    for action in (row for row in rows if row["kind"] == "action"):
        assert min(abs(action["t"] - at) for at, *_ in scenario.actions) < 0.5
    switched = [row["t"] for row in rows if row.get("detail") == 7]
    effects = {"postcopy": [*switched, 0][0], "abort": rows[-1]["t"]}
    for action in (row for row in rows if row.get("action") in effects):
        assert 0 < effects[action["action"]] - action["t"] < 1.5
    at = [row["t"] for row in rows if row["kind"] == "sample"]
    assert statistics.median(b - a for a, b in itertools.pairwise(at)) == pytest.approx(
        0.5, abs=0.1
    )


def test_the_folders_have_these_recordings_and_no_others():
    for half, scenarios in files.RECORDED.items():
        assert sorted(files.recordings(half)) == sorted(scenario.name for scenario in scenarios)
    assert len(RECORDED) >= 40


def test_each_physics_is_in_both_halves():
    tuned, untouched = ([s.physics for s in half] for half in files.HALVES.values())
    assert sorted(tuned) == sorted(untouched)


def test_the_halves_share_no_numbers():
    def numbers(scenario):
        return (
            scenario.memory_mib,
            scenario.working_set_mib,
            scenario.segments,
            scenario.bandwidth_mib_s,
        )

    tuned, untouched = ({numbers(s) for s in half} for half in files.HALVES.values())
    assert not tuned & untouched
    names = [scenario.name for half in files.HALVES.values() for scenario in half]
    assert len(set(names)) == len(names)


def test_corpus_stays_small():
    sizes = [path.stat().st_size for path in PATHS.values()]
    assert max(sizes) < MIB / 2
    assert sum(sizes) < 2 * MIB


def test_handmade_recordings_follow_from_the_arithmetic():
    assert sorted(made()) == sorted(files.recordings("handmade"))
    for name, rows in made().items():
        assert json.loads(json.dumps(rows)) == read(files.path_of(name, "handmade")), name


def test_field_recording_has_the_documented_case():
    rows = made()["field-831-mb-plateau-3.5-hours"]
    samples = [row for row in rows if row["kind"] == "sample" and "memory_total" in row["stats"]]
    left = {row["t"]: row["stats"]["memory_remaining"] / 1e6 for row in samples if row["t"] > 1}
    assert min(left.values()) == pytest.approx(2.1, abs=0.01)
    first = next(t for t, megabytes in left.items() if megabytes == min(left.values()))
    assert first == pytest.approx(180, abs=5)
    plateau = [megabytes for t, megabytes in left.items() if 600 < t < 3600]
    assert max(plateau) == pytest.approx(831, abs=10)
    assert rows[-1]["outcome"] == "failed" and rows[-1]["t"] == pytest.approx(3.5 * 3600, abs=1)
