# SPDX-License-Identifier: Apache-2.0
import dataclasses
import datetime
import time

from falcon import testing

from migprog import objects
from migprog.api.microversion import HEADER
from migprog.core.messages import Agent, Batch

AGENT = Agent(
    version="1.2.3",
    started_at=1_700_000_000.5,
    report_interval_seconds=7.5,
    heartbeat_interval_seconds=30.0,
    migrations=2,
    servers=40,
    servers_memory_bytes=2**40,
    actions_enabled=True,
)


def tell(store: objects.Store, host: str, last_reported_at: float, agent: Agent = AGENT) -> None:
    sent = Batch(host=host, node=f"{host}.lab", agent=agent).to_wire()
    batch, refused = Batch.from_wire(sent)
    assert not refused
    objects.store_batch(store, batch, last_reported_at)


def instant(seconds: float) -> str:
    at = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"


def test_document_has_all_fields_of_a_heartbeat(
    client: testing.TestClient, store: objects.Store
) -> None:
    now = time.time()
    tell(store, "compute-1", now)
    assert client.simulate_get("/agents").json == {
        "agents": [
            {
                "host": "compute-1",
                "node": "compute-1.lab",
                "version": "1.2.3",
                "started_at": "2023-11-14T22:13:20.500000Z",
                "report_interval_seconds": 7.5,
                "heartbeat_interval_seconds": 30.0,
                "migrations": 2,
                "servers": 40,
                "servers_memory_bytes": 2**40,
                "actions_enabled": True,
                "last_reported_at": instant(now),
                "silent": False,
            }
        ]
    }


def test_age_of_the_loop_is_there_since_1_5_and_one_that_hangs_is_silent(
    client: testing.TestClient, store: objects.Store
) -> None:
    now = time.time()
    for host, age in (("a", None), ("b", 0.5), ("c", 45.5)):
        tell(store, host, now, dataclasses.replace(AGENT, loop_age_seconds=age))
    older = client.simulate_get("/agents").json["agents"]
    newer = client.simulate_get("/agents", headers={HEADER: "migration-progress 1.5"}).json
    assert [each.pop("loop_age_seconds") for each in newer["agents"]] == [None, 0.5, 45.5]
    assert newer["agents"] == older
    assert [each["silent"] for each in older] == [False, False, True]


def test_one_that_has_missed_two_heartbeats_is_silent(
    client: testing.TestClient, store: objects.Store
) -> None:
    now = time.time()
    for host, age in (("a", 0), ("b", 50), ("c", 70)):
        tell(store, host, now - age)
    agents = client.simulate_get("/agents").json["agents"]
    assert [(each["host"], each["silent"]) for each in agents] == [
        ("a", False),
        ("b", False),
        ("c", True),
    ]


def test_pages_by_host(client: testing.TestClient, store: objects.Store) -> None:
    for number in (3, 1, 2, 5, 4):
        tell(store, f"a b&{number}", time.time())
    seen, address = [], "/agents?limit=2"
    while address:
        answer = client.simulate_get(address).json
        seen.append([each["host"] for each in answer["agents"]])
        (link,) = answer.get("agents_links", [{"href": ""}])
        address = link["href"].removeprefix("http://localhost")
    assert seen == [["a b&1", "a b&2"], ["a b&3", "a b&4"], ["a b&5"]]


def test_list_is_empty_without_agents(client: testing.TestClient) -> None:
    assert client.simulate_get("/agents").json == {"agents": []}
