# SPDX-License-Identifier: Apache-2.0
"""The action ``migprog_migrate`` in Watcher's own applier, in an environment with Watcher and
migprog as ``pip install migprog[watcher]`` makes it. Keystone and migprog's API are real; Nova's
part of the API is a stand-in, which migrates as a case says."""

import contextlib
import http.server
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from lab.faults.keystone_api import KeystoneApi, keystone_api
from lab.parts.keystone import PASSWORD
from migprog import objects
from migprog.core.forecast.verdict import Verdict
from migprog.core.messages import Report
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.fixtures import migrations, nova

pytestmark = [pytest.mark.functional, pytest.mark.long, pytest.mark.timeout(900)]

_ROOT = pathlib.Path(__file__).resolve().parents[3]
_SCRIPT = pathlib.Path(__file__).with_name("watcher_applier.py")
# To try it with an environment that is there already.
_ENVIRONMENT = os.environ.get("MIGPROG_WATCHER_ENVIRONMENT")
_CONFIG = """
[DEFAULT]
transport_url = fake://
host = here
[database]
connection = sqlite:///{directory}/watcher.sqlite
[watcher_applier]
rollback_when_actionplan_failed = false
[watcher_clients_auth]
auth_type = password
auth_url = {keystone}
username = admin
password = {password}
project_name = admin
user_domain_id = default
project_domain_id = default
[watcher_actions.migprog_migrate]
poll_interval = 0.1
start_timeout = 2
"""
_SERVER = str(uuid.UUID(int=7))
_PARAMETERS = {
    "resource_id": _SERVER,
    "migration_type": "live",
    "source_node": "source",
    "destination_node": "dest",
}


