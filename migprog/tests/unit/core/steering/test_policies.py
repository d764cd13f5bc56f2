# SPDX-License-Identifier: Apache-2.0
import pathlib
import re

import pytest

from migprog.core.steering import nova_conflicts, nova_schedule, policies
from migprog.core.steering.advice import AdviceReason, State, SteeringAction
from migprog.core.steering.hindsight import Score
from migprog.core.steering.nova_schedule import NovaOptions
from migprog.core.steering.policies import Policies
from migprog.core.steering.requirements import POLICIES, POLICY_NAMES

PAGE = pathlib.Path(__file__).parents[5] / "doc/source/steering.rst"


def test_a_requirement_of_all_policies_yields_to_one_of_a_policy():
    changed = policies.parse_overrides(
        {"gentle.patience_seconds": "30", "patience_seconds": "60", "post-copy.may": "abort"}
    )
    assert changed["gentle"].patience_seconds == 30
    assert changed["post-copy"].patience_seconds == 60
    assert changed["post-copy"].may == {SteeringAction.ABORT}
    assert changed["gentle"].may == POLICIES["gentle"].may


def test_a_deadline_may_be_taken_away():
    changed = policies.parse_overrides({"finish-by-deadline.deadline_seconds_per_gib": "none"})
    assert changed["finish-by-deadline"].deadline_after_seconds(2**40) is None


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("patience_seconds", "x", "patience_seconds: 'x' must be a number from 2 to 86400"),
        ("patience_seconds", "none", "patience_seconds: 'none' must be a number from 2 to 86400"),
        ("patience_seconds", "nan", "patience_seconds: 'nan' must be a number"),
        ("longest_downtime_seconds", "2001", "longest_downtime_seconds: '2001' must be a number"),
        ("deadline_seconds", "5", "deadline_seconds: '5' must be a number from 10"),
        ("patience", "5", "patience: there is no such requirement; one of longest_downtime_sec"),
        ("may", "raise-downtime+explode", "may: 'explode' must be one of raise-downtime, "),
        ("gently.may", "abort", "gently.may: 'gently' must be one of gentle, "),
        ("nova.may", "abort", "nova.may: nova has Nova's options"),
        ("gentle.may", "", "may: '' must be one of raise-downtime, "),
        ("gentle.may", "abort+", "may: '' must be one of raise-downtime, "),
        ("gentle.may", "none", "may: 'none' must be one of raise-downtime, "),
        ("gentle.may", "abort+abort", "may: 'abort' must not be given twice"),
        ("patience_seconds", "1_000", "patience_seconds: '1_000' must be a number from 2 to 86400"),
        (
            "patience_seconds",
            "\u0663",
            "patience_seconds: '\u0663' must be a number from 2 to 86400",
        ),
        ("patience_seconds", "", "patience_seconds: '' must be a number from 2 to 86400"),
        ("longest_downtime_seconds", "0", "must be a number from 0.05 to 2000"),
        ("deadline_seconds", "1", "must be a number from 10 to 31536000, or none"),
        (
            "max_bandwidth_bytes_per_second",
            "9",
            "'9' must be a whole number from 1048576 to 1125899906842624, or none",
        ),
        ("max_bandwidth_bytes_per_second", "1048576.5", "'1048576.5' must be a whole number"),
        (".patience_seconds", "5", "'.patience_seconds': must be POLICY.REQUIREMENT or REQUIREM"),
        ("none.patience_seconds", "5", "none.patience_seconds: 'none' must be one of gentle, "),
    ],
)
def test_a_wrong_requirement_is_refused_with_field_value_and_rule(key, value, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        policies.parse_overrides({key: value})


@pytest.mark.parametrize("text", ["60", " 60 ", "60.0", "6e1"])
def test_a_number_may_be_written_in_several_ways(text):
    assert policies.parse_overrides({"patience_seconds": text})["gentle"].patience_seconds == 60


def test_the_policy_of_a_server_is_its_own_its_projects_or_the_default():
    nova = NovaOptions()
    found = Policies(
        "gentle", {**POLICIES, "nova": nova}, {"s1": "none", "s2": "nova"}, {"p1": "post-copy"}
    )
    assert found.of("s1", "p1") == ("none", None)
    assert found.of("s2", None) == ("nova", nova)
    assert found.of("s3", "p1") == ("post-copy", POLICIES["post-copy"])
    assert found.of("s3", "p2") == ("gentle", POLICIES["gentle"])
    assert found.of("s3", None) == ("gentle", POLICIES["gentle"])


def words(title):
    """The first column of the page's list-table below a heading."""
    text = PAGE.read_text()
    part = text[text.index(f"{title}\n") :]
    return re.findall(r"^   \* - ``([\w-]+)``$", part[: part.index("\n.. _", 10)], re.MULTILINE)


def test_the_page_has_every_word_of_a_reason_of_an_action_and_of_a_score():
    assert words("Reasons") == [reason.value for reason in AdviceReason]
    assert words("Actions") == [action.value for action in SteeringAction]
    assert words("\nScores\n------")[:4] == [score.value for score in Score]


def test_the_pages_have_every_word_of_a_state():
    api = PAGE.with_name("api.rst").read_text()
    for text in (api[api.index("\nAdvice\n") :], PAGE.read_text()):
        assert all(f"``{state.value}``" in text for state in State)


def test_the_page_has_every_policy_and_requirement():
    text = PAGE.read_text()
    assert all(f"``{name}``" in text for name in (*POLICY_NAMES, *policies.FIELDS))


def test_the_page_sets_nova_so_that_it_does_not_interfere():
    """And gives the first limit that Nova then sets."""
    section = PAGE.read_text().split("   # nova.conf of the hypervisor\n")[1].split("\n\n")[0]
    lines = (line.split(" = ") for line in section.splitlines()[1:])
    options = nova_conflicts.read_options({name.strip(): value for name, value in lines})
    assert nova_conflicts.conflicts(options) == []
    assert options.downtime_steps == 3
    first = nova_schedule.downtime_steps(options, 2.0)[0]
    assert first.downtime_ms == options.downtime // 3
