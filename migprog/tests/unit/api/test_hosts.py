# SPDX-License-Identifier: Apache-2.0
"""How a host is emptied."""

import time
import uuid
from typing import Any

import pytest
from falcon import testing

from migprog import objects
from migprog.api.error_codes import ErrorCode
from migprog.api.microversion import HEADER
from migprog.core.drain import EtaReason
from migprog.core.messages import Agent, Batch
from migprog.core.status import Phase, Status
from migprog.tests import documents, stores
from migprog.tests.unit.api.conftest import Fill, error_of

GIB = 2**30


@pytest.fixture
def now() -> float:
    return time.time()


def tell(store: objects.Store, last_reported_at: float, **values: Any) -> None:
    """A heartbeat of the agent of "source"."""
    told = {"servers": 5, "servers_memory_bytes": 10 * GIB} | values
    agent = Agent(
        version="1",
        started_at=1.0,
        migrations=1,
        **{"report_interval_seconds": 5, "heartbeat_interval_seconds": 30} | told,
    )
    objects.store_batch(store, Batch("source", "node", agent=agent), last_reported_at)


def ended(fill: Fill, now: float, host: str = "source", **values: Any) -> None:
    values = {"status": Status.COMPLETED, "phase": Phase.DONE} | values
    values |= {"started_at": now - 100, "sampled_at": now - 1, "ended_at": now - 1}
    fill(host=host, last_reported_at=now, memory_total_bytes=2 * GIB, **values)


def drain(client: testing.TestClient, host: str = "source", version: str = "1.3") -> dict[str, Any]:
    headers = {HEADER: f"migration-progress {version}"}
    answer = client.simulate_get(f"/hosts/{host}/drain", headers=headers)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json["drain"]
    return document


def test_drain_is_forecast_by_the_transfer_rate_seen(
    client: testing.TestClient, store: objects.Store, fill: Fill, now: float
) -> None:
    tell(store, now)
    ended(fill, now)
    ended(fill, now, server_uuid=str(uuid.UUID(int=2)))
    # Of these none says anything of the transfer rate of this host.
    ended(fill, now, server_uuid=str(uuid.UUID(int=5)), status=Status.FAILED)
    ended(fill, now, host="other")
    (running,) = fill(
        server_uuid=str(uuid.UUID(int=3)),
        last_reported_at=now,
        started_at=now - 10,
        sampled_at=now,
        memory_total_bytes=2 * GIB,
        percent=50,
        eta_seconds=10.0,
    )
    fill(host="other", server_uuid=str(uuid.UUID(int=4)))
    told = drain(client)
    assert [each["uuid"] for each in told["migrations"]] == [running]
    assert (told["host"], told["servers"], told["silent"]) == ("source", 5, False)
    assert told["servers_memory_bytes"] == 10 * GIB
    rate = told["transfer_rate"]
    assert rate["migrations"] == 2
    # Some time passes between our now and that of the answer.
    assert 100 <= rate["window_seconds"] < 160
    assert rate["bytes_per_second"] == pytest.approx(4 * GIB / rate["window_seconds"])
    # Four wait and half of one is left, at two in about a hundred seconds.
    assert told["eta_seconds"] == pytest.approx(4.5 * rate["window_seconds"] / 2, abs=0.1)
    assert told["eta_low_seconds"] < told["eta_seconds"] < told["eta_high_seconds"]


@pytest.mark.parametrize(
    ("heard", "values", "reason", "message"),
    [
        (0, {"servers": None}, EtaReason.SERVERS_UNKNOWN, "does not report"),
        (-3600, {}, EtaReason.AGENT_SILENT, "is silent"),
        (0, {}, EtaReason.NO_RECENT_MIGRATION, "no migration off this host has"),
    ],
)
def test_unknown_values_of_a_drain_are_null(
    client: testing.TestClient,
    store: objects.Store,
    now: float,
    heard: float,
    values: dict[str, Any],
    reason: str,
    message: str,
) -> None:
    tell(store, now + heard, **values)
    told = drain(client)
    assert told["eta_reason"] == reason
    assert message in told["eta_message"]
    assert told["eta_seconds"] is told["eta_low_seconds"] is told["eta_high_seconds"] is None
    assert told["transfer_rate"] is None
    assert told["silent"] is (heard < 0)


def test_old_eta_is_not_used(
    client: testing.TestClient, store: objects.Store, fill: Fill, now: float
) -> None:
    tell(store, now, servers=1)
    fill(last_reported_at=now - 3600, started_at=now - 7200, sampled_at=now - 3600, eta_seconds=5.0)
    assert drain(client)["eta_seconds"] is None


def test_an_agent_with_rare_heartbeats_is_waited_for_by_its_own(
    client: testing.TestClient, store: objects.Store, fill: Fill, now: float
) -> None:
    tell(store, now - 600, servers=1, heartbeat_interval_seconds=600)
    fill(last_reported_at=now - 600, started_at=now - 900, sampled_at=now - 600, eta_seconds=3600.0)
    told = drain(client)
    assert [each["stale"] for each in told["migrations"]] == [False]
    assert told["eta_seconds"] == pytest.approx(3000, abs=60)


