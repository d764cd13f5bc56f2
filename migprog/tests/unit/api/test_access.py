# SPDX-License-Identifier: Apache-2.0
"""Who gets what, on every route of both APIs: the table of ``doc/source/access.rst``.

To write it anew: ``MIGPROG_WRITE_ACCESS=1 pytest migprog/tests/unit/api/test_access.py``.
"""

import os
import uuid
from typing import Any

import pytest
from falcon import testing

from migprog import objects, policies
from migprog.api import app
from migprog.api.access import PUBLIC, rule_of
from migprog.api.auth import PUBLIC as PUBLIC_PATHS
from migprog.api.error_codes import ErrorCode
from migprog.api.nova import versions as nova_versions
from migprog.tests import access
from migprog.tests.access import HOST, NOVA
from migprog.tests.unit.api.conftest import SERVER, error_of
from migprog.tests.unit.api.nova.conftest import Asked
from migprog.tests.unit.api.tokens import PROJECT, TOKENS, keystone_client

JSON = {"Content-Type": "application/json"}
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
STRANGERS = ("none", "odd", "other", "other-manager", "system-none", "domain-admin", "unscoped")


@pytest.fixture
def migration(store: objects.Store) -> objects.Migration:
    """Under way, of a server of ``PROJECT``."""
    return access.fill(store, SERVER, PROJECT)


@pytest.fixture
def client(store: objects.Store, connection: str) -> testing.TestClient:
    return keystone_client(store, connection, actions=Asked())


def ask(
    client: testing.TestClient, method: str, path: str, migration: objects.Migration, token: str
) -> testing.Result:
    return client.simulate_request(
        method,
        access.address(path, migration),
        headers=NOVA | JSON | {"X-Auth-Token": token},
        body=access.body(method, path),
    )


def test_the_page_has_the_table_as_it_is(
    client: testing.TestClient, migration: objects.Migration
) -> None:
    def asked(method: str, path: str, token: str) -> tuple[int, str]:
        answer = ask(client, method, path, migration, token)
        return answer.status_code, answer.text

    table = access.table(asked, migration)
    if os.environ.get("MIGPROG_WRITE_ACCESS"):
        access.document(table)
    assert access.documented() == table


def test_every_route_has_its_rules() -> None:
    known = {rule.name for rule in policies.list_rules()}
    for path, resource in access.routes():
        asked = {method for method in METHODS if hasattr(resource, f"on_{method.lower()}")}
        assert asked - {"HEAD"} == set(resource.RULES), path
        assert set(resource.RULES.values()) <= known, path
    for path, resource in app.ROUTES.items():
        assert (resource.RULES is PUBLIC) == (path in PUBLIC_PATHS), path
    assert nova_versions.Version.RULES is PUBLIC


def test_a_rule_is_for_one_route_alone() -> None:
    rules = [rule for _path, resource in access.routes() for rule in resource.RULES.values()]
    assert len(rules) == len(set(rules))


class Forgotten:
    """A resource with a method that has no rule."""

    RULES = {"GET": policies.agents.LIST}  # noqa: RUF012

    def on_delete(self) -> None:
        raise AssertionError("it was asked")


def test_method_without_a_rule_is_refused() -> None:
    with pytest.raises(LookupError, match="Forgotten has no rule for DELETE"):
        rule_of(Forgotten(), "DELETE")
    assert rule_of(Forgotten(), "POST") == policies.agents.LIST
    with pytest.raises(AttributeError):
        rule_of(object(), "GET")


@pytest.mark.parametrize("token", STRANGERS)
def test_a_stranger_gets_nothing(
    client: testing.TestClient, migration: objects.Migration, token: str
) -> None:
    """Whatever is asked; a list of the own project's things has none of this one's."""
    for path, _resource in access.routes():
        for method in METHODS:
            answer = ask(client, method, path, migration, token)
            assert HOST not in answer.text, (method, path)
            if answer.status_code == 200:
                assert migration.uuid not in answer.text, (method, path)
                assert token.startswith("other"), (method, path)
                if method == "GET":
                    ((_name, things),) = answer.json.items()
                    assert things == [], path
            else:
                assert answer.status_code in (403, 404, 405), (method, path)


