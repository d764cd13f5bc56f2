# SPDX-License-Identifier: Apache-2.0
"""What policies would have done about recordings, and whether that was right."""

import functools
import json

import pytest

from lab.corpus import files
from migprog.cmd import replay as command
from migprog.core.schedule import Rules
from migprog.core.steering.advice import Advice, AdviceReason, SteeringAction
from migprog.core.steering.nova_schedule import NovaOptions
from migprog.core.steering.requirements import POLICIES
from migprog.recording import format, steering_replay
from migprog.recording.ground_truth import GroundTruth, Group, Plateau, truth
from migprog.recording.steering_replay import Steered

RULES = Rules(10.0, 30.0)
ALL_POLICIES = {"nova": NovaOptions(), **POLICIES}
FOLDERS = ("tuned", "untouched", "handmade", "nova", "field")
STUCK = "field-831-mb-plateau-3.5-hours"
# To play it takes as long as some dozen others.
A_DAY = "disk-of-2-tb-for-a-day"


def decided_on(path):
    """What each policy decided, by name, and what really happened."""
    recording = format.read(str(path))
    done = steering_replay.steered_by(list(ALL_POLICIES.values()), recording, RULES)
    return dict(zip(ALL_POLICIES, done, strict=True)), truth(recording)


@functools.cache
def decided_on_all():
    """Of each recording but that of a day."""
    return [
        decided_on(path)
        for folder in FOLDERS
        for name, path in files.recordings(folder).items()
        if name != A_DAY
    ]


def is_wrong(name, done, facts):
    score = steering_replay.score(done[name], ALL_POLICIES[name], facts)
    return bool(score.needless or score.missed or score.wrong_aborts)


@pytest.mark.long
def test_recording_of_a_day_shows_no_needless_or_missed_decision():
    done, facts = decided_on(files.path_of(A_DAY, "handmade"))
    assert facts is not None
    assert [name for name in ALL_POLICIES if is_wrong(name, done, facts)] == []


@pytest.mark.parametrize("name", sorted(ALL_POLICIES))
def test_no_recording_shows_a_needless_or_missed_decision(name):
    """None needless, no abort of one that completed by itself, every plateau acted on in time."""
    known = [(done, facts) for done, facts in decided_on_all() if facts is not None]
    assert len(known) > 100
    assert [done[name].name for done, facts in known if is_wrong(name, done, facts)] == []


def advice_on(recording, policy):
    (done,) = [done for done, _ in decided_on_all() if recording in done[policy].name]
    return done[policy].advice


def test_gentle_gives_the_field_case_up_within_two_minutes_of_its_plateau():
    (advice,) = advice_on(STUCK, "gentle")
    assert advice.action is SteeringAction.ABORT and advice.reason is AdviceReason.HOPELESS
    assert advice.at <= 180 + 120 + 10


def test_post_copy_ends_the_field_case():
    (advice,) = advice_on(STUCK, "post-copy")
    assert advice.action is SteeringAction.POST_COPY and advice.at <= 180 + 120 + 10


def test_novas_schedule_of_the_field_case_is_said_step_by_step():
    advice = advice_on(STUCK, "nova")
    steps = [a for a in advice if a.reason is AdviceReason.NOVA_DOWNTIME_STEP]
    assert [a.figures["downtime_limit_seconds"] for a in steps][-3:] == [0.41, 0.455, 0.5]
    assert advice[-1].reason is AdviceReason.NOVA_COMPLETION_TIMEOUT


# The score.


def facts(completed, plateau=None, end=100.0, interventions=()):
    return GroundTruth(
        end=end,
        completed=completed,
        group=Group.STEADY,
        iteration_starts=(),
        interventions=interventions,
        changes=0,
        dirties_little=False,
        plateau=plateau,
    )


def decided(*times, action=SteeringAction.RAISE_DOWNTIME, starts=(), slowed=None, deadline=None):
    advice = tuple(
        Advice(
            action=action,
            reason=AdviceReason.NOT_CONVERGING,
            message="",
            at=t,
            works_by=t + 10,
            figures={} if deadline is None else {"left_seconds": deadline - t},
        )
        for t in times
    )
    return Steered("by hand", advice, slowed, starts)


def scored(done, truth_, policy="gentle"):
    return steering_replay.score(done, POLICIES[policy], truth_)


def test_an_action_on_one_that_ended_by_itself_in_time_is_needless():
    assert scored(decided(50.0), facts(True)).needless == 1
    assert scored(decided(), facts(True)).needless == 0
    assert scored(decided(50.0), facts(False)).needless == 0
    assert scored(decided(50.0), facts(True, interventions=(80.0,))).needless == 0


def test_an_action_on_one_that_ended_after_its_deadline_is_not_needless():
    done = decided(50.0, deadline=300.0)
    assert scored(done, facts(True, end=500.0), "finish-by-deadline").needless == 0
    assert scored(done, facts(True, end=200.0), "finish-by-deadline").needless == 1


