# SPDX-License-Identifier: Apache-2.0
"""Abort and force-complete on our own API; and what an agent that is asked makes of it."""

import json
import time
import uuid
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from falcon import testing

from migprog import objects
from migprog.api import app
from migprog.api.action_requests import ByAgents, Disabled, Notifying
from migprog.api.error_codes import BY_REFUSAL, ErrorCode
from migprog.context import RequestContext
from migprog.core.actions import Action, Refusal, Target
from migprog.core.agent_answer import Answer
from migprog.core.notices import Event
from migprog.core.status import Phase, Status
from migprog.tests import notifications
from migprog.tests.fixtures import migrations
from migprog.tests.unit.api.agents import Agents
from migprog.tests.unit.api.agents import acting as agents_acting
from migprog.tests.unit.api.conftest import SERVER, Fill, client_of, configuration, error_of
from migprog.tests.unit.api.nova.conftest import Asked
from migprog.tests.unit.api.tokens import keystone_client

NOBODY = str(uuid.UUID(int=99))
ONE = f"/servers/{SERVER}/migrations/1"
FORCE = '{"force_complete": null}'

Act: TypeAlias = Callable[..., testing.Result]


def abort(client: testing.TestClient, path: str = ONE, **headers: str) -> testing.Result:
    return client.simulate_delete(path, headers=headers)


def force(
    client: testing.TestClient, path: str = ONE, body: str = FORCE, **headers: str
) -> testing.Result:
    headers = {"Content-Type": "application/json"} | headers
    return client.simulate_post(f"{path}/action", body=body, headers=headers)


VERBS = {"abort": "abort the migration", "force_complete": "force the migration to complete"}
BOTH = pytest.mark.parametrize(("act", "name"), [(abort, "abort"), (force, "force_complete")])


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def acting(store: objects.Store, connection: str, asked: Asked) -> testing.TestClient:
    return client_of(app.create(configuration(connection), store, actions=asked))


def detail(answer: testing.Result, code: ErrorCode) -> str:
    found: str = error_of(answer, code)["detail"]
    return found


@BOTH
@pytest.mark.parametrize("by_uuid", [True, False])
def test_action_is_sent_to_the_agent(
    acting: testing.TestClient, asked: Asked, fill: Fill, act: Act, name: str, by_uuid: bool
) -> None:
    (migration,) = fill()
    path = f"/servers/{SERVER}/migrations/{migration if by_uuid else 1}"
    answer = act(acting, path)
    assert (answer.status_code, answer.content) == (202, b"")
    assert asked.noted == [(name, migration)]


@BOTH
def test_action_on_an_unknown_migration_is_404(
    acting: testing.TestClient, asked: Asked, fill: Fill, act: Act, name: str
) -> None:
    fill()
    for path in (f"/servers/{NOBODY}/migrations/1", f"/servers/{SERVER}/migrations/2", f"{ONE}x"):
        detail(act(acting, path), ErrorCode.MIGRATION_NOT_FOUND)
    assert not asked.noted


@BOTH
@pytest.mark.parametrize(
    ("status", "why"),
    [(Status.COMPLETED, Refusal.ENDED), (Status.POST_COPY, Refusal.AT_DESTINATION)],
)
def test_action_that_the_status_does_not_permit_is_409(
    acting: testing.TestClient,
    asked: Asked,
    fill: Fill,
    act: Act,
    name: str,
    status: Status,
    why: Refusal,
) -> None:
    fill(status=status, phase=Phase.DONE if status is Status.COMPLETED else Phase.POST_COPY)
    said = detail(act(acting), BY_REFUSAL[why])
    assert said == f"Cannot {VERBS[name]}: {why.message}."
    assert not asked.noted


def test_nothing_is_forced_while_disks_are_copied(
    acting: testing.TestClient, asked: Asked, fill: Fill
) -> None:
    fill(phase=Phase.DISK_COPY)
    assert "no memory is being copied yet" in detail(force(acting), ErrorCode.NO_MEMORY_COPIED)
    assert not asked.noted
    assert abort(acting).status_code == 202


@BOTH
def test_action_without_an_agent_client_is_refused(
    client: testing.TestClient, fill: Fill, act: Act, name: str
) -> None:
    fill()
    assert "[api] allow_actions" in detail(act(client), ErrorCode.ACTIONS_DISABLED)


@pytest.mark.parametrize(
    "body",
    ["", "{}", "[]", "null", FORCE[:-1], FORCE.replace("null", "0"), '{"x": null}', "[" * 99],
)
def test_a_body_that_is_none(
    acting: testing.TestClient, asked: Asked, fill: Fill, body: str
) -> None:
    fill()
    error = error_of(force(acting, body=body), ErrorCode.INVALID_BODY)
    assert error["field"] == "body"
    assert error["rule"] == f"must be {FORCE}"
    assert not asked.noted


def test_other_methods_on_an_action_are_405(acting: testing.TestClient, fill: Fill) -> None:
    fill()
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        assert acting.simulate_request(method, f"{ONE}/action").status_code == 405


def test_another_kind_of_body(acting: testing.TestClient, asked: Asked, fill: Fill) -> None:
    fill()
    error_of(force(acting, **{"Content-Type": "text/plain"}), ErrorCode.UNSUPPORTED_MEDIA_TYPE)
    error_of(force(acting, body=FORCE + " " * 2**16), ErrorCode.BODY_TOO_LARGE)
    assert not asked.noted


def tell(
    store: objects.Store, age_seconds: float = 0.0, actions_enabled: bool | None = True
) -> None:
    """The heartbeat of the agent of the migrations' source."""
    at = time.time() - age_seconds
    migrations.heartbeat(store, "source", at, actions_enabled=actions_enabled)


