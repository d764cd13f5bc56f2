# SPDX-License-Identifier: Apache-2.0
"""Forecasts of migrations that have not begun: by which measurement, and how one is requested."""

import time
import uuid
from typing import Any
from urllib import parse

import pytest
from falcon import testing

from migprog import objects
from migprog.api import views
from migprog.api.error_codes import BY_FAILURE, ErrorCode
from migprog.core.agent_answer import Answer
from migprog.core.measurement import Failure, Target
from migprog.core.messages import Batch
from migprog.core.status import Phase, Status
from migprog.tests.fixtures import migrations
from migprog.tests.store_cases.measuring import MIB, measured
from migprog.tests.unit.api.agents import Agents, measuring
from migprog.tests.unit.api.conftest import (
    SERVER,
    Fill,
    error_of,
)
from migprog.tests.unit.api.tokens import PROJECT, keystone_client

PATH = f"/servers/{SERVER}/forecast"
LATEST = {"OpenStack-API-Version": "migration-progress latest"}


def put(store: objects.Store, *entries: Any, host: str = "source", age_seconds: float = 5) -> None:
    batch = Batch(host=host, node=f"{host}.lab", measurements=entries)
    objects.store_batch(store, batch, time.time() - age_seconds)


def one(age_seconds: float = 10, server: str = SERVER, **values: Any) -> Any:
    return measured(server, time.time() - age_seconds, **values)


def post(client: testing.TestClient, path: str = PATH, **body: Any) -> testing.Result:
    return client.simulate_post(path, json=body, headers=LATEST)


def get(client: testing.TestClient, path: str = PATH, **headers: str) -> testing.Result:
    return client.simulate_get(path, headers=LATEST | headers)


def test_forecast_is_made_of_the_newest_measurement(
    client: testing.TestClient, store: objects.Store
) -> None:
    put(store, one(950, windows=((1.0, 900),)))
    put(store, one(10))
    answer = post(client)
    assert answer.status_code == 200
    found = answer.json["forecast"]
    assert found["converges"] == "yes"
    assert found["low_seconds"] < found["total_seconds"] < found["high_seconds"]
    assert found["measurement"]["windows"] == [
        {"seconds": 1.0, "dirty_bytes_per_second": 22 * MIB},
        {"seconds": 4.0, "dirty_bytes_per_second": 18 * MIB},
    ]
    assert found["transfer_rate"]["source"] == "default"
    assert (found["host"], found["dest_compute"], found["block_migration"]) == (
        "source",
        None,
        False,
    )
    assert get(client).json["forecast"].keys() == found.keys()


