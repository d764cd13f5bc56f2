# SPDX-License-Identifier: Apache-2.0
import dataclasses
import gzip
import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.simulated import MIB, Guest, precopy
from migprog.cmd import replay as command
from migprog.core.forecast.verdict import Verdict
from migprog.core.schedule import ReportReason
from migprog.core.server_facts import ServerFacts
from migprog.core.status import Phase
from migprog.recording import plot, score
from migprog.recording.format import Recording
from migprog.recording.replay import Line, replay
from migprog.tests.fixtures.driven import RULES, drive

HEADER = {"kind": "header", "scenario": "simulated", "mem_mib": 256, "segments": [[1000, 5]]}
KEYS = [
    "t",
    "phase",
    "percent",
    "eta_seconds",
    "eta_low_seconds",
    "eta_high_seconds",
    "verdict",
    "verdict_reason",
    "verdict_message",
    "reported",
]
GONE = {"kind": "sample", "error": "Domain not found", "code": 42}


def recorded(rows, **header):
    return Recording("by hand", HEADER | header, tuple(rows))


def written(tmp_path, rows=None, name="guest.jsonl", **header):
    path = tmp_path / name
    rows = precopy(Guest()) if rows is None else rows
    path.write_text("".join(json.dumps(row) + "\n" for row in [HEADER | header, *rows]))
    return str(path)


def reasons(lines):
    return [line.reported for line in lines if line.reported is not None]


# What would have been said.


def test_there_is_a_line_for_each_sample():
    rows = list(precopy(Guest()))
    lines = replay(recorded(rows), RULES).lines
    assert [line.t for line in lines] == [row["t"] for row in rows if row["kind"] == "sample"]


def test_replay_has_the_agents_assessments():
    """Without a pause between reports, which a replay may end between two samples."""
    rules = dataclasses.replace(RULES, step_seconds=0.0)
    rows = list(precopy(Guest(disk_mib=64)))
    told = drive(rows, rules, ServerFacts(memory_size_bytes=256 * MIB))
    sent = replay(recorded(rows), rules).reports
    assert [each.reason for each in sent] == [reason for reason, _ in told]


def test_the_guests_memory_is_known_while_its_disk_is_copied():
    guest = Guest(memory_mib=256, disk_mib=256, dirty_mib_s=1, bandwidth_mib_s=16)
    lines = replay(recorded(precopy(guest)), RULES).lines
    first = next(line for line in lines if line.eta_seconds is not None)
    assert first.phase is Phase.DISK_COPY
    assert 25 < first.eta_seconds < 45


def test_migration_without_a_job_is_not_reported():
    idle = [{"t": i / 10, "kind": "sample", "stats": {"type": 0}} for i in range(4)]
    lines = replay(recorded([*idle, *precopy(Guest())]), RULES).lines
    assert {(line.phase, line.verdict, line.percent, line.reported) for line in lines[:4]} == {
        (Phase.SETUP, Verdict.STARTING, None, None)
    }
    assert lines[4].reported is ReportReason.FIRST


def test_report_by_an_event_is_at_the_next_sample():
    rows = [row for row in precopy(Guest()) if row["t"] < 5]
    at = rows[-1]["t"]
    switching = {"t": at + 0.1, "kind": "event", "event": "qemu_migration", "status": "device"}
    gone = [{**GONE, "t": at + 0.4}, {**GONE, "t": at + 0.9}]
    replayed = replay(recorded([*rows, switching, *gone]), RULES)
    assert [line.reported for line in replayed.lines[-2:]] == [ReportReason.PHASE, None]
    # Its end is told after the last sample: no line, but a report.
    assert replayed.reports[-1].reason is ReportReason.STATUS
    assert replayed.reports[-1].t > at + 0.9


def test_of_several_reports_between_two_samples_the_weightiest_is_shown():
    rows = [row for row in precopy(Guest()) if row["t"] < 5]
    at = rows[-1]["t"]
    post_copy = [
        {"t": at + 0.1, "kind": "event", "event": "lifecycle", "code": 3, "detail": 1},
        {"t": at + 0.2, "kind": "event", "event": "lifecycle", "code": 3, "detail": 7},
    ]
    sample = {**rows[-1], "t": at + 0.5}
    lines = replay(recorded([*rows, *post_copy, sample]), RULES).lines
    assert (lines[-1].phase, lines[-1].reported) == (Phase.POST_COPY, ReportReason.STATUS)


