# SPDX-License-Identifier: Apache-2.0
"""Filters and pages."""

import uuid

import pytest
from falcon import testing

from migprog import objects
from migprog.api import app
from migprog.api.error_codes import ErrorCode
from migprog.core.forecast.verdict import Verdict
from migprog.core.status import Phase, Status
from migprog.tests.unit.api.conftest import (
    REPORTED_AT,
    SERVER,
    Fill,
    client_of,
    configuration,
    error_of,
)

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


def test_by_verdict_and_project(client: testing.TestClient, fill: Fill) -> None:
    (slow,) = fill(verdict=Verdict.NOT_CONVERGING, project_id="p")
    (well,) = fill(verdict=Verdict.CONVERGING, project_id="q")
    (over,) = fill(verdict=Verdict.ENDED, status=Status.FAILED, phase=Phase.DONE, project_id="p")
    for query, expected in {
        "verdict=not-converging": [slow],
        "verdict=ended": [over],
        "verdict=ended&in_progress=true": [],
        "verdict=converging&status=running": [well],
        "verdict=stalled": [],
        "project_id=p": [over, slow],
        "project_id=p&in_progress=true": [slow],
        "project_id=nobody": [],
    }.items():
        assert listed(client, f"/migrations?{query}") == expected, query


def test_changed_since(client: testing.TestClient, fill: Fill) -> None:
    """Those under way and those that ended, to the microsecond, whatever the zone."""
    (early,) = fill(last_reported_at=REPORTED_AT, status=Status.COMPLETED, phase=Phase.DONE)
    (slow,) = fill(last_reported_at=REPORTED_AT + 1)
    (late,) = fill(last_reported_at=REPORTED_AT + 2, status=Status.COMPLETED, phase=Phase.DONE)
    for since, expected in {
        "2023-11-14T22:13:20.5Z": [late, slow, early],
        "2023-11-15T00:13:20.5%2B02:00": [late, slow, early],
        "2023-11-14T22:13:20.500001Z": [late, slow],
        "2023-11-14T22:13:21.5z": [late, slow],
        "2023-11-14T22:13:22.500000Z": [late],
        "2023-11-14T22:13:23Z": [],
    }.items():
        assert listed(client, f"/migrations?changed_since={since}") == expected, since
    since = "changed_since=2023-11-14T22:13:21.5Z"
    assert listed(client, f"/migrations?{since}&in_progress=true") == [slow]
    assert listed(client, f"/migrations?{since}&status=completed") == [late]
    assert listed(client, f"/migrations?{since}&limit=1&marker={late}") == [slow]


@pytest.mark.parametrize(
    "since",
    [
        *("", "yesterday", "1700000000", "2023-11-14", "2023-11-14T22:13:20", "20231114T221320Z"),
        *("2023-11-14 22:13:20Z", "2023-02-30T00:00:00Z", "2023-11-14T22:13:20+02:00"),
        *("0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-01:00", "2023-11-14T22:13:20.Z"),
        *("2023-W46-2T00:00:00Z", "٢٠٢٣-11-14T22:13:20Z", "2023-11-14T22:13:60Z"),
    ],
)
def test_an_instant_is_one_of_rfc_3339(client: testing.TestClient, since: str) -> None:
    answer = client.simulate_get(f"/migrations?changed_since={since}")
    error = error_of(answer, ErrorCode.INVALID_PARAMETER)
    assert error["field"] == "changed_since"
    assert error["rule"].startswith("must be an instant with its zone")


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("key", ["created_at", "started_at", "ended_at"])
def test_sorting(client: testing.TestClient, fill: Fill, key: str, direction: str) -> None:
    """In whole pages and in the smallest; what is equal is in the order of creation."""
    over = {"status": Status.COMPLETED, "phase": Phase.DONE}
    ends = [
        {"started_at": REPORTED_AT - age, "ended_at": REPORTED_AT - age / 2} for age in (9, 3, 3, 7)
    ]
    done = [fill(**over, **end, server_uuid=str(uuid.uuid4()))[0] for end in ends]
    (running,) = fill(started_at=REPORTED_AT - 5)
    in_order = {
        "created_at": [*done, running],
        "started_at": [done[0], done[3], running, done[1], done[2]],
        "ended_at": [done[0], done[3], done[1], done[2]],
    }[key]
    wanted = in_order if direction == "asc" else in_order[::-1]
    asked = f"/migrations?sort_key={key}&sort_dir={direction}"
    assert listed(client, asked) == wanted
    for limit in (1, 2):
        seen: list[str] = []
        address = f"{asked}&limit={limit}"
        while address:
            answer = client.simulate_get(address).json
            seen += [each["uuid"] for each in answer["migrations"]]
            (link,) = answer.get("migrations_links", [{"href": ""}])
            address = link["href"].removeprefix("http://localhost")
        assert seen == wanted
    if key == "ended_at":
        refused = client.simulate_get(f"{asked}&marker={running}")
        error = error_of(refused, ErrorCode.INVALID_PARAMETER)
        assert "that has its ended_at" in error["detail"]


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
        address = link["href"].removeprefix("http://localhost")
        assert address.startswith("/") or not address
    assert sizes == pages
    assert seen == stored[::-1]


