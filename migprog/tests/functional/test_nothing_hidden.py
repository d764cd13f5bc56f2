# SPDX-License-Identifier: Apache-2.0
"""Through a proxy before Nova and migprog no client sees fewer migrations than Nova alone would
show, at any step of an attempt that is aborted and of the next one; nor one with two identities."""

import contextlib
import http.server
import json
import pathlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.parts import proxies
from migprog import objects
from migprog.core import nova_match
from migprog.core.messages import Report
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.functional.nova_api import MARK
from migprog.tests.functional.test_api import serving
from migprog.tests.functional.test_beside_nova import (
    BESIDE_NOVA,
    NOVA,
    Site,
    keep_fresh,
)
from migprog.tests.unit.api.nova.test_migrations import KEYS_2_80

pytestmark = pytest.mark.functional

SERVER = str(uuid.UUID(int=5))
OF_SERVER = f"/v2.1/servers/{SERVER}/migrations"
ASKED = {"OpenStack_API_Version": "compute 2.80"}
# What is the same whoever tells of a migration.
IDENTITY = (
    *("id", "uuid", "server_uuid", "user_id", "project_id", "created_at"),
    *("source_compute", "source_node", "dest_compute", "dest_node", "dest_host"),
)


class StandIn:
    """A server's migrations as Nova lists and shows them, by its own rules; ``records`` may be
    changed at any time."""

    def __init__(self) -> None:
        self.records: dict[int, nova_match.NovaMigration] = {}

    def listed(self) -> list[dict[str, Any]]:
        return [
            _as_nova(each) for each in self.records.values() if each.status in nova_match.LISTED
        ]

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        number = path.removeprefix(OF_SERVER).lstrip("/")
        if not number:
            return 200, {"migrations": self.listed()}
        found = [each for each in self.listed() if str(each["id"]) == number]
        return (200, {"migration": found[0]}) if found else (404, {"itemNotFound": {"code": 404}})

    @contextlib.contextmanager
    def serving(self) -> Iterator[int]:
        """Its port."""
        stand_in = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_GET(self) -> None:
                code, document = stand_in.answer(self.path)
                body = json.dumps(document).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.send_header(MARK, NOVA)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Not on the screen."""

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            yield server.server_address[1]
            server.shutdown()
            thread.join()


def _as_nova(record: nova_match.NovaMigration) -> dict[str, Any]:
    known = {name: getattr(record, name, None) for name in KEYS_2_80}
    instant = record.created_at.replace(tzinfo=None).isoformat(timespec="microseconds")
    return known | {"created_at": instant, "updated_at": instant}


class Life:
    """What becomes of a server's migrations in Nova, and what of that we know."""

    def __init__(self, store: objects.Store, stand_in: StandIn) -> None:
        self._store = store
        self._nova = stand_in
        self._ours: dict[int, Report] = {}

    def in_nova(self, number: int, status: str) -> None:
        begins = self._ours.get(number) or self._report(number)
        self._ours[number] = begins
        known = self._nova.records.get(number)
        its = str(uuid.uuid4()) if known is None else known.uuid
        self._nova.records[number] = stores.nova_record(begins, number, uuid=its, status=status)

    def _report(self, number: int) -> Report:
        at = time.time() - 100 + 10 * number
        return stores.report(
            server_uuid=SERVER, started_at=at, memory_total_bytes=77, project_id="owners"
        )

    def seen(self, number: int, status: Status = Status.RUNNING) -> None:
        """An agent reports it."""
        report = self._ours[number]
        if status is not Status.RUNNING:
            report = stores.later(report, status=status, phase=Phase.SWITCHOVER)
        self._ours[number] = report
        stores.store(self._store, report)
        keep_fresh(self._store)

    def named(self, number: int) -> None:
        record = self._nova.records[number]
        is_alone = len(self._nova.listed()) == 1
        ours = stores.migration(self._store, self._ours[number])
        assert objects.name(self._store, ours, record, time.time(), is_alone)


STEPS: list[tuple[str, Callable[[Life], None]]] = [
    ("Nova prepares the first", lambda life: life.in_nova(1, "preparing")),
    ("the first runs", lambda life: life.in_nova(1, "running")),
    ("it is seen", lambda life: life.seen(1)),
    ("it is named", lambda life: life.named(1)),
    ("it is aborted", lambda life: life.seen(1, Status.CANCELLED)),
    ("Nova is through with it", lambda life: life.in_nova(1, "cancelled")),
    ("Nova queues the second", lambda life: life.in_nova(2, "queued")),
    ("Nova prepares the second", lambda life: life.in_nova(2, "preparing")),
    ("the second runs", lambda life: life.in_nova(2, "running")),
    ("it is seen, too", lambda life: life.seen(2)),
    ("it is named, too", lambda life: life.named(2)),
    ("it has left its source", lambda life: life.seen(2, Status.POST_MIGRATING)),
    ("it is completed", lambda life: life.seen(2, Status.COMPLETED)),
    ("Nova forgets to end it", lambda life: None),
    ("Nova begins a third", lambda life: life.in_nova(3, "preparing")),
    ("that runs", lambda life: life.in_nova(3, "running")),
    ("that is seen", lambda life: life.seen(3)),
    ("that is named beside the forgotten one", lambda life: life.named(3)),
]
# Where our figures are told, by the number of the step.
OURS = {3, 10}


@pytest.mark.parametrize("name", proxies.NAMES)
def test_nothing_that_nova_lists_is_hidden(tmp_path: pathlib.Path, name: str) -> None:
    url = f"sqlite:///{tmp_path / 'migprog.sqlite'}"
    store, stand_in = stores.ready(url), StandIn()
    tls = proxies.certificate(tmp_path)
    life = Life(store, stand_in)
    identities: dict[int, tuple[Any, ...]] = {}
    with (
        stand_in.serving() as nova_port,
        serving(tmp_path, url, "threading", BESIDE_NOVA) as (base, program),
        proxies.running(name, tmp_path, nova_port, int(base.rpartition(":")[2]), tls) as proxy,
    ):
        site = Site(proxy, program, tls)
        for number, (what, step) in enumerate(STEPS):
            step(life)
            answer = site.ask("GET", OF_SERVER, **ASKED)
            assert answer.code == 200, what
            seen = {each["id"]: each for each in answer.document["migrations"]}
            assert seen.keys() >= {each["id"] for each in stand_in.listed()}, what
            assert (answer.by != NOVA) == (number in OURS), what
            if number in OURS:
                assert [each["memory_total_bytes"] for each in seen.values()] == [77]
            for which, each in seen.items():
                shown = site.ask("GET", f"{OF_SERVER}/{which}", **ASKED)
                assert shown.code == 200, what
                for one in (each, shown.document["migration"]):
                    known = tuple(one[key] for key in IDENTITY)
                    assert identities.setdefault(which, known) == known, what
    store.close()
