# SPDX-License-Identifier: Apache-2.0
from datetime import UTC
from typing import Any

import pytest
from rich.cells import cell_len

from migprog.cli import layout, view
from migprog.cli.fleet import Fleet
from migprog.cli.view import Frame
from migprog.tests.unit.cli.records import HOSTILE, NOW, ended, record, stuck

_CELLS = "server-1 a → b ━━━━━━━━────╌╌╌╌ 66% 30s 03:10:30 117M 3.5M memory 3 converging"
SIZES = [(1, 1), (20, 3), (40, 10), (80, 24), (132, 43), (200, 60), (400, 100)]


def frame(columns: int = 80, lines: int = 24, **values: Any) -> Frame:
    known = {"now": NOW, "zone": UTC, "scope": "all hosts", "taken_at": NOW}
    return Frame(columns=columns, lines=lines, **(known | values))


def drawn(fleet: Fleet, where: Frame) -> list[str]:
    return [line.plain for line in view.lines(fleet, where)]


def test_columns_fill_a_line_and_no_more() -> None:
    for columns in range(30, 300):
        widths = layout.widths(columns)
        assert sum(widths.values()) + layout.GAP * (len(widths) - 1) <= columns
        assert {"server", "verdict"} <= widths.keys()


def test_terminal_of_80_characters_shows_all_but_the_route() -> None:
    widths = layout.widths(80)
    assert widths.keys() == {each.name for each in layout.COLUMNS} - {"route"}
    # The longest verdict is not cut.
    assert widths["verdict"] == len("post-copy-paused")
    assert "route" in layout.widths(120)


@pytest.mark.parametrize(("columns", "lines"), SIZES)
def test_view_fits_whatever_the_size_and_names(columns: int, lines: int) -> None:
    named = [
        make(number, server_name=name, verdict_message=name, source_compute=name)
        for number, name in enumerate(HOSTILE)
        for make in (record, stuck)
    ]
    fleet = Fleet.of([*named, *(record(100 + each) for each in range(200))])
    shown = drawn(fleet, frame(columns, lines, scope=HOSTILE[0], outage=HOSTILE[1]))
    assert len(shown) <= lines
    assert all(cell_len(line) <= columns and line.isprintable() for line in shown)


def test_line_of_a_migration() -> None:
    shown = drawn(Fleet.of([record()]), frame(120))
    assert shown[1] == "1 in progress, 117M/s, the last ends 03:10:30"
    assert shown[3].split() == (_CELLS.split())


def test_migration_in_trouble_has_a_line_of_advice() -> None:
    shown = drawn(Fleet.of([record(1), stuck(2)]), frame())
    assert "1 in trouble (1 not-converging)" in shown[1]
    assert "server-2" in shown[3] and "not-converging" in shown[3]
    assert shown[4].startswith(
        "  └ needs a downtime of 2.3 s (limit 300 ms) or 138M/s; else post-copy or"
    )
    assert "server-1" in shown[5]


def test_only_what_fits_is_drawn_and_the_rest_is_counted() -> None:
    fleet = Fleet.of([stuck(each) for each in range(50)])
    shown = drawn(fleet, frame(lines=24))
    assert len(shown) == 24
    assert shown[-1] == "… 40 not shown, 40 of them in trouble"
    assert "or more" in drawn(Fleet.of([record()], truncated=True), frame())[-1]
    # None is left out for the line that would say so.
    exact = Fleet.of([record(each) for each in range(21)])
    assert "not shown" not in drawn(exact, frame(lines=24))[-1]


def test_lines_are_made_for_what_fits_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    row = view.row

    def counted(*given: Any) -> Any:
        made.append(given)
        return row(*given)

    monkeypatch.setattr(view, "row", counted)
    drawn(Fleet.of([record(each) for each in range(1000)]), frame(lines=24))
    assert len(made) <= 2 * 24


def test_stale_row_is_grey_with_its_age() -> None:
    old = record(stale=True, last_reported_at="2026-09-01T03:06:48.000000Z")
    line = view.row(old, frame(), layout.widths(80))
    assert line.plain.rstrip().endswith("stale 3m12s")
    assert {str(span.style) for span in line.spans} == {"bright_black"}


def test_verdicts_have_colours() -> None:
    for word, style in (("converging", "green"), ("not-converging", "bold red")):
        line = view.row(record(verdict=word), frame(), layout.widths(80))
        assert line.spans[-1].style == style


def test_row_that_has_ended_shows_outcome_and_clock_time() -> None:
    line = view.row(ended(status="failed"), frame(), layout.widths(80))
    assert "failed" in line.plain and "03:10:00" in line.plain
    assert "red" in {str(span.style) for span in line.spans}


def test_outage_says_how_old_the_figures_are() -> None:
    shown = drawn(Fleet.of([record()]), frame(now=NOW + 14, outage="connection refused"))
    assert shown[2] == "The figures are 14s old (from 03:10:00): connection refused"
    # They go on counting down.
    assert "16s" in shown[4]


def test_nothing_in_progress_is_said() -> None:
    assert drawn(Fleet.of([]), frame())[-1] == "no migration is in progress"


def test_terminal_without_unicode_gets_ascii() -> None:
    shown = drawn(Fleet.of([stuck(1, server_name="名"), record(2)]), frame(encoding="ascii"))
    assert all(line.isascii() for line in shown)
    assert "####--.." in shown[-1]


@pytest.mark.parametrize(
    ("low", "high", "cells", "wanted"),
    [
        (0, 0, 10, (0, 0, 10)),
        (50, 75, 8, (4, 2, 2)),
        (50, 52, 8, (4, 1, 3)),
        (99, 99, 10, (9, 1, 0)),
        (100, 100, 10, (10, 0, 0)),
    ],
)
def test_bar_has_a_sure_a_likely_and_an_empty_part(
    low: float, high: float, cells: int, wanted: tuple[int, int, int]
) -> None:
    bar = layout.bar(low, high, cells)
    assert (bar.sure, bar.likely, bar.rest) == wanted
