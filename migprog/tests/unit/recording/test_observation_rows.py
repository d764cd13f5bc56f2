# SPDX-License-Identifier: Apache-2.0
"""What an agent sees is the same when it is read from the recording of it."""

import json

import pytest

from migprog.core.forecast.job_sample import Disk
from migprog.core.observation import Iteration, JobCompleted, JobEvent, Lifecycle, Reading
from migprog.recording import format, observation_rows
from migprog.tests.fixtures.driven import SERVER

AT = {"server_uuid": SERVER, "at": 1.5}
STATS = {"operation": 5, "type": 2, "time_elapsed": 1500}
LIMIT = {"downtime_limit_seconds": 0.3}


def recording(path, *recorded):
    lines = [{"kind": "header", "downtime_ms": 300}, *recorded]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return format.read(str(path))


@pytest.mark.parametrize(
    "seen",
    [
        Reading(**AT, **LIMIT, stats=STATS, disks=(Disk("vda", 2**30, 2**20),)),
        Reading(**AT, **LIMIT, stats=STATS, vcpu_time_seconds=12.34),
        Reading(**AT, error="no domain", error_code=42, gone=True),
        Reading(**AT, error="timed out", error_code=68),
        Iteration(**AT, number=3),
        Lifecycle(**AT, event=5, detail=3),
        JobCompleted(**AT, stats=STATS),
        JobEvent(**AT, qemu_status="active"),
    ],
)
def test_observation_is_the_same_from_its_row(tmp_path, seen):
    kind, values = observation_rows.to_row(seen)
    its = recording(tmp_path / "r.jsonl", {"t": 1.5, "kind": kind, **values})
    assert list(observation_rows.observations(its, SERVER)) == [(1.5, seen)]


def test_job_event_without_a_status_is_not_recorded():
    assert observation_rows.to_row(JobEvent(**AT)) is None


def test_sample_has_the_downtime_limit_recorded_last(tmp_path):
    sample = {"kind": "sample", "stats": STATS}
    its = recording(
        tmp_path / "r.jsonl",
        {"t": 1, **sample},
        {"t": 2, "kind": "action", "action": "downtime", "arg": 500},
        {"t": 3, **sample},
        {"t": 4, **sample, "downtime_limit_ms": 800},
        {"t": 5, **sample},
        {"t": 6, "kind": "end", "outcome": "failed"},
    )
    seen = list(observation_rows.observations(its, SERVER))
    assert [t for t, _ in seen] == [1, 2, 3, 4, 5, 6]
    limits = [each.downtime_limit_seconds for _, each in seen if isinstance(each, Reading)]
    assert limits == [0.3, 0.5, 0.8, 0.8]
