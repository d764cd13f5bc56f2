# SPDX-License-Identifier: Apache-2.0
"""Who asked for an action is shown to those who may see hosts, and to nobody else: at every address
of both APIs, in news of lists, and by the tag of an answer that others got."""

from typing import Any

import pytest
from falcon import testing

from migprog import objects
from migprog.core.status import Status
from migprog.tests import access, stores
from migprog.tests.access import NOVA, WHO
from migprog.tests.unit.api.conftest import SERVER
from migprog.tests.unit.api.test_list_watchers import ByHand, by_token
from migprog.tests.unit.api.tokens import PROJECT, TOKENS, keystone_client

SEES = {"admin", "loud", "other-admin", "system-reader"}
ONE = f"/servers/{SERVER}/migrations/1"
NEWS = "/migrations?in_progress=true&wait=0"


@pytest.fixture
def migration(store: objects.Store) -> objects.Migration:
    return access.fill(store, SERVER, PROJECT)


@pytest.fixture
def client(store: objects.Store, connection: str) -> testing.TestClient:
    return keystone_client(store, connection)


def ask(
    client: testing.TestClient, path: str, token: str, headers: dict[str, str] | None = None
) -> testing.Result:
    return client.simulate_get(path, headers=NOVA | (headers or {}) | {"X-Auth-Token": token})


def asked(document: dict[str, Any]) -> dict[str, Any]:
    """Who asked for the one action of a migration or a summary."""
    (action,) = document["actions"]
    return {name: action[name] for name in WHO if name in action}


@pytest.mark.parametrize("token", sorted(TOKENS.keys() - SEES))
def test_others_are_shown_no_requester_at_any_address(
    client: testing.TestClient, migration: objects.Migration, token: str
) -> None:
    paths = [access.address(path, migration) for path, _resource in access.routes()]
    for path in (*paths, NEWS, f"{ONE}?wait=0&since=0", "/migrations?status=running"):
        answer = ask(client, path, token)
        for name in WHO.values():
            assert name not in answer.text, path


@pytest.mark.parametrize("token", ["reader", "member", "manager"])
def test_owners_see_the_action_without_who_asked(
    client: testing.TestClient, migration: objects.Migration, token: str
) -> None:
    nobody = dict.fromkeys(WHO)
    for path in (f"/servers/{SERVER}/migrations", "/migrations", NEWS):
        (shown,) = ask(client, path, token).json["migrations"]
        assert shown["actions"][0]["action"] == "abort"
        assert asked(shown) == nobody, path
    assert asked(ask(client, ONE, token).json["migration"]) == nobody
    summary = ask(client, f"{ONE}/summary", token).json["summary"]
    assert asked(summary) == {"user_id": None, "project_id": None}
    assert "abort after 1.0 s, by an operator" in summary["sentences"]["actions"]


@pytest.mark.parametrize("token", sorted(SEES))
def test_those_who_see_hosts_see_who_asked(
    client: testing.TestClient, migration: objects.Migration, token: str
) -> None:
    for path in (f"/servers/{SERVER}/migrations", "/migrations", NEWS):
        (shown,) = ask(client, path, token).json["migrations"]
        assert asked(shown) == WHO, path
    assert asked(ask(client, ONE, token).json["migration"]) == WHO
    summary = ask(client, f"{ONE}/summary", token).json["summary"]
    assert asked(summary) == {name: WHO[name] for name in ("user_id", "project_id")}
    assert f"by user {WHO['user_id']}" in summary["sentences"]["actions"]


def test_migration_that_has_ended_since_is_news_without_who_asked(
    store: objects.Store, connection: str, migration: objects.Migration
) -> None:
    """One round is made for watchers of both kinds."""
    news = ByHand(store)
    client = by_token(store, connection, news)
    cursors = {token: ask(client, NEWS, token).json["cursor"] for token in ("admin", "reader")}
    last = stores.report(
        *(9, Status.CANCELLED),
        uuid=migration.uuid,
        server_uuid=SERVER,
        project_id=PROJECT,
        actions=({"after_seconds": 1.0, "action": "abort", "state": "done", **WHO},),
        ended_at=stores.START + 9,
    )
    stores.store(store, last, host=migration.source_compute)
    news.look()
    for token, expected in (("admin", WHO), ("reader", dict.fromkeys(WHO)), ("admin", WHO)):
        (ended,) = ask(client, f"{NEWS}&since={cursors[token]}", token).json["ended"]
        assert asked(ended) == expected, token
    news.stop()


@pytest.mark.parametrize("path", ["/migrations", f"/servers/{SERVER}/migrations", ONE])
def test_answer_with_names_has_another_tag_than_one_without(
    client: testing.TestClient, migration: objects.Migration, path: str
) -> None:
    """So nobody is told by 304 to show what somebody else was answered."""
    tag = {"If-None-Match": ask(client, path, "admin").headers["ETag"]}
    assert ask(client, path, "admin", tag).status_code == 304
    assert ask(client, path, "reader", tag).status_code == 200
