# SPDX-License-Identifier: Apache-2.0
"""The plan of a host's drain: what it is made of, and how it follows the migrations."""

import time
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib import parse

import pytest
from falcon import testing

from migprog import objects
from migprog.api import views
from migprog.api.error_codes import ErrorCode
from migprog.core.measurement import Failure
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.unit.api.conftest import Fill, error_of
from migprog.tests.unit.api.plan_hosts import (
    BUSY,
    GIB,
    LARGE,
    PATH,
    QUIET,
    beat,
    by_name,
    complete,
    get,
    local,
    one,
    plan,
    post,
    put,
    three_servers,
)

three = pytest.fixture(three_servers)


@pytest.mark.usefixtures("three")
def test_plan_says_who_moves_when_and_who_does_not_without_help(client: testing.TestClient) -> None:
    found = plan(post(client))
    assert (found["host"], found["state"], found["begun_at"]) == ("source", "planned", None)
    assert {each["server_uuid"] for each in found["moves"]} == {QUIET, LARGE}
    for move in found["moves"]:
        assert (move["state"], move["converges"], move["server_name"]) == (
            *("waiting", "yes"),
            "wéb 🐎",
        )
        assert move["starts_seconds"] < move["ends_seconds"] <= found["total_seconds"]
        assert move["alone_low_seconds"] < move["alone_seconds"] < move["alone_high_seconds"]
        assert move["measured_at"]
        assert move["beside"] <= found["most_at_once"]
    (stay,) = found["stays"]
    assert (stay["server_uuid"], stay["state"], stay["converges"]) == (BUSY, "stays", "no")
    assert "post-copy" in stay["helps"]
    assert stay["downtime_needed_seconds"] > 0.3
    assert found["low_seconds"] < found["total_seconds"] < found["high_seconds"]
    assert found["ends_at_earliest"] < found["ends_at"] < found["ends_at_latest"]
    assert found["usual_seconds"] >= found["total_seconds"]
    assert found["transfer_rate"]["migrations"] == 3
    assert (found["unplanned"], found["unknown_servers"]) == ([], 0)
    assert found["late_seconds"] is found["in_time"] is None
    assert "1 server does not move without help" in found["message"]


@pytest.mark.usefixtures("three")
def test_address_of_a_plan_has_what_it_was_asked_for(client: testing.TestClient) -> None:
    asked = {
        "destinations": ["b é", "c"],
        "at_once": 1,
        "network_bytes_per_second": 10**9,
        "downtime_limit_seconds": 2.5,
        "deadline": "2036-01-01T00:00:00+02:00",
        "block_migration": False,
        "auto_converge": True,
    }
    found = plan(post(client, **asked))
    again = plan(get(client, local(found["links"][0]["href"])))
    assert again["links"] == found["links"]
    for document in (found, again):
        shown = {name: document[name] for name in asked}
        assert shown == asked | {"deadline": "2035-12-31T22:00:00.000000Z"}
        assert document["in_time"] == "yes"
        assert document["most_at_once"] == 1
        # With auto-converge all of them move; the memory is shared out.
        assert by_name(document["moves"]).keys() == {QUIET, LARGE, BUSY}
        dests = {uuid: each["dest_compute"] for uuid, each in by_name(document["moves"]).items()}
        assert set(dests.values()) == {"b é", "c"}
        assert dests[QUIET] == dests[LARGE] != dests[BUSY]
    early = plan(post(client, deadline=views.instant(datetime.now(UTC))))
    assert early["in_time"] == "no"


@pytest.mark.usefixtures("three")
def test_downtime_limit_that_is_asked_for_counts(client: testing.TestClient) -> None:
    assert by_name(plan(post(client, downtime_limit_seconds=1000))["moves"]).keys() >= {BUSY}


@pytest.mark.usefixtures("three")
def test_servers_that_were_not_measured_are_named_and_leave_the_end_open(
    client: testing.TestClient, store: objects.Store, fill: Fill
) -> None:
    never, failed = str(uuid.UUID(int=21)), str(uuid.UUID(int=22))
    fill(
        server_uuid=never,
        server_name="never",
        status=Status.FAILED,
        phase=Phase.DONE,
        started_at=time.time() - 90_000,
        sampled_at=time.time() - 89_990,
        last_reported_at=time.time() - 89_990,
    )
    put(store, one(failed, windows=None, failure=Failure.NOT_RUNNING.value))
    beat(store, servers=7)
    found = plan(post(client, deadline="2036-01-01T00:00:00Z"))
    unplanned = by_name(found["unplanned"])
    assert unplanned[never]["reason"] == "not-measured"
    assert unplanned[never]["server_name"] == "never"
    assert unplanned[failed]["reason"] == "server-not-running"
    assert found["unknown_servers"] == 2
    assert found["high_seconds"] is found["ends_at_latest"] is None
    assert found["in_time"] == "unknown"
    assert "4 servers not measured" in found["message"]


@pytest.mark.usefixtures("three")
def test_unknown_number_of_servers_is_said_and_leaves_the_end_open(
    client: testing.TestClient, store: objects.Store, fill: Fill
) -> None:
    beat(store, servers=None)
    found = plan(post(client, deadline="2036-01-01T00:00:00Z"))
    assert len(found["moves"]) == 2
    assert found["unknown_servers"] is found["high_seconds"] is None
    assert found["in_time"] == "unknown"
    assert found["message"].endswith("; how many servers run there is not known yet")
    complete(fill, QUIET, 60, 30)
    assert "1 moved, 0 in progress, 1 to go at least; " in plan(get(client))["message"]


