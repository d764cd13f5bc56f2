# SPDX-License-Identifier: Apache-2.0
"""Hosts whose drain is planned, and what the API is asked of them."""

import time
import uuid
from typing import Any
from urllib import parse

from falcon import testing

from migprog import objects
from migprog.core.messages import Batch
from migprog.core.status import Phase, Status
from migprog.tests.fixtures import migrations
from migprog.tests.store_cases.measuring import MIB, measured
from migprog.tests.unit.api.conftest import Fill

PATH = "/hosts/source/drain-plan"
LATEST = {"OpenStack-API-Version": "migration-progress latest"}
QUIET, LARGE, BUSY = (str(uuid.UUID(int=number)) for number in (11, 12, 13))
GIB = 1024 * MIB


def put(
    store: objects.Store, *entries: Any, host: str = "source", age_seconds: float = 1000
) -> None:
    batch = Batch(host=host, node=f"{host}.lab", measurements=entries)
    objects.store_batch(store, batch, time.time() - age_seconds)


def one(server: str, age_seconds: float = 1100, **values: Any) -> Any:
    return measured(server, time.time() - age_seconds, **values)


def beat(
    store: objects.Store, servers: int | None = 3, enabled: bool | None = True, host: str = "source"
) -> None:
    migrations.heartbeat(store, host, servers=servers, measurements_enabled=enabled)


def post(client: testing.TestClient, **body: Any) -> testing.Result:
    return client.simulate_post(PATH, json=body, headers=LATEST)


def get(client: testing.TestClient, path: str = PATH, **headers: str) -> testing.Result:
    return client.simulate_get(path, headers=LATEST | headers)


def plan(answer: testing.Result) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json["drain_plan"]
    return found


def local(address: str) -> str:
    parts = parse.urlsplit(address)
    return f"{parts.path}?{parts.query}"


def by_name(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["server_uuid"]: each for each in entries}


def complete(fill: Fill, server: str, started_ago: float, ended_ago: float, **values: Any) -> None:
    """Store a migration off the host that has completed."""
    now = time.time()
    seconds = started_ago - ended_ago
    known = {
        "server_uuid": server,
        "status": Status.COMPLETED,
        "phase": Phase.DONE,
        "sequence": 9,
        "started_at": now - started_ago,
        "sampled_at": now - ended_ago,
        "ended_at": now - ended_ago,
        "last_reported_at": now,
        "total_seconds": seconds,
        "memory_processed_bytes": round(seconds * 0.8 * 100 * MIB),
        "throughput_bytes_per_second": 100 * MIB,
    }
    fill(**(known | values))


def three_servers(store: objects.Store, fill: Fill) -> None:
    """A host of three servers, measured, from which migrations have completed two hours ago."""
    for number in range(3):
        ago = 9000 + 100 * number
        complete(fill, str(uuid.UUID(int=90 + number)), ago + 20, ago)
    busy = ((1.0, 900), (4.0, 900), (16.0, 900))
    put(store, one(QUIET, windows=((1.0, 1), (4.0, 1)), memory_bytes=GIB, resident_bytes=GIB))
    put(store, one(LARGE, windows=((1.0, 1), (4.0, 1)), memory_bytes=9 * GIB, resident_bytes=None))
    put(store, one(BUSY, windows=busy, memory_bytes=64 * GIB, resident_bytes=None))
    beat(store)
