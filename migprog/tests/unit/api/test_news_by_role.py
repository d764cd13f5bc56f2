# SPDX-License-Identifier: Apache-2.0
"""Whatever happens: by news, every role sees exactly what its list shows."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import hypothesis
import pytest
from falcon import testing
from hypothesis import strategies as st

from migprog import objects
from migprog.api import app
from migprog.core.forecast.verdict import Verdict
from migprog.core.messages import Report
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.unit.api.conftest import configuration
from migprog.tests.unit.api.list_watchers import LATEST, LIST, ByHand
from migprog.tests.unit.api.tokens import ELSEWHERE, PROJECT, TOKENS, FakeKeystone

SERVERS = [str(uuid.UUID(int=n)) for n in (1, 2, 3, 4)]
QUERIES = (
    *("", "&host=a", "&host=b", f"&server_uuid={SERVERS[0]}", "&status=running"),
    *("&status=running%20(post-copy)", "&verdict=converging", f"&project_id={PROJECT}"),
    *(f"&project_id={PROJECT}&verdict=not-converging", "&host=a&status=running"),
)
changes = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["begin", "progress", "end", "arrive", "delete", "stale"]),
        st.sampled_from([PROJECT, ELSEWHERE, None]),
        st.sampled_from(["a", "b"]),
        st.sampled_from([Verdict.CONVERGING, Verdict.NOT_CONVERGING]),
        st.sampled_from([Status.RUNNING, Status.POST_COPY]),
        # Whether a round is read after it, and whether the watchers ask then.
        *(st.booleans(), st.booleans()),
    ),
    min_size=1,
    max_size=12,
)


class Cloud:
    """Migrations of four servers in a store."""

    def __init__(self, store: objects.Store) -> None:
        self.store = store
        self.running: dict[int, tuple[Report, str]] = {}
        self.begun = 0

    def change(self, number: int, what: str, project: Any, host: str, **values: Any) -> None:
        known = self.running.get(number)
        if what == "begin" and known is None:
            self.begun += 1
            report = stores.report(
                server_uuid=SERVERS[number],
                project_id=project,
                started_at=stores.START + 10 * self.begun,
                **values,
            )
            self._tell(number, report, host)
        elif known is None:
            return
        elif what == "progress":
            self._tell(number, stores.later(known[0], **values), known[1])
        elif what == "end":
            self._tell(
                number,
                stores.later(known[0], status=Status.COMPLETED, phase=Phase.DONE),
                known[1],
            )
            del self.running[number]
        elif what == "arrive":
            arrival = stores.arrival(SERVERS[number], at=known[0].started_at + 5)
            stores.store(self.store, arrival, host="ab".replace(known[1], ""))
        elif what == "delete":
            with self.store.writing() as connection:
                connection.exec_driver_sql(
                    "DELETE FROM migrations WHERE uuid = ?", (known[0].uuid,)
                )
            del self.running[number]

    def _tell(self, number: int, report: Report, host: str) -> None:
        self.running[number] = report, host
        stores.store(self.store, report, host=host)


def plain(application: Any) -> Callable[..., Any]:
    """The same application, as a function of which falcon's client sees the arguments."""
    return lambda environ, start_response: application(environ, start_response)


class Watching:
    """A watcher as a client is one: by its answers alone."""

    def __init__(self, client: testing.TestClient, token: str, query: str) -> None:
        self.ask: Callable[[str], testing.Result] = lambda more: client.simulate_get(
            LIST + query + more, headers=LATEST | {"X-Auth-Token": token}
        )
        self.cursor = ""
        self.records: dict[int, Any] = {}

    def compare(self) -> None:
        """Take the news; then the list has to be what the list's request gives."""
        answer, listed = self.ask("&wait=0" + self.cursor), self.ask("")
        assert answer.status_code == listed.status_code
        if answer.status_code != 200:
            assert answer.status_code == 403
            return
        news = answer.json
        if news["whole"]:
            self.records = {}
        for key in news["left"]:
            del self.records[key]
        self.records |= {each["id"]: each for each in news["migrations"]}
        self.cursor = f"&since={news['cursor']}"
        newest_first = sorted(self.records.values(), key=lambda each: -each["id"])
        assert newest_first == listed.json["migrations"]


@hypothesis.settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(changes, st.sets(st.sampled_from(QUERIES), min_size=2, max_size=2))
def test_every_roles_list_by_news_is_its_list(
    store: objects.Store,
    connection: str,
    monkeypatch: pytest.MonkeyPatch,
    changes: Any,
    queries: set[str],
) -> None:
    with store.writing() as connected:
        for table in ("migrations", "servers"):
            connected.exec_driver_sql(f"DELETE FROM {table}")
    news = ByHand(store)
    monkeypatch.setattr("migprog.api.resource._now", lambda: news.at)
    conf = configuration(connection, auth_strategy="keystone", max_long_polls=10)
    # Whether answers are as documented is seen elsewhere, and takes long.
    client = testing.TestClient(plain(app.create(conf, store, FakeKeystone, news=news)))
    cloud = Cloud(store)
    watching = [Watching(client, token, query) for token in TOKENS for query in queries]
    for number, what, project, host, verdict, status, is_read, asks in changes:
        if what == "stale":
            news.at = datetime.fromtimestamp(news.at.timestamp() + 60, UTC)
        else:
            cloud.change(number, what, project, host, verdict=verdict, status=status)
        if is_read or asks:
            news.look()
        if asks:
            for each in watching:
                each.compare()
    news.look()
    for each in watching:
        each.compare()
    news.stop()
