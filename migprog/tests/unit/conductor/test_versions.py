# SPDX-License-Identifier: Apache-2.0
"""Agents and conductors of neighbouring versions, as they are while a cloud is upgraded.

``fixtures/previous.json`` was written by the version before agents told of themselves: what it sent
(``messages``), and what it could read (``fields``, ``words``).
"""

import dataclasses
import json
import pathlib
import time
import uuid
from typing import Any

import pytest

from migprog import objects, rpc
from migprog.conductor.service import ConductorService
from migprog.core import advice_entry, fields, operator_actions, wire_table
from migprog.core.forecast.dirty_curve import DirtyCurve
from migprog.core.forecast.expectation import CURVES, Expectation
from migprog.core.forecast.verdict import Verdict
from migprog.core.forecast.verdict_reason import VerdictReason
from migprog.core.messages import MAX_EXPECTED, Ack, Agent, Arrival, ArrivalState, Batch, Report
from migprog.core.status import Phase, Status
from migprog.rpc.conductor import TOPIC
from migprog.tests import stores
from migprog.tests.store_cases.advice import ACTION, ADVICE
from migprog.tests.store_cases.agents import AGENT
from migprog.tests.store_cases.measuring import measured, put
from migprog.tests.unit.conductor.test_service import conf  # noqa: F401 a fixture

PREVIOUS = json.loads((pathlib.Path(__file__).parents[2] / "fixtures/previous.json").read_text())
_KINDS = {"reports": Report, "arrivals": Arrival}
_WORDS = {"status": Status, "phase": Phase, "verdict": Verdict, "state": ArrivalState}
# Of fields that the previous version did not have.
_NEW_WORDS = {"verdict_reason": VerdictReason}


def _later_fields(batch):
    """A batch as one of a later version: with columns, tables and keys of its own."""
    told = batch | {"of_tomorrow": {"a": [1]}, "plans": {"fields": ["x"], "rows": [[1]]}}
    for key in _KINDS.keys() & batch.keys():
        fields, rows = batch[key]["fields"], batch[key]["rows"]
        told[key] = {
            "fields": ["of_tomorrow", *fields],
            "rows": [[{"a": 1}, *row] for row in rows],
            "more": 7,
        }
    return told


@pytest.fixture
def conductor(conf):  # noqa: F811
    """Calls a method of this conductor's as an agent of the previous version does."""
    stores.ready(conf.database.connection).close()
    service = ConductorService(conf, "fake://")
    service.start()
    transport = rpc.transport(conf)
    client = rpc.client(transport, TOPIC, PREVIOUS["version"], 30)
    yield lambda method, batch: client.call({}, method, batch=batch)
    service.stop()
    transport.cleanup()


@pytest.mark.parametrize("as_sent", [lambda batch: batch, _later_fields], ids=["then", "tomorrow"])
def test_an_agent_of_another_version(conf, conductor, as_sent):  # noqa: F811
    """Nothing that it reports is lost; what is not known here is ignored."""
    arrived: list[str] = []
    for message in PREVIOUS["messages"]:
        answer = conductor(message["method"], as_sent(message["batch"]))
        if message["method"] == "report":
            # As its reader has it.
            assert answer["refused"] == {}
            arrived += answer["arrived"]
    store = stores.connect(conf.database.connection)
    ended, failed = sorted(objects.Migration.list(store), key=lambda each: each.uuid)
    assert (ended.sequence, failed.sequence) == (20, 4)
    assert arrived == [ended.server_uuid]
    # What was told last, of each field that it knew.
    told = PREVIOUS["messages"][-1]["batch"]["reports"]
    for migration, row in zip((ended, failed), told["rows"], strict=True):
        for name, value in zip(told["fields"], row, strict=True):
            have = getattr(migration, name)
            assert (have.timestamp() if name.endswith("_at") else have) == value, name
    assert (ended.source_compute, ended.dest_compute) == ("compute-1", "compute-2")
    assert (ended.server_name, failed.server_name) == ("wéb 🐎", "db")
    assert len(objects.Point.list(store, ended)) == 2, "progress was told between"
    assert objects.Agent.list(store) == []
    store.close()


def _later_words(batch):
    """A batch as one of a later version: with a word of its own for each kind, and a time."""
    told = batch | {"sent_at": time.time()}
    for key in _KINDS.keys() & batch.keys():
        fields = batch[key]["fields"]
        rows = [
            [
                "of-tomorrow" if name in _WORDS and value is not None else value
                for name, value in zip(fields, row, strict=True)
            ]
            for row in batch[key]["rows"]
        ]
        told[key] = {"fields": fields, "rows": rows}
    return told


def test_the_words_of_a_later_version_cost_nothing_else(conf, conductor):  # noqa: F811
    """An agent that is upgraded before the conductors: against the order, but nothing is lost."""
    for message in PREVIOUS["messages"]:
        answer = conductor(message["method"], _later_words(message["batch"]))
        if message["method"] == "report":
            assert answer["refused"] == {}
    store = stores.connect(conf.database.connection)
    ended, failed = sorted(objects.Migration.list(store), key=lambda each: each.uuid)
    # That they ended is known by their instants, how they did is not; the verdict is null.
    assert {(each.status, each.phase) for each in (ended, failed)} == {(Status.UNKNOWN, Phase.DONE)}
    assert (ended.verdict, ended.percent, ended.dest_compute) == (None, 100, "compute-2")
    assert (ended.downtime_seconds, ended.total_seconds) == (0.125, 20.5)
    assert failed.error == "operation failed: no space"
    store.close()


