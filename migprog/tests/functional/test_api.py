# SPDX-License-Identifier: Apache-2.0
"""``migprog-api`` as a process, on both backends, asked over HTTP; and ``migprog.wsgi``."""

import concurrent.futures
import contextlib
import http.client
import os
import pathlib
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import pytest
import requests
from oslo_config import cfg

from lab.parts import processes
from migprog import objects
from migprog.core.messages import Batch, Report
from migprog.core.status import Phase, Status
from migprog.db import connections, schema

SERVER = str(uuid.UUID(int=1))
RUNNING, DONE = str(uuid.UUID(int=12)), str(uuid.UUID(int=11))
NAME = "<script>\"'; 🦜"

BACKENDS = ("eventlet", "threading")
_MAIN = "import sys; from migprog.cmd.api import main; sys.exit(main())"
# What uWSGI and gunicorn do: import the module, and serve what it calls "application".
_WSGI = """
from wsgiref import simple_server
from migprog.wsgi import application
simple_server.make_server("127.0.0.1", {port}, application).serve_forever()
"""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An SQLite file with two migrations of one server."""
    url = f"sqlite:///{tmp_path_factory.mktemp('database') / 'migprog.sqlite'}"
    conf = cfg.ConfigOpts()
    connections.register_opts(conf)
    conf([], default_config_files=[], default_config_dirs=[])
    conf.set_override("connection", url, "database")
    store = objects.connect(conf)
    schema.sync(store)
    now = time.time()
    for which, status in ((DONE, Status.FAILED), (RUNNING, Status.RUNNING)):
        report = Report(
            uuid=which,
            server_uuid=SERVER,
            server_name=NAME,
            sequence=1,
            status=status,
            phase=Phase.DONE if status is Status.FAILED else Phase.MEMORY_FIRST_ITERATION,
            percent=7,
            started_at=now - (50 if status is Status.FAILED else 5),
            sampled_at=now,
        )
        objects.store_batch(store, Batch(host="a", node="a.lab", reports=(report,)), now)
    store.close()
    return url


def configuration(directory: pathlib.Path, database: str, **options: str) -> pathlib.Path:
    path = directory / "migprog.conf"
    api = "".join(f"{name} = {value}\n" for name, value in options.items())
    path.write_text(f"[database]\nconnection = {database}\n[api]\n{api}")
    return path


@contextlib.contextmanager
def serving(
    directory: pathlib.Path, database: str, concurrency: str, more: str = ""
) -> Iterator[tuple[str, processes.Program]]:
    """The address of a running ``migprog-api``, and its process; ``more`` of its configuration."""
    (port,) = processes.free_ports(1)
    path = configuration(directory, database, auth_strategy="noauth", bind_port=port)
    with path.open("a") as config:
        config.write(more)
    with processes.running(
        [sys.executable, "-W", "ignore", "-c", _MAIN, "--config-file", str(path)],
        directory,
        os.environ | {"MIGPROG_CONCURRENCY": concurrency},
    ) as program:
        processes.wait_for_port(port, 60, program)
        yield f"http://127.0.0.1:{port}", program


@pytest.fixture(scope="module", params=BACKENDS)
def api(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, database: str
) -> Iterator[tuple[str, processes.Program]]:
    with serving(tmp_path_factory.mktemp("api"), database, request.param) as running:
        yield running


def check_every_route(base: str) -> None:
    def get(path: str, code: int = 200) -> dict:
        answer = requests.get(base + path, timeout=10)
        assert answer.status_code == code, answer.text
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-openstack-request-id"].startswith("req-")
        return answer.json()

    def uuids(path: str) -> list[str]:
        return [each["uuid"] for each in get(path)["migrations"]]

    assert get("/")["versions"][0]["links"] == [{"rel": "self", "href": f"{base}/migrations"}]
    assert get("/healthcheck") == {"detailed": False, "reasons": []}
    server = get(f"/servers/{SERVER}")["server"]
    assert (server["name"], server["progress"], server["host"]) == (NAME, 7, "a")
    assert uuids("/migrations") == uuids(f"/servers/{SERVER}/migrations") == [RUNNING, DONE]
    assert uuids("/migrations?in_progress=true&host=a") == [RUNNING]
    assert uuids("/migrations?status=failed") == [DONE]
    migration = get(f"/servers/{SERVER}/migrations/{RUNNING}")["migration"]
    assert migration == get(f"/servers/{SERVER}/migrations/{migration['id']}")["migration"]
    assert requests.get(migration["links"][0]["href"], timeout=10).json()["migration"] == migration
    assert migration["stale"] is False
    assert migration["server_name"] == NAME
    page = get("/migrations?limit=1")
    following = requests.get(page["migrations_links"][0]["href"], timeout=10).json()
    assert [each["uuid"] for each in following["migrations"]] == [DONE]
    assert "migrations_links" not in following
    assert get("/migrations?limit=x", 400)["errors"][0]["field"] == "limit"
    assert get("/nowhere", 404)["errors"][0]["status"] == 404
    assert requests.head(f"{base}/migrations", timeout=10).status_code == 200
    assert requests.delete(f"{base}/migrations", timeout=10).status_code == 405


def test_connection_is_kept_between_requests(api: tuple[str, processes.Program]) -> None:
    connection = http.client.HTTPConnection(api[0].partition("//")[2], timeout=10)
    used = []
    for path, code in (("/migrations", 200), ("/none", 404), (f"/v2.1/servers/{SERVER}", 200)):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert (answer.status, answer.will_close) == (code, False)
        used.append(connection.sock)
    assert None not in used and len(set(used)) == 1
    connection.close()


def test_every_route(api: tuple[str, processes.Program]) -> None:
    check_every_route(api[0])


@pytest.mark.parametrize("concurrency", BACKENDS)
def test_long_poll_delays_no_other_request(
    tmp_path: pathlib.Path, database: str, concurrency: str
) -> None:
    """Half of the threads wait, the next is refused, others are served; the end lets all go."""
    with (
        serving(tmp_path, database, concurrency) as (base, program),
        concurrent.futures.ThreadPoolExecutor(9) as pool,
    ):
        address = f"{base}/servers/{SERVER}/migrations/{RUNNING}"
        asked = [
            pool.submit(requests.get, f"{address}?wait=30&since=1", timeout=60) for _ in range(9)
        ]
        done, waiting = concurrent.futures.wait(
            asked, 20, return_when=concurrent.futures.FIRST_COMPLETED
        )
        assert [each.result().status_code for each in done] == [503]
        for _ in range(20):
            assert requests.get(address, timeout=10).ok
        assert not any(each.done() for each in waiting)
        program.process.terminate()
        program.process.wait(15)
        assert all(each.result(5).json()["migration"]["uuid"] == RUNNING for each in waiting)


def test_the_wsgi_application(tmp_path: pathlib.Path, database: str) -> None:
    (port,) = processes.free_ports(1)
    path = configuration(tmp_path, database, auth_strategy="noauth")
    with processes.running(
        [sys.executable, "-W", "ignore", "-c", _WSGI.format(port=port)],
        tmp_path,
        os.environ | {"MIGPROG_CONFIG_FILE": str(path)},
    ) as program:
        processes.wait_for_port(port, 60, program)
        check_every_route(f"http://127.0.0.1:{port}")


def test_fifty_clients_at_once(api: tuple[str, processes.Program]) -> None:
    base, program = api

    def client(_number: int) -> list[float]:
        seconds = []
        with requests.Session() as session:
            for _ in range(20):
                begin = time.monotonic()
                answer = session.get(f"{base}/servers/{SERVER}/migrations/{RUNNING}", timeout=30)
                seconds.append(time.monotonic() - begin)
                assert answer.json()["migration"]["uuid"] == RUNNING
                time.sleep(0.01)
        return seconds

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        seconds = [each for one in pool.map(client, range(50)) for each in one]
    assert len(seconds) == 1000
    assert max(seconds) < 10
    program.check()


def test_occasional_request_does_not_wait(api: tuple[str, processes.Program]) -> None:
    """A request on an idle connection is read at once, on both backends: the quickest answer
    shows it, as each would be late."""
    base, _program = api
    seconds = []
    with requests.Session() as session:
        for _ in range(8):
            begin = time.monotonic()
            session.get(f"{base}/", timeout=10)
            seconds.append(time.monotonic() - begin)
            time.sleep(0.1)
    assert min(seconds) < 0.2


@pytest.mark.parametrize("concurrency", BACKENDS)
def test_api_stops_while_clients_are_connected(
    tmp_path: pathlib.Path, database: str, concurrency: str
) -> None:
    with contextlib.ExitStack() as stack:
        base, program = stack.enter_context(serving(tmp_path, database, concurrency))
        sessions = [stack.enter_context(requests.Session()) for _ in range(20)]
        for session in sessions:
            assert session.get(f"{base}/migrations", timeout=10).ok
        # It is killed, and has no such status, when that takes 20 s.
        assert program.stop() == 0
    assert "Traceback" not in program.output()


def test_silent_client_delays_no_other_client(
    api: tuple[str, processes.Program],
) -> None:
    base, _program = api
    address = ("127.0.0.1", int(base.rpartition(":")[2]))
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(socket.create_connection(address)).sendall(b"GET / HTT")
        assert requests.get(f"{base}/healthcheck", timeout=5).ok


def test_a_body_in_chunks_is_never_the_next_request(
    api: tuple[str, processes.Program],
) -> None:
    """Not when it is refused, and not read: what is in it was not asked, what comes after
    it was."""
    base, _program = api
    hidden = "GET /healthcheck HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = "GET /healthcheck HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    for method, path in (("POST", "/nowhere"), ("DELETE", "/migrations"), ("GET", "/migrations")):
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        asked = f"{head}{len(hidden):x}\r\n{hidden}\r\n0\r\n\r\n{last}"
        with socket.create_connection(("127.0.0.1", int(base.rpartition(":")[2])), 10) as client:
            client.sendall(asked.encode())
            answers = b"".join(iter(lambda: client.recv(65536), b""))
        assert answers.startswith(b"HTTP/1.1 4"), answers
        assert answers.count(b"HTTP/1.1 ") == 2, answers
        assert answers.count(b"HTTP/1.1 200 ") == 1, answers


def test_a_large_body_is_refused_and_the_connection_serves_on(
    api: tuple[str, processes.Program],
) -> None:
    base, _program = api
    action = f"{base}/v2.1/servers/{SERVER}/migrations/1/action"
    as_json = {"Content-Type": "application/json"}
    with requests.Session() as session:
        for size, code in ((20_000, 413), (10_000, 400)):
            answer = session.post(action, data=b"{}".ljust(size), headers=as_json, timeout=10)
            assert answer.status_code == code
            assert answer.headers["content-type"].startswith("application/json")
            assert session.get(f"{base}/migrations", timeout=10).ok


def test_a_page_of_another_origin_is_served_where_that_is_allowed(
    tmp_path: pathlib.Path, database: str
) -> None:
    origin = "https://dashboard.example.org"
    named = f"[cors]\nallowed_origin = {origin}\n"
    with serving(tmp_path, database, "threading", named) as (base, _program):
        address = f"{base}/servers/{SERVER}/migrations/{RUNNING}"
        asking = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        allowed = requests.options(
            address, headers=asking | {"Access-Control-Request-Headers": "x-auth-token"}, timeout=10
        )
        assert (allowed.status_code, allowed.content) == (204, b"")
        answer = requests.get(address, headers={"Origin": origin}, timeout=10)
        for each in (allowed, answer):
            assert each.headers["Access-Control-Allow-Origin"] == origin
        assert "ETag" in answer.headers["Access-Control-Expose-Headers"]


def _started(path: pathlib.Path) -> "subprocess.CompletedProcess[str]":
    """What became of migprog-api with an impossible configuration."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _MAIN, "--config-file", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bind_host": "0.0.0.0", "auth_strategy": "noauth"}, "[api] bind_host: '0.0.0.0' must be"),
        ({"bind_port": "0"}, "[keystone_authtoken] auth_type: is not set"),
        ({"threads": "0", "auth_strategy": "noauth"}, "[api] threads: "),
    ],
)
def test_impossible_options_are_an_error_at_the_start(
    tmp_path: pathlib.Path, database: str, options: dict[str, str], said: str
) -> None:
    path = configuration(tmp_path, database, **options)
    done = _started(path)
    assert done.returncode == 1
    assert f"migprog-api: {said}" in done.stderr
    assert "Traceback" not in done.stderr


def test_port_in_use_is_an_error_at_the_start(tmp_path: pathlib.Path, database: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        path = configuration(
            tmp_path,
            database,
            auth_strategy="noauth",
            bind_port=taken.getsockname()[1],
        )
        done = _started(path)
    assert done.returncode == 1
    assert "migprog-api: [api] bind_port: " in done.stderr
    assert "in use" in done.stderr
