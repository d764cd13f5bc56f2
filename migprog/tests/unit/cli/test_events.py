# SPDX-License-Identifier: Apache-2.0
import json
import pathlib
from datetime import UTC
from typing import Any

import jsonschema
import pytest

from migprog.cli import events
from migprog.cli.events import Event, Kind
from migprog.cli.state import Snapshot, State
from migprog.tests.unit.cli.records import HOSTILE, NOW, ended, record, stuck

SCHEMA = json.loads(
    (pathlib.Path(__file__).resolve().parents[4] / "doc/source/watch-event.json").read_text()
)


def changes(before: Any, *after: Any, ended: Any = (), removed: Any = ()) -> list[Event]:
    known = None if before is None else {each["id"]: each for each in before}
    now = {each["id"]: each for each in after}
    return list(events.changes(known, now, ended, removed, NOW))


def test_first_list_is_listed_and_what_comes_later_has_started() -> None:
    assert [each.kind for each in changes(None, record(1))] == [Kind.LISTED]
    found = changes([record(1)], record(1), record(2))
    assert [(each.kind, each.migration["id"]) for each in found] == [(Kind.STARTED, 2)]


def test_change_names_what_was_before() -> None:
    (found,) = changes([record(1)], stuck(1, percent=67, sequence=9))
    assert (found.kind, found.previous) == (
        Kind.CHANGED,
        {
            "percent": 66,
            "verdict": "converging",
            "verdict_reason": "remaining-memory-shrinks",
            "downtime_limit_seconds": None,
        },
    )


def test_figures_alone_are_no_change() -> None:
    assert changes([record(1)], record(1, sequence=5, throughput_bytes_per_second=1)) == []


def test_advice_that_comes_is_a_change_where_older_apis_have_none() -> None:
    (found,) = changes([record(1)], record(1, advice=[{"action": "post-copy"}]))
    assert found.previous == {"advice": None}


def test_end_has_the_final_record_and_what_changed() -> None:
    (found,) = changes([record(1)], ended=[ended(1)])
    assert (found.kind, found.migration["status"]) == (Kind.ENDED, "completed")
    assert found.previous["status"] == "running"
    assert [each.kind for each in changes([record(1)], removed=[record(1)])] == [Kind.REMOVED]


def test_state_reports_outages_once_and_their_end() -> None:
    state = State()
    assert [each.kind for each in state.take(Snapshot(NOW, {1: record(1)}))] == [Kind.LISTED]
    kinds = [
        [each.kind for each in found]
        for found in (
            state.fail("no route", NOW + 1),
            state.fail("refused", NOW + 2),
            state.take(Snapshot(NOW + 3, {1: record(1)})),
        )
    ]
    assert kinds == [[Kind.API_UNAVAILABLE], [], [Kind.API_AVAILABLE]]
    assert state.outage is None
    state.fail("refused again", NOW + 9)
    # What is known stays, with its age.
    assert (state.outage, state.taken_at, len(state.fleet.records)) == ("refused again", NOW + 3, 1)


def test_state_shows_for_a_minute_what_has_ended() -> None:
    state = State()
    state.take(Snapshot(NOW, {1: record(1)}))
    state.take(Snapshot(NOW + 2, {}, ended=[ended(1)]))
    assert [each["status"] for each in state.fleet.records] == ["completed"]
    state.take(Snapshot(NOW + 40, {}))
    assert len(state.fleet.records) == 1
    state.take(Snapshot(NOW + 70, {}))
    assert state.fleet.records == []


@pytest.mark.parametrize(
    "event",
    [
        Event(Kind.LISTED, NOW, record()),
        Event(Kind.CHANGED, NOW, stuck(), {"verdict": "converging"}),
        Event(Kind.ENDED, NOW, ended(status="failed", error="x\ny")),
        Event(Kind.API_UNAVAILABLE, NOW, reason="refused"),
        Event(Kind.API_AVAILABLE, NOW),
        *(Event(Kind.STARTED, NOW, record(server_name=name)) for name in HOSTILE),
    ],
)
def test_json_line_is_one_line_of_the_documented_schema(event: Event) -> None:
    line = events.json_line(event)
    assert line.isascii() and line.isprintable()
    document = json.loads(line)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    if event.migration:
        assert document["migration"]["server_name"] == event.migration["server_name"]
    shown = events.text_line(event, UTC)
    assert shown.isprintable()


def test_schema_names_every_event_and_every_key_that_is_watched() -> None:
    assert SCHEMA["properties"]["event"]["enum"] == [each.value for each in Kind]
    assert SCHEMA["properties"]["changed"]["items"]["enum"] == sorted(events.WATCHED)


def test_text_line_says_where_a_migration_is() -> None:
    line = events.text_line(Event(Kind.CHANGED, NOW, record(), {"phase": "disk-copy"}), UTC)
    assert line == (
        "03:10:00 11111111-0000-0000-0000-000000000001 server-1 (a → b) changed "
        "66% memory-iterations 3, converging, 30s (20s-1m00s) left"
    )
    assert events.text_line(
        Event(Kind.ENDED, NOW, ended(status="failed", error="no route")), UTC
    ) == (
        "03:10:00 11111111-0000-0000-0000-000000000001 server-1 (a → b) ended "
        "66% failed, took 1m01s: failed: no route"
    )


def test_text_line_is_for_ten_percent_each() -> None:
    small = Event(Kind.CHANGED, NOW, record(percent=66), {"percent": 65})
    large = Event(Kind.CHANGED, NOW, record(percent=70), {"percent": 66})
    assert events.text_line(small, UTC) is None
    assert events.text_line(large, UTC) is not None
