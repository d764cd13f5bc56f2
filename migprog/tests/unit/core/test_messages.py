# SPDX-License-Identifier: Apache-2.0
import contextlib
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprog.core import advice_entry, fields, operator_actions, wire_table
from migprog.core.advice_entry import AdviceEntry
from migprog.core.fields import MAX_TEXT, shown
from migprog.core.messages import MAX_BATCH, Ack, Agent, Arrival, ArrivalState, Batch, Report
from migprog.core.operator_actions import OperatorAction
from migprog.core.status import Phase, Status
from migprog.core.wire_table import Dropped, Malformed
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
AGENT = Agent(
    version="1.0",
    started_at=1.5,
    report_interval_seconds=5.0,
    heartbeat_interval_seconds=30.0,
    migrations=3,
)
ADVICE: AdviceEntry = {
    "at": 2.0,
    "works_by": None,
    "action": "abort",
    "reason": "hopeless",
    "message": "so",
    "figures": {"left_seconds": -1.5},
    "state": "advised",
}
ACTION: OperatorAction = {
    "after_seconds": 1.25,
    "action": "abort",
    "state": "done",
    "user_id": "0a1b2c",
    "project_id": "3d4e5f",
    "request_id": "req-7",
}
ARRIVAL = Arrival(server_uuid=SERVER, state=ArrivalState.RESUMED, at=3.0)
BATCH = Batch("h", "n", "10.0.0.1", (REPORT,), (ARRIVAL,))


def read(batch: Batch, **changes: Any) -> tuple[Batch, dict[str, str]]:
    """What is read of a batch after fields of its first report were changed on their way."""
    wire = batch.to_wire()
    told = dict(zip(wire["reports"]["fields"], wire["reports"]["rows"][0], strict=True)) | changes
    wire["reports"] = {
        "fields": list(told),
        "rows": [list(told.values()), *wire["reports"]["rows"][1:]],
    }
    return Batch.from_wire(json.loads(json.dumps(wire)))


def test_there_and_back():
    full = dataclasses.replace(
        REPORT,
        percent=40,
        memory_total_bytes=2**62,
        verdict_message="so",
        error="é",
        eta_at_25_seconds=1.5,
        eta_error_at_25_seconds=-2.5,
        eta_in_range_at_25=False,
        advice=(ADVICE,),
        actions=(ACTION, {**ACTION, "user_id": None, "project_id": None, "request_id": None}),
    )
    batch = dataclasses.replace(BATCH, reports=(REPORT, full, REPORT))
    assert read(batch) == (batch, {})


def test_names_are_sent_once_and_unknown_values_never():
    other = dataclasses.replace(REPORT, percent=7, disk_total_bytes=0)
    wire_table = Batch("h", "n", reports=(REPORT, other)).to_wire()["reports"]
    assert wire_table["fields"].count("percent") == 1
    assert "reason" not in wire_table["fields"]
    values = [dict(zip(wire_table["fields"], row, strict=True)) for row in wire_table["rows"]]
    assert [value["percent"] for value in values] == [None, 7]
    assert [value["disk_total_bytes"] for value in values] == [None, 0]


def test_omitted_field_is_not_sent():
    batch = Batch("h", "n", reports=(dataclasses.replace(REPORT, server_name="x", percent=7),))
    (report,) = Batch.from_wire(batch.to_wire(without=("server_name",)))[0].reports
    assert report == dataclasses.replace(REPORT, percent=7)


def test_the_hosts_own_time_is_sent_with_every_batch():
    for batch in (BATCH, Batch("h", "n", agent=AGENT)):
        timed = dataclasses.replace(batch, sent_at=4.5)
        assert Batch.from_wire(timed.to_wire()) == (timed, {})
        assert "sent_at" not in batch.to_wire()


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("sent_at", "soon", "'soon' must be a number of seconds"),
        ("sent_at", float("nan"), "'nan' must be a number of seconds"),
        ("address", 7, "'7' must be text"),
        ("address", " ", "' ' must not be blank"),
    ],
)
def test_an_odd_value_beside_the_tables_is_dropped(key, value, rule):
    dropped = Dropped()
    batch = dataclasses.replace(BATCH, sent_at=4.5)
    read_batch, refused = Batch.from_wire(batch.to_wire() | {key: value}, dropped)
    assert (read_batch, refused) == (dataclasses.replace(batch, **{key: None}), {})
    assert dropped == Dropped(1, f"{key}: {rule}")


