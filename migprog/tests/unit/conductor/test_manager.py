# SPDX-License-Identifier: Apache-2.0
import inspect
import logging

import pytest

from migprog import objects
from migprog.conductor.manager import ConductorManager
from migprog.conductor.rpcapi import VERSION, ConductorAPI
from migprog.core.report import Ack, Batch
from migprog.core.status import Status
from migprog.tests import stores

# How to send is the caller's side alone.
_SENDING = {"acknowledged"}


@pytest.fixture
def store(tmp_path):
    return stores.ready(f"sqlite:///{tmp_path}/migprog.sqlite")


@pytest.fixture
def manager(store):
    return ConductorManager(store)


def _methods(of: type) -> dict[str, list[str]]:
    functions = inspect.getmembers(of, inspect.isfunction)
    return {
        name: [p for p in inspect.signature(function).parameters if p != "self"]
        for name, function in functions
        if not name.startswith("_")
    }


def test_both_halves_agree():
    remote = _methods(ConductorManager)
    assert all(parameters[0] == "ctxt" for parameters in remote.values())
    here = {
        name: [p for p in ps if p not in _SENDING] for name, ps in _methods(ConductorAPI).items()
    }
    assert here == {name: parameters[1:] for name, parameters in remote.items()}
    assert ConductorManager.target.version == VERSION


def test_what_can_be_read_is_stored_and_the_rest_named(manager, store, caplog):
    good = stores.report(percent=5)
    bad = stores.report().to_wire() | {"percent": "much\nERROR forged line"}
    wire = Batch(host="a", node="a.example.org", reports=(good,)).to_wire()
    wire["reports"] = [bad, *wire["reports"], 7]
    wire["arrivals"] = [{"server_uuid": "?"}]
    ack = Ack.from_wire(manager.report({}, batch=wire))
    assert ack.stored == {good.uuid: 1}
    assert set(ack.refused) == {"reports[0]", "reports[2]", "arrivals[0]"}
    assert ack.refused["reports[0]"].startswith("percent: ")
    assert stores.migration(store, good).percent == 5
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 3
    assert not any("\n" in warning for warning in warnings)


@pytest.mark.parametrize(
    "batch", [None, 7, [], {}, {"host": ""}, {"host": "a", "node": "b", "reports": 7}]
)
def test_a_batch_that_cannot_be_read_is_answered(manager, batch, caplog):
    ack = Ack.from_wire(manager.report({}, batch=batch))
    assert set(ack.refused) == {"batch"}
    assert [r.levelno for r in caplog.records] == [logging.WARNING]


def test_an_end_is_one_line_in_the_log(manager, caplog):
    caplog.set_level(logging.INFO)
    ended = stores.report(status=Status.COMPLETED, total_seconds=7.5)
    wire = Batch(host="a", node="a", reports=(stores.report(), ended)).to_wire()
    for _ in range(2):
        manager.report({}, batch=wire)
    (line,) = [r.getMessage() for r in caplog.records if r.name.startswith("migprog.objects")]
    assert ended.uuid in line
    assert "completed, 7.5 s" in line


def test_a_database_away_is_an_error_for_the_agent_to_try_again(tmp_path):
    manager = ConductorManager(stores.connect(f"sqlite:///{tmp_path}/migprog.sqlite"))
    wire = Batch(host="a", node="a", reports=(stores.report(),)).to_wire()
    with pytest.raises(objects.Unavailable):
        manager.report({}, batch=wire)