def test_measurements_made_shortly_after_each_other_count_together(
    client: testing.TestClient, store: objects.Store
) -> None:
    put(store, one(800, windows=((1.0, 30),)))
    put(store, one(700, windows=((1.0, 900),), memory_bytes=2**40))
    put(store, one(10))
    found = post(client).json["forecast"]["measurement"]
    rates = [each["dirty_bytes_per_second"] // MIB for each in found["windows"]]
    # Not those of another memory.
    assert rates == [22, 30, 18]


def test_forecast_learns_from_completed_migrations(
    client: testing.TestClient, store: objects.Store, fill: Fill
) -> None:
    now = time.time()
    for number in range(3):
        fill(
            server_uuid=str(uuid.uuid4()),
            status=Status.COMPLETED,
            phase=Phase.DONE,
            sequence=9,
            started_at=now - 1000 + 100 * number,
            sampled_at=now - 960 + 100 * number,
            ended_at=now - 960 + 100 * number,
            last_reported_at=now,
            total_seconds=40.0,
            memory_processed_bytes=30 * 10 * MIB,
            throughput_bytes_per_second=10 * MIB,
        )
    put(store, one())
    found = post(client, dest_compute="elsewhere").json["forecast"]
    rate = found["transfer_rate"]
    assert (rate["source"], rate["migrations"]) == ("source", 3)
    assert rate["low_bytes_per_second"] < rate["bytes_per_second"] < rate["high_bytes_per_second"]
    assert found["dest_compute"] == "elsewhere"
    # At such a rate it is written faster than it can be sent.
    assert found["converges"] == "no"
    assert found["helps"]
    assert found["downtime_needed_seconds"] > 0.3


def test_block_migration_takes_the_disks_along(
    client: testing.TestClient, store: objects.Store
) -> None:
    put(store, one(disk_bytes=20_000 * MIB))
    seconds = [
        post(client, block_migration=each).json["forecast"]["total_seconds"]
        for each in (False, True)
    ]
    assert seconds[1] > 10 * seconds[0]


def test_auto_converge_lets_a_busy_server_converge(
    client: testing.TestClient, store: objects.Store
) -> None:
    put(store, one(windows=((1.0, 900), (4.0, 900)), memory_bytes=2**35, resident_bytes=2**35))
    alone, helped = (post(client, auto_converge=each).json["forecast"] for each in (False, True))
    assert (alone["converges"], alone["auto_converge"]) == ("no", False)
    assert "auto-converge" in alone["helps"]
    assert (helped["converges"], helped["auto_converge"]) == ("yes", True)


def test_forecast_without_a_measurement_is_404(client: testing.TestClient, fill: Fill) -> None:
    fill()
    error_of(post(client), ErrorCode.NOT_MEASURED)
    other = f"/servers/{uuid.uuid4()}/forecast"
    error_of(post(client, other), ErrorCode.SERVER_NOT_FOUND)
    error_of(post(client, "/servers/x/forecast"), ErrorCode.SERVER_NOT_FOUND)


def test_failed_measurement_is_shown_beside_the_last_good_one(
    client: testing.TestClient, store: objects.Store
) -> None:
    put(store, one(windows=None, failure=Failure.TIMED_OUT.value))
    detail = error_of(post(client), ErrorCode.NOT_MEASURED)["detail"]
    assert Failure.TIMED_OUT.message in detail
    put(store, one(60))
    put(store, one(5, windows=None, failure=Failure.MIGRATION_BEGAN.value))
    found = post(client).json["forecast"]
    assert found["failure"]["reason"] == "migration-began"
    assert found["measurement"]["windows"]


def test_host_that_does_not_have_the_server_is_not_believed(
    client: testing.TestClient, store: objects.Store, fill: Fill
) -> None:
    now = time.time()
    started = {"started_at": now - 500, "sampled_at": now - 400, "last_reported_at": now - 400}
    fill(**started)
    put(store, one(100), host="source")
    put(store, one(10, windows=((1.0, 9000),)), host="liar")
    assert post(client).json["forecast"]["measurement"]["windows"][0] == {
        "seconds": 1.0,
        "dirty_bytes_per_second": 22 * MIB,
    }
    # Unless a user who may see hosts says that it is there.
    named = post(client, host="liar").json["forecast"]
    assert named["measurement"]["windows"][0]["dirty_bytes_per_second"] == 9000 * MIB


def test_forecast_is_of_the_own_project_and_without_hosts(
    store: objects.Store, connection: str
) -> None:
    put(store, one(project_id=PROJECT))
    client = keystone_client(store, connection)
    for token, code in (("reader", 200), ("other", 404), ("none", 403), ("admin", 200)):
        answer = get(client, **{"X-Auth-Token": token})
        assert answer.status_code == code, token
        if code == 200:
            hosts = answer.json["forecast"]["host"]
            assert hosts == ("source" if token == "admin" else None)
    named = get(client, f"{PATH}?dest_compute=rack7", **{"X-Auth-Token": "reader"})
    error_of(named, ErrorCode.POLICY_DENIED)
    headers = LATEST | {"X-Auth-Token": "reader"}
    refused = client.simulate_post(PATH, json={"measure": True}, headers=headers)
    assert "migprog:servers:measure" in error_of(refused, ErrorCode.POLICY_DENIED)["detail"]


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ([], "must be a JSON object"),
        ({"dest_compute": ""}, "dest_compute must be 1 to 255 characters"),
        ({"dest_compute": 7}, "dest_compute must be 1 to 255 characters"),
        ({"measure": "yes"}, "measure must be true or false"),
        (
            {"of_tomorrow": 1},
            "is unknown; known keys: auto_converge, block_migration, dest_compute, host",
        ),
    ],
)
def test_invalid_body_is_400(client: testing.TestClient, body: Any, rule: str) -> None:
    answer = client.simulate_post(PATH, json=body, headers=LATEST)
    assert rule in error_of(answer, ErrorCode.INVALID_BODY)["rule"]


def test_forecast_is_there_since_1_6(client: testing.TestClient, store: objects.Store) -> None:
    put(store, one())
    headers = {"OpenStack-API-Version": "migration-progress 1.5"}
    error_of(client.simulate_get(PATH, headers=headers), ErrorCode.NO_SUCH_ADDRESS)
    assert get(client).status_code == 200


def beat(store: objects.Store, enabled: bool | None = True, age_seconds: float = 0.0) -> None:
    at = time.time() - age_seconds
    migrations.heartbeat(store, "source", at, measurements_enabled=enabled)