def test_a_newer_agents_fields_are_ignored():
    assert read(BATCH, of_tomorrow=[1]) == (BATCH, {})


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("uuid", "x", "must be a UUID"),
        ("uuid", None, "is missing"),
        ("server_uuid", 5, "must be a UUID"),
        ("sequence", -1, "must be a whole number from 0"),
        ("sequence", True, "must be a whole number from 0"),
        ("status", ["running"], "must be one of: running,"),
        ("phase", [], "must be one of: setup,"),
        ("sampled_at", float("nan"), "must be a number of seconds"),
        ("sampled_at", 1e12, "seconds"),
    ],
)
def test_a_malformed_field_is_named_with_its_value_and_rule(name, value, rule):
    batch, refused = read(BATCH, **{name: value})
    assert batch == dataclasses.replace(BATCH, reports=())
    assert set(refused) == {"reports[0]"}
    assert refused["reports[0]"].startswith(f"{name}: ")
    assert rule in refused["reports[0]"]
    if value is not None:
        assert repr(str(value)[:64]) in refused["reports[0]"]


# What a host may tell of an optional field that no conductor can keep.
_ODD: dict[Any, list[Any]] = {
    fields.count: [-12, 2**63, 2**64 - 12, 1.5, float("nan"), "1", True, [1]],
    fields.small_count: [-1, 2**31, "1"],
    fields.percent: [-1, 101, 1.5, "7"],
    fields.seconds: [-0.5, 1e12, float("nan"), float("inf"), 10**400, "soon", True],
    fields.signed_seconds: [-1e12, float("-inf"), -(10**400), {}],
    fields.yes_or_no: [1, "yes"],
    fields.text: [7, ["x"]],
    advice_entry.rule: [
        *("abort", {}, [7], [{}], [ADVICE | {"at": "now"}], [ADVICE | {"works_by": -1}]),
        *([ADVICE | {"action": None}], [ADVICE | {"figures": None}]),
        [ADVICE | {"figures": dict.fromkeys("abcdefghi", 1)}],
        *([ADVICE | {"figures": {"a": value}}] for value in (True, "1", float("nan"), 10**400)),
    ],
    operator_actions.rule: [
        *("abort", {}, [7], [{}], [ACTION | {"after_seconds": -1}], [ACTION | {"action": None}]),
        [ACTION | {"user_id": 7}],
    ],
    fields.disks: ["vda", [["vda", 1, 0]] * 33, [["vda", 1]], [["vda", 1, -1]], [[7, 1, 1]]],
}
_ODD_WORDS = {
    "verdict": ["slow-network", 7, ["stalled"]],
    "verdict_reason": ["of-a-newer-agent", 7, ["stalled"]],
}


@pytest.mark.parametrize(
    ("kind", "key"), [(Report, "reports"), (Arrival, "arrivals"), (Agent, "agent")]
)
def test_an_optional_value_that_breaks_its_rule_is_dropped_and_counted(kind, key):
    """By its reader, and by its writer too: a conductor of before would refuse the entry."""
    entry: Any = {Report: REPORT, Arrival: ARRIVAL, Agent: AGENT}[kind]
    names = [f for f in dataclasses.fields(kind) if f.default is not dataclasses.MISSING]
    assert names
    for each in names:
        for value in _ODD_WORDS.get(each.name) or _ODD[each.metadata["rule"]]:
            entries = wire_table.write([entry], {each.name})
            entries["fields"].append(each.name)
            entries["rows"][0].append(value)
            dropped = Dropped()
            batch, refused = Batch.from_wire({"host": "h", "node": "n", key: entries}, dropped)
            told = batch.agent if key == "agent" else getattr(batch, key)[0]
            assert (told, refused) == (dataclasses.replace(entry, **{each.name: None}), {})
            assert dropped.count == 1
            assert dropped.first.startswith(f"{each.name}: {shown(value)} must be")

            odd, dropped = dataclasses.replace(entry, **{each.name: value}), Dropped()
            assert wire_table.write([entry, odd], dropped=dropped) == wire_table.write(
                [entry, told]
            )
            assert dropped.count == 1