def test_a_switch_over_that_does_not_end_leaves_no_time_of_zero(
    client: testing.TestClient, store: objects.Store, fill: Fill, now: float
) -> None:
    """Its agent sends heartbeats, the figures are of a minute before."""
    tell(store, now, servers=1)
    eta = {"eta_seconds": 1.4, "eta_low_seconds": 0.0, "eta_high_seconds": 2.9}
    fill(
        last_reported_at=now,
        started_at=now - 90,
        sampled_at=now - 60,
        phase=Phase.SWITCHOVER,
        **eta,
    )
    told = drain(client)
    assert told["eta_seconds"] is told["eta_low_seconds"] is told["eta_high_seconds"] is None
    assert told["eta_reason"] == EtaReason.MIGRATION_END_UNKNOWN
    assert "not known when the migration of" in told["eta_message"]


def test_an_empty_host(client: testing.TestClient, store: objects.Store, now: float) -> None:
    tell(store, now, servers=0, servers_memory_bytes=0)
    told = drain(client)
    assert (told["eta_seconds"], told["eta_reason"], told["migrations"]) == (0, "host-empty", [])
    assert told["eta_message"] == "the host is empty"


@pytest.mark.parametrize("version", ["1.0", "1.2"])
def test_reason_of_a_drain_is_a_sentence_in_older_versions(
    client: testing.TestClient, store: objects.Store, now: float, version: str
) -> None:
    tell(store, now, servers=0, servers_memory_bytes=0)
    told = drain(client, version=version)
    assert told["eta_reason"] == "the host is empty"
    assert "eta_message" not in told


@pytest.mark.parametrize("reason", EtaReason)
def test_page_has_each_reason_of_a_drain(reason: EtaReason) -> None:
    page = (documents.SOURCE / "api.rst").read_text()
    assert f"\n``{reason}`` " in page


def test_a_host_without_an_agent(client: testing.TestClient, fill: Fill) -> None:
    fill(host="old")
    told = drain(client, "old")
    assert (told["servers"], told["last_reported_at"], told["silent"]) == (None, None, True)
    assert len(told["migrations"]) == 1
    assert client.simulate_get("/hosts/nobody/drain").status_code == 404
    for name in ("a%00b", "h" * 256, "a%0Ab"):
        answer = client.simulate_get(f"/hosts/{name}/drain")
        assert error_of(answer, ErrorCode.INVALID_PARAMETER)["field"] == "host"


def shown(client: testing.TestClient, host: str = "source") -> dict[str, Any]:
    headers = {HEADER: "migration-progress 1.7"}
    answer = client.simulate_get(f"/hosts/{host}", headers=headers)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json["host"]
    return document


def test_host_says_which_migrations_touch_it_and_when_the_last_ends(
    client: testing.TestClient, store: objects.Store, fill: Fill, now: float
) -> None:
    tell(store, now)
    idle = shown(client)
    assert idle["restart"]["safe"] == "yes"
    assert (idle["migrations"], idle["last_ends_at"], idle["servers"]) == ([], None, 5)
    recent = {"last_reported_at": now, "started_at": now - 10, "sampled_at": now}
    eta = {"eta_seconds": 40.0, "eta_low_seconds": 30.0, "eta_high_seconds": 60.0}
    (leaving,) = fill(server_uuid=str(uuid.UUID(int=3)), **recent, **eta)
    other = str(uuid.UUID(int=4))
    later = {"eta_seconds": 90.0, "eta_low_seconds": 20.0, "eta_high_seconds": 95.0}
    (arriving,) = fill(host="other", server_uuid=other, **recent, **later)
    stores.store(store, stores.arrival(other, now - 9), last_reported_at=now)
    fill(host="other", server_uuid=str(uuid.UUID(int=5)), **recent)
    found = shown(client)
    assert {each["uuid"] for each in found["migrations"]} == {leaving, arriving}
    assert (found["leaving"], found["arriving"]) == (1, 1)
    assert (found["restart"]["safe"], found["restart"]["reason"]) == ("no", "migrations")
    assert found["last_ends_seconds"] == pytest.approx(90, abs=5)
    assert found["last_ends_low_seconds"] == pytest.approx(30, abs=5)
    assert found["last_ends_high_seconds"] == pytest.approx(95, abs=5)
    assert found["last_ends_at_earliest"] < found["last_ends_at"] < found["last_ends_at_latest"]
    # The other end of both.
    assert shown(client, "other")["leaving"] == 2
    fill(server_uuid=str(uuid.UUID(int=6)), **recent, status=Status.POST_COPY)
    found = shown(client)
    assert found["restart"]["reason"] == "post-copy"
    assert found["last_ends_at"] is None, "of one it is not known"


def test_host_whose_agent_is_silent_may_have_migrations(
    client: testing.TestClient, store: objects.Store, now: float
) -> None:
    tell(store, now - 3600)
    found = shown(client)
    assert (found["restart"]["safe"], found["silent"]) == ("unknown", True)
    headers = {HEADER: "migration-progress 1.7"}
    answer = client.simulate_get("/hosts/nobody", headers=headers)
    error_of(answer, ErrorCode.HOST_NOT_FOUND)
