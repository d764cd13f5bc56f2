# SPDX-License-Identifier: Apache-2.0
"""The migrations of all servers: keys, filters and pages by microversion."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest

from migprog import objects
from migprog.api import app
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.unit.api.conftest import (
    REPORTED_AT,
    SERVER,
    Fill,
    client_of,
    configuration,
    filling,
)
from migprog.tests.unit.api.nova.conftest import BASE, NOBODY, Ask, asking, refusal

LIST = "/os-migrations"
Few: TypeAlias = dict[str, str]

KEYS_2_1 = set(
    """
created_at dest_compute dest_host dest_node id instance_uuid new_instance_type_id
old_instance_type_id source_compute source_node status updated_at
""".split()  # noqa: SIM905
)
KEYS_2_23 = KEYS_2_1 | {"migration_type"}
KEYS_2_59 = KEYS_2_23 | {"uuid"}
KEYS_2_80 = KEYS_2_59 | {"user_id", "project_id"}
BY_VERSION = {
    **dict.fromkeys([None, "2.1", "2.22"], KEYS_2_1),
    **dict.fromkeys(["2.23", "2.58"], KEYS_2_23),
    **dict.fromkeys(["2.59", "2.65", "2.66", "2.79"], KEYS_2_59),
    **dict.fromkeys(["2.80", "2.101", "2.102", "2.104", "latest"], KEYS_2_80),
}


@pytest.fixture
def few(few_stored: tuple[objects.Store, Few], store: objects.Store) -> Few:
    """Four migrations, newest first: their UUIDs by name, as :func:`names` has them.

    They were heard a second after each other, "ended" first, at REPORTED_AT.
    """
    stored, known = few_stored
    with stored.engine.connect() as there, store.engine.connect() as here:
        source: Any = there.connection.driver_connection
        source.backup(here.connection.driver_connection)
    return known


@pytest.fixture(scope="module")
def few_stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[objects.Store, Few]]:
    """A store that has them, to be copied, and what they are."""
    path = tmp_path_factory.mktemp("few") / "migprog.sqlite"
    path.write_bytes(stores.empty_sqlite())
    store = objects.connect(configuration(f"sqlite:///{path}"))
    yield store, _few(filling(store), store)
    store.close()


def _few(fill: Fill, store: objects.Store) -> Few:
    other = {"server_uuid": NOBODY, "project_id": "q", "user_id": "v"}
    own = {"project_id": "p", "user_id": "u"}
    (ended,) = fill(status=Status.FAILED, phase=Phase.DONE, **own)
    (post_copy,) = fill(
        status=Status.POST_COPY, host="b", last_reported_at=REPORTED_AT + 1, **other
    )
    later = {"started_at": REPORTED_AT - 8, "last_reported_at": REPORTED_AT + 2}
    (past,) = fill(status=Status.COMPLETED, host="b", **later, **other)
    (running,) = fill(last_reported_at=REPORTED_AT + 3, host="c", **own)
    arrival = stores.arrival(NOBODY, REPORTED_AT - 5)
    stores.store(store, arrival, host="source", last_reported_at=REPORTED_AT + 2)
    return {running: "running", past: "past", post_copy: "post-copy", ended: "ended"}


def names(ask: Ask, few: Few, query: str, version: str) -> str | int:
    """What is listed, or the code of a refusal."""
    answer = ask(f"{LIST}?{query}" if query else LIST, version)
    if answer.status_code != 200:
        return refusal(answer)[0]
    by_number = dict(enumerate(reversed(few.values()), 1))
    return " ".join(by_number[each["id"]] for each in answer.json["migrations"])


@pytest.mark.parametrize(("version", "keys"), BY_VERSION.items())
@pytest.mark.parametrize("project", ["", "/0f00-ba"])
def test_keys_by_version(
    ask: Ask, few: Few, version: str | None, keys: set[str], project: str
) -> None:
    answer = ask(project + LIST, version)
    assert answer.status_code == 200
    assert set(answer.json) == {"migrations"}
    linked = version not in (None, "2.1", "2.22")
    statuses = [each["status"] for each in answer.json["migrations"]]
    assert statuses == ["running", "completed", "running (post-copy)", "failed"]
    for each in answer.json["migrations"]:
        links = {"links"} if linked and each["status"].startswith("running") else set()
        assert set(each) == keys | links
        for link in each.get("links", []):
            own = f"/servers/{each['instance_uuid']}/migrations/{each['id']}"
            assert link in (
                {"rel": "self", "href": f"{BASE}/v2.1{project}{own}"},
                {"rel": "bookmark", "href": f"{BASE}{project}{own}"},
            )


def test_values(ask: Ask, few: Few) -> None:
    (running, *_rest) = few
    assert ask(f"{LIST}?limit=1").json["migrations"] == [
        {
            "id": 4,
            "uuid": running,
            "instance_uuid": SERVER,
            "status": "running",
            "migration_type": "live-migration",
            "source_compute": "c",
            "source_node": "c.lab",
            "dest_compute": None,
            "dest_node": None,
            "dest_host": None,
            "old_instance_type_id": None,
            "new_instance_type_id": None,
            "user_id": None,
            "project_id": None,
            "created_at": "2023-11-14T22:13:23.500000",
            "updated_at": "2023-11-14T22:13:23.500000",
            "links": [
                {"rel": "self", "href": f"{BASE}/v2.1/servers/{SERVER}/migrations/4"},
                {"rel": "bookmark", "href": f"{BASE}/servers/{SERVER}/migrations/4"},
            ],
        }
    ]


def test_a_server_that_has_left_is_running_still(ask: Ask, fill: Fill) -> None:
    """Nova has another word for that, but not for live migrations."""
    fill(status=Status.POST_MIGRATING, phase=Phase.SWITCHOVER)
    (listed,) = ask(f"{LIST}?status=running").json["migrations"]
    assert listed["status"] == "running"
    assert ask(f"{LIST}?status=post-migrating").json["migrations"] == []


def test_links_lead_to_existing_documents(ask: Ask, few: Few) -> None:
    for each in ask(LIST).json["migrations"]:
        for link in each.get("links", []):
            if link["rel"] == "self":
                shown = ask(link["href"].removeprefix(f"{BASE}/v2.1")).json["migration"]
                assert shown["uuid"] == each["uuid"]


ALL = "running past post-copy ended"
# When each was heard.
ENDED, RUNNING = "2023-11-14T22:13:20.500000", "2023-11-14T22:13:23.500000Z"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ALL),
        ("status=running", "running"),
        ("status=running%20(post-copy)", "post-copy"),
        ("status=failed", "ended"),
        ("status=queued", ""),
        ("status=", ""),
        ("status=failed&status=completed", "past"),
        ("host=c", "running"),
        ("host=b", "past post-copy"),
        ("host=source", "past ended"),
        ("host=nowhere", ""),
        ("host=a%00b", ""),
        ("host=%F0%9F%A6%9C", ""),
        ("host=" + "h" * 256, ""),
        ("source_compute=source", "ended"),
        ("source_compute=b", "past post-copy"),
        (f"instance_uuid={SERVER}", "running ended"),
        (f"instance_uuid={NOBODY}", "past post-copy"),
        ("instance_uuid=web", ""),
        ("instance_uuid=%27%20OR%201=1--", ""),
        ("migration_type=live-migration", ALL),
        ("migration_type=migration", ""),
        ("migration_type=evacuation", ""),
        ("hidden=true", ALL),
        ("hidden=0", ALL),
        (f"host=source&instance_uuid={SERVER}&status=failed", "ended"),
        (f"host=source&instance_uuid={SERVER}&status=running", ""),
    ],
)
@pytest.mark.parametrize("version", ["2.1", "2.58", "2.59", "2.104"])
def test_filters_of_every_version(ask: Ask, few: Few, query: str, found: str, version: str) -> None:
    assert names(ask, few, query, version) == found


IGNORED = ALL
TABLE: list[tuple[str, dict[str, str | int]]] = [
    ("limit=2", {"2.58": IGNORED, "2.59": "running past", "2.104": "running past"}),
    ("limit=0", {"2.58": IGNORED, "2.59": ""}),
    ("limit=" + "9" * 400, {"2.58": IGNORED, "2.59": ALL}),
    ("limit=x", {"2.58": IGNORED, "2.59": 400, "2.104": 400}),
    ("limit=-1", {"2.58": IGNORED, "2.59": 400}),
    ("limit=", {"2.58": IGNORED, "2.59": 400}),
    ("limit=%D9%A3", {"2.58": IGNORED, "2.59": 400}),
    ("limit=1&limit=2", {"2.58": IGNORED, "2.59": 400}),
    ("marker=nope", {"2.58": IGNORED, "2.59": 400}),
    (f"marker={NOBODY}", {"2.58": IGNORED, "2.59": 400}),
    (f"changes-since={RUNNING}", {"2.58": IGNORED, "2.59": "running", "2.104": "running"}),
    (f"changes-since={ENDED}", {"2.59": ALL}),
    ("changes-since=2023-11-14T22:13:23.500001", {"2.59": ""}),
    ("changes-since=2023-11-14T23:13:22.500000%2B01:00", {"2.59": "running past"}),
    ("changes-since=tomorrow", {"2.58": IGNORED, "2.59": 400}),
    ("changes-since=", {"2.59": 400}),
    ("changes-since=0001-01-01T00:00:00%2B23:00", {"2.59": 400}),
    (f"changes-since={ENDED}&changes-since={ENDED}", {"2.59": 400}),
    (f"changes-before={ENDED}", {"2.58": IGNORED, "2.65": 400, "2.66": "ended"}),
    ("changes-before=2023-11-14T22:13:21.500000", {"2.66": "post-copy ended"}),
    ("changes-before=x", {"2.58": IGNORED, "2.66": 400}),
    (f"changes-since={ENDED}&changes-before={ENDED}", {"2.66": "ended"}),
    (f"changes-since={RUNNING}&changes-before={ENDED}", {"2.65": 400, "2.66": 400}),
    (
        # Nobody knows who asked for them.
        "user_id=u",
        {"2.58": IGNORED, "2.79": 400, "2.80": "", "2.104": ""},
    ),
    ("project_id=q", {"2.58": IGNORED, "2.79": 400, "2.80": ""}),
    ("user_id=u&project_id=q", {"2.80": ""}),
    ("user_id=u&user_id=v", {"2.80": 400}),
    ("foo=1", {"2.1": IGNORED, "2.58": IGNORED, "2.59": 400, "2.80": 400, "2.104": 400}),
    ("=1", {"2.58": IGNORED, "2.59": 400}),
]


@pytest.mark.parametrize(
    ("query", "version", "found"),
    [(query, version, found) for query, facts in TABLE for version, found in facts.items()],
)
def test_parameters_by_version(
    ask: Ask, few: Few, query: str, version: str, found: str | int
) -> None:
    assert names(ask, few, query, version) == found


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("foo=1", "Additional properties are not allowed ('foo' was unexpected)"),
        (
            "limit=abc",
            "Invalid input for query parameters limit. Value: abc. 'abc' does not match '^[0-9]*$'",
        ),
        ("limit=", "limit must be an integer"),
        (
            "limit=1&limit=2",
            "Invalid input for query parameters limit. Value: ['1', '2']. ['1', '2'] is too long",
        ),
        (
            "changes-since=x",
            "Invalid input for query parameters changes-since. Value: x. 'x' is not a 'date-time'",
        ),
        (
            f"changes-since={RUNNING}&changes-before={ENDED}",
            "The value of changes-since must be less than or equal to changes-before.",
        ),
        ("marker=nope", "Marker nope could not be found."),
        ("marker=" + "n" * 400, f"Marker {'n' * 64} could not be found."),
        ("marker=", "Marker  could not be found."),
    ],
)
def test_refusals(ask: Ask, few: Few, query: str, message: str) -> None:
    assert refusal(ask(f"{LIST}?{query}")) == (400, "badRequest", message)


def pages(ask: Ask, address: str, version: str) -> tuple[list[int], list[str]]:
    """The sizes of all pages from ``address`` on, and the UUIDs on them."""
    sizes, seen = [], []
    while address:
        answer = ask(address, version).json
        sizes.append(len(answer["migrations"]))
        seen += [each["uuid"] for each in answer["migrations"]]
        (link,) = answer.get("migrations_links", [{"href": "", "rel": "next"}])
        assert link["rel"] == "next"
        address = link["href"].removeprefix(f"{BASE}/v2.1")
        assert len(sizes) < 20
    return sizes, seen


@pytest.mark.parametrize(
    ("count", "sizes"), [(5, [2, 2, 1]), (4, [2, 2, 0]), (2, [2, 0]), (0, [0])]
)
@pytest.mark.parametrize("version", ["2.59", "2.104"])
@pytest.mark.parametrize("project", ["", "/abc"])
def test_pages(
    ask: Ask, fill: Fill, count: int, sizes: list[int], version: str, project: str
) -> None:
    """A full page links to the next, even to an empty one: openstacksdk needs it."""
    stored = fill(count)
    assert pages(ask, f"{project}{LIST}?limit=2", version) == (sizes, stored[::-1])


def test_the_next_page_keeps_the_filters(ask: Ask, fill: Fill) -> None:
    first, second = fill(2, host="a b&c", status=Status.POST_COPY)
    fill(host="other")
    query = "host=a%20b%26c&status=running%20(post-copy)&changes-since=2020-01-01T00:00:00&limit=1"
    assert pages(ask, f"{LIST}?{query}", "2.80") == ([1, 1, 0], [second, first])


@pytest.mark.parametrize(
    ("version", "query", "links"),
    [
        ("2.58", "", False),
        ("2.59", "", True),
        ("2.59", "?limit=4", True),
        ("2.59", "?limit=2", True),
    ],
)
def test_a_page_is_bounded_in_every_version(
    store: objects.Store, connection: str, fill: Fill, version: str, query: str, links: bool
) -> None:
    fill(4)
    ask = asking(client_of(app.create(configuration(connection, max_limit=3), store)))
    answer = ask(LIST + query, version).json
    assert len(answer["migrations"]) == (2 if query == "?limit=2" else 3)
    assert ("migrations_links" in answer) is links


def test_links_follow_the_request(ask: Ask, fill: Fill) -> None:
    fill(2)
    answer = ask(f"{LIST}?limit=1", host="localhost:99", protocol="https").json
    for link in answer["migrations_links"] + answer["migrations"][0]["links"]:
        assert link["href"].startswith("https://localhost:99/")


@pytest.mark.parametrize(
    ("query", "statements"),
    # How many have changed decides how the page is found.
    [("", 1), ("&host=source", 1), ("&changes-since=2020-01-01T00:00:00", 2)],
)
def test_a_list_asks_once(
    ask: Ask, fill: Fill, store: objects.Store, query: str, statements: int
) -> None:
    fill(5)
    with stores.statements(store) as sent:
        assert len(ask(f"{LIST}?limit=4{query}").json["migrations"]) == 4
    assert len([each for each in sent if each.startswith("SELECT")]) == statements


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("host=a&changes-since=2020-01-01T00:00:00", "host and changes-since"),
        (
            "source_compute=a&changes-before=2020-01-01T00:00:00",
            "source_compute and changes-before",
        ),
    ],
)
def test_filters_that_no_index_serves_together_are_refused(
    ask: Ask, query: str, names: str
) -> None:
    code, name, message = refusal(ask(f"{LIST}?{query}", "2.80"))
    assert (code, name) == (400, "badRequest")
    assert f"The filters {names} may be combined only together with instance_uuid" in message
    assert ask(f"{LIST}?{query.replace('failed', 'running')}&instance_uuid={SERVER}", "2.80").json
