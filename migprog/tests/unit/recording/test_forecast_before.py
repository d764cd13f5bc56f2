# SPDX-License-Identifier: Apache-2.0
"""What would have been said before a recorded migration began."""

import dataclasses
import gzip
import json
import time

import pytest

from lab.corpus import files
from migprog.cmd import replay
from migprog.core.forecast import before
from migprog.core.learned import Completed, learn
from migprog.core.measurement import Measurement, Window
from migprog.core.observation import Reading
from migprog.core.status import Status
from migprog.recording import forecast_before, format, observation_rows
from migprog.recording.writer import Limits, Recorder

MIB = 2**20
STARTED = 1_700_000_000.0
# The recording is of a guest of 192 MiB that dirties 10 MiB/s, at 20 MiB/s.
STEADY = files.path_of("steady-10-of-20", "tuned")
MEASUREMENT = Measurement(
    measured_at=STARTED - 90,
    windows=(Window(1.0, 10), Window(1.0, 12), Window(4.0, 10), Window(16.0, 9)),
    memory_bytes=192 * MIB,
    resident_bytes=212 * MIB,
    disk_bytes=0,
    downtime_limit_seconds=0.3,
    has_host_devices=False,
)
LEARNED = learn(
    [Completed("a", "b", STARTED - 600 * n, 20.0 * MIB, 10.0, 0.4 + 0.1 * n) for n in (1, 2, 3)],
    "a",
    "b",
    STARTED,
)


def row(**changes):
    learned = dataclasses.asdict(LEARNED)
    rate = learned.pop("rate")
    newest_t = rate.pop("newest_at") - STARTED
    known = {**rate, **learned, "newest_t": newest_t}
    measured = observation_rows.measurement_row(MEASUREMENT, STARTED)
    return {**measured, "block_migration": False, "learned": known, **changes}


def recording(path, *more):
    """Write the recording with more rows after its header."""
    header, *rest = gzip.decompress(STEADY.read_bytes()).decode().splitlines()
    path.write_text("\n".join([header, *map(json.dumps, more), *rest]) + "\n")
    return str(path)


def test_row_gives_the_forecast_of_the_values_that_it_was_made_of(tmp_path):
    said = forecast_before.forecast(format.read(recording(tmp_path / "one.jsonl", row())))
    direct = before.forecast_before(MEASUREMENT, LEARNED, block_migration=False, now=STARTED)
    assert said.converges == "yes"
    assert said.total_seconds == pytest.approx(direct.total_seconds, rel=1e-3)


def test_row_of_an_agent_has_no_guess_and_the_counters_say_whether_disks_are_copied(tmp_path):
    ours = observation_rows.measurement_row(MEASUREMENT, STARTED)
    assert not {"learned", "block_migration"} & ours.keys()
    ours["disk_bytes"] = 8000 * MIB
    without = forecast_before.forecast(format.read(recording(tmp_path / "one.jsonl", ours)))
    assert without.basis.learned_source == "default"
    copied = {"kind": "sample", "t": 0.1, "stats": {"disk_total": 8000 * MIB}}
    disks = forecast_before.forecast(format.read(recording(tmp_path / "two.jsonl", ours, copied)))
    assert disks.total_seconds > 10 * without.total_seconds


def test_agent_writes_the_newest_measurement_of_the_server_into_its_recording(tmp_path):
    recorder = Recorder(str(tmp_path), Limits(2**20, 10))
    at = {"a": dataclasses.replace(MEASUREMENT, measured_at=910.0)}
    recorder.measured = lambda server_uuid: at.get(server_uuid[0])
    servers = [f"{letter}0000000-0000-0000-0000-000000000001" for letter in "ab"]
    for server in servers:
        tape = recorder.begin(server, server)
        stats = {"type": 1, "operation": 4, "time_elapsed": 0}
        tape.take(Reading(server_uuid=server, at=1000.0, stats=stats))
        tape.end(Status.COMPLETED, None, 1009.0)
    recorder.stop()
    deadline = time.monotonic() + 30
    while len(found := sorted(tmp_path.glob("*"))) < 2 or '"end"' not in found[-1].read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    measured, none = (format.read(str(path)) for path in found)
    assert measured.measurement["t"] == -90.0
    assert forecast_before.forecast(measured).converges == "yes"
    assert none.measurement is None


def test_row_is_not_one_of_the_migration(tmp_path):
    found = format.read(recording(tmp_path / "one.jsonl", row()))
    assert "measurement" not in {each["kind"] for each in found.rows}
    assert found.rows == format.read(str(STEADY)).rows


def test_forecast_is_compared_with_the_real_end(tmp_path, capsys):
    name = recording(tmp_path / "one.jsonl", row())
    assert replay.main(["--before", "--format", "json", name]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["converges"] == "yes"
    assert found["in_range"] is True
    assert abs(found["error"]) < 0.2
    assert found["real_seconds"] == pytest.approx(17.6, abs=1.0)


def test_table_has_the_message(tmp_path, capsys):
    assert replay.main(["--before", recording(tmp_path / "one.jsonl", row())]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split()[:4] == ["converges", "said", "low", "high"]
    assert "converges: about" in line


def test_recording_without_a_measurement_is_named(tmp_path, capsys):
    name = recording(tmp_path / "one.jsonl")
    assert replay.main(["--before", name]) == 0
    assert "has no measurement" in capsys.readouterr().err


def test_without_what_was_learned_the_rate_is_a_guess(tmp_path):
    said = forecast_before.forecast(
        format.read(recording(tmp_path / "one.jsonl", row(learned=None)))
    )
    assert (said.basis.learned_source, said.basis.learned_count) == ("default", 0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"windows": []}, "windows: must be a list of 1 to 8"),
        ({"windows": [[1, 2, 3]]}, "windows: must be a list of windows, of each its seconds and"),
        ({"windows": [[0, 2]]}, "windows: must be windows of up to 60 seconds"),
        ({"windows": "x"}, "windows: must be a list of 1 to 8"),
        ({"memory_bytes": 0}, "memory_bytes: must be at least 1"),
        ({"memory_bytes": None}, "memory_bytes: must be a number"),
        ({"resident_bytes": -1}, "resident_bytes: must be at least 0"),
        ({"t": "x"}, "t: must be a number"),
        ({"learned": []}, "learned: must be a JSON object"),
        ({"learned": {"bytes_per_second": 0}}, "bytes_per_second: must be at least 1"),
    ],
)
def test_measurement_that_cannot_be_read_is_refused(tmp_path, capsys, changes, reason):
    name = recording(tmp_path / "one.jsonl", row(**changes))
    assert replay.main(["--before", name]) == 2
    assert f"measurement: {reason}" in capsys.readouterr().err
    # Whatever it has, the migration itself can be replayed.
    assert replay.main([name]) == 0


def test_before_has_no_policy(tmp_path, capsys):
    with pytest.raises(SystemExit):
        replay.main(["--before", "--policy", "gentle", str(STEADY)])
    assert "--before has no policy" in capsys.readouterr().err
