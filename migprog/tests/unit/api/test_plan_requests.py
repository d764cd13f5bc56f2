# SPDX-License-Identifier: Apache-2.0
"""What a plan may be asked for, and measuring the servers of a host for it."""

import time
import uuid
from typing import Any
from urllib import parse

import pytest
from falcon import testing

from migprog import objects
from migprog.api import views
from migprog.api.error_codes import ErrorCode
from migprog.core.agent_answer import Answer
from migprog.core.measurement import Failure
from migprog.tests.unit.api.agents import Agents, measuring
from migprog.tests.unit.api.conftest import error_of
from migprog.tests.unit.api.plan_hosts import (
    BUSY,
    LARGE,
    LATEST,
    PATH,
    QUIET,
    beat,
    get,
    local,
    one,
    plan,
    post,
    put,
    three_servers,
)
from migprog.tests.unit.api.tokens import keystone_client

three = pytest.fixture(three_servers)


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ([], "must be a JSON object"),
        ({"at_once": 0}, "at_once must be a whole number from 1 to 32; it is 0"),
        ({"at_once": True}, "at_once must be a whole number from 1 to 32; it is true"),
        ({"destinations": "b"}, 'destinations must be a list of 1 to 50 different names of hosts'),
        ({"destinations": ["b", "b"]}, 'it is ["b", "b"]'),
        ({"destinations": ["a,b"]}, "without commas and control characters"),
        ({"destinations": []}, "destinations must be a list of 1 to 50"),
        ({"downtime_limit_seconds": 1e9}, "downtime_limit_seconds must be a number from 0.001 to"),
        ({"deadline": "tomorrow"}, 'deadline must be an instant with its zone as in RFC 3339'),
        ({"deadline": 7}, "deadline must be an instant"),
        ({"measure": 1}, "measure must be true or false; it is 1"),
        ({"dest_compute": "b"}, "'dest_compute' is unknown; known keys: at_once, auto_converge"),
    ],
)  # fmt: skip
def test_invalid_body_is_400(client: testing.TestClient, body: Any, rule: str) -> None:
    answer = client.simulate_post(PATH, json=body, headers=LATEST)
    assert rule in error_of(answer, ErrorCode.INVALID_BODY)["rule"]


def test_number_that_json_does_not_have_is_400(client: testing.TestClient) -> None:
    for text in ("NaN", "Infinity", "1e999", "9" * 400):
        body = f'{{"downtime_limit_seconds": {text}}}'
        headers = LATEST | {"Content-Type": "application/json"}
        answer = client.simulate_post(PATH, body=body, headers=headers)
        assert "must be a number" in error_of(answer, ErrorCode.INVALID_BODY)["rule"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("at_once=x", "at_once"),
        ("downtime_limit_seconds=nan", "downtime_limit_seconds"),
        ("downtime_limit_seconds=1_0", "downtime_limit_seconds"),
        ("destinations=a,,b", "destinations"),
        ("destinations=a,a", "destinations"),
        (f"destinations={'h' * 256}", "destinations"),
        ("made_at=now", "made_at"),
        ("measure=true", "measure"),
    ],
)
def test_invalid_parameter_is_400(client: testing.TestClient, query: str, field: str) -> None:
    answer = get(client, f"{PATH}?{query}")
    assert error_of(answer, ErrorCode.INVALID_PARAMETER)["field"] == field


def test_more_servers_than_a_plan_can_have_are_refused(
    client: testing.TestClient, store: objects.Store
) -> None:
    for first in range(0, 501, 100):
        servers = [str(uuid.UUID(int=1000 + n)) for n in range(first, min(first + 100, 501))]
        put(store, *(one(each) for each in servers))
    error_of(post(client), ErrorCode.TOO_MANY_SERVERS)


def test_plan_is_there_since_1_7(client: testing.TestClient, store: objects.Store) -> None:
    beat(store)
    headers = {"OpenStack-API-Version": "migration-progress 1.6"}
    for path in (PATH, "/hosts/source"):
        error_of(client.simulate_get(path, headers=headers), ErrorCode.NO_SUCH_ADDRESS)
    assert get(client).status_code == 200


