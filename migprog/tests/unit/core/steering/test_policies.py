# SPDX-License-Identifier: Apache-2.0
import pathlib
import re

import pytest

from migprog.core.steering import policies
from migprog.core.steering.advice import Action, Reason
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
    assert changed["post-copy"].may == {Action.ABORT}
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
    ],
)
def test_a_wrong_requirement_is_refused_with_field_value_and_rule(key, value, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        policies.parse_overrides({key: value})


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


def test_the_page_has_every_word_of_a_reason_and_of_an_action():
    assert words("Reasons") == [reason.value for reason in Reason]
    assert words("Actions") == [action.value for action in Action]


def test_the_page_has_every_policy_and_requirement():
    text = PAGE.read_text()
    assert all(f"``{name}``" in text for name in (*POLICY_NAMES, *policies.FIELDS))