@BOTH
def test_the_sources_agent_is_asked(
    store: objects.Store, connection: str, fill: Fill, act: Act, name: str
) -> None:
    (migration,) = fill()
    tell(store)
    agents = Agents(Answer())
    assert act(agents_acting(store, connection, agents)).status_code == 202
    ((ctxt, host, action, target),) = agents.noted
    assert (host, action) == ("source", name)
    assert target == Target(uuid=migration, server_uuid=SERVER)
    assert ctxt.request_id.startswith("req-")


@BOTH
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        *((Answer.of(refusal), BY_REFUSAL[refusal]) for refusal in Refusal),
        # Of an agent that has a reason which this version does not know.
        (Answer("the moon is full"), ErrorCode.ACTION_REFUSED),
    ],
)
def test_refusal_of_the_agent_is_409(
    store: objects.Store,
    connection: str,
    fill: Fill,
    act: Act,
    name: str,
    answer: Answer,
    code: ErrorCode,
) -> None:
    fill()
    tell(store)
    client = agents_acting(store, connection, Agents(answer))
    told = f"Cannot {VERBS[name]}: {answer.refused}."
    assert detail(act(client), code) == told
    nova = act(client, f"/v2.1{ONE}", **{"OpenStack-API-Version": "compute 2.80"})
    assert nova.json == {"conflictingRequest": {"code": 409, "message": told}}


@BOTH
@pytest.mark.parametrize(
    ("agent", "code", "told", "is_asked"),
    [
        (None, ErrorCode.AGENT_SILENT, "was not requested", False),
        ({"age_seconds": 61}, ErrorCode.AGENT_SILENT, "was not requested", False),
        ({"age_seconds": 59}, ErrorCode.AGENT_TIMEOUT, "may still be carried out", True),
        ({"actions_enabled": False}, ErrorCode.AGENT_ACTIONS_DISABLED, "[compute] allow", False),
        # Of a version that knows nothing of it.
        ({"actions_enabled": None}, ErrorCode.AGENT_ACTIONS_DISABLED, "[compute] allow", False),
    ],
)
def test_an_agent_that_does_nothing(
    store: objects.Store,
    connection: str,
    fill: Fill,
    act: Act,
    name: str,
    agent: dict[str, Any] | None,
    code: ErrorCode,
    told: str,
    is_asked: bool,
) -> None:
    fill()
    if agent is not None:
        tell(store, **agent)
    agents = Agents()
    answer = act(agents_acting(store, connection, agents))
    assert told in detail(answer, code)
    # Not everybody may see hosts.
    assert "rack7" not in answer.text
    assert "source.lab" not in answer.text
    assert bool(agents.noted) is is_asked


def test_an_arrival_without_a_source(store: objects.Store, connection: str, fill: Fill) -> None:
    """A record that its destination has made: there is no agent to ask."""
    fill()
    found = objects.Migration.get(store, SERVER, "1")
    agents = Agents(Answer())
    with pytest.raises(Exception, match="sends no heartbeats"):
        ByAgents(store, agents).ask(
            RequestContext(overwrite=False),
            Action.ABORT,
            type(found)(
                **{n: getattr(found, n) for n in found.__slots__} | {"source_compute": None}
            ),
        )
    assert agents.noted == []


@BOTH
def test_context_of_an_action_has_the_user_without_the_token(
    store: objects.Store, connection: str, fill: Fill, act: Act, name: str
) -> None:
    fill(project_id="c0ffee")
    tell(store)
    agents = Agents(Answer())
    client = keystone_client(store, connection, actions=ByAgents(store, agents))
    answer = act(client, **{"X-Auth-Token": "manager"})
    assert answer.status_code == 202
    ((ctxt, *_more),) = agents.noted
    assert (ctxt.user_id, ctxt.project_id) == ("somebody", "c0ffee")
    assert ctxt.request_id == answer.headers["x-openstack-request-id"]
    assert ctxt.auth_token is None
    assert "manager" not in json.dumps({**ctxt.to_dict(), "roles": []})


@BOTH
def test_action_on_another_projects_migration_is_404(
    store: objects.Store, connection: str, asked: Asked, fill: Fill, act: Act, name: str
) -> None:
    fill(project_id="c0ffee")
    client = keystone_client(store, connection, actions=asked)
    for token in ("reader", "member", "system-reader"):
        told = detail(act(client, **{"X-Auth-Token": token}), ErrorCode.POLICY_DENIED)
        assert f"migprog:migrations:{name}" in told
    error_of(act(client, **{"X-Auth-Token": "other-manager"}), ErrorCode.MIGRATION_NOT_FOUND)
    assert not asked.noted
    for token in ("manager", "admin", "other-admin"):
        assert act(client, **{"X-Auth-Token": token}).status_code == 202


@BOTH
def test_accepted_request_is_notified_of(
    store: objects.Store, connection: str, asked: Asked, fill: Fill, act: Act, name: str
) -> None:
    events: list[Event] = []
    actions = Notifying(asked, events.extend)
    client = client_of(app.create(configuration(connection), store, actions=actions))
    (migration,) = fill()
    assert act(client).status_code == 202
    (event,) = events
    data = notifications.sent(event)
    assert (data["uuid"], data["server_uuid"]) == (migration, SERVER)
    action = data["action"]
    assert (action["action"], action["by"], action["state"]) == (name, "operator", "requested")


@BOTH
def test_refused_request_is_not_notified_of(
    store: objects.Store, connection: str, fill: Fill, act: Act, name: str
) -> None:
    events: list[Event] = []
    actions = Notifying(Disabled(), events.extend)
    client = client_of(app.create(configuration(connection), store, actions=actions))
    fill()
    assert act(client).status_code == 403
    assert events == []
