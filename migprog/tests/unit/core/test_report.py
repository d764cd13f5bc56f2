# SPDX-License-Identifier: Apache-2.0
import contextlib
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprog.core.report import (
    MAX_BATCH,
    MAX_TEXT,
    Ack,
    Arrival,
    ArrivalState,
    Batch,
    Malformed,
    Report,
)
from migprog.core.status import Phase, Status
from migprog.tests.fixtures.driven import SERVER, UUID

REPORT = Report(
    uuid=UUID,
    server_uuid=SERVER,
    sequence=1,
    status=Status.RUNNING,
    phase=Phase.SETUP,
    started_at=1.5,
    sampled_at=2.5,
)
WIRE = REPORT.to_wire()


def test_there_and_back():
    full = dataclasses.replace(
        REPORT,
        percent=40,
        memory_total_bytes=2**62,
        reason="so",
        error="é",
        eta_at_25_seconds=1.5,
        eta_off_at_25_seconds=-2.5,
        eta_in_range_at_25=False,
    )
    assert Report.from_wire(full.to_wire()) == full


def test_what_is_not_known_is_not_sent():
    assert "percent" not in WIRE
    assert all(type(value) in (str, int, float) for value in WIRE.values())


def test_a_newer_agents_fields_are_ignored():
    assert Report.from_wire(WIRE | {"of_tomorrow": [1]}) == REPORT


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("uuid", "x", "must be a UUID"),
        ("uuid", None, "is missing"),
        ("server_uuid", 5, "must be a UUID"),
        ("sequence", -1, "must be a whole number from 0"),
        ("sequence", True, "must be a whole number from 0"),
        ("status", "gone", "must be one of: running,"),
        ("phase", [], "must be one of: setup,"),
        ("percent", 101, "from 0 to 100"),
        ("percent", 1.5, "from 0 to 100"),
        ("memory_total_bytes", 2**63, "must be a whole number from 0"),
        ("memory_total_bytes", "1", "must be a whole number from 0"),
        ("sampled_at", float("nan"), "must be a number of seconds"),
        ("sampled_at", 1e12, "seconds"),
        ("eta_seconds", float("inf"), "must be a number of seconds"),
        ("eta_at_25_seconds", -0.5, "must be from 0 to"),
        ("eta_off_at_50_seconds", -1e12, "must be from -7258118400 to 7258118400 seconds"),
        ("eta_off_at_75_seconds", float("-inf"), "must be a number of seconds"),
        ("eta_in_range_at_75", 1, "must be true or false"),
        ("server_name", 7, "must be text"),
    ],
)
def test_a_malformed_field_is_named_with_its_value_and_rule(field, value, rule):
    with pytest.raises(Malformed) as error:
        Report.from_wire(WIRE | {field: value})
    assert str(error.value).startswith(f"{field}: ")
    assert rule in str(error.value)
    if value is not None:
        assert repr(str(value)) in str(error.value)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_nothing_that_can_be_sent_breaks_the_reader(value):
    for field in WIRE:
        with contextlib.suppress(Malformed):
            Report.from_wire(WIRE | {field: value})


def test_text_is_bounded_and_has_no_control_characters():
    name = Report.from_wire(
        WIRE | {"server_name": "a\n\x1b[2J<script>\x00" + "x" * 999}
    ).server_name
    assert name is not None
    assert name.startswith("a??[2J<script>?x")
    assert len(name) == MAX_TEXT


def test_one_bad_entry_does_not_spoil_the_batch():
    arrival = Arrival(server_uuid=SERVER, state=ArrivalState.RESUMED, at=3.0)
    wire = Batch("h", "n", "10.0.0.1", (REPORT, REPORT), (arrival,)).to_wire()
    wire["reports"][0]["status"] = "gone"
    wire["arrivals"].append("nonsense")
    batch, refused = Batch.from_wire(wire)
    assert batch == Batch("h", "n", "10.0.0.1", (REPORT,), (arrival,))
    assert set(refused) == {"reports[0]", "arrivals[1]"}
    assert "status: 'gone' must be one of" in refused["reports[0]"]


@pytest.mark.parametrize(
    "wire",
    [
        None,
        [],
        {"node": "n"},
        {"host": "", "node": "n"},
        {"host": "h", "node": "n", "reports": "x"},
        {"host": "h", "node": "n", "reports": [WIRE] * (MAX_BATCH + 1)},
    ],
)
def test_a_batch_that_cannot_be_read_says_why(wire):
    with pytest.raises(Malformed):
        Batch.from_wire(wire)


def test_an_answer_of_an_older_conductor_is_understood():
    assert Ack.from_wire({}) == Ack.from_wire(None) == Ack()
    ack = Ack({UUID: 3}, (SERVER,), {"reports[0]": "why"})
    assert Ack.from_wire(ack.to_wire()) == ack
