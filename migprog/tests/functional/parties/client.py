# SPDX-License-Identifier: Apache-2.0
"""A client of the API."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import requests

from lab.parts import processes
from migprog import httpd
from migprog.tests.functional.parties.table import SHORT, cell


@contextlib.contextmanager
def _api() -> Iterator[int]:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        body = b"x" * (50_000_000 if environ["PATH_INFO"] == "/large" else 10)
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    bounds = httpd.Bounds(request_seconds=SHORT.request, answer_seconds=SHORT.answer)
    server = httpd.Server(application, "127.0.0.1", 0, 1, "[test] listen", bounds=bounds)
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


def _another_is_served(port: int) -> None:
    answer = requests.get(f"http://127.0.0.1:{port}/", timeout=60)
    assert answer.status_code == 200


def _is_closed_after(says: bytes) -> None:
    with _api() as port, socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(says)
        _another_is_served(port)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100) == b""


_CLOSED = "closes its connection; no thread waits for it"


@cell("client", "away", "API", _CLOSED + ", others are served meanwhile", lambda t: t.answer)
def _() -> None:
    with _api() as port, socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        _another_is_served(port)

        def is_closed() -> bool:
            try:
                client.send(b"x")
            except ConnectionError:
                return True
            return False

        processes.wait_for(is_closed, 60, "the connection to be closed")


@cell("client", "refuses", "API", "ignores a connection that was reset", lambda t: 0)
def _() -> None:
    with _api() as port:
        with socket.create_connection(("127.0.0.1", port), 60) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        _another_is_served(port)


@cell("client", "silent", "API", _CLOSED, lambda t: t.request)
def _() -> None:
    _is_closed_after(b"")


@cell("client", "slow", "API", _CLOSED, lambda t: t.request)
def _() -> None:
    _is_closed_after(b"GET / HTTP/1.1\r\nHost: x\r\n")