def test_measuring_is_accepted_and_followed_to_the_forecast(
    store: objects.Store, connection: str, fill: Fill
) -> None:
    fill()
    beat(store)
    put(store, one(3600), age_seconds=3600)
    agents = Agents(Answer())
    client = measuring(store, connection, agents)
    accepted = post(client, measure=True, block_migration=True, dest_compute="b")
    assert accepted.status_code == 202
    ((ctxt, host, target),) = agents.noted
    assert (host, target) == ("source", Target(server_uuid=SERVER))
    assert ctxt.request_id.startswith("req-")
    address = parse.urlsplit(accepted.headers["location"])
    follow = f"{address.path}?{address.query}"
    waiting = get(client, follow)
    assert (waiting.status_code, waiting.headers["retry-after"]) == (202, "2")
    put(store, one(0), age_seconds=-1)
    answer = get(client, follow)
    assert answer.status_code == 200
    found = answer.json["forecast"]
    assert (found["dest_compute"], found["block_migration"]) == ("b", True)


def test_measurement_that_fails_or_does_not_come_is_409(
    store: objects.Store, connection: str, fill: Fill
) -> None:
    fill()
    put(store, one(3600), age_seconds=3600)
    client = measuring(store, connection, Agents(Answer()))
    late = f"{PATH}?measured_after={views.instant_of(time.time() - 7200)}"
    assert get(client, late).status_code == 200, "one came an hour ago"
    lost = f"{PATH}?measured_after={views.instant_of(time.time() - 1800)}"
    error_of(get(client, lost), ErrorCode.MEASURING_TIMED_OUT)
    put(store, one(1, windows=None, failure=Failure.MIGRATION_BEGAN.value), age_seconds=0)
    error_of(get(client, late), ErrorCode.MIGRATION_BEGAN)


def test_never_migrated_server_is_measured_at_the_host_that_is_named(
    store: objects.Store, connection: str
) -> None:
    beat(store)
    agents = Agents(Answer())
    client = measuring(store, connection, agents)
    error_of(post(client, measure=True), ErrorCode.SERVER_NOT_FOUND)
    assert post(client, measure=True, host="source").status_code == 202
    assert [host for _, host, _ in agents.noted] == ["source"]


@pytest.mark.parametrize("failure", Failure)
def test_refusal_of_the_agent_has_its_own_code(
    store: objects.Store, connection: str, fill: Fill, failure: Failure
) -> None:
    fill()
    beat(store)
    client = measuring(store, connection, Agents(Answer.of(failure)))
    error = error_of(post(client, measure=True), BY_FAILURE[failure])
    assert error["detail"] == f"Cannot measure the server: {failure.message}."


def test_refusal_of_a_later_agent_is_measuring_failed(
    store: objects.Store, connection: str, fill: Fill
) -> None:
    fill()
    beat(store)
    client = measuring(store, connection, Agents(Answer("the moon is full")))
    error = error_of(post(client, measure=True), ErrorCode.MEASURING_FAILED)
    assert "the moon is full" in error["detail"]


@pytest.mark.parametrize(
    ("agent", "code", "is_asked"),
    [
        (None, ErrorCode.AGENT_SILENT, False),
        ({"age_seconds": 61}, ErrorCode.AGENT_SILENT, False),
        ({"age_seconds": 59}, ErrorCode.AGENT_TIMEOUT, True),
        ({"enabled": False}, ErrorCode.AGENT_MEASURING_DISABLED, False),
        # Of a version that knows nothing of it.
        ({"enabled": None}, ErrorCode.AGENT_MEASURING_DISABLED, False),
    ],
)
def test_agent_that_does_not_measure(
    store: objects.Store,
    connection: str,
    fill: Fill,
    agent: dict[str, Any] | None,
    code: ErrorCode,
    is_asked: bool,
) -> None:
    fill()
    if agent is not None:
        beat(store, **agent)
    agents = Agents()
    error_of(post(measuring(store, connection, agents), measure=True), code)
    assert bool(agents.noted) is is_asked


def test_measuring_is_disabled_by_default(client: testing.TestClient, fill: Fill) -> None:
    fill()
    detail = error_of(post(client, measure=True), ErrorCode.MEASURING_DISABLED)["detail"]
    assert "[api] allow_measurements" in detail


def test_agents_show_whether_they_measure_since_1_6(
    client: testing.TestClient, store: objects.Store
) -> None:
    beat(store)
    (newest,) = get(client, "/agents").json["agents"]
    assert newest.pop("measurements_enabled") is True
    older = {"OpenStack-API-Version": "migration-progress 1.5"}
    assert client.simulate_get("/agents", headers=older).json["agents"] == [newest]