class Nova:
    """A server, its migrations, and what a live migration of it does: ``course`` is called with
    the number of looks at the migrations since it was requested, before each answer."""

    def __init__(self, store: objects.Store) -> None:
        self.store = store
        self.port = 0
        self.start_case(lambda _looks: None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v2.1"

    def start_case(self, course: Callable[[int], None]) -> None:
        self.course = course
        self.host = "source"
        self.status = "ACTIVE"
        self.refuses: str | None = None
        self.records: list[dict[str, Any]] = []
        self.requested: list[dict[str, Any]] = []
        self.aborted = 0
        self.looks = 0
        self.report: Report | None = None

    def begin(self, **values: Any) -> None:
        """libvirt begins, and the source's agent reports it."""
        self.report = stores.later(
            migrations.running(7, uuid=str(uuid.uuid4()), **values), 1, server_uuid=_SERVER
        )
        migrations.store(self.store, self.report, host="source")

    def end(self, status: Status, nova_status: str, **values: Any) -> None:
        """The source's agent reports the end, and Nova has it."""
        migrations.store(self.store, migrations.ended(self.report, status, **values), host="source")
        self.records[-1]["status"] = nova_status
        if status is Status.COMPLETED:
            self.host = "dest"

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        path = path.partition("?")[0].removeprefix("/v2.1")
        if (method, path) == ("GET", f"/servers/{_SERVER}"):
            shown = {"id": _SERVER, "status": self.status, "OS-EXT-SRV-ATTR:host": self.host}
            return 200, {"server": {**shown, "OS-EXT-STS:task_state": None}}
        if (method, path) == ("GET", "/os-migrations"):
            if self.requested:
                self.looks += 1
                self.course(self.looks)
            return 200, {"migrations": self.records}
        if (method, path) == ("POST", f"/servers/{_SERVER}/action"):
            if self.refuses is not None:
                return 409, {"conflictingRequest": {"code": 409, "message": self.refuses}}
            self.requested.append(json.loads(body)["os-migrateLive"])
            now = datetime.now(UTC)
            number = len(self.records) + 17
            self.records.append(nova.record(_SERVER, number, str(uuid.uuid4()), now))
            return 202, None
        if method == "DELETE" and path.startswith(f"/servers/{_SERVER}/migrations/"):
            assert path.endswith(f"/{self.records[-1]['id']}")
            self.aborted += 1
            self.end(Status.CANCELLED, "cancelled", error="operation aborted")
            return 202, None
        return 404, {"itemNotFound": {"code": 404, "message": "no such thing"}}

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        stand_in = self
        lock = threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with lock:
                    code, document = stand_in.answer(self.command, self.path, body)
                text = b"" if document is None else json.dumps(document).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_DELETE = _answer

            def log_message(self, format: str, *args: object) -> None:
                """Not on the screen."""

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.port = server.server_address[1]
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            yield
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def watcher_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an environment with Watcher and migprog."""
    if _ENVIRONMENT is not None:
        return str(pathlib.Path(_ENVIRONMENT) / "bin/python")
    environment = tmp_path_factory.mktemp("watcher") / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = str(environment / "bin/python")
    subprocess.run([python, "-m", "pip", "install", "-q", f"{_ROOT}[watcher]"], check=True)
    return python


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Nova, KeystoneApi]]:
    directory = tmp_path_factory.mktemp("cloud")
    database = f"sqlite:///{directory}/migprog.sqlite"
    store = stores.ready(database)
    stand_in = Nova(store)
    with stand_in.serving(), keystone_api(directory / "keystone", database) as api:
        api.keystone.new_endpoint("compute", stand_in.url)
        api.keystone.new_endpoint("migration-progress", api.url)
        yield stand_in, api
    store.close()


Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(watcher_python: str, cloud: tuple[Nova, KeystoneApi], tmp_path: pathlib.Path) -> Run:
    """Run Watcher's applier in a mode; return what it prints."""
    config = tmp_path / "watcher.conf"
    values = {"directory": tmp_path, "keystone": cloud[1].keystone.url, "password": PASSWORD}

    def run(mode: str = "plan", options: str = "", **parameters: Any) -> dict[str, Any]:
        config.write_text(_CONFIG.format(**values) + options)
        words = json.dumps({**_PARAMETERS, **parameters})
        done = subprocess.run(
            [watcher_python, "-W", "ignore", str(_SCRIPT), str(config), mode, words],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    return run


@pytest.fixture
def stand_in(cloud: tuple[Nova, KeystoneApi]) -> Nova:
    return cloud[0]


def test_plan_succeeds_when_the_migration_has_completed(run: Run, stand_in: Nova) -> None:
    """However often Watcher has looked: nothing counts to 180."""

    def course(looks: int) -> None:
        if looks == 2:
            stand_in.begin()
        if looks == 5:
            stand_in.end(Status.COMPLETED, "completed")

    stand_in.start_case(course)
    found = run()
    assert (found["plan"], found["action"]) == ("SUCCEEDED", "SUCCEEDED")
    assert stand_in.requested == [{"host": "dest", "block_migration": "auto"}]


def test_action_fails_with_the_reason_of_the_migration(run: Run, stand_in: Nova) -> None:
    def course(looks: int) -> None:
        if looks == 2:
            stand_in.begin()
        if looks == 3:
            stand_in.end(Status.FAILED, "failed", error="qemu: connection reset")

    stand_in.start_case(course)
    found = run()
    assert (found["plan"], found["action"]) == ("FAILED", "FAILED")
    assert found["message"] == (
        f"Action failed in execute: live migration of {_SERVER}: failed: qemu: connection reset"
    )


def test_reason_of_a_migration_that_ends_at_once_is_migprogs(run: Run, stand_in: Nova) -> None:
    def course(looks: int) -> None:
        if looks == 2:
            stand_in.begin()
            stand_in.end(Status.FAILED, "failed", error="qemu: connection reset")

    stand_in.start_case(course)
    assert run()["message"].endswith("failed: qemu: connection reset")


def test_migration_that_does_not_converge_is_aborted(run: Run, stand_in: Nova) -> None:
    def course(looks: int) -> None:
        if looks == 1:
            stand_in.begin(**migrations.NOT_CONVERGING)

    stand_in.start_case(course)
    found = run(give_up_after_seconds=0.5)
    assert found["action"] == "FAILED"
    assert re.search(
        r"given up, aborted: not-converging: remaining memory no longer shrinks \(46 MiB per "
        r"iteration\); needs a downtime limit of 2.3 s \(now 300 ms\), for [\d.]+ m?s; cancelled: "
        r"operation aborted$",
        found["message"],
    )
    assert (stand_in.aborted, stand_in.host) == (1, "source")


def test_migration_that_fails_before_libvirt_begins_fails_by_nova(run: Run, stand_in: Nova) -> None:
    def course(looks: int) -> None:
        stand_in.records[-1]["status"] = "preparing" if looks < 4 else "error"

    stand_in.start_case(course)
    found = run()
    assert found["action"] == "FAILED"
    assert "error, by Nova's record; see nova-compute's log" in found["message"]


def test_old_migration_is_not_taken_for_the_requested_one(run: Run, stand_in: Nova) -> None:
    """Neither migprog's record of it nor Nova's."""
    stand_in.start_case(lambda _looks: None)
    # Older than what the next tests begin, so that theirs are the newest.
    stand_in.begin(started_at=time.time() - 3600)
    stand_in.records.append(nova.record(_SERVER, 3, str(uuid.uuid4()), datetime.now(UTC)))
    stand_in.end(Status.COMPLETED, "completed")
    stand_in.host = "source"

    def course(looks: int) -> None:
        if looks == 1:
            stand_in.records.pop()

    stand_in.course = course
    found = run()
    assert "no migration began within 2 s" in found["message"]


def test_without_migprog_it_waits_by_nova(run: Run, stand_in: Nova) -> None:
    def course(looks: int) -> None:
        if looks == 30:
            stand_in.records[-1]["status"] = "completed"

    stand_in.start_case(course)
    found = run(options="endpoint_override = http://127.0.0.1:1\n")
    assert found["action"] == "SUCCEEDED"


def test_novas_refusal_is_the_reason(run: Run, stand_in: Nova) -> None:
    stand_in.start_case(lambda _looks: None)
    stand_in.refuses = "Cannot 'os-migrateLive' instance while it is locked"
    assert run()["message"].endswith("Nova: Cannot 'os-migrateLive' instance while it is locked")


def test_server_that_is_elsewhere_is_skipped(run: Run, stand_in: Nova) -> None:
    stand_in.start_case(lambda _looks: None)
    stand_in.host = "another"
    found = run()
    assert found["action"] == "SKIPPED"
    assert "is on another, not on source" in found["message"]
    assert stand_in.requested == []


def test_server_that_is_not_active_fails_before_a_request(run: Run, stand_in: Nova) -> None:
    stand_in.start_case(lambda _looks: None)
    stand_in.status = "SHUTOFF"
    found = run()
    assert found["action"] == "FAILED"
    assert "its status is SHUTOFF: must be ACTIVE or PAUSED" in found["message"]
    assert stand_in.requested == []


def test_cancelled_action_aborts_its_migration(run: Run, stand_in: Nova) -> None:
    def course(looks: int) -> None:
        if looks == 2:
            stand_in.begin(verdict=Verdict.CONVERGING, phase=Phase.MEMORY_ITERATIONS)

    stand_in.start_case(course)
    found = run("cancel")
    assert (found["check_abort"], found["aborted"]) == (True, True)
    (failed,) = found["failed"]
    assert failed.endswith("cancelled: operation aborted")
    assert stand_in.host == "source"


def test_reverted_action_migrates_back(run: Run, stand_in: Nova) -> None:
    def course(looks: int) -> None:
        if looks == 1:
            stand_in.begin()
            stand_in.end(Status.COMPLETED, "completed")
            stand_in.host = "source"

    stand_in.start_case(course)
    stand_in.host = "dest"
    assert run("revert") == {"reverted": True}
    assert stand_in.requested == [{"host": "source", "block_migration": "auto"}]
