# SPDX-License-Identifier: Apache-2.0
"""Abort and force-complete: all that is checked before somebody acts on it."""

from typing import Any

import pytest
from falcon import testing

from migprog import exception, objects
from migprog.api import app
from migprog.api.nova import views
from migprog.core.actions import Action
from migprog.core.messages import Batch
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.stores import START
from migprog.tests.unit.api.conftest import REPORTED_AT, SERVER, Fill, client_of, configuration
from migprog.tests.unit.api.nova.conftest import (
    NOBODY,
    NOT_FOUND,
    Ask,
    Asked,
    asking,
    refusal,
)

ONE = f"/servers/{SERVER}/migrations/1"
MALFORMED = (400, "badRequest", "Malformed request body")


def abort(ask: Ask, path: str = ONE, version: str | None = "2.80") -> testing.Result:
    return ask(path, version, "DELETE")


def force(
    ask: Ask,
    path: str = ONE,
    version: str | None = "2.80",
    body: str | bytes = '{"force_complete": null}',
    **headers: str,
) -> testing.Result:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = {"Content-Type": "application/json"} | headers
    return ask(f"{path}/action", version, "POST", body=body, headers=headers)


@pytest.mark.parametrize("project", ["", "/abc"])
@pytest.mark.parametrize(("act", "name"), [(abort, "abort"), (force, "force_complete")])
def test_action_is_sent_to_the_agent(
    ask_to_act: Ask, actions: Asked, fill: Fill, act: Any, name: str, project: str
) -> None:
    (migration,) = fill()
    answer = act(ask_to_act, project + ONE)
    assert (answer.status_code, answer.content) == (202, b"")
    assert answer.headers["content-length"] == "0"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["openstack-api-version"] == "compute 2.80"
    assert actions.noted == [(name, migration)]


@pytest.mark.parametrize(
    ("act", "version", "there"),
    [
        *((abort, version, False) for version in (None, "2.1", "2.23")),
        *((abort, version, True) for version in ("2.24", "2.64", "2.65", "2.104")),
        *((force, version, False) for version in (None, "2.1", "2.21")),
        *((force, version, True) for version in ("2.22", "2.104")),
    ],
)
def test_since_when(
    ask_to_act: Ask, actions: Asked, fill: Fill, act: Any, version: str | None, there: bool
) -> None:
    fill()
    answer = act(ask_to_act, version=version)
    if there:
        assert answer.status_code == 202
    else:
        assert refusal(answer) == (404, "itemNotFound", NOT_FOUND)
    assert bool(actions.noted) is there


def test_action_without_an_agent_client_is_answered_501(ask: Ask, fill: Fill) -> None:
    fill()
    for answer in (abort(ask), force(ask)):
        code, name, message = refusal(answer)
        assert (code, name) == (501, "notImplemented")
        assert message.startswith("Actions are disabled")


def test_disabled_actions_are_501_with_the_reason(
    store: objects.Store, connection: str, fill: Fill
) -> None:
    class Refusing(Asked):
        def ask(self, ctxt: Any, action: Action, migration: objects.Migration) -> None:
            raise exception.ActionsDisabled("set [api] something")

    fill()
    ask = asking(client_of(app.create(configuration(connection), store, actions=Refusing())))
    assert refusal(abort(ask)) == (501, "notImplemented", "set [api] something")


@pytest.mark.parametrize("server", [NOBODY, "web"])
def test_an_unknown_server(ask_to_act: Ask, actions: Asked, fill: Fill, server: str) -> None:
    fill()
    path = f"/servers/{server}/migrations/1"
    message = f"Instance {server} could not be found."
    for answer in (abort(ask_to_act, path), force(ask_to_act, path)):
        assert refusal(answer) == (404, "itemNotFound", message)
    assert not actions.noted


@pytest.mark.parametrize("number", ["2", "abc", "1.5", NOBODY])
def test_an_unknown_migration(ask_to_act: Ask, actions: Asked, fill: Fill, number: str) -> None:
    """Nova has two codes for it."""
    fill()
    fill(server_uuid=NOBODY)
    path = f"/servers/{SERVER}/migrations/{number}"
    message = f"Migration {number} not found for instance {SERVER}"
    assert refusal(abort(ask_to_act, path)) == (404, "itemNotFound", message)
    assert refusal(force(ask_to_act, path)) == (400, "badRequest", message)
    assert not actions.noted


@pytest.mark.parametrize("status", [Status.POST_COPY, Status.POST_MIGRATING])
def test_one_that_is_past_it(ask_to_act: Ask, actions: Asked, fill: Fill, status: Status) -> None:
    fill(status=status, phase=Phase.POST_COPY)
    for answer, what in (
        (abort(ask_to_act), "abort live migration"),
        (force(ask_to_act), "force complete"),
    ):
        message = (
            f"Migration 1 state of instance {SERVER} is {views.status(status).value}. "
            f"Cannot {what} while the migration is in this state."
        )
        assert refusal(answer) == (400, "badRequest", message)
    assert not actions.noted


def test_one_that_has_ended_while_another_runs(ask_to_act: Ask, actions: Asked, fill: Fill) -> None:
    fill(status=Status.FAILED, phase=Phase.DONE, started_at=REPORTED_AT - 60)
    fill(started_at=REPORTED_AT - 5)
    code, name, message = refusal(abort(ask_to_act))
    assert (code, name) == (400, "badRequest")
    assert " is failed. " in message
    assert not actions.noted
    assert abort(ask_to_act, f"/servers/{SERVER}/migrations/2").status_code == 202


