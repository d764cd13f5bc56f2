# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from lab.simulated import MIB, Guest, precopy
from migprog.cmd import replay as command
from migprog.core.schedule import ReportReason
from migprog.recording.format import Recording
from migprog.recording.ground_truth import GroundTruth, Group, Plateau, TrueIterationStart, truth
from migprog.recording.replay import Line, Replayed, Sent
from migprog.recording.score import figures, score
from migprog.tests import stores
from migprog.tests.unit.recording.test_replay import written

STEADY = [[1000, 5]]
DONE = {"kind": "event", "event": "lifecycle", "code": 5, "detail": 3}


def row(t, kind="sample", **values):
    return {"t": t, "kind": kind, **values}


def sample(t, iteration, remaining_mib, processed_mib=0, **values):
    stats = {
        "memory_iteration": iteration,
        "memory_remaining": remaining_mib * MIB,
        "memory_processed": processed_mib * MIB,
    }
    return row(t, stats=stats | values)


def truth_of(*rows, segments=STEADY, **header):
    header |= {"kind": "header", "mem_mib": 100} | ({"segments": segments} if segments else {})
    return truth(Recording("by hand", header, rows))


def line(t, percent=None, eta=None, verdict="converging", low=None, high=None, **values):
    default = {
        "phase": "memory-iterations",
        "verdict_reason": None,
        "verdict_message": None,
        "reported": None,
    }
    return Line(
        t,
        percent=percent,
        eta_seconds=eta,
        verdict=verdict,
        **(default | {"eta_low_seconds": low, "eta_high_seconds": high} | values),
    )


def facts(**values):
    default = {
        "end": 100.0,
        "completed": True,
        "group": Group.STEADY,
        "iteration_starts": (TrueIterationStart(50.0, 0),),
        "interventions": (),
        "changes": 0,
        "dirties_little": False,
        "plateau": None,
    }
    return GroundTruth(**(default | values))


def measured(*lines, sent=(), **values):
    return score("by hand", Replayed(tuple(lines), tuple(sent)), facts(**values))


# What really happened.


def test_the_end_is_when_the_server_stopped_at_its_source():
    known = truth_of(row(9.0, **DONE), row(9.5, "end", outcome="completed"))
    assert (known.end, known.completed) == (9.0, True)


def test_the_end_of_a_failed_one_is_its_last_row():
    known = truth_of(row(9.5, "end", outcome="failed"))
    assert (known.end, known.completed, known.group) == (9.5, False, Group.ABORTED)


@pytest.mark.parametrize("rows", [(), (row(1.0),), (row(9.5, "end", outcome="unknown"),)])
def test_recording_without_an_end_is_not_measured(rows):
    assert truth_of(*rows) is None


@pytest.mark.parametrize(
    ("more", "segments", "group"),
    [
        ([], STEADY, Group.STEADY),
        ([], [[1000, 5], [500, 5]], Group.STEADY),
        ([], [[1000, 5], [500, 9]], Group.CHANGING),
        ([], None, Group.CHANGING),
        ([], "steady", Group.CHANGING),
        ([row(2.0, "action", action="bandwidth", arg=5)], STEADY, Group.CHANGING),
        ([sample(2.0, 1, 5, auto_converge_throttle=20)], STEADY, Group.CHANGING),
        ([row(2.0, "event", event="lifecycle", code=3, detail=7)], STEADY, Group.CHANGING),
        (
            [row(2.0, downtime_limit_ms=300), row(3.0, downtime_limit_ms=500)],
            STEADY,
            Group.CHANGING,
        ),
        ([row(9.9, "action", action="bandwidth", arg=5)], STEADY, Group.STEADY),
    ],
)
def test_groups(more, segments, group):
    assert truth_of(*more, row(9.0, **DONE), segments=segments).group is group


def test_changes_are_of_the_guest_or_by_actions():
    action = row(2.0, "action", action="bandwidth", arg=5)
    known = truth_of(action, row(25.0, **DONE), segments=[[4000, 1], [6000, 2]])
    assert known.changes == 1 + 5
    assert known.settled_at == 2.0


