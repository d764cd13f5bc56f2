# SPDX-License-Identifier: Apache-2.0
"""Watchers of lists: over the application as it is, and a real store."""

import concurrent.futures
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from falcon import testing

from migprog import httpd, objects
from migprog.api import app
from migprog.api.error_codes import ErrorCode
from migprog.api.list_watchers import ListWatchers
from migprog.api.microversion import HEADER
from migprog.core.status import Phase, Status
from migprog.httpd.parking import Parked
from migprog.tests import stores
from migprog.tests.fixtures.threads import cannot_start
from migprog.tests.unit.api.conftest import client_of, configuration, error_of
from migprog.tests.unit.api.list_watchers import LATEST, LIST, NOW, ByHand
from migprog.tests.unit.api.tokens import FakeKeystone

LONG = 30


@pytest.fixture
def news(store: objects.Store) -> Iterator[ByHand]:
    news = ByHand(store)
    yield news
    news.stop()


@pytest.fixture
def client(store: objects.Store, connection: str, news: ByHand) -> testing.TestClient:
    conf = configuration(connection, max_long_polls=10)
    return client_of(app.create(conf, store, news=news))


@pytest.fixture
def pool() -> Iterator[concurrent.futures.Executor]:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        yield pool


def ask(client: testing.TestClient, query: str, **headers: str) -> testing.Result:
    return client.simulate_get(
        LIST + query, headers=LATEST | headers, extras={"wsgi.multithread": True}
    )


