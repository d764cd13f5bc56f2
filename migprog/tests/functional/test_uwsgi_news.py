# SPDX-License-Identifier: Apache-2.0
"""News of lists in the processes of a real uWSGI, where a watcher occupies a thread; and what a
watcher is told where none can wait."""

import concurrent.futures
import contextlib
import os
import pathlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from lab.parts import processes
from migprog import objects
from migprog.api.error_codes import ErrorCode
from migprog.core.messages import Report
from migprog.tests import stores
from migprog.tests.fixtures import migrations

pytestmark = pytest.mark.functional

_UWSGI = pathlib.Path(sys.executable).parent / "uwsgi"
_SECONDS = 60.0
_LATEST = {"OpenStack-API-Version": "migration-progress latest"}
_INTERVAL_SECONDS = 0.3


@dataclass
class Watcher:
    """A client that follows the list by news. ``records``: what it knows, by number."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    records: dict[int, Any] = field(default_factory=dict)
    cursor: str | None = None
    wholes: int = 0

    def ask(self, seconds: int = 0) -> requests.Response:
        query = {"in_progress": "true", "wait": str(seconds)}
        if self.cursor is not None:
            query["since"] = self.cursor
        answer = requests.get(
            f"{self.url}/migrations", query, headers=_LATEST | self.headers, timeout=_SECONDS
        )
        if answer.status_code == 200:
            self.take(answer.json())
        return answer

    def take(self, news: dict[str, Any]) -> None:
        self.wholes += news["whole"]
        self.records = {} if news["whole"] else self.records
        for key in news["left"]:
            del self.records[key]
        self.records |= {each["id"]: each for each in news["migrations"]}
        self.cursor = news["cursor"]

    def percents(self) -> set[int]:
        return {each["percent"] for each in self.records.values()}

    def follow(self, percent: int) -> None:
        """Ask until the migrations are that far."""
        deadline = time.monotonic() + _SECONDS
        while self.percents() != {percent}:
            assert time.monotonic() < deadline, self.records
            answer = self.ask(20)
            assert answer.status_code == 200 or is_refused(answer), answer.text


def is_refused(answer: requests.Response) -> bool:
    return answer.status_code == 503 and ErrorCode.TOO_MANY_LONG_POLLS in answer.text


@contextlib.contextmanager
def uwsgi(
    directory: pathlib.Path, database: str, api: str, *more: str
) -> Iterator[tuple[str, processes.Program]]:
    """The address of the API in uWSGI. ``api``: what the section [api] has and what follows it;
    ``more``: options of uWSGI."""
    (port,) = processes.free_ports(1)
    config = directory / "migprog.conf"
    config.write_text(f"[database]\nconnection = {database}\n[api]\n{api}\n")
    command = [
        *(str(_UWSGI), "--http-socket", f"127.0.0.1:{port}", "--module", "migprog.wsgi"),
        *("--master", "--need-app", "--die-on-term", *more),
    ]
    environment = os.environ | {"MIGPROG_CONFIG_FILE": str(config)}
    with processes.running(command, directory, environment) as program:
        processes.wait_for_port(port, _SECONDS, program)
        yield f"http://127.0.0.1:{port}", program
        assert "Traceback" not in program.output()


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Iterator[objects.Store]:
    store = stores.ready(f"sqlite:///{tmp_path}/migprog.sqlite")
    yield store
    store.close()


@pytest.fixture
def running(store: objects.Store) -> list[Report]:
    made = [migrations.running(number, percent=10) for number in range(3)]
    migrations.store(store, *made)
    return made


def _advance(store: objects.Store, running: list[Report], percent: int) -> None:
    now = time.time()
    running[:] = [stores.later(each, sampled_at=now, percent=percent) for each in running]
    migrations.store(store, *running)


def _options(more: str = "") -> str:
    return f"auth_strategy = noauth\nnews_interval = {_INTERVAL_SECONDS}\n{more}"


def test_watchers_in_threads_are_answered_and_one_too_many_is_refused(
    tmp_path: pathlib.Path, store: objects.Store, running: list[Report]
) -> None:
    database = str(store.engine.url)
    threads = ("--enable-threads", "--threads", "4")
    with (
        uwsgi(tmp_path, database, _options("max_long_polls = 3"), *threads) as (url, _program),
        concurrent.futures.ThreadPoolExecutor(3) as pool,
    ):
        watchers = [Watcher(url) for _ in range(3)]
        for each in watchers:
            assert each.ask().status_code == 200
        assert {each.wholes for each in watchers} == {1}
        following = [pool.submit(each.follow, 20) for each in watchers]
        late = Watcher(url, cursor=watchers[0].cursor)

        # Until then it may have the place of one of them, which asks again.
        processes.wait_for(lambda: is_refused(late.ask(1)), _SECONDS, "all places to be taken")
        # One thread is left for others.
        assert requests.get(f"{url}/migrations", timeout=5).status_code == 200
        _advance(store, running, 20)
        for done in following:
            done.result(_SECONDS)
        assert {each.wholes for each in watchers} == {1}, "one process knows its own cursors"


def test_watcher_of_several_processes_has_the_list_whichever_answers(
    tmp_path: pathlib.Path, store: objects.Store, running: list[Report]
) -> None:
    database = str(store.engine.url)
    several = ("--enable-threads", "--threads", "4", "--processes", "3")
    with uwsgi(tmp_path, database, _options("max_long_polls = 3"), *several) as (url, _program):
        watcher = Watcher(url)
        watcher.ask()
        for percent in (20, 30, 40):
            _advance(store, running, percent)
            watcher.follow(percent)


@pytest.mark.parametrize(
    ("threads", "polls", "why"), [("1", "3", "has one thread"), ("4", "0", "[api] max_long_polls")]
)
def test_where_none_can_wait_that_is_said_and_the_list_is_given(
    tmp_path: pathlib.Path,
    store: objects.Store,
    running: list[Report],
    threads: str,
    polls: str,
    why: str,
) -> None:
    more = ("--enable-threads", "--threads", threads)
    options = _options(f"max_long_polls = {polls}")
    with uwsgi(tmp_path, str(store.engine.url), options, *more) as (url, _program):
        watcher = Watcher(url)
        assert watcher.ask().status_code == 200
        answer = watcher.ask(20)
        assert answer.status_code == 503
        (error,) = answer.json()["errors"]
        assert error["code"] == ErrorCode.TOO_MANY_LONG_POLLS
        assert why in error["detail"]
        _advance(store, running, 20)
        processes.wait_for(
            lambda: watcher.ask() and watcher.percents() == {20}, _SECONDS, "the list of now"
        )