def test_iteration_start_is_by_its_event_with_the_remaining_memory_of_then():
    known = truth_of(
        row(0.1, "event", event="iteration"),
        sample(1.0, 1, 90, 10),
        sample(9.0, 1, 10, 90),
        row(10.0, "event", event="iteration"),
        sample(11.0, 2, 30, 110),
        sample(12.0, 3, 7, 120),
        row(13.0, **DONE),
    )
    assert known.iteration_starts == (
        TrueIterationStart(10.0, 40 * MIB),
        TrueIterationStart(12.0, 7 * MIB),
    )
    assert known.second_iteration_start == 10.0


def test_qemu_may_count_on_from_a_cancelled_attempt():
    known = truth_of(sample(1.0, 4, 90), sample(2.0, 5, 8, 0), row(3.0, **DONE))
    assert known.iteration_starts == (TrueIterationStart(2.0, 8 * MIB),)
    assert known.dirties_little


def stuck(*remaining_mib, ends):
    """A pass of 10 s each; what was left at the start of each but the first."""
    samples = [sample(10.0 * i, i + 1, mib) for i, mib in enumerate((100, *remaining_mib))]
    return truth_of(*samples, *ends)


ABORTED = (row(95.0, "action", action="abort", arg=0), row(96.0, "end", outcome="failed"))
RAISED = (row(95.0, "action", action="downtime", arg=900), row(99.0, **DONE))


@pytest.mark.parametrize(
    ("remaining", "ends", "plateau"),
    [
        ((60, 60, 60, 60), ABORTED, Plateau(10.0, 95.0)),
        ((60, 30, 30, 29, 31), ABORTED, Plateau(20.0, 95.0)),
        ((60, 60, 60, 60), RAISED, Plateau(10.0, 95.0)),
        ((30, 60, 60), ABORTED, Plateau(10.0, 95.0)),
        ((60, 30, 15, 7, 3), ABORTED, None),
        ((60, 57, 54, 51, 48, 46, 43, 41, 39), ABORTED, None),
        ((60, 60), ABORTED, None),
        ((60, 60, 60, 60), (row(99.0, **DONE),), None),
    ],
)
def test_plateau_is_where_no_iteration_has_notably_less(remaining, ends, plateau):
    assert stuck(*remaining, ends=ends).plateau == plateau


# How good was what was said.


def test_percent_is_watched_on_its_way():
    percents = [None, 5, 7, 6, None, None, 8, 100, 50]
    known = measured(*(line(10.0 * i, percent) for i, percent in enumerate(percents)))
    assert (known.percent_back, known.percent_above_99, known.percent_lost) == (2, 1, 1)
    # After its end it may be 100, whatever it was before.
    known = measured(line(1.0, 5), line(100.0, 100), line(101.0, None))
    assert (known.percent_back, known.percent_above_99, known.percent_lost) == (0, 0, 0)
    assert known.samples == 1


def test_percent_is_the_share_of_the_time():
    lines = [line(20.0, 30), line(50.0, 50), line(70.0, None), line(90.0, 70)]
    assert measured(*lines).percent_distances == (10.0, 0.0, 20.0)
    assert measured(*lines, interventions=(10.0,)).percent_distances == ()
    assert measured(*lines, completed=False).percent_distances == ()


def test_the_eta_is_measured_by_the_time_left_from_two_seconds_up():
    lines = [line(20.0, eta=40), line(60.0, eta=50), line(80.0), line(99.0, eta=2.0)]
    known = measured(*lines)
    assert known.eta_errors_early == (0.5,)
    assert known.eta_errors_late == (0.25, 0.5)
    assert known.without_eta == 1


def test_forecasts_before_an_action_are_not_measured():
    lines = [line(60.0, eta=10, low=5, high=15), line(75.0, eta=20, low=15, high=24)]
    known = measured(*lines, interventions=(70.0,))
    assert known.eta_errors_late == (0.2,)
    assert known.in_range == (False,)
    assert measured(*lines, completed=False).eta_errors_late == ()


def test_the_range_is_counted_where_there_is_one():
    lines = [line(60.0, eta=41, low=40, high=44), line(61.0, eta=1, low=0, high=2), line(62.0)]
    assert measured(*lines).in_range == (True, False)


