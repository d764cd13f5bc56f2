# SPDX-License-Identifier: Apache-2.0
"""What Nova's clients ask of a server before they ask for its migrations."""

import uuid
from typing import Any

import pytest

from migprog import objects
from migprog.api import app
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.unit.api.conftest import REPORTED_AT, SERVER, Fill, client_of, configuration
from migprog.tests.unit.api.nova.conftest import BASE, NOBODY, Ask, asking, refusal
from migprog.tests.unit.api.test_routes import HOSTILE

LINKS = [
    {"rel": "self", "href": f"{BASE}/v2.1/servers/{SERVER}"},
    {"rel": "bookmark", "href": f"{BASE}/servers/{SERVER}"},
]


@pytest.mark.parametrize(
    ("version", "flavor"),
    [
        (None, {"id": "unknown"}),
        ("2.1", {"id": "unknown"}),
        ("2.46", {"id": "unknown"}),
        ("2.47", {"original_name": "unknown"}),
        ("2.96", {"original_name": "unknown"}),
        ("2.104", {"original_name": "unknown"}),
    ],
)
def test_a_server(ask: Ask, fill: Fill, version: str | None, flavor: dict[str, str]) -> None:
    fill(percent=41, server_name="web", project_id="p", user_id="u")
    shown = {
        "id": SERVER,
        "name": "web",
        "status": "MIGRATING",
        "progress": 41,
        "tenant_id": "p",
        "user_id": "u",
        "updated": "2023-11-14T22:13:19Z",
        "OS-EXT-SRV-ATTR:host": "source",
        "OS-EXT-STS:task_state": "migrating",
        "OS-EXT-STS:vm_state": "active",
        "flavor": flavor,
        "image": "",
        "links": LINKS,
    }
    assert ask(f"/servers/{SERVER}", version).json == {"server": shown}
    assert ask("/servers/detail", version).json == {"servers": [shown]}
    brief = {key: shown[key] for key in ("id", "name", "links")}
    assert ask("/servers", version).json == {"servers": [brief]}


def test_links_keep_the_project(ask: Ask, fill: Fill) -> None:
    fill()
    assert ask(f"/abc/servers/{SERVER}").json["server"]["links"] == [
        {"rel": "self", "href": f"{BASE}/v2.1/abc/servers/{SERVER}"},
        {"rel": "bookmark", "href": f"{BASE}/abc/servers/{SERVER}"},
    ]


@pytest.mark.parametrize(
    ("status", "word", "task", "state"),
    [
        (Status.RUNNING, "MIGRATING", "migrating", "active"),
        (Status.POST_COPY, "MIGRATING", "migrating", "active"),
        (Status.POST_MIGRATING, "MIGRATING", "migrating", "active"),
        (Status.COMPLETED, "ACTIVE", None, "active"),
        (Status.CANCELLED, "ACTIVE", None, "active"),
        (Status.FAILED, "UNKNOWN", None, None),
        (Status.UNKNOWN, "UNKNOWN", None, None),
    ],
)
def test_status_of_a_server_by_its_newest_migration(
    ask: Ask, fill: Fill, status: Status, word: str, task: str | None, state: str | None
) -> None:
    fill(status=status, phase=Phase.DONE, percent=99)
    shown = ask(f"/servers/{SERVER}").json["server"]
    assert shown["status"] == word
    assert shown["OS-EXT-STS:task_state"] == task
    assert shown["OS-EXT-STS:vm_state"] == state
    # As in Nova: none where it would say nothing.
    assert shown.get("progress", "none") == ("none" if word == "UNKNOWN" else 99)


def test_progress_is_that_of_the_newest(ask: Ask, fill: Fill) -> None:
    fill(percent=12, started_at=REPORTED_AT - 5, status=Status.RUNNING)
    fill(percent=100, started_at=REPORTED_AT - 50, status=Status.COMPLETED)
    shown = ask(f"/servers/{SERVER}").json["server"]
    assert (shown["status"], shown["progress"]) == ("MIGRATING", 12)


