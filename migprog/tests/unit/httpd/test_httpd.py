# SPDX-License-Identifier: Apache-2.0
"""What slow, silent and greedy clients do to an HTTP server of ours: little."""

import collections
import contextlib
import http.client
import socket
import threading

import pytest
import requests

from lab.parts import processes
from migprog import exception, httpd

_SECONDS = 60


class Application:
    """Answers at once, but for /slow, which waits until :attr:`go`, and /large."""

    def __init__(self):
        self.go = threading.Event()
        self.begun = threading.Semaphore(0)
        self.served: collections.Counter[str] = collections.Counter()

    def __call__(self, environ, start_response):
        self.served[environ["PATH_INFO"]] += 1
        if environ["PATH_INFO"] == "/slow":
            self.begun.release()
            self.go.wait(_SECONDS)
        body = {"/large": b"x" * 50_000_000, "/some": b"x" * 1_000_000}.get(
            environ["PATH_INFO"], b"well\n"
        )
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


@contextlib.contextmanager
def serving(threads=2, reserved=("/healthcheck",), **bounds):
    application = Application()
    server = httpd.Server(
        application,
        *("127.0.0.1", 0, threads, "[test] listen"),
        bounds=httpd.Bounds(**bounds),
        reserved=reserved,
    )
    server.start()
    try:
        yield application, server.port
    finally:
        application.go.set()
        server.stop()


@contextlib.contextmanager
def connections(port, count, says=b""):
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            each = stack.enter_context(socket.create_connection(("127.0.0.1", port), _SECONDS))
            each.sendall(says)
            made.append(each)
        yield made


def status(port, path="/"):
    return requests.get(f"http://127.0.0.1:{port}{path}", timeout=_SECONDS).status_code


@pytest.mark.parametrize(
    "says",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
    ],
    ids=["nothing", "half a head", "half a body"],
)
def test_slow_clients_take_no_thread_and_are_closed(says):
    with serving(request_seconds=1.0) as (_, port), connections(port, 20, says) as slow:
        assert status(port) == 200
        for each in slow:
            assert each.recv(100) == b""


def talk_until_closed(client, says):
    """Say it again and again until the connection is closed."""

    def is_closed():
        client.setblocking(False)
        try:
            client.sendall(says)
            return client.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    processes.wait_for(is_closed, _SECONDS, "the connection to be closed")


def test_a_client_that_drips_its_head_is_closed_at_the_deadline():
    with serving(request_seconds=1.0) as (_, port), connections(port, 1) as (slow,):
        slow.sendall(b"GET / HTTP/1.1\r\n")
        talk_until_closed(slow, b"X: y\r\n")
        assert status(port) == 200


def test_a_client_that_does_not_read_is_closed():
    asks = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
    with (
        serving(answer_seconds=1.0, threads=1) as (_, port),
        connections(port, 1, asks) as (slow,),
    ):
        assert status(port) == 200
        talk_until_closed(slow, b"X")


def test_kept_connection_is_reused_and_closed_when_idle_too_long():
    with serving(idle_seconds=3.0) as (_, port), connections(port, 1) as (client,):
        for _ in range(3):
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(b"well\n"):
                more = client.recv(1000)
                assert more, "the connection was closed too early"
                answer += more
        assert client.recv(1000) == b""


def test_connection_is_kept_open_for_the_next_request():
    with serving() as (_, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
        used = []
        for method, path in (("GET", "/"), ("HEAD", "/"), ("GET", "/some"), ("POST", "/")):
            connection.request(method, path, body=b"x" if method == "POST" else None)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200 and not answer.will_close
            used.append(connection.sock)
        assert None not in used and len(set(used)) == 1
        connection.close()


def test_reserved_paths_are_answered_while_every_thread_is_busy():
    with serving(threads=2) as (application, port):
        asking = [threading.Thread(target=status, args=(port, "/slow")) for _ in range(2)]
        for each in asking:
            each.start()
        for _ in asking:
            assert application.begun.acquire(timeout=_SECONDS)
        assert status(port, "/healthcheck") == 200
        assert not application.go.is_set()
        application.go.set()
        for each in asking:
            each.join(_SECONDS)


def test_number_of_connections_per_client_is_limited(caplog):
    asks = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
    with (
        serving(connections_per_client=3, threads=3) as (application, port),
        connections(port, 3, asks),
    ):
        for _ in range(3):
            assert application.begun.acquire(timeout=_SECONDS)
        with connections(port, 1) as (one_more,), contextlib.suppress(ConnectionResetError):
            assert one_more.recv(100) == b""
    assert "closed a connection of 127.0.0.1: it has 3 already" in caplog.text


def test_silent_connections_of_a_client_do_not_block_its_requests():
    with serving(connections_per_client=3) as (_, port), connections(port, 10) as silent:
        assert status(port, "/healthcheck") == 200
        with contextlib.suppress(ConnectionResetError):
            assert silent[0].recv(100) == b""


def test_a_client_that_asks_on_and_does_not_read_takes_no_thread():
    asks = b"GET /some HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with (
        serving(threads=1, reserved=()) as (application, port),
        connections(port, 1, 40 * asks + last) as (greedy,),
    ):
        assert greedy.recv(1) == b"H"
        # Both are served in turn: in the end more of its answers are unread than are kept.
        for _ in range(60):
            assert status(port) == 200
        # Without reading, it gets no more than what the system takes for it, and one answer.
        assert application.served["/some"] < 15
        answered = greedy.makefile("rb").read().count(b"HTTP/1.1 200 OK")
    assert answered == 40, "the first begins with what was read already"


def test_new_connection_replaces_the_longest_idle_one():
    with serving(connections=3) as (_, port), connections(port, 3) as (first, *_others):
        assert status(port) == 200
        with contextlib.suppress(ConnectionResetError):
            assert first.recv(100) == b""


def test_requests_in_progress_are_answered_before_a_stop():
    application = Application()
    server = httpd.Server(application, "127.0.0.1", 0, 2, "[test] listen")
    server.start()
    found = []
    asking = threading.Thread(target=lambda: found.append(status(server.port, "/slow")))
    asking.start()
    assert application.begun.acquire(timeout=_SECONDS)
    threading.Timer(0.2, application.go.set).start()
    server.stop()
    asking.join(_SECONDS)
    assert found == [200]
    with pytest.raises(OSError, match=r"efused"):
        socket.create_connection(("127.0.0.1", server.port), 1)
    server.stop()


def test_a_port_that_is_taken_names_the_option():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = httpd.Server(Application(), "127.0.0.1", port, 1, "[test] listen")
        with pytest.raises(exception.ConfigError, match=r"^\[test\] listen: .*in use"):
            server.start()
