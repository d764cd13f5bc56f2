# SPDX-License-Identifier: Apache-2.0
"""Who gets what, on every route of both faces: the table of doc/source/access.rst.

To write it anew: ``MIGPROG_WRITE_ACCESS=1 pytest migprog/tests/unit/api/test_access.py``.
"""

import os
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from falcon import testing

from migprog import objects, policies
from migprog.api import app
from migprog.api.access import PUBLIC, rule_of
from migprog.api.auth import PUBLIC as PUBLIC_PATHS
from migprog.api.nova import app as nova
from migprog.core import report as core_report
from migprog.tests import stores
from migprog.tests.unit.api.conftest import SERVER
from migprog.tests.unit.api.nova.conftest import Asked
from migprog.tests.unit.api.tokens import PROJECT, TOKENS, keystone_client

PAGE = pathlib.Path(__file__).resolve().parents[4] / "doc/source/access.rst"
# In every name and address of a host, and in the error, as libvirt may write it.
HOST = "rack7"
NOVA = {"OpenStack-API-Version": "compute 2.80"}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
COLUMNS = {
    "none": "no role",
    "other": "other project",
    "reader": "owner",
    "manager": "manager",
    "admin": "admin",
    "system-reader": "system reader",
}
STRANGERS = ("none", "odd", "other", "other-manager", "system-none", "domain-admin", "unscoped")

NOTHING, OWN, ALL = "nothing", "no hosts", "all"


@pytest.fixture
def migration(store: objects.Store) -> str:
    """The UUID of a migration under way, of a server of ``PROJECT``."""
    sent = stores.report(server_uuid=SERVER, project_id=PROJECT, error=f"no route to {HOST}")
    stores.store(store, sent, host=f"{HOST}-a")
    stores.store(store, stores.arrival(SERVER), host=f"{HOST}-b")
    agent = core_report.Agent(
        version="1",
        started_at=stores.START,
        interval_seconds=5.0,
        heartbeat_seconds=30.0,
        migrations=1,
    )
    batch = core_report.Batch(host=f"{HOST}-a", node=f"{HOST}-a.lab", agent=agent)
    objects.store_batch(store, batch, stores.START)
    return sent.uuid


@pytest.fixture
def client(store: objects.Store, connection: str) -> testing.TestClient:
    return keystone_client(store, connection, actions=Asked())


def routes() -> Iterator[tuple[str, Any]]:
    """The address, with its names, and the resource of each route of both faces."""
    yield from app.ROUTES.items()
    for path, resource in nova.ROUTES.items():
        yield nova.PREFIX + path, resource


def requests() -> Iterator[tuple[str, str]]:
    """The method and the address of all that may be asked and is not public."""
    for path, resource in routes():
        if path not in PUBLIC_PATHS:
            for method in resource.RULES:
                yield method, path


def ask(
    client: testing.TestClient, method: str, path: str, migration: str, token: str
) -> testing.Result:
    number = client.simulate_get(
        f"/servers/{SERVER}/migrations/{migration}", headers={"X-Auth-Token": "admin"}
    ).json["migration"]["id"]
    path = path.format(server_uuid=SERVER, id_or_uuid=migration, server_id=SERVER, number=number)
    return client.simulate_request(
        method,
        path,
        headers=NOVA | {"X-Auth-Token": token},
        body='{"force_complete": null}' if method == "POST" and path.endswith("/action") else None,
    )


def seen(answer: testing.Result) -> str:
    """What an answer tells of the migration, in a word."""
    if answer.status_code != 200:
        assert HOST not in answer.text and "rack" not in answer.text
        return str(answer.status_code)
    if HOST in answer.text:
        return ALL
    return OWN if SERVER in answer.text or '"history": [{' in answer.text else NOTHING


def table(client: testing.TestClient, migration: str) -> list[list[str]]:
    rows = [["", *COLUMNS.values()]]
    for method, path in requests():
        answers = [seen(ask(client, method, path, migration, token)) for token in COLUMNS]
        rows.append([f"``{method} {path}``", *answers])
    return rows


