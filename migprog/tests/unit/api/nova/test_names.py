# SPDX-License-Identifier: Apache-2.0
"""Where Nova is asked for its names, its face has these alone; ours has both."""

import uuid
from datetime import UTC, datetime

import pytest
from falcon import testing

from migprog import objects
from migprog.api import app
from migprog.conf import nova as nova_conf
from migprog.core.nova import NovaMigration
from migprog.tests.unit.api.conftest import HEARD_AT, SERVER, Fill, client_of, configuration
from migprog.tests.unit.api.nova.conftest import Ask, Asked, asking, refusal

THEIRS = str(uuid.UUID(int=0x17))
OF_SERVER = f"/servers/{SERVER}/migrations"


@pytest.fixture
def client_named(store: objects.Store, connection: str, actions: Asked) -> testing.TestClient:
    """Of an API where ``[nova]`` says how Nova is asked, and something may be done."""
    conf = configuration(connection)
    nova_conf.register_opts(conf)
    conf.set_override("auth_type", "none", "nova")
    return client_of(app.create(conf, store, actions=actions))


@pytest.fixture
def ask_named(client_named: testing.TestClient) -> Ask:
    return asking(client_named)


def name(store: objects.Store, ours: str) -> None:
    """A migration of SERVER is the 17th of Nova's."""
    record = NovaMigration(
        id=17,
        uuid=THEIRS,
        migration_type="live-migration",
        status="running",
        source_compute="source",
        source_node=None,
        dest_compute=None,
        created_at=datetime.now(UTC),
        updated_at=None,
    )
    migration = objects.Migration.get(store, SERVER, ours)
    assert objects.name(store, migration, record, HEARD_AT + 1)


@pytest.fixture
def named(store: objects.Store, fill: Fill) -> str:
    """The UUID that is ours of the second of SERVER's two migrations, which alone has a name of
    Nova's."""
    _unnamed, ours = fill(2)
    name(store, ours)
    return ours


def test_lists_and_shows(ask_named: Ask, named: str) -> None:
    for path in (OF_SERVER, "/os-migrations", f"/c0ffee{OF_SERVER}"):
        (listed,) = ask_named(path).json["migrations"]
        assert (listed["id"], listed["uuid"]) == (17, THEIRS), path
    (listed,) = ask_named("/os-migrations").json["migrations"]
    assert listed["links"][0]["href"].endswith(f"/v2.1{OF_SERVER}/17")
    shown = ask_named(f"{OF_SERVER}/17").json["migration"]
    assert (shown["id"], shown["uuid"], shown["server_uuid"]) == (17, THEIRS, SERVER)
    # Our own numbers are not known here.
    for number in (1, 2):
        assert refusal(ask_named(f"{OF_SERVER}/{number}"))[:2] == (404, "itemNotFound")


def test_pages(ask_named: Ask, named: str) -> None:
    page = ask_named("/os-migrations?limit=1").json
    assert page["migrations_links"][0]["href"].endswith(f"marker={THEIRS}")
    assert ask_named(f"/os-migrations?marker={THEIRS}").json["migrations"] == []
    assert refusal(ask_named(f"/os-migrations?marker={named}"))[0] == 400


def test_what_is_asked_for_is_asked_of_the_migration_itself(
    ask_named: Ask, actions: Asked, named: str
) -> None:
    body = '{"force_complete": null}'
    assert ask_named(f"{OF_SERVER}/17", method="DELETE").status_code == 202
    assert ask_named(f"{OF_SERVER}/17/action", method="POST", body=body).status_code == 202
    assert actions.noted == [("abort", named), ("force_complete", named)]
    assert ask_named(f"{OF_SERVER}/2", method="DELETE").status_code == 404
    assert ask_named(f"{OF_SERVER}/2/action", method="POST", body=body).status_code == 400


def test_one_that_gets_a_name_is_news(ask_named: Ask, store: objects.Store, fill: Fill) -> None:
    (ours,) = fill()
    before = ask_named(OF_SERVER)
    assert before.json["migrations"] == []
    name(store, ours)
    answer = ask_named(OF_SERVER, headers={"If-None-Match": before.headers["etag"]})
    assert [each["id"] for each in answer.json["migrations"]] == [17]


def test_a_tag_is_of_the_names_that_were_shown(ask_named: Ask, ask: Ask, named: str) -> None:
    """Who turns it on does not leave clients with what they had."""
    tag = ask(f"{OF_SERVER}/2").headers["etag"]
    name_of_ours = ask(f"{OF_SERVER}/2", headers={"If-None-Match": tag})
    assert name_of_ours.status_code == 304
    assert ask_named(f"{OF_SERVER}/17", headers={"If-None-Match": tag}).status_code == 200


def test_our_own_face_has_both(client_named: testing.TestClient, named: str) -> None:
    path = f"/servers/{SERVER}/migrations"
    listed = client_named.simulate_get(path).json["migrations"]
    assert [(each["id"], each["nova_id"], each["nova_uuid"]) for each in listed] == [
        (2, 17, THEIRS),
        (1, None, None),
    ]
    assert client_named.simulate_get(f"{path}/2").json["migration"]["uuid"] == named
    assert client_named.simulate_get(f"{path}/17").status_code == 404


def test_by_default_novas_face_has_our_names(ask: Ask, named: str) -> None:
    assert [each["id"] for each in ask(OF_SERVER).json["migrations"]] == [2, 1]