def test_time_passes_without_samples_too():
    rows = [row for row in precopy(Guest(dirty_mib_s=60)) if row["t"] < 40]
    gap = [row for row in rows if not 10 < row["t"] < 39]
    sent = replay(recorded(gap), RULES).reports
    inside = [each for each in sent if 11 < each.t < 38]
    assert ReportReason.VERDICT in {each.reason for each in inside}


def test_a_gap_of_ages_is_no_work_of_ages():
    sample = {"kind": "sample", "stats": {"operation": 5, "type": 2, "time_elapsed": 0}}
    replayed = replay(recorded([sample | {"t": 0.0}, sample | {"t": 1e12}]), RULES)
    assert len(replayed.lines) == 2


@pytest.mark.parametrize(
    ("row", "ends"),
    [
        ({**GONE, "code": 55}, True),
        ({**GONE, "code": 42}, True),
        ({**GONE, "code": 38}, False),
        ({"kind": "sample", "error": "timed out"}, False),
    ],
)
def test_a_reading_that_failed_ends_nothing_unless_the_server_is_gone(row, ends):
    rows = [row for row in precopy(Guest()) if row["t"] < 5]
    lines = replay(recorded([*rows, row | {"t": rows[-1]["t"] + 0.1}]), RULES).lines
    assert (lines[-1].phase is Phase.DONE) == ends
    if not ends:
        assert lines[-1].percent == lines[-2].percent


def last_reason(*more, **header):
    """Why one who does not converge is said not to; the limit in force is named in it."""
    guest = Guest(dirty_mib_s=60, working_set_mib=128)
    stuck = [row for row in precopy(guest) if row["t"] < 60]
    merged = sorted([*stuck, *more], key=lambda row: row["t"])
    return replay(recorded(merged, **header), RULES).lines[-1].verdict_message


def test_the_limit_of_the_pause_is_the_one_in_force():
    raised = {"t": 30.0, "kind": "action", "action": "downtime"}
    assert "300 ms" in last_reason()
    assert "700 ms" in last_reason(downtime_ms=700)
    assert "900 ms" in last_reason(raised | {"arg": 900})
    assert "300 ms" in last_reason(raised)


def test_the_limit_that_the_agent_read_goes_before_others():
    guest = Guest(dirty_mib_s=60, working_set_mib=128)
    rows = [row | {"downtime_limit_ms": 1100} for row in precopy(guest) if row["t"] < 60]
    assert "1.1 s" in replay(recorded(rows, downtime_ms=700), RULES).lines[-1].verdict_message


junk = st.dictionaries(
    st.sampled_from(["type", "operation", "memory_total", "memory_remaining", "memory_iteration"]),
    st.sampled_from([0, 1, 2, 5, 7, 10**6, 2**40, 0.5]),
)
rows = st.one_of(
    st.builds(lambda stats: {"kind": "sample", "stats": stats}, junk),
    st.just({"kind": "sample", "error": "x", "code": 1}),
    st.just({"kind": "event", "event": "iteration", "iteration": 3}),
    st.builds(
        lambda code, detail: {
            "kind": "event",
            "event": "lifecycle",
            "code": code,
            "detail": detail,
        },
        st.integers(0, 8),
        st.integers(0, 8),
    ),
    st.builds(lambda stats: {"kind": "event", "event": "job_completed", "stats": stats}, junk),
    st.just({"kind": "action", "action": "downtime", "arg": "much"}),
    st.just({"kind": "end", "outcome": "completed"}),
)


@given(st.lists(st.tuples(st.floats(0, 100), rows), max_size=30))
@settings(deadline=None, max_examples=100)
def test_any_recording_can_be_replayed(timed):
    recording = recorded({"t": t, **row} for t, row in timed)
    lines = replay(recording, RULES).lines
    percents = [line.percent for line in lines if line.percent is not None]
    assert percents == sorted(percents)


# The command.