def test_the_next_page_keeps_the_filters(client: testing.TestClient, fill: Fill) -> None:
    first, second = fill(2, host="a b&c", status=Status.POST_COPY)
    fill(host="other")
    query = "host=a%20b%26c&status=running%20(post-copy)&limit=1"
    answer = client.simulate_get(f"/migrations?{query}").json
    assert [each["uuid"] for each in answer["migrations"]] == [second]
    href = answer["migrations_links"][0]["href"].removeprefix("http://localhost")
    assert listed(client, href) == [first]


def test_the_largest_page_is_configured(store: objects.Store, connection: str, fill: Fill) -> None:
    fill(4)
    client = client_of(app.create(configuration(connection, max_limit=3), store))
    answer = client.simulate_get("/migrations").json
    assert len(answer["migrations"]) == 3
    assert answer["migrations_links"][0]["rel"] == "next"
    refused = client.simulate_get("/migrations?limit=4")
    assert (
        error_of(refused, ErrorCode.INVALID_PARAMETER)["rule"]
        == "must be a whole number from 1 to 3"
    )


@pytest.mark.parametrize(
    ("query", "field", "other"),
    [
        ("host=a&changed_since=2020-01-01T00:00:00Z", "host", "changed_since"),
        ("host=a&sort_key=started_at", "host", "sort_key"),
        ("changed_since=2020-01-01T00:00:00Z&sort_key=ended_at", "changed_since", "sort_key"),
    ],
)
def test_filters_that_no_index_serves_together_are_refused(
    client: testing.TestClient, fill: Fill, query: str, field: str, other: str
) -> None:
    (running,) = fill(host="a")
    answer = client.simulate_get(f"/migrations?{query}&project_id=p&status=failed")
    error = error_of(answer, ErrorCode.INCOMPATIBLE_PARAMETERS)
    assert error["field"] == field
    assert error["rule"].startswith(f"may be combined with {other} only together with server_uuid")
    found = [] if "ended_at" in query else [running]
    for few in ("in_progress=true", f"server_uuid={SERVER}", "status=running"):
        assert listed(client, f"/migrations?{query}&{few}") == found, few


def test_a_filter_and_an_order_that_an_index_serves_are_given(
    client: testing.TestClient, fill: Fill
) -> None:
    (done,) = fill(host="a", status=Status.COMPLETED, project_id="p", ended_at=REPORTED_AT)
    for query in (
        *("host=a&status=completed", "sort_key=ended_at&status=completed", "host=a"),
        "changed_since=2020-01-01T00:00:00Z&status=completed",
        "sort_key=started_at&in_progress=false&verdict=ended",
    ):
        for project in ("", "&project_id=p"):
            assert listed(client, f"/migrations?{query}{project}") == [done], query
