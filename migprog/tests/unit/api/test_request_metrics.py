# SPDX-License-Identifier: Apache-2.0
"""Requests to the API are counted by the route's template, whoever asks for whatever."""

import concurrent.futures
import threading
from typing import Any

import pytest
from falcon import testing

from migprog import objects
from migprog.api import app
from migprog.api.long_poll import LongPolls
from migprog.metrics import REGISTRY
from migprog.tests import access
from migprog.tests.access import NOVA
from migprog.tests.unit.api.conftest import SERVER, client_of, configuration
from migprog.tests.unit.api.tokens import PROJECT, keystone_client

SERVERS = "/servers/{server_uuid}"
ONE = f"{SERVERS}/migrations/{{id_or_uuid}}"
LONG = 30


def requests() -> dict[tuple[str, str, str], float]:
    """How many there were by route, method and code."""
    return {
        (sample.labels["route"], sample.labels["method"], sample.labels["code"]): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == "migprog_http_requests_total"
    }


def durations(route: str, method: str) -> float:
    """How many are in the histogram."""
    name = "migprog_http_request_duration_seconds_count"
    return REGISTRY.get_sample_value(name, {"route": route, "method": method}) or 0.0


def long_polls() -> float | None:
    return REGISTRY.get_sample_value("migprog_http_long_polls")


@pytest.fixture
def client(store: objects.Store, connection: str) -> testing.TestClient:
    access.fill(store, SERVER, PROJECT)
    return client_of(app.create(configuration(connection), store))


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/", ("/", "GET", "200")),
        ("GET", "/healthcheck", ("/healthcheck", "GET", "200")),
        ("GET", f"/servers/{SERVER}", (SERVERS, "GET", "200")),
        ("HEAD", f"/servers/{SERVER}", (SERVERS, "HEAD", "200")),
        ("GET", f"/servers/{SERVER}/migrations/7777", (ONE, "GET", "404")),
        ("GET", "/servers/x", (SERVERS, "GET", "404")),
        ("DELETE", "/agents", ("/agents", "DELETE", "405")),
        ("GET", "/no/such/address", ("unmatched", "GET", "404")),
        ("GET", "/v2.1/no/such/address", ("unmatched", "GET", "404")),
        ("GET", f"/v2.1/servers/{SERVER}", ("/v2.1/servers/{server_id}", "GET", "200")),
        (
            "GET",
            f"/v2.1/{PROJECT}/servers/{SERVER}/migrations",
            ("/v2.1/{project_id}/servers/{server_id}/migrations", "GET", "200"),
        ),
    ],
)
def test_request_is_counted_once_by_its_route(
    client: testing.TestClient, method: str, path: str, expected: tuple[str, str, str]
) -> None:
    before, timed = requests(), durations(*expected[:2])
    answer = client.simulate_request(method, path, headers=NOVA)
    assert str(answer.status_code) == expected[2]
    added = {
        key: count - before.get(key, 0.0)
        for key, count in requests().items()
        if count != before.get(key)
    }
    assert added == {expected: 1}
    assert durations(*expected[:2]) == timed + 1


def test_odd_requests_add_no_series(client: testing.TestClient) -> None:
    def odd() -> None:
        for number in range(50):
            client.simulate_get(f"/no/{number}")
            client.simulate_get(f"/servers/{number}")
            client.simulate_get(f"/servers/{SERVER}/migrations/{number}?limit={number}")

    odd()
    series = set(requests())
    odd()
    assert set(requests()) == series


def test_methods_that_http_does_not_know_are_one(store: objects.Store, connection: str) -> None:
    application = app.create(configuration(connection), store)
    before = requests()
    for method in ("BREW", "PROPFIND"):
        environ: dict[str, Any] = testing.create_environ(method="GET", path="/agents")
        environ |= {"REQUEST_METHOD": method, "REMOTE_ADDR": "127.0.0.1"}
        list(application(environ, lambda status, headers, error=None: lambda text: None))
    assert {method for _route, method, _code in set(requests()) - set(before)} <= {"other"}
    assert sum(n for key, n in requests().items() if key[1] == "other") >= 2


def test_request_without_a_token_is_counted(store: objects.Store, connection: str) -> None:
    key = ("unmatched", "GET", "401")
    before = requests().get(key, 0.0)
    assert keystone_client(store, connection).simulate_get("/migrations").status_code == 401
    assert requests()[key] == before + 1


class _Begun(LongPolls):
    """Says when a request begins to wait."""

    def __init__(self) -> None:
        super().__init__(1)
        self.begun = threading.Semaphore(0)

    def _look(self, *of_it: Any) -> None:
        self.begun.release()
        super()._look(*of_it)


def test_long_poll_is_shown_while_it_waits_and_is_no_slow_answer(
    store: objects.Store, connection: str
) -> None:
    migration, polls = access.fill(store, SERVER, PROJECT), _Begun()
    client = client_of(app.create(configuration(connection), store, long_polls=polls))
    counted, timed = requests().get((ONE, "GET", "200"), 0.0), durations(ONE, "GET")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(
            client.simulate_get,
            f"/servers/{SERVER}/migrations/{migration.uuid}",
            query_string=f"wait={LONG}&since={migration.sequence}",
            extras={"wsgi.multithread": True},
        )
        assert polls.begun.acquire(timeout=LONG)
        assert long_polls() == 1
        polls.stop()
        assert answer.result(LONG).status_code == 200
    assert long_polls() == 0
    assert requests()[ONE, "GET", "200"] == counted + 1
    assert durations(ONE, "GET") == timed