def test_plan_of_nothing_says_that_the_number_of_servers_is_not_known(
    client: testing.TestClient, store: objects.Store
) -> None:
    beat(store, servers=None)
    assert plan(post(client))["message"] == (
        "no server can be planned; how many servers run there is not known yet"
    )


@pytest.mark.usefixtures("three")
def test_server_that_was_not_measured_is_still_to_go(
    client: testing.TestClient, store: objects.Store, fill: Fill
) -> None:
    complete(fill, QUIET, 60, 30)
    complete(fill, LARGE, 55, 10)
    beat(store, servers=2)
    message = plan(get(client))["message"]
    assert message.startswith("2 moved, 0 in progress, 1 to go; the last ended after ")
    assert message.endswith("; 1 server not measured: what it takes is not in it")


@pytest.mark.usefixtures("three")
def test_servers_that_are_gone_by_the_agents_count_are_left_out(
    client: testing.TestClient, store: objects.Store
) -> None:
    ghost = str(uuid.UUID(int=31))
    put(store, one(ghost, 90_000), age_seconds=90_000)
    found = plan(post(client))
    assert ghost not in str(found)
    beat(store, servers=4)
    assert ghost in str(plan(post(client)))


@pytest.mark.usefixtures("three")
def test_plan_is_followed_and_says_how_late_it_is(
    client: testing.TestClient, store: objects.Store, fill: Fill
) -> None:
    made = plan(post(client, at_once=1))
    address = local(made["links"][0]["href"]).replace(
        parse.urlencode({"made_at": made["made_at"]}),
        parse.urlencode({"made_at": views.instant_of(time.time() - 400)}),
    )
    first, second = (each["server_uuid"] for each in made["moves"])
    complete(fill, first, 300, 10)
    now = time.time()
    fill(
        server_uuid=second,
        started_at=now - 8,
        sampled_at=now,
        last_reported_at=now,
        eta_seconds=500.0,
        eta_low_seconds=400.0,
        eta_high_seconds=600.0,
    )
    beat(store, servers=2)
    found: dict[str, Any] = {}
    for path in (PATH, address):
        found = plan(get(client, path))
        assert found["state"] == "running"
        moves = by_name(found["moves"])
        assert (moves[first]["state"], moves[second]["state"]) == ("done", "running")
        assert moves[first]["ends_seconds"] == pytest.approx(290, abs=2)
        assert moves[second]["starts_seconds"] == pytest.approx(292, abs=2)
        assert found["total_seconds"] == pytest.approx(800, abs=10)
        assert 400 < found["low_seconds"] < 750 and 850 < found["high_seconds"] < 1100
        late = found["total_seconds"] - found["planned_seconds"]
        assert found["late_seconds"] == pytest.approx(late, abs=0.2)
        assert "late" in found["message"] and "1 moved, 1 in progress, 0 to go" in found["message"]
        assert [each["server_uuid"] for each in found["stays"]] == [BUSY]
    # The plan of then does not change by what is measured later.
    put(store, one(second, 0, memory_bytes=99 * GIB, resident_bytes=None), age_seconds=0)
    assert plan(get(client, address))["planned_seconds"] == found["planned_seconds"]


@pytest.mark.usefixtures("three")
def test_failed_migration_of_a_plan_is_still_to_go(client: testing.TestClient, fill: Fill) -> None:
    complete(fill, QUIET, 60, 30, status=Status.FAILED)
    found = plan(get(client))
    move = by_name(found["moves"])[QUIET]
    assert (found["state"], move["state"]) == ("running", "failed")
    assert move["starts_seconds"] >= 59


@pytest.mark.usefixtures("three")
def test_server_that_arrived_since_the_begin_is_not_in_the_plan(
    client: testing.TestClient, store: objects.Store, fill: Fill
) -> None:
    complete(fill, QUIET, 60, 30)
    arrived = str(uuid.UUID(int=41))
    complete(fill, arrived, 50, 20, host="other")
    stores.store(store, stores.arrival(arrived, time.time() - 45), last_reported_at=time.time())
    put(store, one(arrived, 1), age_seconds=0)
    beat(store, servers=4)
    found = plan(get(client))
    assert arrived not in by_name(found["moves"])
    assert [(each["server_uuid"], each["reason"]) for each in found["unplanned"]] == [
        (arrived, "arrived-since")
    ]


@pytest.mark.usefixtures("three")
def test_drain_is_done_when_all_of_the_plan_have_left(
    client: testing.TestClient, store: objects.Store, fill: Fill
) -> None:
    complete(fill, QUIET, 60, 30)
    complete(fill, LARGE, 55, 10)
    beat(store, servers=1)
    found = plan(get(client))
    assert found["state"] == "done"
    assert found["total_seconds"] == pytest.approx(50, abs=2)
    assert {each["state"] for each in found["moves"]} == {"done"}


def test_host_without_servers_has_an_empty_plan_and_an_unknown_one_none(
    client: testing.TestClient, store: objects.Store
) -> None:
    error_of(post(client), ErrorCode.HOST_NOT_FOUND)
    beat(store, servers=0)
    found = plan(post(client))
    assert (found["moves"], found["stays"], found["total_seconds"]) == ([], [], 0)
    assert found["message"] == "no server can be planned"
