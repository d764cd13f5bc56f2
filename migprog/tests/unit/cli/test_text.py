# SPDX-License-Identifier: Apache-2.0
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from migprog.cli import text
from migprog.tests.unit.cli.records import HOSTILE, NOW


@given(st.text(st.characters(exclude_categories=()), max_size=80) | st.sampled_from(HOSTILE))
def test_printable_text_has_nothing_that_a_terminal_obeys(given: str) -> None:
    shown = text.printable(given)
    assert shown.isprintable()
    assert len(shown) <= 2000
    shown.encode()


def test_printable_text_keeps_what_people_write() -> None:
    for each in ("web-1", "web 1 (prod)", "名前", "café", "שרת", "[bold]", "🦜"):
        assert text.printable(each) == each


def test_printable_text_has_few_marks_upon_a_character() -> None:
    assert text.printable("e" + "\u0301" * 50 + "x") == "e\u0301\u0301x"


@given(st.text(st.characters(exclude_categories=()), max_size=80), st.integers(1, 60))
def test_fitted_text_is_as_wide_as_asked(given: str, cells: int) -> None:
    assert cell_len(text.fit(text.printable(given), cells)) == cells


def test_fitted_text_shows_that_it_was_cut() -> None:
    assert text.fit("database", 5) == "data…"
    assert text.fit("db", 5, right=True) == "   db"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        *((-3, "0s"), (0.4, "0s"), (59.4, "59s"), (59.6, "1m00s"), (192, "3m12s")),
        *((3599.7, "1h00m"), (3840, "1h04m"), (183_600, "2d03h"), (8_640_000, "100d")),
        (1e12, "99999d"),
    ],
)
def test_duration_has_six_characters_at_most(seconds: float, shown: str) -> None:
    assert text.duration(seconds) == shown
    assert len(shown) <= 6


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        *((0, "0"), (999, "999"), (1000, "1.0K"), (117 * 2**20, "117M"), (3.5 * 2**20, "3.5M")),
        *((1023 * 2**20, "1.0G"), (2**63 - 1, "8.0E")),
    ],
)
def test_size_has_five_characters_at_most(count: float, shown: str) -> None:
    assert text.size(count) == shown
    assert len(shown) <= 5


def test_clock_time_is_of_the_zone_and_has_the_day_where_it_is_not_today() -> None:
    now = datetime.fromtimestamp(NOW, UTC)
    zone = timezone(timedelta(hours=2))
    assert text.clock(now + timedelta(minutes=1), now, zone) == "05:11:00"
    assert text.clock(now + timedelta(days=2), now, zone) == "09-03"


def test_instants_are_the_same_both_ways() -> None:
    assert text.instant(NOW + 0.25) == "2026-09-01T03:10:00.250000Z"
    assert text.epoch("2026-09-01T03:10:00.250000Z") == NOW + 0.25


def test_text_for_a_terminal_without_the_characters_has_question_marks() -> None:
    assert text.encodable("café 名", "iso-8859-1") == "café ?"
    assert text.encodable("café 名", "ascii") == "caf? ?"
