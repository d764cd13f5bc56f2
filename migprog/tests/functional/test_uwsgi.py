# SPDX-License-Identifier: Apache-2.0
"""The API in the processes of a real uWSGI, which imports it once and forks: each asks agents over
a connection of its own, and gets its own answers."""

import collections
import os
import pathlib
import re
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import oslo_messaging as messaging
import pytest
import requests

from lab.parts import processes
from migprog import objects, rpc
from migprog.core.actions import Target
from migprog.core.agent_answer import Answer
from migprog.core.messages import Agent, Batch
from migprog.rpc import compute
from migprog.tests import stores
from migprog.tests.functional.parties.broker import connected

pytestmark = [pytest.mark.functional, pytest.mark.timeout(180)]

_UWSGI = pathlib.Path(sys.executable).parent / "uwsgi"
_HOST = "source"
_MIGRATIONS = 48
_PROCESSES = 3
_SECONDS = 60.0


class _Endpoint:
    """An agent that refuses those of ``refused``, with their UUIDs, and does the others."""

    target = messaging.Target(version=compute.VERSION)

    def __init__(self, refused: set[str]) -> None:
        self.asked: collections.Counter[str] = collections.Counter()
        self._refused = refused
        self._lock = threading.Lock()

    def abort(self, _ctxt: Any, migration: dict[str, Any], **_later: Any) -> dict[str, Any]:
        asked = Target.from_wire(migration).uuid
        with self._lock:
            self.asked[asked] += 1
        # Answers overtake each other.
        time.sleep(0.05 * (hash(asked) % 3))
        return Answer(asked if asked in self._refused else None).to_wire()


@dataclass
class Site:
    """A uWSGI with the API; of ``migrations`` (server, UUID) the agent refuses every other."""

    url: str
    program: processes.Program
    endpoint: _Endpoint
    migrations: list[tuple[str, str]]
    refused: set[str]

    def abort(self, migration: tuple[str, str]) -> requests.Response:
        server_uuid, its_uuid = migration
        address = f"{self.url}/servers/{server_uuid}/migrations/{its_uuid}"
        return requests.delete(address, timeout=_SECONDS)

    def workers(self) -> set[int]:
        """Those that have answered an abort."""
        output = self.program.output()
        return {int(pid) for pid in re.findall(r"^served-by (\d+) DELETE", output, re.MULTILINE)}

    def gives_each_its_own_answer(self, migrations: list[tuple[str, str]]) -> None:
        before = collections.Counter(self.endpoint.asked)
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(self.abort, migrations))
        for (_server, its_uuid), answer in zip(migrations, answers, strict=True):
            if its_uuid in self.refused:
                assert answer.status_code == 409, answer.text
                assert its_uuid in answer.text
            else:
                assert answer.status_code == 202, answer.text
        assert self.endpoint.asked - before == collections.Counter(u for _s, u in migrations)


@pytest.fixture
def site(rabbitmq: str, tmp_path: pathlib.Path) -> Iterator[Site]:
    database = f"sqlite:///{tmp_path}/migprog.sqlite"
    store = stores.ready(database)
    first = stores.report()
    reports = [
        replace(first, uuid=str(uuid.uuid4()), server_uuid=str(uuid.uuid4()))
        for _ in range(_MIGRATIONS)
    ]
    agent = Agent(
        version="1",
        started_at=1.0,
        report_interval_seconds=5.0,
        migrations=_MIGRATIONS,
        heartbeat_interval_seconds=600.0,
        actions_enabled=True,
    )
    batch = Batch(host=_HOST, node=_HOST, reports=tuple(reports), agent=agent)
    objects.store_batch(store, batch, time.time())
    store.close()
    migrations = [(each.server_uuid, each.uuid) for each in reports]
    refused = {each.uuid for each in reports[::2]}
    (port,) = processes.free_ports(1)
    config = tmp_path / "migprog.conf"
    config.write_text(
        f"[DEFAULT]\ntransport_url = {rabbitmq}\n[database]\nconnection = {database}\n"
        "[api]\nauth_strategy = noauth\nallow_actions = true\n"
    )
    command = [
        *(str(_UWSGI), "--http-socket", f"127.0.0.1:{port}", "--module", "migprog.wsgi"),
        *("--master", "--need-app", "--die-on-term", "--processes", str(_PROCESSES)),
        # As doc/source/actions.rst says.
        *("--enable-threads", "--threads", "4"),
        *("--log-format", "served-by %(pid) %(method) %(uri)"),
    ]
    environment = os.environ | {"MIGPROG_CONFIG_FILE": str(config)}
    endpoint = _Endpoint(refused)
    with connected(rabbitmq) as transport:
        server = rpc.server(transport, compute.TOPIC, _HOST, [endpoint])
        server.start()
        try:
            with processes.running(command, tmp_path, environment) as program:
                processes.wait_for_port(port, _SECONDS, program)
                yield Site(f"http://127.0.0.1:{port}", program, endpoint, migrations, refused)
        finally:
            server.stop()
            server.wait()


def test_each_uwsgi_process_receives_the_answers_to_its_calls(site: Site) -> None:
    site.gives_each_its_own_answer(site.migrations)
    assert len(site.workers()) > 1, site.program.output()
    # A worker that was killed is replaced: by one that was forked from the same import.
    killed = min(site.workers())
    os.kill(killed, signal.SIGKILL)
    respawned = "Respawned uWSGI worker"
    processes.wait_for(lambda: respawned in site.program.output(), _SECONDS, "another worker")
    site.gives_each_its_own_answer(site.migrations)
