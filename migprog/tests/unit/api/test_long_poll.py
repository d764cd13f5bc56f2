# SPDX-License-Identifier: Apache-2.0
"""Requests that wait for news are answered by it, and never many at a time."""

import concurrent.futures
import threading
from collections.abc import Iterator

import pytest
from falcon import testing

from migprog import exception, objects
from migprog.api import app, service
from migprog.api.error_codes import ErrorCode
from migprog.api.long_poll import LongPolls
from migprog.core.status import Phase, Status
from migprog.tests import access, stores
from migprog.tests.unit.api.conftest import SERVER, client_of, configuration, error_of
from migprog.tests.unit.api.tokens import PROJECT

# Far more than it takes, and less than a test may.
LONG = 30


class ObservedLongPolls(LongPolls):
    """Tells when a request has begun to wait."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.begun = threading.Semaphore(0)

    def _look(self, *of_it: object) -> None:
        self.begun.release()
        super()._look(*of_it)


@pytest.fixture
def long_polls() -> Iterator[ObservedLongPolls]:
    long_polls = ObservedLongPolls(1)
    yield long_polls
    long_polls.stop()


@pytest.fixture
def client(
    store: objects.Store, connection: str, long_polls: ObservedLongPolls
) -> testing.TestClient:
    return client_of(app.create(configuration(connection), store, long_polls=long_polls))


@pytest.fixture
def migration(store: objects.Store) -> objects.Migration:
    return access.fill(store, SERVER, PROJECT)


@pytest.fixture
def pool() -> Iterator[concurrent.futures.Executor]:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        yield pool


def ask(
    client: testing.TestClient,
    migration: objects.Migration,
    query: str,
    tag: str = "",
    multithread: bool = True,
) -> testing.Result:
    return client.simulate_get(
        f"/servers/{SERVER}/migrations/{migration.uuid}?{query}",
        headers={"If-None-Match": tag},
        extras={"wsgi.multithread": multithread},
    )


def tell(store: objects.Store, migration: objects.Migration, **values: object) -> None:
    report = stores.report(
        migration.sequence + 1, uuid=migration.uuid, server_uuid=SERVER, **values
    )
    stores.store(store, report, host=f"{access.HOST}-a")


@pytest.mark.parametrize(
    "news",
    [{"percent": 55}, {"status": Status.COMPLETED, "phase": Phase.DONE}],
    ids=["progress", "end"],
)
def test_long_poll_is_answered_once_the_record_changes(
    client: testing.TestClient,
    store: objects.Store,
    migration: objects.Migration,
    long_polls: ObservedLongPolls,
    pool: concurrent.futures.Executor,
    news: dict[str, object],
) -> None:
    asked = pool.submit(ask, client, migration, f"wait={LONG}&since={migration.sequence}")
    assert long_polls.begun.acquire(timeout=LONG)
    assert not asked.done()
    tell(store, migration, **news)
    shown = asked.result(LONG / 2).json["migration"]
    assert shown["sequence"] == migration.sequence + 1
    assert {name: shown[name] for name in news} == news


def test_long_poll_is_answered_at_once_if_the_sequence_is_newer(
    client: testing.TestClient,
    store: objects.Store,
    migration: objects.Migration,
    long_polls: ObservedLongPolls,
) -> None:
    assert ask(client, migration, f"wait={LONG}&since=0").status_code == 200
    tell(store, migration, status=Status.FAILED, phase=Phase.DONE)
    # Nothing more will come of it, whatever number is named.
    assert ask(client, migration, f"wait={LONG}&since=99").status_code == 200
    assert not long_polls.begun.acquire(blocking=False)


def test_long_poll_ends_after_its_time_without_a_change(
    client: testing.TestClient, migration: objects.Migration
) -> None:
    first = ask(client, migration, "wait=1&since=1")
    assert first.status_code == 200
    again = ask(client, migration, "wait=1&since=1", first.headers["etag"])
    assert (again.status_code, again.text) == (304, "")


def test_no_more_wait_than_may(
    client: testing.TestClient,
    migration: objects.Migration,
    long_polls: ObservedLongPolls,
    pool: concurrent.futures.Executor,
) -> None:
    """One more is refused at once; one that need not wait is not; and the place is given back."""
    query = f"wait={LONG}&since=1"
    asked = pool.submit(ask, client, migration, query)
    assert long_polls.begun.acquire(timeout=LONG)
    refused = ask(client, migration, query)
    error = error_of(refused, ErrorCode.TOO_MANY_LONG_POLLS)
    assert refused.headers["retry-after"] == "5"
    assert "repeat the request without wait" in error["detail"]
    assert ask(client, migration, "wait=1&since=0").status_code == 200
    long_polls.stop()
    assert asked.result(LONG / 2).status_code == 200
    assert ask(client, migration, query).status_code == 200


def test_a_process_that_serves_one_at_a_time_does_not_wait(
    client: testing.TestClient, migration: objects.Migration
) -> None:
    refused = ask(client, migration, "wait=1&since=1", multithread=False)
    error = error_of(refused, ErrorCode.TOO_MANY_LONG_POLLS)
    assert "one thread" in error["detail"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("wait=1", "since"),
        ("since=1", "wait"),
        ("wait=0&since=1", "wait"),
        ("wait=31&since=1", "wait"),
        ("wait=x&since=1", "wait"),
        ("wait=1&since=-1", "since"),
        (f"wait=1&since={2**63}", "since"),
    ],
)
def test_invalid_parameters_of_a_long_poll_are_refused(
    client: testing.TestClient, migration: objects.Migration, query: str, field: str
) -> None:
    answer = ask(client, migration, query)
    assert error_of(answer, ErrorCode.INVALID_PARAMETER)["field"] == field


def test_long_poll_of_an_unknown_migration_is_404_at_once(
    client: testing.TestClient, migration: objects.Migration
) -> None:
    nothing = f"/servers/{SERVER}/migrations/99?wait={LONG}&since=1"
    assert client.simulate_get(nothing).status_code == 404


def test_how_many_may_wait() -> None:
    assert [service._places(most, 16) for most in (None, 0, 15)] == [8, 0, 15]
    with pytest.raises(
        exception.ConfigError, match=r"max_long_polls: 16 must be less than \[api\]"
    ):
        service._places(16, 16)