@pytest.mark.parametrize("token", ["other", "other-manager"])
def test_another_projects_records_are_404(
    client: testing.TestClient, migration: objects.Migration, token: str
) -> None:
    """The answer is, to the letter, that for what does not exist."""
    nobody, none, number = str(uuid.UUID(int=9)), str(uuid.UUID(int=99)), migration.id
    theirs = migration.uuid
    pairs = [
        (f"/servers/{SERVER}", f"/servers/{nobody}"),
        (f"/servers/{SERVER}/migrations", f"/servers/{nobody}/migrations"),
        (f"/servers/{SERVER}/migrations/{theirs}", f"/servers/{SERVER}/migrations/{none}"),
        (f"/servers/{SERVER}/migrations/{number}", f"/servers/{SERVER}/migrations/9999"),
        (
            f"/servers/{SERVER}/migrations/{theirs}/history",
            f"/servers/{SERVER}/migrations/{none}/history",
        ),
        (f"/migrations?marker={theirs}", f"/migrations?marker={none}"),
        (f"/migrations?server_uuid={SERVER}", f"/migrations?server_uuid={nobody}"),
        (f"/v2.1/servers/{SERVER}", f"/v2.1/servers/{nobody}"),
        (f"/v2.1/servers/{SERVER}/migrations", f"/v2.1/servers/{nobody}/migrations"),
        (f"/v2.1/servers?marker={SERVER}", f"/v2.1/servers?marker={nobody}"),
        (f"/v2.1/servers/detail?marker={SERVER}", f"/v2.1/servers/detail?marker={nobody}"),
        (f"/v2.1/os-migrations?marker={theirs}", f"/v2.1/os-migrations?marker={none}"),
        (
            f"/v2.1/os-migrations?instance_uuid={SERVER}",
            f"/v2.1/os-migrations?instance_uuid={nobody}",
        ),
    ]
    headers = NOVA | {"X-Auth-Token": token}
    names = {SERVER: "S", nobody: "S", theirs: "M", none: "M", str(number): "N", "9999": "N"}

    def told(path: str) -> tuple[int, str]:
        answer = client.simulate_get(path, headers=headers)
        text = answer.text.replace(answer.headers["x-openstack-request-id"], "R")
        for name, letter in names.items():
            text = text.replace(f"{name}'", letter).replace(f"{name} ", letter)
        return answer.status_code, text

    for anothers, nobodys in pairs:
        assert told(anothers) == told(nobodys), anothers


def test_filter_by_host_needs_the_right_to_see_hosts(
    client: testing.TestClient, migration: objects.Migration
) -> None:
    for token, code in (("reader", 403), ("manager", 403), ("admin", 200), ("system-reader", 200)):
        answer = client.simulate_get(f"/migrations?host={HOST}-a", headers={"X-Auth-Token": token})
        assert answer.status_code == code
    for name in ("host", "source_compute"):
        for token, code in (("manager", 403), ("admin", 200)):
            answer = client.simulate_get(
                f"/v2.1/os-migrations?{name}={HOST}-a", headers={"X-Auth-Token": token}
            )
            assert answer.status_code == code


def test_the_refusal_names_the_rule(
    client: testing.TestClient, migration: objects.Migration
) -> None:
    answer = ask(client, "GET", "/agents", migration, "reader")
    assert error_of(answer, ErrorCode.POLICY_DENIED)["detail"] == (
        "Policy doesn't allow migprog:agents:list to be performed."
    )
    path = "/v2.1/servers/{server_id}/migrations/{number}"
    assert ask(client, "GET", path, migration, "manager").json == {
        "forbidden": {
            "code": 403,
            "message": "Policy doesn't allow os_compute_api:servers:migrations:show to be "
            "performed.",
        }
    }


