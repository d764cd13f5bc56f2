# SPDX-License-Identifier: Apache-2.0
"""Where Nova is asked for its names, the Nova-compatible API has these alone; the native one
has both."""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from falcon import testing

from migprog import objects
from migprog.api import app
from migprog.conf import nova as nova_conf
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.unit.api.conftest import SERVER, Fill, client_of, configuration
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


def under_way(fill: Fill, count: int = 1, **values: Any) -> list[str]:
    """Migrations of SERVER that are reported now; their UUIDs."""
    now = time.time()
    known = {"last_reported_at": now, "started_at": now - 20, "sampled_at": now - 1}
    return [fill(**(known | {"started_at": now - 20 - 9 * n} | values))[0] for n in range(count)]


def name(store: objects.Store, ours: str, is_alone: bool = True, **values: Any) -> None:
    """A migration of SERVER is the 17th of Nova's."""
    migration = objects.Migration.get(store, SERVER, ours)
    report = stores.report(server_uuid=SERVER, started_at=migration.started_at.timestamp())
    record = stores.nova_record(report, **({"uuid": THEIRS} | values))
    assert objects.name(store, migration, record, time.time() + 1, is_alone)


@pytest.fixture
def named(store: objects.Store, fill: Fill) -> str:
    """The UUID that is ours of the second of SERVER's two migrations, which alone has a name of
    Nova's, and is under way."""
    fill(status=Status.FAILED, phase=Phase.DONE)
    (ours,) = under_way(fill)
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


def test_action_goes_to_the_migration_with_that_nova_id(
    ask_named: Ask, actions: Asked, named: str
) -> None:
    body = '{"force_complete": null}'
    assert ask_named(f"{OF_SERVER}/17", method="DELETE").status_code == 202
    assert ask_named(f"{OF_SERVER}/17/action", method="POST", body=body).status_code == 202
    assert actions.noted == [("abort", named), ("force_complete", named)]
    assert ask_named(f"{OF_SERVER}/2", method="DELETE").status_code == 404
    assert ask_named(f"{OF_SERVER}/2/action", method="POST", body=body).status_code == 400


def test_etag_changes_when_nova_ids_become_known(
    ask_named: Ask, store: objects.Store, fill: Fill
) -> None:
    (ours,) = under_way(fill)
    assert ask_named(OF_SERVER).status_code == 404
    name(store, ours)
    answer = ask_named(OF_SERVER)
    assert [each["id"] for each in answer.json["migrations"]] == [17]
    tag = answer.headers["etag"]
    assert ask_named(OF_SERVER, headers={"If-None-Match": tag}).status_code == 304
    # Another one begins, which has no name: who has the tag is not told that nothing is new.
    under_way(fill, started_at=time.time() - 2)
    assert ask_named(OF_SERVER, headers={"If-None-Match": tag}).status_code == 404


MAY_KNOW_MORE = f"Nova may know more of the migrations of instance {SERVER}."


def nothing(fill: Fill, store: objects.Store) -> None:
    """Nova prepares one, or has not ended one that is over."""
    fill(status=Status.COMPLETED, phase=Phase.DONE)


def without_a_name(fill: Fill, store: objects.Store) -> None:
    under_way(fill)


def one_of_two_without_a_name(fill: Fill, store: objects.Store) -> None:
    name(store, under_way(fill, 2)[0])


def beside_another(fill: Fill, store: objects.Store) -> None:
    """Nova lists one more."""
    name(store, under_way(fill)[0], is_alone=False)


def silent(fill: Fill, store: objects.Store) -> None:
    """Its agent may be dead, and Nova two migrations further."""
    name(store, under_way(fill, last_reported_at=time.time() - 20)[0])


def gone_from_its_source(fill: Fill, store: objects.Store) -> None:
    (ours,) = under_way(fill, status=Status.POST_MIGRATING, phase=Phase.SWITCHOVER)
    name(store, ours)


