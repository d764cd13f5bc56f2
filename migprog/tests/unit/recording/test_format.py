# SPDX-License-Identifier: Apache-2.0
import contextlib
import gzip
import itertools
import json
import logging
import os
import stat
import time
import tracemalloc

import pytest

from lab.simulated import MIB, Guest, precopy
from migprog.core.forecast.job_sample import Disk
from migprog.core.observation import Iteration, Lifecycle, Reading
from migprog.core.server_facts import ServerFacts
from migprog.core.status import Status
from migprog.recording import format, observation_rows
from migprog.recording import writer as recorders
from migprog.recording.writer import Limits, Recorder
from migprog.tests.fixtures.driven import SERVER
from migprog.tests.fixtures.driven import UUID as MIGRATION

HEADER = {"kind": "header", "scenario": "by hand", "mem_mib": 256}
SAMPLE = {"t": 0.5, "kind": "sample", "stats": {"operation": 5, "type": 2}}
ROOMY = Limits(max_bytes=2**24, keep=10)


def file_of(tmp_path, *lines, end="\n"):
    path = tmp_path / "recording.jsonl"
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text(text + end)
    return str(path)


# Reading.


def test_written_recording_is_read_compressed_or_not(tmp_path):
    path = file_of(tmp_path, HEADER, SAMPLE)
    plain = format.read(path)
    assert plain.memory_size_bytes == 256 * MIB
    assert plain.rows == (SAMPLE,)
    with open(path, "rb") as file, gzip.open(path + ".gz", "wb") as compressed:
        compressed.write(file.read())
    assert format.read(path + ".gz").rows == plain.rows


def test_a_line_that_breaks_off_is_left_out(tmp_path):
    path = file_of(tmp_path, HEADER, SAMPLE, json.dumps(SAMPLE)[:-9], end="")
    assert format.read(path).rows == (SAMPLE,)


