# SPDX-License-Identifier: Apache-2.0
"""Filters and pages."""

import uuid

import pytest
from falcon import testing

from migprog import objects
from migprog.api import app
from migprog.core.status import Phase, Status
from migprog.tests.unit.api.conftest import SERVER, Fill, client_of, configuration

OTHER = str(uuid.UUID(int=2))


def listed(client: testing.TestClient, path: str) -> list[str]:
    answer = client.simulate_get(path)
    assert answer.status_code == 200, answer.text
    return [each["uuid"] for each in answer.json["migrations"]]


def test_filters(client: testing.TestClient, fill: Fill) -> None:
    (running,) = fill(host="a")
    (done,) = fill(host="a", status=Status.COMPLETED, phase=Phase.DONE)
    (post_copy,) = fill(host="b", status=Status.POST_COPY, server_uuid=OTHER)
    for query, expected in {
        "": [post_copy, done, running],
        "?host=a": [done, running],
        "?host=b": [post_copy],
        "?host=nobody": [],
        "?status=completed": [done],
        "?status=running%20(post-copy)": [post_copy],
        "?status=running+(post-copy)": [post_copy],
        "?status=failed": [],
        f"?server_uuid={OTHER}": [post_copy],
        f"?server_uuid={uuid.UUID(int=3)}": [],
        "?in_progress=true": [post_copy, running],
        "?in_progress=false": [done],
        "?host=a&in_progress=true": [running],
        "?status=completed&in_progress=true": [],
        "?limit=1": [post_copy],
        f"?marker={post_copy}": [done, running],
        f"?host=a&marker={done}&limit=5": [running],
    }.items():
        assert listed(client, f"/migrations{query}") == expected, query


def test_a_server_shows_its_own_alone_ended_ones_too(
    client: testing.TestClient, fill: Fill
) -> None:
    (done,) = fill(status=Status.FAILED, phase=Phase.DONE)
    fill(server_uuid=OTHER)
    (running,) = fill()
    assert listed(client, f"/servers/{SERVER}/migrations") == [running, done]
    assert listed(client, f"/servers/{SERVER}/migrations?limit=1") == [running]


@pytest.mark.parametrize("path", ["/migrations", f"/servers/{SERVER}/migrations"])
@pytest.mark.parametrize(
    ("count", "pages"), [(25, [10, 10, 5]), (20, [10, 10]), (10, [10]), (3, [3])]
)
def test_pages(
    client: testing.TestClient, fill: Fill, path: str, count: int, pages: list[int]
) -> None:
    stored = fill(count)
    sizes, seen, address = [], [], f"{path}?limit=10"
    while address:
        answer = client.simulate_get(address).json
        sizes.append(len(answer["migrations"]))
        seen += [each["uuid"] for each in answer["migrations"]]
        (link,) = answer.get("migrations_links", [{"href": ""}])
        assert ("migrations_links" in answer) == (len(seen) < count)
        address = link["href"].removeprefix("http://falconframework.org")
        assert address.startswith("/") or not address
    assert sizes == pages
    assert seen == stored[::-1]


def test_the_next_page_keeps_the_filters(client: testing.TestClient, fill: Fill) -> None:
    first, second = fill(2, host="a b&c", status=Status.POST_COPY)
    fill(host="other")
    query = "host=a%20b%26c&status=running%20(post-copy)&limit=1"
    answer = client.simulate_get(f"/migrations?{query}").json
    assert [each["uuid"] for each in answer["migrations"]] == [second]
    href = answer["migrations_links"][0]["href"].removeprefix("http://falconframework.org")
    assert listed(client, href) == [first]


def test_the_largest_page_is_configured(store: objects.Store, connection: str, fill: Fill) -> None:
    fill(4)
    client = client_of(app.create(configuration(connection, max_limit=3), store))
    answer = client.simulate_get("/migrations").json
    assert len(answer["migrations"]) == 3
    assert answer["migrations_links"][0]["rel"] == "next"
    refused = client.simulate_get("/migrations?limit=4").json["error"]
    assert refused["rule"] == "must be a whole number from 1 to 3"