@pytest.mark.parametrize(
    "stand",
    [
        *(nothing, without_a_name, one_of_two_without_a_name),
        *(beside_another, silent, gone_from_its_source),
    ],
)
def test_migration_of_which_nova_may_know_more_is_404(
    ask_named: Ask, store: objects.Store, fill: Fill, stand: Callable[..., None]
) -> None:
    """With 404: a proxy asks Nova next."""
    stand(fill, store)
    assert refusal(ask_named(OF_SERVER)) == (404, "itemNotFound", MAY_KNOW_MORE)
    if stand in (silent, gone_from_its_source):
        assert refusal(ask_named(f"{OF_SERVER}/17"))[:2] == (404, "itemNotFound")


def test_migration_in_post_copy_is_answered(
    ask_named: Ask, store: objects.Store, fill: Fill
) -> None:
    """Nova lists it no more."""
    name(store, under_way(fill, status=Status.POST_COPY, phase=Phase.POST_COPY)[0])
    (listed,) = ask_named(OF_SERVER).json["migrations"]
    assert listed["status"] == "running (post-copy)"


def test_identity_is_that_of_novas_record(ask_named: Ask, store: objects.Store, fill: Fill) -> None:
    """A migration is the same in both APIs; its owner is not who requested it."""
    (ours,) = under_way(fill, user_id="owner", project_id="owners")
    at = datetime(2026, 9, 1, 12, tzinfo=UTC)
    name(store, ours, created_at=at, dest_host="192.0.2.9")
    expected = {
        "user_id": "admin",
        "project_id": "admins",
        "source_compute": "source",
        "source_node": "source.example.org",
        "dest_compute": "dest",
        "dest_node": "dest.example.org",
        "dest_host": "192.0.2.9",
        "created_at": "2026-09-01T12:00:00.000000",
    }
    (listed,) = ask_named(OF_SERVER).json["migrations"]
    shown = ask_named(f"{OF_SERVER}/17").json["migration"]
    (of_all,) = ask_named("/os-migrations").json["migrations"]
    for each in (listed, shown, of_all):
        assert {key: each[key] for key in expected} == expected
    assert (of_all["old_instance_type_id"], of_all["new_instance_type_id"]) == (3, 3)


def test_lists_by_user_are_of_the_requester(
    ask_named: Ask, store: objects.Store, fill: Fill
) -> None:
    (ours,) = under_way(fill, user_id="owner", project_id="owners")
    name(store, ours)

    def found(query: str) -> list[int]:
        return [each["id"] for each in ask_named(f"/os-migrations?{query}").json["migrations"]]

    assert found("user_id=admin") == found("project_id=admins") == [17]
    assert found("user_id=admin&project_id=admins") == [17]
    since = "changes-since=2026-01-01T00:00:00"
    assert found(f"project_id=admins&{since}") == [17]
    assert found("user_id=owner") == found("project_id=owners") == []


def test_a_tag_is_of_the_names_that_were_shown(ask_named: Ask, ask: Ask, named: str) -> None:
    """Who turns it on does not leave clients with what they had."""
    tag = ask(f"{OF_SERVER}/2").headers["etag"]
    name_of_ours = ask(f"{OF_SERVER}/2", headers={"If-None-Match": tag})
    assert name_of_ours.status_code == 304
    assert ask_named(f"{OF_SERVER}/17", headers={"If-None-Match": tag}).status_code == 200


def test_native_api_has_both_ids(client_named: testing.TestClient, named: str) -> None:
    path = f"/servers/{SERVER}/migrations"
    listed = client_named.simulate_get(path).json["migrations"]
    keys = ("id", "nova_id", "nova_uuid", "nova_user_id", "nova_project_id")
    assert [tuple(each[key] for key in keys) for each in listed] == [
        (2, 17, THEIRS, "admin", "admins"),
        (1, None, None, None, None),
    ]
    assert client_named.simulate_get(f"{path}/2").json["migration"]["uuid"] == named
    assert client_named.simulate_get(f"{path}/17").status_code == 404


def test_without_nova_the_compatible_api_has_migprogs_ids(ask: Ask, named: str) -> None:
    assert [each["id"] for each in ask(OF_SERVER).json["migrations"]] == [2]