def test_truncated_compressed_file_is_read_to_its_end(tmp_path):
    lines = [HEADER, *({**SAMPLE, "t": i, "noise": os.urandom(40).hex()} for i in range(500))]
    packed = gzip.compress("\n".join(map(json.dumps, lines)).encode())
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(packed[: len(packed) // 2])
    assert 100 < len(format.read(str(path)).rows) < 500


_MANY_ROWS = [b'{"t": 0, "kind": "end"}'] * 200_000


@pytest.mark.parametrize(
    ("lines", "rule"),
    [
        ([b" " * 2**16] * 600, "must have at most 33554432 bytes unpacked"),
        ([b'{"pad": "%s"}' % (b"x" * 2**21)], "a line must have at most"),
        (_MANY_ROWS, "must be one of at most 131072 rows"),
    ],
    ids=["blanks", "a long line", "many rows"],
)
@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_a_file_that_unpacks_to_a_multiple_is_refused(tmp_path, lines, rule, pack):
    path = tmp_path / "bomb.jsonl"
    path.write_bytes(pack(b"\n".join([b'{"kind": "header"}', *lines])))
    tracemalloc.start()
    try:
        with pytest.raises(format.NotARecording, match=rule):
            format.read(str(path))
        _now, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 128 * 2**20


def test_a_larger_recording_is_read_where_that_is_asked_for(tmp_path):
    path = tmp_path / "large.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join([b'{"kind": "header"}', *_MANY_ROWS])))
    assert len(format.read(str(path), 2**26).rows) == 200_000


def test_a_compressed_file_of_any_length_is_read_whole(tmp_path):
    """Whatever part of it is unpacked at a time, in one stream or several."""
    path = tmp_path / "packed.jsonl.gz"
    for pad in (0, 1, 2**16 - 1, 2**16, 2**16 + 1, 3 * 2**16, 10**5):
        lines = [b'{"kind": "header", "pad": "%s"}\n' % (b"x" * pad), b'{"t": 1, "kind": "end"}\n']
        path.write_bytes(gzip.compress(lines[0]) + gzip.compress(lines[1]))
        read = format.read(str(path))
        assert (len(read.header["pad"]), len(read.rows)) == (pad, 1)
        path.write_bytes(gzip.compress(b"".join(lines)))
        assert format.read(str(path)).rows == read.rows


def test_unknown_rows_are_ignored(tmp_path):
    rows = (
        {"kind": "weather", "t": "nice"},
        {"kind": "event", "t": 1, "event": "comet", "code": None},
        {"kind": "sample", "t": 2, "stats": {"type": 2, "errmsg": "x", "new": [1]}, "extra": {}},
    )
    read = format.read(file_of(tmp_path, HEADER | {"more": 1}, *rows)).rows
    assert [row["t"] for row in read] == [1, 2]
    assert read[1]["stats"] == {"type": 2}


@pytest.mark.parametrize(
    ("lines", "number", "said"),
    [
        ([], 1, "empty"),
        (["hello"], 1, "no JSON"),
        (["[1]"], 1, "a JSON object"),
        ([SAMPLE], 1, 'begins with a "header"'),
        ([HEADER, "{", SAMPLE], 2, "no JSON"),
        ([HEADER, SAMPLE, {**SAMPLE, "t": None}], 3, "t: null must be a number of seconds"),
        ([HEADER, '{"kind": "end", "t": 1e999}'], 2, "t: Infinity"),
        ([HEADER, {**SAMPLE, "stats": 7}], 2, "stats: 7 must be"),
        ([HEADER, {"kind": "event", "t": 1, "event": "lifecycle", "code": "5"}], 2, 'code: "5"'),
        ([HEADER, {"kind": "event", "t": 1, "event": "job_completed"}], 2, "stats: null"),
        (["\x00\x01\x02"], 1, "no JSON"),
        (["[" * 100_000], 1, "no JSON"),
    ],
)
def test_invalid_recording_is_refused_with_file_and_line(tmp_path, lines, number, said):
    path = file_of(tmp_path, *lines)
    with pytest.raises(format.NotARecording) as error:
        format.read(path)
    assert str(error.value).startswith(f"{path}:{number}: ")
    assert said in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(format.NotARecording, match=r"none\.jsonl: No such file"):
        format.read(str(tmp_path / "none.jsonl"))


# Writing.


@pytest.fixture
def recorder(tmp_path):
    """Makes recorders that write into a folder which is not there yet."""
    made = []

    def make(limits=ROOMY, directory=tmp_path / "recordings"):
        made.append(Recorder(str(directory), limits))
        made[-1].host = "compute-1"
        return made[-1]

    yield make
    for each in made:
        each.stop()


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return result


def reading(stats, at, downtime_limit_seconds=None, disks=None):
    limit = {"downtime_limit_seconds": downtime_limit_seconds}
    return Reading(server_uuid=SERVER, at=at, stats=stats, disks=disks, **limit)


def iteration(at):
    return Iteration(server_uuid=SERVER, at=at, number=1)


def record(tape, recorded, found_at=1000.0, elapsed_before=0.0):
    """Hand simulated rows over as the agent does; a monotonic clock is not at 0 at the start."""
    tape.facts = ServerFacts(memory_size_bytes=256 * MIB, memory_resident_bytes=100 * MIB)
    at = found_at
    for row in recorded:
        at = found_at + row["t"] - elapsed_before
        tape.take(observation_rows.from_row(row | {"t": at}, SERVER, 0.3))
    tape.end(Status.COMPLETED, None, at)


def ended(directory, count=1):
    """The recordings that have their end."""

    def all_there():
        paths = sorted(directory.glob("*.jsonl")) if directory.exists() else []
        # The oldest may go while they are looked at.
        done = []
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                if '"kind": "end"' in path.read_text():
                    done.append(path)
        return done if len(done) >= count else []

    return [format.read(str(path)) for path in wait_for(all_there)]


def test_a_recording_has_all_that_was_seen(recorder, tmp_path):
    rows = list(precopy(Guest()))
    record(recorder().begin(SERVER, MIGRATION), rows)
    (read,) = ended(tmp_path / "recordings")
    assert read.memory_size_bytes == 256 * MIB
    assert read.memory_resident_bytes == 100 * MIB
    assert read.header["scenario"] == "recorded"
    assert (read.header["uuid"], read.header["host"]) == (SERVER, "compute-1")
    *seen, end = read.rows
    assert [row["kind"] for row in seen] == [row["kind"] for row in rows]
    assert [row["t"] for row in seen] == pytest.approx([row["t"] for row in rows], abs=0.01)
    samples = [row for row in seen if row["kind"] == "sample"]
    assert [row["stats"] for row in samples] == [r["stats"] for r in rows if r["kind"] == "sample"]
    assert {row["downtime_limit_ms"] for row in samples} == {300.0}
    assert end["outcome"] == "completed"
    assert end["completed_stats"] == {"source": rows[-1]["stats"]}


def test_t_counts_from_the_migrations_start_also_where_it_was_found_late(recorder, tmp_path):
    rows = [row for row in precopy(Guest()) if row["t"] > 5.0]
    record(recorder().begin(SERVER, MIGRATION), rows, found_at=7.0, elapsed_before=rows[0]["t"])
    (read,) = ended(tmp_path / "recordings")
    assert read.rows[0]["t"] == pytest.approx(rows[0]["t"], abs=0.01)


def test_the_copies_of_disks_are_recorded_and_read(recorder, tmp_path):
    tape = recorder().begin(SERVER, MIGRATION)
    disks = (Disk("vda", 2**40, 2**39, 2**20), Disk("vdb", 4096, 0))
    stats = {"operation": 5, "type": 2, "time_elapsed": 0}
    tape.take(reading(stats, 1.0, None, disks))
    tape.take(reading(stats, 2.0, None))
    tape.end(Status.CANCELLED, None, 3.0)
    (read,) = ended(tmp_path / "recordings")
    first, second, _ = read.rows
    assert first["disks"] == disks
    assert "disks" not in second


@pytest.mark.parametrize(
    "disks", [7, [7], [["vda", 1]], [["vda", "x", 0, None]], [[None, 1, 0, None]]]
)
def test_copies_of_disks_that_cannot_be_read_are_left_out(tmp_path, disks):
    path = file_of(tmp_path, HEADER, SAMPLE | {"disks": disks})
    assert format.read(path).rows[0]["disks"] == ()


def test_the_file_is_named_by_time_and_server_and_not_for_everyone(recorder, tmp_path):
    tape = recorder().begin(SERVER, MIGRATION)
    now = time.monotonic()
    tape.take(reading({"operation": 5, "type": 2, "time_elapsed": 0}, now, None))
    tape.end(Status.CANCELLED, "the migration was aborted", now + 1)
    ended(tmp_path / "recordings")
    (path,) = (tmp_path / "recordings").iterdir()
    stamp, _, rest = path.name.partition("-")
    assert rest == f"{SERVER}.jsonl"
    began = time.strptime(stamp + "+0000", "%Y%m%dT%H%M%SZ%z")
    assert abs(time.mktime(began) - time.mktime(time.gmtime())) < 10
    assert stat.S_IMODE(path.stat().st_mode) & ~0o640 == 0


def test_one_that_was_never_read_is_recorded_by_its_events(recorder, tmp_path):
    tape = recorder().begin(SERVER, MIGRATION)
    tape.take(Lifecycle(server_uuid=SERVER, at=50.0, event=3, detail=1))
    tape.take(Lifecycle(server_uuid=SERVER, at=50.5, event=5, detail=3))
    tape.take(Reading(server_uuid=SERVER, at=51.0, error="no domain", error_code=42))
    tape.end(Status.COMPLETED, None, 52.0)
    (read,) = ended(tmp_path / "recordings")
    assert [(row["t"], row["kind"]) for row in read.rows] == [
        (0.0, "event"),
        (0.5, "event"),
        (1.0, "sample"),
        (2.0, "end"),
    ]
    assert read.rows[2]["code"] == 42


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (Status.COMPLETED, "completed"),
        (Status.FAILED, "failed"),
        (Status.CANCELLED, "failed"),
        (Status.UNKNOWN, "unknown"),
    ],
)
def test_outcomes(recorder, tmp_path, status, outcome):
    recorder().begin(SERVER, MIGRATION).end(status, "x" * 1000, 1.0)
    (read,) = ended(tmp_path / "recordings")
    assert read.rows[0]["outcome"] == outcome
    assert len(read.rows[0]["error"]) == 255