def written(rows: list[list[str]]) -> str:
    """As a simple table of reStructuredText."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = "  ".join("=" * width for width in widths)
    # An empty first cell would go on with the row before.
    rows = [[rows[0][0] or "..", *rows[0][1:]], *rows[1:]]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def test_the_page_has_the_table_as_it_is(client: testing.TestClient, migration: str) -> None:
    begin, end = ".. begin of the table\n\n", "\n\n.. end of the table"
    page = PAGE.read_text()
    before, _begin, rest = page.partition(begin)
    shown, _end, after = rest.partition(end)
    wanted = written(table(client, migration))
    if os.environ.get("MIGPROG_WRITE_ACCESS"):
        PAGE.write_text(before + begin + wanted + end + after)
        shown = wanted
    assert shown == wanted


def test_every_route_has_its_rules() -> None:
    known = {rule.name for rule in policies.list_rules()}
    for path, resource in routes():
        if path in PUBLIC_PATHS:
            assert resource.RULES is PUBLIC, path
            continue
        asked = {method for method in METHODS if hasattr(resource, f"on_{method.lower()}")}
        assert asked - {"HEAD"} == set(resource.RULES), path
        assert set(resource.RULES.values()) <= known, path


def test_a_rule_is_for_one_route_alone() -> None:
    rules = [rule for _path, resource in routes() for rule in resource.RULES.values()]
    assert len(rules) == len(set(rules))


class Forgotten:
    """A resource with a method that nobody wrote a rule for."""

    RULES = {"GET": policies.agents.LIST}  # noqa: RUF012

    def on_delete(self) -> None:
        raise AssertionError("it was asked")


def test_a_method_without_a_rule_is_for_nobody() -> None:
    with pytest.raises(LookupError, match="Forgotten has no rule for DELETE"):
        rule_of(Forgotten(), "DELETE")
    assert rule_of(Forgotten(), "POST") == policies.agents.LIST
    with pytest.raises(AttributeError):
        rule_of(object(), "GET")


@pytest.mark.parametrize("token", STRANGERS)
def test_a_stranger_gets_nothing(client: testing.TestClient, migration: str, token: str) -> None:
    """Whatever is asked; a list of the own project's things has none of this one's."""
    for path, _resource in routes():
        if path in PUBLIC_PATHS:
            continue
        for method in METHODS:
            answer = ask(client, method, path, migration, token)
            assert HOST not in answer.text, (method, path)
            if answer.status_code == 200:
                assert migration not in answer.text, (method, path)
                assert token.startswith("other"), (method, path)
                if method == "GET":
                    ((_name, things),) = answer.json.items()
                    assert things == [], path
            else:
                assert answer.status_code in (403, 404, 405), (method, path)


@pytest.mark.parametrize("token", ["other", "other-manager"])
def test_what_is_another_projects_does_not_exist(
    client: testing.TestClient, migration: str, token: str
) -> None:
    """The answer is, to the letter, that for what nobody has."""
    nobody, none = SERVER.replace("1", "9"), migration[::-1].replace("-", "")[:32]
    none = f"{none[:8]}-{none[8:12]}-{none[12:16]}-{none[16:20]}-{none[20:]}"
    number = ask(client, "GET", "/migrations", migration, "admin").json["migrations"][0]["id"]
    pairs = [
        (f"/servers/{SERVER}", f"/servers/{nobody}"),
        (f"/servers/{SERVER}/migrations", f"/servers/{nobody}/migrations"),
        (f"/servers/{SERVER}/migrations/{migration}", f"/servers/{SERVER}/migrations/{none}"),
        (f"/servers/{SERVER}/migrations/{number}", f"/servers/{SERVER}/migrations/9999"),
        (
            f"/servers/{SERVER}/migrations/{migration}/history",
            f"/servers/{SERVER}/migrations/{none}/history",
        ),
        (f"/migrations?marker={migration}", f"/migrations?marker={none}"),
        (f"/migrations?server_uuid={SERVER}", f"/migrations?server_uuid={nobody}"),
        (f"/v2.1/servers/{SERVER}", f"/v2.1/servers/{nobody}"),
        (f"/v2.1/servers/{SERVER}/migrations", f"/v2.1/servers/{nobody}/migrations"),
        (f"/v2.1/servers?marker={SERVER}", f"/v2.1/servers?marker={nobody}"),
        (f"/v2.1/servers/detail?marker={SERVER}", f"/v2.1/servers/detail?marker={nobody}"),
        (f"/v2.1/os-migrations?marker={migration}", f"/v2.1/os-migrations?marker={none}"),
        (
            f"/v2.1/os-migrations?instance_uuid={SERVER}",
            f"/v2.1/os-migrations?instance_uuid={nobody}",
        ),
    ]
    headers = NOVA | {"X-Auth-Token": token}
    names = {SERVER: "S", nobody: "S", migration: "M", none: "M", str(number): "N", "9999": "N"}

    def told(path: str) -> tuple[int, str]:
        answer = client.simulate_get(path, headers=headers)
        text = answer.text
        for name, letter in names.items():
            text = text.replace(f"{name}'", letter).replace(f"{name} ", letter)
        return answer.status_code, text

    for theirs, nobodys in pairs:
        assert told(theirs) == told(nobodys), theirs


def test_who_may_not_see_hosts_may_not_ask_for_them(
    client: testing.TestClient, migration: str
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


def test_the_refusal_names_the_rule(client: testing.TestClient, migration: str) -> None:
    answer = ask(client, "GET", "/agents", migration, "reader")
    assert answer.json["error"]["message"] == (
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
def test_all_tenants(client: testing.TestClient, migration: str, path: str) -> None:
    """As in Nova: who may see all projects' servers, too, is shown them only if asked for."""

    def count(token: str, query: str = "") -> int:
        answer = client.simulate_get(path + query, headers={"X-Auth-Token": token})
        return len(answer.json["servers"]) if answer.status_code == 200 else -answer.status_code

    assert [count(token) for token in ("reader", "admin", "other-admin")] == [1, 1, 0]
    assert count("other-admin", "?all_tenants=1") == count("other-admin", "?all_tenants") == 1
    assert count("other-admin", "?all_tenants=False") == 0
    assert count("reader", "?all_tenants=1") == count("other", "?all_tenants=True") == -403
    assert count("system-reader") == 1


def test_another_project_is_not_listed_by_its_name(
    client: testing.TestClient, migration: str
) -> None:
    def listed(token: str, project: str) -> Any:
        answer = client.simulate_get(
            f"/v2.1/os-migrations?project_id={project}",
            headers=NOVA | {"X-Auth-Token": token},
        )
        return len(answer.json["migrations"]) if answer.status_code == 200 else answer.status_code

    assert listed("manager", PROJECT) == listed("other-admin", PROJECT) == 1
    assert listed("other-manager", PROJECT) == listed("other-manager", "none") == 403


def test_every_token_is_looked_at() -> None:
    assert set(COLUMNS) | set(STRANGERS) | {"member", "loud", "other-admin"} == set(TOKENS)