@pytest.mark.parametrize("path", ["/v2.1/servers", "/v2.1/servers/detail"])
def test_all_tenants(client: testing.TestClient, migration: objects.Migration, path: str) -> None:
    """As in Nova: who may see all projects' servers, too, is shown them only if asked for."""

    def count(token: str, query: str = "") -> int:
        answer = client.simulate_get(path + query, headers={"X-Auth-Token": token})
        return len(answer.json["servers"]) if answer.status_code == 200 else -answer.status_code

    assert [count(token) for token in ("reader", "admin", "other-admin")] == [1, 1, 0]
    assert count("other-admin", "?all_tenants=1") == count("other-admin", "?all_tenants") == 1
    for no in ("False", "no", "0"):
        assert count("other-admin", f"?all_tenants={no}") == 0
    assert count("reader", "?all_tenants=1") == count("other", "?all_tenants=True") == -403
    assert count("system-reader") == 1


def test_another_project_is_not_listed_by_its_name(
    client: testing.TestClient, migration: objects.Migration
) -> None:
    def listed(token: str, project: str, path: str) -> Any:
        answer = client.simulate_get(
            f"{path}?project_id={project}",
            headers=NOVA | JSON | {"X-Auth-Token": token},
        )
        return len(answer.json["migrations"]) if answer.status_code == 200 else answer.status_code

    for path, count in (("/migrations", 1), ("/v2.1/os-migrations", 0)):
        # In Nova's lists it is the project of who asked for it, whom nobody knows here.
        assert listed("manager", PROJECT, path) == listed("other-admin", PROJECT, path) == count
        assert listed("other-manager", PROJECT, path) == 403
        assert listed("other-manager", "none", path) == 403
    assert listed("system-reader", PROJECT, "/migrations") == 1


def test_every_token_is_looked_at() -> None:
    assert set(access.COLUMNS) | set(STRANGERS) | {"member", "loud", "other-admin"} == set(TOKENS)


def test_another_projects_migration_cannot_be_acted_on(
    client: testing.TestClient, migration: objects.Migration
) -> None:
    """Nor can it be distinguished from one that does not exist."""
    told = []
    for server in (SERVER, str(uuid.UUID(int=9))):
        path = f"/v2.1/servers/{server}/migrations/{migration.id}"
        for method, more in (("DELETE", ""), ("POST", "/action")):
            answer = client.simulate_request(
                method,
                path + more,
                headers=NOVA | JSON | {"X-Auth-Token": "other-manager"},
                body=access.body(method, more),
            )
            assert answer.status_code == 404, method
            told.append(answer.text.replace(server, "S"))
    assert len(set(told)) == 1


@pytest.mark.parametrize(
    ("token", "path"),
    [
        ("member", "/migrations"),
        ("member", "/servers/{server_uuid}"),
        ("member", "/servers/{server_uuid}/migrations"),
        ("member", "/servers/{server_uuid}/migrations/{id_or_uuid}"),
        ("member", "/v2.1/servers/detail"),
        ("member", "/v2.1/servers/{server_id}"),
        ("manager", "/v2.1/servers/{server_id}/migrations"),
    ],
)
def test_hosts_are_null_and_nothing_else_changes(
    client: testing.TestClient, migration: objects.Migration, token: str, path: str
) -> None:
    def told(token: str) -> dict[str, Any]:
        ((_name, thing),) = ask(client, "GET", path, migration, token).json.items()
        document: dict[str, Any] = thing[0] if isinstance(thing, list) else thing
        return document

    whole, cut = told("admin"), told(token)
    hidden = {
        *("source_compute", "source_node", "dest_compute", "dest_node", "dest_host", "error"),
        *("host", "OS-EXT-SRV-ATTR:host"),
    }
    if path.startswith("/v2.1"):
        # Nova's address of it is not known.
        hidden.remove("dest_host")
    # Of these, who asked is null, too.
    partly = {"actions"}
    assert {key for key in whole if whole[key] != cut[key]} == (hidden | partly) & set(whole)
    for before, after in zip(whole.get("actions", ()), cut.get("actions", ()), strict=True):
        assert after == before | dict.fromkeys(access.WHO)
    assert all(cut[key] is None and whole[key] is not None for key in hidden & set(whole))