@pytest.mark.usefixtures("three")
def test_servers_are_measured_and_the_plan_waits_for_all_of_them(
    store: objects.Store, connection: str
) -> None:
    agents = Agents(Answer())
    client = measuring(store, connection, agents)
    accepted = post(client, measure=True, at_once=2)
    assert (accepted.status_code, agents.noted) == (202, ["source"])
    follow = local(accepted.headers["location"])
    for server in (QUIET, LARGE, BUSY):
        waiting = get(client, follow)
        assert (waiting.status_code, waiting.headers["retry-after"]) == (202, "5")
        put(store, one(server, 0), age_seconds=-1)
    found = plan(get(client, follow))
    assert (found["at_once"], len(found["moves"])) == (2, 3)
    assert "measured_after" not in found["links"][0]["href"]


@pytest.mark.usefixtures("three")
def test_measurements_that_do_not_come_are_not_waited_for(
    client: testing.TestClient, store: objects.Store
) -> None:
    put(store, one(str(uuid.UUID(int=51))))
    beat(store, servers=4)
    # One of four was measured before; five minutes, and one for each of them.
    for ago, code in ((8.9 * 60, 202), (9.1 * 60, 200)):
        query = parse.urlencode({"measured_after": views.instant_of(time.time() - ago)})
        assert get(client, f"{PATH}?{query}").status_code == code


def test_plan_waits_while_an_agent_has_not_counted_its_servers_yet(
    store: objects.Store, connection: str
) -> None:
    beat(store, servers=None)
    client = measuring(store, connection, Agents(Answer()))
    follow = local(post(client, measure=True).headers["location"])
    assert get(client, follow).status_code == 202
    put(store, one(QUIET, 0), age_seconds=-1)
    assert get(client, follow).status_code == 202, "there may be more"
    beat(store, servers=2)
    assert get(client, follow).status_code == 202, "there is one more"
    put(store, one(LARGE, 0), age_seconds=-1)
    assert len(plan(get(client, follow))["moves"]) == 2


@pytest.mark.parametrize(("servers", "code"), [(None, 202), (1, 202), (0, 200)])
def test_plan_waits_for_servers_unless_there_are_none(
    client: testing.TestClient, store: objects.Store, servers: int | None, code: int
) -> None:
    beat(store, servers=servers)
    for ago, expected in ((4.9 * 60, code), (7 * 60, 200)):
        query = parse.urlencode({"measured_after": views.instant_of(time.time() - ago)})
        assert get(client, f"{PATH}?{query}").status_code == expected


@pytest.mark.parametrize(
    ("answer", "enabled", "code"),
    [
        (Answer.of(Failure.LIBVIRT_HANGS), True, ErrorCode.LIBVIRT_HANGS),
        (None, True, ErrorCode.AGENT_TIMEOUT),
        (Answer(), False, ErrorCode.AGENT_MEASURING_DISABLED),
        (Answer(), None, ErrorCode.AGENT_MEASURING_DISABLED),
    ],
)
def test_agent_that_does_not_measure(
    store: objects.Store,
    connection: str,
    answer: Answer | None,
    enabled: bool | None,
    code: ErrorCode,
) -> None:
    client = measuring(store, connection, Agents(answer))
    error_of(post(client, measure=True), ErrorCode.AGENT_SILENT)
    beat(store, enabled=enabled)
    error_of(post(client, measure=True), code)


def test_measuring_takes_an_admin_and_is_disabled_by_default(
    store: objects.Store, connection: str
) -> None:
    beat(store)
    client = keystone_client(store, connection)
    for token, code in (
        ("manager", ErrorCode.POLICY_DENIED),
        ("system-reader", ErrorCode.POLICY_DENIED),
        ("admin", ErrorCode.MEASURING_DISABLED),
    ):
        headers = LATEST | {"X-Auth-Token": token}
        answer = client.simulate_post(PATH, json={"measure": True}, headers=headers)
        error_of(answer, code)