def test_json_is_an_object_a_line(tmp_path, capsys):
    path = written(tmp_path)
    assert command.main(["--format", "json", path]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [list(line) for line in lines] == [KEYS] * len(lines)
    assert lines[0]["reported"] == "first"
    assert {line["phase"] for line in lines} <= set(Phase)
    assert {line["verdict"] for line in lines} <= set(Verdict)


def test_lines_name_their_file_if_there_are_several(tmp_path, capsys):
    one = written(tmp_path)
    with open(one, "rb") as file:
        (tmp_path / "other.jsonl.gz").write_bytes(gzip.compress(file.read()))
    other = str(tmp_path / "other.jsonl.gz")
    assert command.main(["--format=json", one, other]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    by_file = {file: [x | {"file": 0} for x in lines if x["file"] == file] for file in (one, other)}
    assert by_file[one] == by_file[other]
    assert len(by_file[one]) + len(by_file[other]) == len(lines) > 0


def test_the_table_has_a_heading_and_a_row_a_sample(tmp_path, capsys):
    rows = list(precopy(Guest()))
    assert command.main([written(tmp_path, rows)]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert (
        " ".join(heading.split())
        == "t phase % eta low high verdict reported verdict_reason verdict_message"
    )
    assert len(lines) == sum(row["kind"] == "sample" for row in rows)


def test_the_throttles_rules_can_be_given(tmp_path, capsys):
    path = written(tmp_path, precopy(Guest(dirty_mib_s=60), give_up_seconds=60))
    counts = []
    for interval in ("0", "20"):
        command.main(["--format=json", f"--report-interval={interval}", path])
        counts.append(capsys.readouterr().out.count('"reported": "figures"'))
    assert counts[0] > counts[1]


def test_invalid_recording_is_named(tmp_path, capsys):
    path = tmp_path / "notes.jsonl"
    path.write_text("milk\n")
    assert command.main([str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"migprog-replay: {path}:1: is no JSON")


def test_bad_arguments_are_refused(tmp_path, capsys):
    path = written(tmp_path)
    for arguments in ([], [path, "--format=xml"], [path, path, "--plot=x.png"], [path, "--x"]):
        with pytest.raises(SystemExit) as error:
            command.main(arguments)
        assert error.value.code == 2
    assert "--plot draws one" in capsys.readouterr().err


def test_a_picture_results(tmp_path):
    path, picture = written(tmp_path), tmp_path / "picture.png"
    assert command.main(["--plot", str(picture), path]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 10_000


def test_svg_is_the_same_each_time_and_has_novas_progress(tmp_path):
    path, pictures = written(tmp_path), [tmp_path / "1.svg", tmp_path / "2.svg"]
    for picture in pictures:
        assert command.main(["--plot", str(picture), path]) == 0
    first, second = (picture.read_text() for picture in pictures)
    assert first == second
    assert "Nova's progress, every 5 s" in first


@pytest.mark.parametrize("verdict", Verdict)
def test_each_verdict_has_a_colour_and_a_place_in_the_order(verdict):
    assert verdict in plot._COLOURS
    assert verdict in score._RANK


def test_a_picture_without_a_place_is_an_error(tmp_path, capsys):
    assert command.main(["--plot", str(tmp_path / "no" / "x.png"), written(tmp_path)]) == 1
    assert "--plot" in capsys.readouterr().err


def run(tmp_path, script, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_replay_runs_without_libvirt_broker_and_matplotlib(tmp_path):
    script = (
        "import sys\n"
        "for name in ('libvirt', 'libvirt_qemu', 'eventlet', 'matplotlib', 'oslo_messaging'):\n"
        "    sys.modules[name] = None\n"
        "from migprog.cmd.replay import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    path = written(tmp_path)
    process = run(tmp_path, script, path)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "")
    assert "memory-first-iteration" in out
    process = run(tmp_path, script, "--plot", "x.png", path, cwd=tmp_path)
    assert "pip install" in process.communicate(timeout=60)[1]
    assert process.returncode == 1


def test_closed_output_pipe_is_no_error(tmp_path):
    path = written(tmp_path, precopy(Guest(dirty_mib_s=60), give_up_seconds=600))
    script = "import sys; from migprog.cmd.replay import main; sys.exit(main(sys.argv[1:]))"
    process = run(tmp_path, script, "--format=json", path, path, env=os.environ)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 0


def test_a_full_disk_is_an_error_in_one_line(tmp_path):
    script = "import sys; from migprog.cmd.replay import main; sys.exit(main(sys.argv[1:]))"
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-c", script, written(tmp_path)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "migprog-replay: cannot write: No space left on device\n"


def test_line_has_the_documented_keys():
    assert [*Line.__dataclass_fields__] == KEYS