@pytest.mark.parametrize("ahead_seconds", [3600, -3600])
def test_the_next_one_where_a_hosts_clock_is_wrong(
    ask_to_act: Ask, actions: Asked, store: objects.Store, ahead_seconds: int
) -> None:
    """Off the host whose clock it is, and back to it a minute later."""
    wrong, right = START + ahead_seconds, START + 60
    there = stores.report(
        5, Status.COMPLETED, server_uuid=SERVER, started_at=wrong, ended_at=wrong + 5, percent=100
    )
    back = stores.report(server_uuid=SERVER, started_at=right, percent=7)
    for host, report, ahead in (("a", there, ahead_seconds), ("b", back, 0)):
        sent_at = report.sampled_at + 0.5
        batch = Batch(host, host, reports=(report,), sent_at=sent_at)
        objects.store_batch(store, batch, sent_at - ahead)
    server = ask_to_act(f"/servers/{SERVER}", "2.80").json["server"]
    assert (server["status"], server["progress"]) == ("MIGRATING", 7)
    assert abort(ask_to_act, f"/servers/{SERVER}/migrations/2").status_code == 202
    assert actions.noted == [("abort", back.uuid)]


@pytest.mark.parametrize("number", ["1", "2"])
def test_a_server_that_does_not_migrate(
    ask_to_act: Ask, actions: Asked, fill: Fill, number: str
) -> None:
    """That comes before the question for its migration."""
    fill(status=Status.COMPLETED, phase=Phase.DONE)
    path = f"/servers/{SERVER}/migrations/{number}"
    for answer, what in (
        (abort(ask_to_act, path), "abort live migration"),
        (force(ask_to_act, path), "force_complete"),
    ):
        message = f"Instance {SERVER} is in an invalid state for '{what}'"
        assert refusal(answer) == (409, "conflictingRequest", message)
    assert not actions.noted


@pytest.mark.parametrize(
    "body",
    [
        *("", "{}", "[]", "null", "1", '"force_complete"', "{", "{'force_complete': null}", "\0"),
        *('{"force_complete": null, "other": null}', b"\xff", "[" * 16000, "[" * 90),
    ],
)
@pytest.mark.parametrize("version", ["2.1", "2.80"])
def test_a_body_that_is_none(
    ask_to_act: Ask, actions: Asked, fill: Fill, body: str | bytes, version: str
) -> None:
    """Nova looks at it before the version, and both before the server."""
    fill()
    assert refusal(force(ask_to_act, version=version, body=body)) == MALFORMED
    path = f"/servers/{NOBODY}/migrations/1"
    assert refusal(force(ask_to_act, path, version, body=body)) == MALFORMED
    assert not actions.noted


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ('"null"', "Value: null. 'null' is not of type 'null'"),
        ("{}", "Value: {}. {} is not of type 'null'"),
        ("false", "Value: False. False is not of type 'null'"),
        ("0", "Value: 0. 0 is not of type 'null'"),
    ],
)
def test_an_action_with_a_wrong_value(
    ask_to_act: Ask, actions: Asked, fill: Fill, value: str, told: str
) -> None:
    fill()
    body = f'{{"force_complete": {value}}}'
    message = f"Invalid input for field/attribute force_complete. {told}"
    assert refusal(force(ask_to_act, body=body)) == (400, "badRequest", message)
    path = f"/servers/{NOBODY}/migrations/1"
    assert refusal(force(ask_to_act, path, body=body)) == (400, "badRequest", message)
    assert refusal(force(ask_to_act, version="2.21", body=body))[0] == 404
    assert not actions.noted


def test_values_in_errors_have_a_limited_length(
    ask_to_act: Ask, actions: Asked, fill: Fill
) -> None:
    fill()
    for value in ('"' + "x" * 16000 + '"', "[" * 980 + "]" * 980, "[" * 950 + "]" * 950):
        answer = force(ask_to_act, body=f'{{"force_complete": {value}}}')
        assert refusal(answer)[:2] == (400, "badRequest")
        assert len(answer.text) < 2000
    assert not actions.noted


@pytest.mark.parametrize("version", ["2.1", "2.80"])
def test_unknown_action_is_refused(
    ask_to_act: Ask, actions: Asked, fill: Fill, version: str
) -> None:
    fill()
    answer = force(ask_to_act, version=version, body='{"x": null}')
    assert refusal(answer) == (400, "badRequest", "There is no such action: x")
    assert not actions.noted


@pytest.mark.parametrize(
    ("content_type", "code"),
    [
        ("application/json", 202),
        ("application/json; charset=utf-8", 202),
        ("application/vnd.openstack.compute+json", 202),
        # Nova takes these two: what any web page may have a browser send.
        ("text/plain", 415),
        ("", 415),
        ("application/xml", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
    ],
)
@pytest.mark.parametrize("version", ["2.1", "2.80"])
def test_content_types(
    ask_to_act: Ask, actions: Asked, fill: Fill, version: str, content_type: str, code: int
) -> None:
    """Nova looks at it first of all."""
    fill()
    answer = force(ask_to_act, version=version, Content_Type=content_type)
    if code == 202 and version == "2.1":
        assert refusal(answer)[0] == 404
    elif code == 202:
        assert answer.status_code == 202
    else:
        assert refusal(answer)[:2] == (415, "badMediaType")
    assert bool(actions.noted) is (answer.status_code == 202)


def test_a_body_is_bounded(ask_to_act: Ask, actions: Asked, fill: Fill) -> None:
    fill()
    body = '{"force_complete": null' + " " * 16384 + "}"
    assert refusal(force(ask_to_act, body=body))[:2] == (413, "overLimit")
    assert force(ask_to_act, body=body.replace(" " * 1024, "")).status_code == 202
    assert len(actions.noted) == 1