def test_a_long_one_is_thinned_and_has_its_events_and_its_end(recorder, tmp_path):
    limits = Limits(max_bytes=2**18, keep=10)
    tape = recorder(limits).begin(SERVER, MIGRATION)
    stats = next(row for row in precopy(Guest()) if "stats" in row)["stats"]
    for i in range(20_000):
        # No faster than it is written, as in life.
        if i % 1000 == 0:
            wait_for(lambda: tape.recorder._queue.qsize() < 1000)
        tape.take(reading(stats | {"time_elapsed": i * 500}, 100 + i / 2, 0.3))
        tape.take(iteration(100 + i / 2))
    tape.take(Lifecycle(server_uuid=SERVER, at=10_100, event=5, detail=3))
    tape.end(Status.COMPLETED, None, 10_101)
    (read,) = ended(tmp_path / "recordings")
    assert os.path.getsize(read.name) < limits.max_bytes + 1000
    times = [row["t"] for row in read.rows if row["kind"] == "sample"]
    assert times[0] == 0.0
    assert times[1] == 0.5
    assert all(b - a <= 0.5 + b / 8 for a, b in itertools.pairwise([*times, 10_000]))
    assert [row.get("code") for row in read.rows if row.get("event") == "lifecycle"] == [5]
    assert read.rows[-1]["kind"] == "end"


