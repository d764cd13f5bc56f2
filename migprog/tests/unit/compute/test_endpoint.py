# SPDX-License-Identifier: Apache-2.0
"""The agent's remote methods: over oslo.messaging's transport in memory, and whatever they are
told."""

import contextlib
import json
import threading
import time
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migprog import context, rpc
from migprog.compute import endpoint
from migprog.concurrency import Inbox
from migprog.core import measurement
from migprog.core.actions import Action, Target
from migprog.core.agent_answer import Answer
from migprog.rpc import compute
from migprog.tests.fixtures import hostile
from migprog.tests.unit.conductor.test_service import conf  # noqa: F401 a fixture

TARGET = Target(uuid=str(uuid.UUID(int=1)), server_uuid=str(uuid.UUID(int=2)))
ASKED = context.RequestContext(
    request_id="req-7", user_id="u7", auth_token="secret", overwrite=False
)


@contextlib.contextmanager
def loop(inbox, answer):
    """An agent's loop that gives every request this answer; what was asked for."""
    asked, ending = [], threading.Event()

    def run():
        while not ending.is_set():
            for request in inbox.get_all(0.05):
                asked.append(request)
                if answer is not None:
                    request.answer.set_result(answer)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield asked
    finally:
        ending.set()
        thread.join()


@pytest.fixture
def agent(conf):  # noqa: F811
    """The client of an agent of the host ``a``, and the inbox of its loop."""
    transport, inbox = rpc.transport(conf), Inbox()
    server = rpc.server(transport, compute.TOPIC, "a", [endpoint.Endpoint(inbox)])
    server.start()
    yield compute.ComputeAPI(transport), inbox
    server.stop()
    server.wait()
    transport.cleanup()
    inbox.close()


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("answer", [Answer(), Answer("it is over")])
def test_request_is_answered(agent, action, answer):
    client, inbox = agent
    with loop(inbox, answer) as asked:
        assert client.ask(ASKED, "a", action, TARGET) == answer
    (request,) = asked
    assert (request.action, request.target) == (action, TARGET)
    assert request.who == "user 'u7', request 'req-7'"
    who = (request.user_id, request.project_id, request.request_id)
    assert who == (ASKED.user_id, ASKED.project_id, ASKED.request_id)


def test_measure_request_is_answered(agent):
    client, inbox = agent
    target = measurement.Target(server_uuid=TARGET.server_uuid)
    for answer in (Answer(), Answer.of(measurement.Failure.BUSY)):
        with loop(inbox, answer) as asked:
            assert client.measure(ASKED, "a", target) == answer
        (request,) = asked
        assert (request.target, request.who) == (target, "user 'u7', request 'req-7'")


def test_request_to_measure_all_servers_is_answered(agent):
    client, inbox = agent
    for answer in (Answer(), Answer.of(measurement.Failure.DISABLED)):
        with loop(inbox, answer) as asked:
            assert client.measure_all(ASKED, "a") == answer
        (request,) = asked
        assert request.who == "user 'u7', request 'req-7'"


def test_endpoint_that_permits_no_actions_refuses_them():
    """As of an agent that listens for requests to measure alone."""
    inbox = Inbox()
    end = endpoint.Endpoint(inbox, allow_actions=False)
    for method in (end.abort, end.force_complete):
        assert "actions are disabled" in method(ASKED, migration=TARGET.to_wire())["refused"]
    assert inbox.get_all(0) == []
    inbox.close()


def test_slow_action_is_answered_as_accepted(agent, monkeypatch):
    monkeypatch.setattr(compute, "ANSWER_SECONDS", 0.2)
    client, inbox = agent
    with loop(inbox, None) as asked:
        assert client.ask(ASKED, "a", Action.ABORT, TARGET) == Answer()
        assert len(asked) == 1


def test_request_without_an_agent_loop_times_out(conf, monkeypatch):  # noqa: F811
    monkeypatch.setattr(compute, "CALL_TIMEOUT_SECONDS", 0.5)
    transport = rpc.transport(conf)
    with pytest.raises(compute.Unanswered, match="no answer in time"):
        compute.ComputeAPI(transport).ask(ASKED, "nobody", Action.ABORT, TARGET)
    transport.cleanup()


def test_an_agent_waits_no_longer_than_its_caller():
    assert compute.ANSWER_SECONDS < compute.CALL_TIMEOUT_SECONDS


@pytest.fixture(scope="module")
def told():
    """An endpoint, and what got through it."""
    inbox = Inbox()
    with loop(inbox, Answer("no")) as asked:
        yield endpoint.Endpoint(inbox), asked
    inbox.close()


def _tables():
    """Nearly right, or right."""
    columns = st.lists(st.sampled_from(["uuid", "server_uuid", "x"]), max_size=3, unique=True)
    values = st.sampled_from([TARGET.uuid, TARGET.server_uuid]) | hostile.ANYTHING
    return columns.flatmap(
        lambda names: st.fixed_dictionaries(
            {
                "fields": st.just(names) | hostile.ANYTHING,
                "rows": st.lists(
                    st.lists(values, min_size=len(names), max_size=len(names)), max_size=2
                ),
            }
        )
    )


class _Hostile:
    """A context whose values are of any kind."""

    def __init__(self, value):
        self.user_id = self.request_id = value


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    migration=hostile.ANYTHING | _tables(),
    ctxt=hostile.ANYTHING | hostile.ANYTHING.map(_Hostile),
    later=st.dictionaries(st.sampled_from(["of_tomorrow", "why"]), hostile.ANYTHING),
)
def test_endpoint_answers_whatever_arguments_it_gets(told, migration, ctxt, later):
    """It answers; and what it hands over names a migration, and is fit for a log."""
    end, asked = told
    before = len(asked)
    json.dumps(end.measure(ctxt, server=migration, **later)).encode()
    for request in asked[before:]:
        assert str(uuid.UUID(request.target.server_uuid)) == request.target.server_uuid
        assert request.who.isprintable() and len(request.who) < 400
    for method in (end.abort, end.force_complete):
        before, began = len(asked), time.monotonic()
        answer = method(ctxt, migration=migration, **later)
        assert time.monotonic() - began < compute.ANSWER_SECONDS
        json.dumps(answer).encode()
        assert answer["refused"]
        if len(asked) > before:
            request = asked[-1]
            for name in (request.target.uuid, request.target.server_uuid):
                assert str(uuid.UUID(name)) == name
            assert request.who.isprintable()
            assert len(request.who) < 400
        else:
            assert answer["refused"].startswith("migration: ")