def told(client: testing.TestClient, query: str, **headers: str) -> dict[str, Any]:
    answer = ask(client, query, **headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "private, no-store"
    found: dict[str, Any] = answer.json
    return found


@pytest.mark.parametrize("fails_at", [1, 2])
def test_rounds_are_read_once_threads_can_be_started(
    client: testing.TestClient, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def may_start(thread: threading.Thread) -> None:
        started.append(thread)
        if len(started) == fails_at:
            cannot_start(thread)
        start(thread)

    with monkeypatch.context() as system:
        system.setattr(threading.Thread, "start", may_start)
        assert ask(client, "&wait=0").status_code == 500
    assert told(client, "&wait=0")["whole"]


def test_first_answer_is_the_whole_list_and_the_next_what_has_changed(
    client: testing.TestClient, store: objects.Store, news: ByHand
) -> None:
    one, two = stores.report(), stores.report()
    stores.store(store, one, two)
    first = told(client, "&wait=0")
    assert first["whole"] and first["left"] == first["ended"] == []
    assert {each["uuid"] for each in first["migrations"]} == {one.uuid, two.uuid}
    stores.store(store, stores.later(one, percent=7))
    done = stores.later(two, status=Status.COMPLETED, phase=Phase.DONE)
    stores.store(store, done)
    news.look()
    next_ = told(client, f"&wait=0&since={first['cursor']}")
    assert not next_["whole"]
    assert [(e["uuid"], e["percent"]) for e in next_["migrations"]] == [(one.uuid, 7)]
    assert [(e["uuid"], e["status"]) for e in next_["ended"]] == [(two.uuid, "completed")]
    assert next_["left"] == [next_["ended"][0]["id"]]
    last = told(client, f"&wait=0&since={next_['cursor']}")
    assert last == {**last, "migrations": [], "ended": [], "left": [], "whole": False}


def test_watcher_is_answered_once_its_own_list_changes(
    client: testing.TestClient,
    store: objects.Store,
    news: ByHand,
    pool: concurrent.futures.Executor,
) -> None:
    mine, other = stores.report(project_id="p"), stores.report(project_id="q")
    stores.store(store, mine, other)
    cursor = told(client, "&wait=0&project_id=p")["cursor"]
    asked = pool.submit(told, client, f"&wait={LONG}&project_id=p&since={cursor}")
    assert news.waiting.acquire(timeout=LONG)
    stores.store(store, stores.later(other, percent=3))
    news.look()
    assert not asked.done()
    stores.store(store, stores.later(mine, percent=4))
    news.look()
    (changed,) = asked.result(LONG)["migrations"]
    assert (changed["uuid"], changed["percent"]) == (mine.uuid, 4)


def test_record_that_grows_stale_is_news(
    client: testing.TestClient, store: objects.Store, news: ByHand
) -> None:
    stores.store(store, stores.report(), last_reported_at=NOW.timestamp())
    first = told(client, "&wait=0")
    assert not first["migrations"][0]["stale"]
    news.at = datetime.fromtimestamp(NOW.timestamp() + 100, UTC)
    news.look()
    (changed,) = told(client, f"&wait=0&since={first['cursor']}")["migrations"]
    assert changed["stale"]


def test_unknown_cursor_gets_the_whole_list_with_the_next_round(
    client: testing.TestClient,
    store: objects.Store,
    news: ByHand,
    pool: concurrent.futures.Executor,
) -> None:
    """Of another process, or of long ago; not at once, as the client may always reach another."""
    told(client, "&wait=0")
    asked = pool.submit(told, client, f"&wait={LONG}&since=of-another-process")
    assert news.waiting.acquire(timeout=LONG)
    assert not asked.done()
    news.look()
    assert asked.result(LONG)["whole"]


def test_cursors_say_nothing(client: testing.TestClient, news: ByHand) -> None:
    cursors = set()
    for _ in range(20):
        cursors.add(told(client, "&wait=0")["cursor"])
        news.look()
    assert len(cursors) == 20
    assert {len(each) for each in cursors} == {16}


def test_two_statements_a_round_at_most_whatever_the_number_of_watchers(
    client: testing.TestClient, store: objects.Store, news: ByHand
) -> None:
    one = stores.report()
    stores.store(store, one)
    told(client, "&wait=0")
    with stores.statements(store) as sent:
        news.look()
        for number in range(20):
            told(client, f"&wait=0&project_id={number}")
        assert len([each for each in sent if "SELECT" in each]) == 1
        stores_done = stores.later(one, status=Status.FAILED, phase=Phase.DONE)
    stores.store(store, stores_done)
    with stores.statements(store) as sent:
        news.look()
        assert len([each for each in sent if "SELECT" in each]) == 2


@pytest.mark.parametrize(
    ("query", "field", "rule"),
    [
        ("in_progress=true&since=x", "wait", "must be given with since"),
        ("wait=1", "in_progress", "must be true with wait"),
        ("wait=1&in_progress=false", "in_progress", "must be true with wait"),
        ("wait=31&in_progress=true", "wait", "must be a whole number from 0 to 30"),
        ("wait=1&in_progress=true&since=", "since", "must be 1 to 64 characters"),
        ("wait=1&in_progress=true&limit=1", "limit", "must not be given with wait"),
        ("wait=1&in_progress=true&sort_dir=asc", "sort_dir", "must not be given with wait"),
        (f"wait=1&in_progress=true&marker={uuid.UUID(int=1)}", "marker", "must not be given"),
        ("wait=1&in_progress=true&sort_key=started_at", "sort_key", "must not be given with wait"),
        (
            "wait=1&in_progress=true&changed_since=2026-01-01T00:00:00Z",
            *("changed_since", "must not be given with wait"),
        ),
        ("wait=1&in_progress=true&status=failed", "status", "must be one in progress with wait"),
        ("wait=1&in_progress=true&verdict=ended", "verdict", "must be one in progress with wait"),
    ],
)
def test_other_parameters_are_refused(
    client: testing.TestClient, query: str, field: str, rule: str
) -> None:
    answer = client.simulate_get(f"/migrations?{query}", headers=LATEST)
    error = error_of(answer, ErrorCode.INVALID_PARAMETER)
    assert error["field"] == field and error["rule"].startswith(rule)


@pytest.mark.parametrize("name", ["wait=0", "since=x"])
def test_older_microversions_have_no_news(client: testing.TestClient, name: str) -> None:
    for version in ("1.0", "1.2"):
        answer = client.simulate_get(
            f"{LIST}&{name}", headers={HEADER: f"migration-progress {version}"}
        )
        error = error_of(answer, ErrorCode.INVALID_PARAMETER)
        assert error["rule"] == "is unknown before microversion 1.4"


def test_head_does_not_wait(client: testing.TestClient) -> None:
    assert client.simulate_head(f"{LIST}&wait=30", headers=LATEST).status_code == 200
    assert client.simulate_head(f"{LIST}&wait=30&since=x", headers=LATEST).status_code == 200


def park(client: testing.TestClient, query: str, **headers: str) -> None:
    """Ask as under a server that parks; the request stays parked."""
    with pytest.raises(Parked, match=r"^$"):
        client.simulate_get(LIST + query, headers=LATEST | headers, extras={httpd.PARK: True})


def test_no_more_watchers_than_may_be(store: objects.Store, connection: str) -> None:
    news = ByHand(store, most=2)
    client = client_of(app.create(configuration(connection, max_long_polls=9), store, news=news))
    cursor = told(client, "&wait=0")["cursor"]
    for _ in range(2):
        park(client, f"&wait=30&since={cursor}")
    refused = ask(client, f"&wait=30&since={cursor}")
    assert error_of(refused, ErrorCode.TOO_MANY_WATCHERS)
    assert refused.headers["retry-after"] == "5"
    # One that need not wait is served, and a place that is given back is free.
    assert told(client, f"&wait=0&since={cursor}")
    news.forget(next(iter(news._watchers)))
    park(client, f"&wait=30&since={cursor}")
    assert len(news._watchers) == 2
    news.stop()


def by_token(store: objects.Store, connection: str, news: ListWatchers) -> testing.TestClient:
    conf = configuration(connection, auth_strategy="keystone", max_long_polls=10)
    return client_of(app.create(conf, store, FakeKeystone, news=news))


def test_one_user_gets_a_quarter_of_the_watchers(store: objects.Store, connection: str) -> None:
    news = ByHand(store, most=8)
    client = by_token(store, connection, news)
    cursor = told(client, "&wait=0", **{"X-Auth-Token": "reader"})["cursor"]
    for _ in range(2):
        park(client, f"&wait=30&since={cursor}", **{"X-Auth-Token": "reader"})
    refused = ask(client, f"&wait=30&since={cursor}", **{"X-Auth-Token": "reader"})
    assert error_of(refused, ErrorCode.TOO_MANY_WATCHERS)
    news.stop()


def test_database_that_is_away_is_503_and_what_was_known_is_not_lost(
    client: testing.TestClient,
    store: objects.Store,
    news: ByHand,
    pool: concurrent.futures.Executor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = stores.report()
    stores.store(store, one)
    cursor = told(client, "&wait=0")["cursor"]
    asked = pool.submit(ask, client, f"&wait={LONG}&since={cursor}")
    assert news.waiting.acquire(timeout=LONG)

    def away(_work: object) -> None:
        raise objects.Unavailable("is away")

    with monkeypatch.context() as broken:
        broken.setattr(store, "read", away)
        news.look()
        error_of(asked.result(LONG), ErrorCode.DATABASE_UNAVAILABLE)
        error_of(ask(client, "&wait=0"), ErrorCode.DATABASE_UNAVAILABLE)
    stores.store(store, stores.later(one, percent=9))
    news.look()
    (changed,) = told(client, f"&wait=0&since={cursor}")["migrations"]
    assert changed["percent"] == 9


def test_more_migrations_than_a_round_reads_are_refused(
    client: testing.TestClient, store: objects.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migprog.api.list_watchers.MOST_MIGRATIONS", 1)
    stores.store(store, stores.report(), stores.report())
    told_so = ask(client, "&wait=0")
    # The first request waits for the first round.
    assert told_so.status_code == 503
    assert error_of(ask(client, "&wait=0"), ErrorCode.TOO_MANY_MIGRATIONS)


def test_rounds_end_without_watchers_and_begin_again(store: objects.Store, connection: str) -> None:
    news = ListWatchers(store, 10, 0.001, 90)
    client = client_of(app.create(configuration(connection), store, news=news))
    first: dict[str, Any] = {}
    for _ in range(2):
        first = told(client, "&wait=0")
        assert first["whole"]
        until = time.monotonic() + LONG
        while news._run is not None:
            assert time.monotonic() < until
            threading.Event().wait(0.01)
        assert news._snapshot is None
    again = told(client, f"&wait=0&since={first['cursor']}")
    assert again["whole"]
    news.stop()


def test_watch_ends_after_its_time_without_news(store: objects.Store, connection: str) -> None:
    news = ListWatchers(store, 10, 0.05, 90)
    conf = configuration(connection, max_long_polls=5)
    client = client_of(app.create(conf, store, news=news))
    cursor = told(client, "&wait=0")["cursor"]
    last = told(client, f"&wait=1&since={cursor}")
    assert last["migrations"] == last["left"] == [] and not last["whole"]
    news.stop()
