# SPDX-License-Identifier: Apache-2.0
"""The application as it is, over a real SQLite store; no part of it is replaced."""

import itertools
import pathlib
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import pytest
from falcon import testing
from oslo_config import cfg

from migprog import objects
from migprog.api import app
from migprog.api.error_codes import ErrorCode
from migprog.api.list_watchers import ListWatchers
from migprog.api.resource import Application
from migprog.conf import api as api_conf
from migprog.core.messages import Batch, Report
from migprog.core.status import Phase, Status
from migprog.db import connections
from migprog.tests import answers, stores

REPORTED_AT = 1_700_000_000.5
SERVER = str(uuid.UUID(int=1))

Fill: TypeAlias = Callable[..., list[str]]


def configuration(connection: str, **options: Any) -> cfg.ConfigOpts:
    """Options of a process of its own, ``options`` those of ``[api]``."""
    conf = cfg.ConfigOpts()
    # By its name: overrides are kept in a group's object, and ours would be shared.
    conf.register_opts(api_conf.OPTS, api_conf.GROUP.name)
    connections.register_opts(conf)
    conf([], default_config_files=[], default_config_dirs=[])
    conf.set_override("connection", connection, "database")
    for name, value in {"auth_strategy": "noauth", **options}.items():
        conf.set_override(name, value, "api")
    return conf


def client_of(application: Application) -> testing.TestClient:
    """A client of a WSGI application, on this machine unless the request says otherwise; answers
    must be as documented."""

    def on_this_machine(environ: dict[str, Any], answer: Callable[..., Any]) -> Iterable[bytes]:
        here = {"REMOTE_ADDR": "127.0.0.1", **environ}
        if here.get("HTTP_HOST") == testing.helpers.DEFAULT_HOST:
            here["HTTP_HOST"] = "localhost"
        return compared(here, answer)

    compared = answers.checked(application)
    return testing.TestClient(on_this_machine)


def error_of(answer: testing.Result, code: ErrorCode) -> dict[str, Any]:
    """The one error of an answer of the native API, which must be of this code."""
    (error,) = answer.json["errors"]
    assert error["code"] == code, error
    assert answer.status_code == error["status"] == code.status
    assert error["request_id"] == answer.headers["x-openstack-request-id"]
    assert error["title"] and error["detail"]
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = error
    return found


@pytest.fixture
def connection(tmp_path: pathlib.Path) -> str:
    path = tmp_path / "migprog.sqlite"
    path.write_bytes(stores.empty_sqlite())
    return f"sqlite:///{path}"


@pytest.fixture
def store(connection: str) -> Iterator[objects.Store]:
    store = objects.connect(configuration(connection))
    yield store
    store.close()


@pytest.fixture(autouse=True)
def _news_stopped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No application reads news, and counts that, once its test is over."""
    make, made = app.watchers, list[ListWatchers]()

    def watchers(*arguments: Any) -> ListWatchers:
        made.append(make(*arguments))
        return made[-1]

    monkeypatch.setattr(app, "watchers", watchers)
    yield
    for each in made:
        each.stop()
    for thread in threading.enumerate():
        if made and thread.name in ("read_rounds", "end_waits"):
            thread.join(30)


@pytest.fixture
def client(store: objects.Store, connection: str) -> testing.TestClient:
    """A client on this machine; no token is needed."""
    return client_of(app.create(configuration(connection), store))


@pytest.fixture
def fill(store: objects.Store) -> Fill:
    return filling(store)


def filling(store: objects.Store) -> Fill:
    """Store ``count`` migrations; gives their UUIDs, the oldest first. No two begin at the same
    time: a server has one job at a time."""
    starts = itertools.count(REPORTED_AT - 10_000, 2)

    def fill(
        count: int = 1, host: str = "source", last_reported_at: float = REPORTED_AT, **values: Any
    ) -> list[str]:
        values = {
            "server_uuid": SERVER,
            "sequence": 1,
            "status": Status.RUNNING,
            "phase": Phase.MEMORY_ITERATIONS,
            "sampled_at": REPORTED_AT - 1,
        } | values
        uuids = [str(uuid.uuid4()) for _ in range(count)]
        # One batch each: within a batch the order is the store's.
        for each in uuids:
            report = Report(uuid=each, **{"started_at": next(starts)} | values)
            sent = Batch(host=host, node=f"{host}.lab", reports=(report,)).to_wire()
            batch, refused = Batch.from_wire(sent)
            assert objects.store_batch(store, batch, last_reported_at).reports, refused
        return uuids

    return fill