def test_a_plateau_that_lasts_longer_than_the_patience_is_missed_without_an_action():
    plateau = Plateau(10.0, 300.0)
    assert scored(decided(), facts(False, plateau)).missed == 1
    assert scored(decided(129.0), facts(False, plateau)).missed == 0
    assert scored(decided(131.0), facts(False, plateau)).missed == 1
    assert scored(decided(5.0), facts(False, plateau)).missed == 0
    assert scored(decided(), facts(False, Plateau(10.0, 129.0))).missed == 0


def test_long_iterations_and_auto_converge_lengthen_the_patience():
    plateau = Plateau(10.0, 600.0)
    starts = (10.0, 110.0, 210.0, 310.0, 410.0, 510.0)
    assert scored(decided(410.5, starts=starts), facts(False, plateau)).missed == 0
    assert scored(decided(415.0, starts=starts), facts(False, plateau)).missed == 1
    assert scored(decided(240.0, slowed=200.0), facts(False, plateau)).missed == 0


def test_an_abort_of_one_that_completed_by_itself_is_wrong():
    aborted = decided(50.0, action=SteeringAction.ABORT)
    assert scored(aborted, facts(True)).wrong_aborts == 1
    assert scored(aborted, facts(False)).wrong_aborts == 0


# The command.


def test_decisions_are_printed_as_a_table_and_as_json(capsys):
    path = str(files.path_of("late-passes-ten-a-second-stuck", "handmade"))
    assert command.main([path, "--policy", "gentle"]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split() == ["t", "action", "reason", "works", "by", "message"]
    assert line.split()[1:3] == ["raise-downtime", "not-converging"]
    assert command.main([path, "--policy", "gentle", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["action"] == "raise-downtime"


def test_a_score_of_decisions_has_needless_and_missed_ones(capsys):
    path = str(files.path_of("plateau-16-at-40-of-20", "tuned"))
    required = ["--require", "patience_seconds=15", "--require", "may=raise-downtime"]
    arguments = [path, "--policy", "gentle", "--score", *required]
    assert command.main(arguments) == 0
    heading, line, together = capsys.readouterr().out.splitlines()
    assert heading.split()[:3] == ["advised", "needless", "missed"]
    assert line.split()[:4] == ["plateau-16-at-40-of-20.jsonl.gz", "1", "0", "0"]
    assert together.split()[:2] == ["all", "1"]
    assert command.main([*arguments, "--format", "json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["together"]["needless"] == 0 and printed["together"]["missed"] == 0
    assert printed["recordings"][0]["advice"][0]["action"] == "raise-downtime"


@pytest.mark.parametrize("name", ["", "gentle."])
def test_a_requirement_may_have_the_policys_name_before_it(capsys, name):
    path = str(files.path_of("plateau-16-at-40-of-20", "tuned"))
    required = ["--require", f"{name}patience_seconds=15"]
    assert command.main([path, "--policy", "gentle", *required]) == 0
    assert "raise-downtime" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["gentle", "none"])
def test_no_decision_is_a_sentence(capsys, name):
    path = str(files.path_of("plateau-16-at-40-of-20", "tuned"))
    assert command.main([path, "--policy", name]) == 0
    assert capsys.readouterr().out == f"The policy {name} would have done nothing.\n"
    assert command.main([path, "--policy", name, "--format", "json"]) == 0
    assert capsys.readouterr().out == ""
    assert command.main([path, path, "--policy", name]) == 0
    assert capsys.readouterr().out.count(f"The policy {name} would have done nothing.\n") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--policy", "gentle", "--require", "patience_seconds=x"], "'x' must be a number"),
        (["--policy", "gentle", "--require", "x=1"], "there is no such requirement"),
        (["--policy", "nova", "--require", "may=abort"], "--require changes a policy other than"),
        (["--policy", "none", "--require", "may=abort"], "--require changes a policy other than"),
        (["--policy", "gentle", "--require", "may"], "--require: 'may' must be REQUIREMENT=VALUE"),
        (
            ["--policy", "gentle", "--require", "post-copy.patience_seconds=5"],
            "post-copy.patience_seconds: 'post-copy' must be the policy that --policy names, ",
        ),
        (
            ["--policy", "gentle", "--require", "may=abort", "--require", "gentle.may=pause"],
            "--require: may: must not be given twice",
        ),
        (["--require", "may=abort"], "--require changes a policy"),
        (["--policy", "rough"], "invalid choice: 'rough'"),
        (["--policy", "gentle", "--plot", "x.png"], "--plot does not draw"),
    ],
)
def test_wrong_arguments_are_refused(capsys, arguments, said):
    with pytest.raises(SystemExit) as stopped:
        command.main(["a-file", *arguments])
    assert stopped.value.code == 2 and said in capsys.readouterr().err
