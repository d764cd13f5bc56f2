# SPDX-License-Identifier: Apache-2.0
"""What is no document of the API is refused by field, value and rule; what passes can be shown."""

import io
import json
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from migprog.cli import columns, document_check, text
from migprog.cli.events import Event, Kind, json_line, text_line
from migprog.cli.fleet import Fleet
from migprog.cli.view import Frame, lines
from migprog.tests.unit.cli.records import NOW, ended, entry, record, stuck

AT = text.instant(NOW)

PLAN = {
    "host": "compute-1",
    "state": "planned",
    "message": "2 servers",
    "moves": [],
    "stays": [],
    "unplanned": [],
    "links": [],
}


@pytest.mark.parametrize("made", [record(), stuck(advice=[entry()]), ended(actions=[], disks=None)])
def test_records_of_the_api_pass(made: dict[str, Any]) -> None:
    document_check.check({"migrations": [made]}, "migrations")
    document_check.check({"migration": made | {"of_a_newer_api": object()}}, "migration")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"id": "x"}, "migrations[0].id: 'x' must be a whole number"),
        ({"id": True}, "migrations[0].id: 'True' must be a whole number"),
        ({"id": None}, "migrations[0]: it has no 'id'"),
        ({"percent": "many"}, "migrations[0].percent: 'many' must be a number"),
        ({"percent": float("nan")}, "migrations[0].percent: 'nan' must be a number"),
        ({"percent": float("inf")}, "migrations[0].percent: 'inf' must be a number"),
        ({"total_seconds": []}, "migrations[0].total_seconds: '[]' must be a number"),
        ({"ends_at": "soon"}, "migrations[0].ends_at: 'soon' must be an instant such as 2026-"),
        ({"ends_at": 17}, "migrations[0].ends_at: '17' must be an instant such as 2026-"),
        # Without a time zone, and where other time zones have no such year.
        ({"ends_at": "2026-09-01T12:00:00"}, "must be an instant such as 2026-"),
        ({"ends_at": "9999-12-31T23:59:59Z"}, "must be an instant such as 2026-"),
        ({"server_name": 7}, "migrations[0].server_name: '7' must be a text"),
        ({"stale": "yes"}, "migrations[0].stale: 'yes' must be true or false"),
        ({"advice": {}}, "migrations[0].advice: '{}' must be a list"),
        ({"advice": [3]}, "migrations[0].advice[0]: '3' must be an object"),
        ({"advice": [{"action": "x"}]}, "migrations[0].advice[0]: it has no 'at'"),
        (
            {"advice": [{"at": AT, "figures": {"left_seconds": "x"}}]},
            "migrations[0].advice[0].figures.'left_seconds': 'x' must be a number",
        ),
    ],
)
def test_value_that_cannot_be_shown_is_named_with_its_rule(
    changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(document_check.NotAsDocumented) as refused:
        document_check.check({"migrations": [record() | changed]}, "migrations")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"migrations": None}, "migrations: 'None' must be a list"),
        ({"migrations": [1]}, "migrations[0]: '1' must be an object"),
        ({"migrations": [], "migrations_links": 3}, "migrations_links: '3' must be a list"),
        ({"migrations": [], "migrations_links": [{}]}, "href: 'None' must be a text"),
        ({"migrations": [], "ended": [{}]}, "ended[0]: it has no 'id'"),
        ({"migrations": [], "ended": [], "left": [[]]}, "left[0]: '[]' must be a whole number"),
        ({"migrations": [], "ended": [], "left": []}, "whole: 'None' must be true or false"),
        ({"history": [3]}, "history[0]: '3' must be an object"),
        ({"summary": 3}, "summary: '3' must be an object"),
        ({"summary": {"sentences": 3}}, "summary.sentences: '3' must be an object"),
        ({"forecast": {"transfer_rate": {}}}, "forecast: it has no 'measurement'"),
        ({"drain": {}}, "drain: it has no 'silent'"),
        ({"drain_plan": PLAN | {"moves": [{}]}}, "drain_plan.moves[0]: it has no 'server_uuid'"),
        ({"drain_plan": PLAN | {"links": None}}, "drain_plan: it has no 'links'"),
        ({"drain_plan": PLAN | {"at_once": None, "stays": 3}}, "stays: '3' must be a list"),
    ],
)
def test_document_of_another_shape_is_refused(document: dict[str, Any], said: str) -> None:
    (key, *_) = document
    with pytest.raises(document_check.NotAsDocumented) as refused:
        document_check.check(document, key)
    assert said in str(refused.value)


def test_plan_as_it_is_documented_passes() -> None:
    document_check.check({"drain_plan": PLAN}, "drain_plan")


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(AT),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
_KEYS = sorted(stuck(advice=[]).keys() | {"ends_at", "dest_compute", "cpu_throttle_percent"})


@hypothesis.given(
    changed=st.dictionaries(st.sampled_from(_KEYS), _ANY, max_size=4),
    advised=st.dictionaries(st.sampled_from(sorted(entry())), _ANY, max_size=2),
)
def test_whatever_passes_can_be_shown_in_every_way(
    changed: dict[str, Any], advised: dict[str, Any]
) -> None:
    made = stuck(advice=[entry() | advised]) | changed
    try:
        # As it comes from JSON.
        document_check.check({"migration": json.loads(json.dumps(made))}, "migration")
    except document_check.NotAsDocumented:
        return
    frame = Frame(120, 24, NOW, text.datetime.fromisoformat(AT).tzinfo, "all hosts", NOW)
    assert list(lines(Fleet.of([made, record(7)], [], False), frame))
    event = Event(Kind.CHANGED, NOW, made, {"status": "running"})
    assert json_line(event) and text_line(event, frame.zone)
    _names, (row,) = columns.table(columns.MIGRATIONS | columns.LONG, [made], NOW)
    for cell in (*row, *columns.fields(made)[1]):
        assert cell.human_readable() is not None
        io.StringIO().write(str(cell.machine_readable()))
