# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

from migprog.cli import post_mortem
from migprog.tests.unit.cli.records import HOSTILE

SUMMARY = {"sentences": {"actions": "none", "outcome": "completed", "later": "newer", "time": "t"}}


def test_lines_are_the_outcome_with_the_name_and_the_others_below() -> None:
    assert post_mortem.lines("web", SUMMARY) == ["web: completed", "  t", "  none"]


@pytest.mark.parametrize("summary", [{}, {"sentences": None}, {"sentences": {"time": None}}])
def test_summary_without_sentences_has_the_name_alone(summary: dict[str, Any]) -> None:
    assert post_mortem.lines("web", summary) == ["web: "]


@pytest.mark.parametrize("text", HOSTILE)
def test_lines_are_printable(text: str) -> None:
    lines = post_mortem.lines(text, {"sentences": dict.fromkeys(post_mortem.SENTENCES, text)})
    assert len(lines) == 5
    assert all(character.isprintable() for line in lines for character in line)