def test_odd_advice_does_not_cost_the_other():
    """By its reader, and by its writer too."""
    mixed: Any = ({**ADVICE, "message": 7}, ADVICE, "abort")
    told = dataclasses.replace(REPORT, advice=(ADVICE,))
    entries = wire_table.write([dataclasses.replace(REPORT, advice=(ADVICE,))])
    entries["rows"][0][entries["fields"].index("advice")] = mixed
    dropped = Dropped()
    assert wire_table.read(Report, entries, 1, dropped) == ([told], {})
    assert dropped.count == 1
    assert dropped.first.endswith("must be a list of advice, each with values by name")

    dropped = Dropped()
    odd = dataclasses.replace(REPORT, advice=mixed)
    assert wire_table.write([odd], dropped=dropped) == wire_table.write([told])
    assert dropped.count == 1


def test_advice_is_bounded():
    many: Any = [{**ADVICE, "at": float(number), "message": "x\n" * 300} for number in range(100)]
    batch, refused = read(BATCH, advice=[each | {"unknown": 1} for each in many])
    (told,) = batch.reports
    assert not refused
    assert [each["at"] for each in told.advice] == [float(number) for number in range(80, 100)]
    assert {each["message"] for each in told.advice} == {("x?" * 300)[:MAX_TEXT]}
    assert {frozenset(each) for each in told.advice} == {frozenset(ADVICE)}
    (empty,) = read(BATCH, advice=[])[0].reports
    assert empty.advice == ()


def test_operators_actions_are_bounded_and_printable():
    many: Any = [{**ACTION, "after_seconds": n, "user_id": "u\n" * 99} for n in range(99)]
    (told,) = read(BATCH, actions=[each | {"unknown": 1} for each in many])[0].reports
    assert [each["after_seconds"] for each in told.actions] == list(range(89, 99))
    assert {each["user_id"] for each in told.actions} == {"u?" * 32}
    assert {frozenset(each) for each in told.actions} == {frozenset(ACTION)}


def test_of_many_dropped_values_the_first_is_shown():
    odd = dataclasses.replace(REPORT, percent=101, downtime_seconds=-1.0)
    dropped = Dropped()
    wire_table.write([odd] * 50, dropped=dropped)
    assert dropped == Dropped(100, "percent: '101' must be a whole number from 0 to 100")


@pytest.mark.parametrize(
    ("told", "read_as"),
    [
        ({"status": "frozen"}, (Status.RUNNING, Phase.SETUP)),
        ({"status": "frozen", "ended_at": 3.0}, (Status.UNKNOWN, Phase.SETUP)),
        ({"phase": "device-state"}, (Status.RUNNING, Phase.MEMORY_ITERATIONS)),
        ({"phase": "x", "status": "running (post-copy)"}, (Status.POST_COPY, Phase.POST_COPY)),
        ({"phase": "x", "status": "failed", "ended_at": 3.0}, (Status.FAILED, Phase.DONE)),
        ({"phase": "x", "status": "y"}, (Status.RUNNING, Phase.MEMORY_ITERATIONS)),
        ({"phase": "x", "status": "y", "ended_at": 3.0}, (Status.UNKNOWN, Phase.DONE)),
    ],
)
def test_word_of_a_later_version_is_read_as_the_nearest_known_one(told, read_as):
    batch, refused = read(BATCH, percent=7, **told)
    (report,) = batch.reports
    assert refused == {}
    assert (report.status, report.phase, report.percent) == (*read_as, 7)


@pytest.mark.parametrize(
    ("complete", "state"),
    [(None, ArrivalState.INCOMING), (False, ArrivalState.INCOMING), (True, ArrivalState.RESUMED)],
)
def test_unknown_arrival_state_is_read_as_the_weakest(complete, state):
    wire = Batch("h", "n", arrivals=(dataclasses.replace(ARRIVAL, complete=complete),)).to_wire()
    fields, (row,) = wire["arrivals"]["fields"], wire["arrivals"]["rows"]
    row[fields.index("state")] = "warming-up"
    batch, refused = Batch.from_wire(wire)
    assert refused == {}
    assert batch.arrivals[0].state is state


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("value", [10**5000, _nested(100_000)], ids=["long", "deep"])
def test_value_that_cannot_be_printed_is_refused(value):
    """Python writes no number of thousands of digits, and no list as deep."""
    wire = BATCH.to_wire()
    wire["reports"]["rows"][0][0] = value
    batch, refused = Batch.from_wire(wire)
    assert batch == dataclasses.replace(BATCH, reports=())
    assert "too large to show must be a UUID" in refused["reports[0]"]
    with pytest.raises(Malformed, match="too large to show must be text"):
        Batch.from_wire(BATCH.to_wire() | {"host": value})