@pytest.mark.parametrize(("name", "shown"), HOSTILE.items())
def test_hostile_names_are_data(ask: Ask, fill: Fill, name: str, shown: str) -> None:
    fill(server_name=name)
    for path in (f"/servers/{SERVER}", "/servers"):
        answer = ask(path)
        document = answer.json.get("server") or answer.json["servers"][0]
        assert document["name"] == shown
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
    found = ask("/servers/detail", params={"name": shown}).json["servers"]
    assert [each["id"] for each in found] == [SERVER]


@pytest.mark.parametrize("version", ["2.1", "2.104"])
@pytest.mark.parametrize("path", ["/servers", "/servers/detail"])
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["web", "web", "web.*"]),
        ("name=web", ["web", "web"]),
        # A name is a name, no regular expression: it finds just itself.
        ("name=web.*", ["web.*"]),
        ("name=.*", []),
        ("name=we", []),
        ("name=WEB", []),
        ("name=", []),
        ("name=a%00b", []),
        ("name=" + "n" * 256, []),
        ("name=%27%20OR%201=1--", []),
        ("all_tenants=True&deleted=False", ["web", "web", "web.*"]),
        ("limit=0", []),
        (f"marker={uuid.UUID(int=2)}", ["web.*"]),
        (f"marker={uuid.UUID(int=1)}&name=web", ["web"]),
    ],
)
def test_lists(ask: Ask, fill: Fill, path: str, version: str, query: str, found: list[str]) -> None:
    for number, name in enumerate(("web", "web", "web.*"), 1):
        fill(server_uuid=str(uuid.UUID(int=number)), server_name=name)
    answer = ask(f"{path}?{query}", version)
    assert [each["name"] for each in answer.json["servers"]] == found
    assert "servers_links" not in answer.json


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("status=ERROR", "Additional properties are not allowed ('status' was unexpected)"),
        ("host=a", "Additional properties are not allowed ('host' was unexpected)"),
        ("marker=web", "Marker web could not be found."),
        (f"marker={NOBODY}", f"Marker {NOBODY} could not be found."),
        (
            "deleted=True",
            "Invalid input for query parameters deleted. Value: True. "
            "'True' is not one of ['False', 'false', '0']",
        ),
        (
            "limit=-1",
            "Invalid input for query parameters limit. Value: -1. '-1' does not match '^[0-9]*$'",
        ),
    ],
)
@pytest.mark.parametrize("version", ["2.1", "2.104"])
def test_filters_that_are_not_supported_are_refused(
    ask: Ask, fill: Fill, query: str, message: str, version: str
) -> None:
    fill()
    assert refusal(ask(f"/servers/detail?{query}", version)) == (400, "badRequest", message)


@pytest.mark.parametrize(("version", "code"), [("2.1", 200), ("2.101", 200), ("2.102", 400)])
def test_a_server_takes_no_parameters(ask: Ask, fill: Fill, version: str, code: int) -> None:
    fill()
    assert ask(f"/servers/{SERVER}?foo=1", version).status_code == code


@pytest.mark.parametrize(("count", "sizes"), [(5, [2, 2, 1]), (4, [2, 2, 0]), (0, [0])])
@pytest.mark.parametrize("path", ["/servers", "/servers/detail", "/abc/servers/detail"])
def test_pages(ask: Ask, fill: Fill, path: str, count: int, sizes: list[int]) -> None:
    servers = [str(uuid.UUID(int=number)) for number in range(1, count + 1)]
    for each in reversed(servers):
        fill(server_uuid=each, server_name="a b&c")
    seen, found, address = [], [], f"{path}?limit=2&name=a%20b%26c"
    while address:
        answer: dict[str, Any] = ask(address).json
        seen.append(len(answer["servers"]))
        found += [each["id"] for each in answer["servers"]]
        (link,) = answer.get("servers_links", [{"href": ""}])
        address = link["href"].removeprefix(f"{BASE}/v2.1")
    assert (seen, found) == (sizes, servers)


def test_a_list_is_bounded_and_asks_once(store: objects.Store, connection: str, fill: Fill) -> None:
    for number in range(1, 6):
        fill(server_uuid=str(uuid.UUID(int=number)))
    ask = asking(client_of(app.create(configuration(connection, max_limit=3), store)))
    with stores.statements(store) as sent:
        answer = ask("/servers/detail").json
    assert len(answer["servers"]) == 3
    assert answer["servers_links"][0]["rel"] == "next"
    assert len([each for each in sent if each.startswith("SELECT")]) == 1