@pytest.mark.parametrize(
    ("verdict", "facts", "wrong"),
    [
        ("converging", {}, False),
        ("copying", {}, False),
        ("not-converging", {}, True),
        ("not-converging", {"interventions": (5.0,)}, None),
        ("not-converging", {"completed": False, "plateau": Plateau(1, 9)}, False),
        ("converging", {"completed": False, "plateau": Plateau(1, 9)}, True),
        ("converging", {"completed": False}, None),
    ],
)
def test_a_wrong_verdict(verdict, facts, wrong):
    switching = line(60.0, verdict="switching-over", phase="switchover")
    assert measured(line(59.0, verdict=verdict), switching, **facts).wrong_verdict is wrong


@pytest.mark.parametrize(
    ("verdicts", "flips"),
    [
        ("starting copying converging switching-over ended", 0),
        ("starting copying not-converging post-copy ended", 0),
        ("copying converging not-converging", 1),
        ("copying converging copying converging", 1),
        ("converging stalled converging not-converging converging", 4),
        ("switching-over converging", 1),
    ],
)
def test_flips(verdicts, flips):
    lines = [line(float(i), verdict=verdict) for i, verdict in enumerate(verdicts.split())]
    assert (measured(*lines).flips, measured(*lines).flips_beyond) == (flips, flips)
    assert measured(*lines, changes=3).flips_beyond == max(0, flips - 3)


def test_not_converging_is_called_after_the_plateau_began():
    lines = [line(10.0 * i, verdict="not-converging" if i >= 4 else "converging") for i in range(9)]
    iteration_starts = tuple(TrueIterationStart(t, 60.0) for t in (15.0, 25.0, 35.0, 45.0))
    known = measured(*lines, plateau=Plateau(15.0, 80.0), iteration_starts=iteration_starts)
    assert (known.called_after_seconds, known.called_after_iterations) == (25.0, 2)
    assert not known.not_called
    known = measured(*lines, plateau=Plateau(15.0, 39.0), iteration_starts=iteration_starts)
    assert (known.called_after_seconds, known.not_called) == (None, True)
    assert not measured(*lines).not_called


def test_figures_are_taken_over_all_samples_together():
    reasons = (ReportReason.FIRST, ReportReason.STEP, ReportReason.STEP)
    sent = [Sent(1.0 + i, reason, stores.report()) for i, reason in enumerate(reasons)]
    one = measured(*(line(60.0, eta=eta) for eta in (40, 44, 48, 52)), sent=sent)
    other = measured(line(60.0, eta=60), line(61.0), sent=sent[:1], dirties_little=True)
    known = figures([one, other])
    assert known["recordings"] == 2
    assert known["eta_error_median"] == pytest.approx(0.2)
    assert known["eta_error_p90"] == pytest.approx(0.5)
    assert known["without_eta"] == pytest.approx(1 / 6)
    assert known["reports"] == {"first": 2, "step": 2}
    assert known["percent_distance"] is known["called_after_seconds_max"] is None


def test_nothing_gives_no_figures():
    assert figures([])["in_range"] is None


# The command.


def completed(guest):
    rows = list(precopy(guest))
    return [*rows, {"t": rows[-1]["t"] + 0.2, "kind": "end", "outcome": "completed"}]


def test_score_of_files_of_their_groups_and_of_all(tmp_path, capsys):
    paths = [
        written(tmp_path, completed(Guest()), "steady.jsonl"),
        written(tmp_path, completed(Guest(dirty_mib_s=8)), "unknown.jsonl", segments=None),
    ]
    assert command.main(["--score", "--format=json", *paths]) == 0
    known = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in known["recordings"]] == paths
    assert [each["name"] for each in known["together"]] == ["steady", "changing", "all"]
    assert known["together"][-1]["percent_back"] == 0
    assert known["together"][-1]["recordings"] == 2
    assert command.main(["--score", *paths]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [text.split()[0] for text in lines[1:]] == [
        *("steady.jsonl", "unknown.jsonl", "steady", "changing", "all")
    ]


def test_recording_without_an_end_is_named_and_omitted(tmp_path, capsys):
    path = written(tmp_path, [row for row in precopy(Guest()) if row["t"] < 5])
    assert command.main(["--score", "--format=json", path]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["recordings"] == []
    assert "guest.jsonl: not scored" in told.err