def test_the_oldest_go_and_nothing_else(recorder, tmp_path):
    directory = tmp_path / "recordings"
    directory.mkdir()
    mine = [f"2020010{day}T000000Z-{SERVER}.jsonl" for day in range(1, 6)]
    others = ["notes.jsonl", "20200101T000000Z-x.jsonl", f"20200101T000000Z-{SERVER}.jsonl.gz"]
    for name in mine + others:
        (directory / name).touch()
    tape = recorder(Limits(2**20, keep=3)).begin(SERVER, MIGRATION)
    tape.end(Status.FAILED, None, time.monotonic())
    ended(directory)
    names = {path.name for path in directory.iterdir()}
    assert {*mine[-2:], *others} < names
    assert len(names) == 3 + len(others)


def test_namesakes_do_not_overwrite_each_other(recorder, tmp_path):
    made = recorder()
    now = time.monotonic()
    for number in range(3):
        made.begin(SERVER, MIGRATION).end(Status.FAILED, f"number {number}", now)
    errors = {read.rows[0]["error"] for read in ended(tmp_path / "recordings", 3)}
    assert errors == {"number 0", "number 1", "number 2"}


def test_failed_write_is_logged_once_and_ends_the_recording(recorder, tmp_path, caplog):
    (tmp_path / "file").touch()
    tape = recorder(directory=tmp_path / "file" / "recordings").begin(SERVER, MIGRATION)
    tape.take(Lifecycle(server_uuid=SERVER, at=1.0, event=3, detail=1))
    tape.end(Status.FAILED, None, 2.0)
    wait_for(lambda: tape.error)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            tape.take(iteration(3.0))
    (message,) = [r.getMessage() for r in caplog.records]
    assert SERVER in message and MIGRATION in message
    assert "Not a directory" in message


def test_a_full_disk_stops_the_recording(recorder, tmp_path):
    tape = recorder().begin(SERVER, MIGRATION)
    tape.take(reading({"operation": 5, "type": 2, "time_elapsed": 0}, 1.0, None))
    writer = wait_for(lambda: tape.writer)
    with open("/dev/full", "w") as full:
        writer._stream = full
        tape.take(iteration(2.0))
        assert "No space left" in wait_for(lambda: tape.error)


def test_hanging_disk_does_not_delay_the_agent(monkeypatch, recorder, caplog):
    monkeypatch.setattr(recorders, "native_thread", lambda *_: None)
    tape = recorder().begin(SERVER, MIGRATION)
    # Nobody takes any: one that waited for room would wait for ever.
    for i in range(recorders._MAX_QUEUED_ROWS + 10):
        tape.take(iteration(float(i)))
    assert tape.recorder._queue.qsize() == recorders._MAX_QUEUED_ROWS
    assert caplog.text.count("does not keep up") == 1


@pytest.mark.parametrize("directory", [None, ""])
def test_nothing_is_recorded_unless_asked_for(directory, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = Recorder(directory, ROOMY)
    record(made.begin(SERVER, MIGRATION), precopy(Guest()))
    assert made._queue.empty()
    assert list(tmp_path.iterdir()) == []