def _kind_of_then(key):
    """What the previous version read: its fields, by the rules that they have today."""
    rules = {each.name: each.metadata["rule"] for each in dataclasses.fields(_KINDS[key])}
    then = PREVIOUS["fields"][key]
    return dataclasses.make_dataclass(
        key,
        [(name, object, fields.needed(rules[name])) for name in then["needed"]]
        + [(name, object, fields.optional(rules[name])) for name in then["optional"]],
        frozen=True,
    )


def _full(kind):
    """An entry in which nothing is left out."""
    values: dict[str, Any] = {}
    for each in dataclasses.fields(kind):
        words, rule = (_WORDS | _NEW_WORDS).get(each.name), each.metadata["rule"]
        if words:
            values[each.name] = sorted(words)[-1]
        elif rule is fields.uuid_text:
            values[each.name] = stores.report().uuid
        elif rule in (fields.text, fields.word):
            values[each.name] = "text 🐎"
        elif rule is fields.disks:
            values[each.name] = (("vda", 7, 7),)
        elif rule is advice_entry.rule:
            values[each.name] = (ADVICE,)
        elif rule is operator_actions.rule:
            values[each.name] = (ACTION,)
        else:
            values[each.name] = True if rule is fields.yes_or_no else rule(7)
    return kind(**values)


@pytest.mark.parametrize("whole", [True, False])
def test_a_conductor_of_the_previous_version(whole):
    """It reads what this agent reports, except what it does not know."""
    report = _full(Report) if whole else stores.report()
    batch = Batch("h", "n", "192.0.2.1", (report,), (_full(Arrival),), AGENT, sent_at=7.5)
    wire = json.loads(json.dumps(batch.to_wire()))
    assert {"host", "node", "address"} <= set(wire)
    for key, (sent,) in {"reports": batch.reports, "arrivals": batch.arrivals}.items():
        (read,), refused = wire_table.read(_kind_of_then(key), wire[key], 500)
        assert refused == {}
        for each in dataclasses.fields(read):
            assert getattr(read, each.name) == getattr(sent, each.name), each.name


@pytest.mark.parametrize("name", sorted(_WORDS))
def test_no_word_that_the_previous_version_does_not_know(name):
    """That one would refuse the whole entry; this one reads what is nearest to it."""
    assert set(_WORDS[name]) == set(PREVIOUS["words"][name])


def test_no_new_field_is_required():
    for key, kind in _KINDS.items():
        needed = {f.name for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING}
        assert needed <= set(PREVIOUS["fields"][key]["needed"])


def test_each_optional_field_may_be_missing():
    for kind, key in ((Report, "reports"), (Arrival, "arrivals"), (Agent, "agent")):
        entry = _full(kind)
        for each in dataclasses.fields(kind):
            if each.default is dataclasses.MISSING:
                continue
            told = {"host": "h", "node": "n", key: wire_table.write([entry], {each.name})}
            batch, refused = Batch.from_wire(told)
            read = batch.agent if key == "agent" else getattr(batch, key)[0]
            assert (read, refused) == (dataclasses.replace(entry, **{each.name: None}), {})


def test_the_answer_to_a_first_report_says_what_was_known_before(conf, conductor):  # noqa: F811
    store = stores.connect(conf.database.connection)
    server = str(uuid.uuid4())
    put(store, measured(server, stores.START - 60))
    store.close()
    phase = Phase.MEMORY_FIRST_ITERATION
    told = stores.report(server_uuid=server, phase=phase)
    batch = Batch("source", "source.example.org", reports=(told,))
    answer = conductor("report", batch.to_wire())
    (expected,) = Ack.from_wire(answer).expected.values()
    assert len(expected.curves) == CURVES
    # It is said once: a later report is not answered with it.
    later = dataclasses.replace(told, sequence=9)
    assert "expected" not in conductor(
        "report", dataclasses.replace(batch, reports=(later,)).to_wire()
    )


def test_an_answer_that_expects_too_much_or_nonsense_is_read_without_it():
    told = Expectation(1e9, 0.1, 0.4, (DirtyCurve(1e6, 2.0, 6.0),))
    many = {str(number): told for number in range(MAX_EXPECTED + 3)}
    assert len(Ack.from_wire(Ack(expected=many).to_wire()).expected) == MAX_EXPECTED
    answer = Ack(expected={"a": told}).to_wire()
    assert Ack.from_wire(answer).expected == {"a": told}
    answer["expected"]["b"] = {"curves": 7}
    assert set(Ack.from_wire(answer).expected) == {"a"}
    assert Ack.from_wire({"expected": [1]}) == Ack()
    # An older conductor's, and what an older agent is sent while nothing is known.
    assert Ack.from_wire({"arrived": []}).expected == {}
    assert "expected" not in Ack().to_wire()


def test_an_answer_of_tomorrow():
    assert Ack.from_wire(Ack(("a",)).to_wire() | {"of_tomorrow": 1}) == Ack(("a",))