def test_absent_field_is_missing():
    wire = BATCH.to_wire(without=("server_uuid",))
    assert Batch.from_wire(wire)[1] == {"reports[0]": "server_uuid: is missing"}


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(_ANYTHING)
def test_nothing_that_can_be_sent_breaks_the_reader(value):
    for name in BATCH.to_wire()["reports"]["fields"]:
        read(BATCH, **{name: value})
    for wire in (
        value,
        BATCH.to_wire() | {"reports": value},
        BATCH.to_wire() | {"reports": {"fields": value, "rows": [[1]]}},
        BATCH.to_wire() | {"reports": {"fields": ["uuid"], "rows": value}},
        BATCH.to_wire() | {"reports": {"fields": ["uuid"], "rows": [value]}},
    ):
        with contextlib.suppress(Malformed):
            Batch.from_wire(wire)


def test_text_is_bounded_and_has_no_control_characters():
    batch, _ = read(BATCH, server_name="a\n\x1b[2J<script>\x00" + "x" * 999)
    name = batch.reports[0].server_name
    assert name is not None
    assert name.startswith("a??[2J<script>?x")
    assert len(name) == MAX_TEXT


def test_one_bad_entry_does_not_spoil_the_batch():
    wire = dataclasses.replace(BATCH, reports=(REPORT, REPORT, REPORT)).to_wire()
    place = wire["reports"]["fields"].index("status")
    wire["reports"]["rows"][0][place] = 7
    wire["reports"]["rows"][2].append(1)
    wire["arrivals"]["rows"].append("nonsense")
    batch, refused = Batch.from_wire(wire)
    assert batch == BATCH
    assert set(refused) == {"reports[0]", "reports[2]", "arrivals[1]"}
    assert "status: '7' must be one of" in refused["reports[0]"]
    assert "must be a list of 7 values" in refused["reports[2]"]


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (None, "a batch must be a dictionary"),
        ([], "a batch must be a dictionary"),
        ({"node": "n"}, "host: 'None' must be text"),
        ({"host": "", "node": "n"}, "host: '' must not be blank"),
        ({"host": "h", "node": " "}, "node: ' ' must not be blank"),
        ({"host": "h", "node": "n", "reports": "x"}, "reports: must be a dictionary"),
        ({"host": "h", "node": "n", "reports": {}}, "reports: fields: must be a list"),
        ({"host": "h", "node": "n", "reports": {"fields": ["a", "a"]}}, "different names"),
        ({"host": "h", "node": "n", "reports": {"fields": [], "rows": 1}}, "reports: rows: must"),
        (
            {"host": "h", "node": "n", "arrivals": {"fields": [], "rows": [[]] * (MAX_BATCH + 1)}},
            f"arrivals: rows: must be a list of at most {MAX_BATCH} entries",
        ),
    ],
)
def test_a_batch_that_cannot_be_read_says_why(wire, why):
    with pytest.raises(Malformed) as error:
        Batch.from_wire(wire)
    assert why in str(error.value)


def test_an_answer_of_an_older_conductor_is_understood():
    assert Ack.from_wire({}) == Ack.from_wire(None) == Ack()
    ack = Ack((SERVER,), {"reports[0]": "why"})
    assert Ack.from_wire(ack.to_wire()) == ack


def test_batch_has_its_own_agent_only():
    batch = Batch("h", "n", agent=AGENT)
    wire = batch.to_wire()
    assert "reports" not in wire
    assert Batch.from_wire(json.loads(json.dumps(wire))) == (batch, {})


def test_an_agent_that_cannot_be_read_is_refused_alone():
    wire = dataclasses.replace(BATCH, agent=AGENT).to_wire()
    wire["agent"]["rows"][0][wire["agent"]["fields"].index("migrations")] = -1
    batch, refused = Batch.from_wire(wire)
    assert batch == BATCH
    assert list(refused) == ["agent[0]"]
    assert refused["agent[0]"].startswith("migrations: '-1' must be")


def test_a_long_version_is_cut():
    long = dataclasses.replace(AGENT, version="v" * 40)
    batch, _ = Batch.from_wire(Batch("h", "n", agent=long).to_wire())
    assert batch.agent.version == "v" * 32
