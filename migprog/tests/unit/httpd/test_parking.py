# SPDX-License-Identifier: Apache-2.0
"""Responses whose bodies come later hold no thread, are sent once, and never fill the memory."""

import contextlib
import http.client
import queue
import socket
import subprocess
import sys
import threading

import requests

from lab.parts import processes
from migprog import httpd
from migprog.httpd import connections as httpd_connections

_SECONDS = 60
_ASK = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n"


class Later(httpd.Later):
    def __init__(self):
        super().__init__()
        self.is_lost, self.is_cut_off = threading.Event(), threading.Event()

    def lost(self):
        self.is_lost.set()

    def cut_off(self):
        self.is_cut_off.set()


class Application:
    """Parks what is asked of /later; answers everything else at once."""

    def __init__(self):
        self.parked: queue.Queue[Later] = queue.Queue()
        self.served = []

    def __call__(self, environ, start_response):
        assert environ[httpd.PARK]
        path = environ["PATH_INFO"]
        self.served.append(path)
        if path == "/later":
            later = Later()
            start_response("200 OK", [("X-Kind", "later")])
            self.parked.put(later)
            return later
        start_response("200 OK", [("Content-Length", "5")])
        return [b"well\n"]

    def next(self):
        return self.parked.get(timeout=_SECONDS)


@contextlib.contextmanager
def serving(threads=1, **bounds):
    application = Application()
    server = httpd.Server(
        application,
        *("127.0.0.1", 0, threads, "[test] listen"),
        bounds=httpd.Bounds(**bounds),
    )
    server.start()
    try:
        yield application, server
    finally:
        server.stop()


@contextlib.contextmanager
def asking(server, path=b"later"):
    with socket.create_connection(("127.0.0.1", server.port), _SECONDS) as client:
        client.sendall(_ASK % path)
        yield client


def answer_of(client):
    response = http.client.HTTPResponse(client)
    response.begin()
    return response, response.read()


def test_parked_requests_hold_no_thread_and_get_their_own_answers():
    with serving(threads=1) as (application, server), contextlib.ExitStack() as stack:
        clients, parked = [], []
        for _ in range(20):
            clients.append(stack.enter_context(asking(server)))
            parked.append(application.next())
        url = f"http://127.0.0.1:{server.port}/"
        assert requests.get(url, timeout=_SECONDS).text == "well\n"
        for number, later in enumerate(parked):
            later.answer(b"%d" % number)
        for number, client in enumerate(clients):
            response, body = answer_of(client)
            assert body == b"%d" % number
            assert response.headers["X-Kind"] == "later"
            assert not response.will_close


def test_connection_of_an_answered_request_serves_the_next_one():
    with serving() as (application, server), asking(server) as client:
        for body in (b"first", b"x" * 3_000_000, b"third"):
            application.next().answer(body)
            assert answer_of(client)[1] == body
            client.sendall(_ASK % b"later")
        application.next().answer(b"last")
        assert answer_of(client)[1] == b"last"


def test_further_request_of_the_connection_is_answered_after_the_parked_one():
    with serving() as (application, server), asking(server) as client:
        later = application.next()
        client.sendall(_ASK % b"now")
        later.answer(b"first")
        both = b""
        while not both.endswith(b"well\n"):
            both += client.recv(1000)
        assert b"X-Kind: later\r\n\r\nfirstHTTP/1.1 200 OK\r\n" in both


def test_body_that_came_before_the_request_was_parked_is_sent():
    class Early(Application):
        def __call__(self, environ, start_response):
            later = super().__call__(environ, start_response)
            later.answer(b"early")
            later.answer(b"ignored")
            return later

    server = httpd.Server(Early(), "127.0.0.1", 0, 1, "[test] listen")
    server.start()
    try:
        url = f"http://127.0.0.1:{server.port}/later"
        assert requests.get(url, timeout=_SECONDS).text == "early"
    finally:
        server.stop()


def test_request_is_served_again_if_its_answer_is_another_one():
    with serving() as (application, server), asking(server) as client:
        application.next().again()
        application.next().answer(b"second time")
        assert answer_of(client)[1] == b"second time"
        assert application.served == ["/later", "/later"]


def test_client_that_goes_while_it_is_parked_is_seen():
    with serving() as (application, server):
        with asking(server):
            later = application.next()
            assert not later.is_lost.is_set()
        assert later.is_lost.wait(_SECONDS)
        later.answer(b"nobody reads this")


def test_parked_request_is_not_closed_as_idle_or_late():
    with (
        serving(idle_seconds=0.1, request_seconds=0.1, answer_seconds=0.1) as (application, server),
        asking(server) as client,
    ):
        later = application.next()
        # Closed at the next look, as it has asked for nothing.
        with socket.create_connection(("127.0.0.1", server.port), _SECONDS) as silent:
            assert silent.recv(1) == b""
        later.answer(b"still there")
        assert answer_of(client)[1] == b"still there"


def test_slow_reader_of_an_answer_is_cut_off():
    with serving(answer_seconds=0.5) as (application, server), asking(server) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        later = application.next()
        later.answer(b"x" * 50_000_000)
        assert later.is_cut_off.wait(_SECONDS)
        assert not later.is_lost.is_set()


def test_readers_that_fill_the_memory_are_cut_off_and_others_are_served(monkeypatch):
    """Each has a body of its own; one that all read would count once."""
    monkeypatch.setattr(httpd_connections, "_MOST_SHARED_BYTES", 100_000_000)
    monkeypatch.setattr(httpd_connections, "_ROOM_SECONDS", 0.05)
    with serving() as (application, server), contextlib.ExitStack() as stack:
        parked = []
        for _ in range(6):
            stack.enter_context(asking(server))
            parked.append(application.next())
        for number, later in enumerate(parked):
            later.answer(bytes([number]) * 40_000_000)
        client = stack.enter_context(asking(server))
        application.next().answer(b"y" * 20_000_000)
        assert answer_of(client)[1] == b"y" * 20_000_000
        for later in parked[:4]:
            assert later.is_cut_off.wait(_SECONDS)
        assert not parked[-1].is_cut_off.is_set()


def test_body_of_many_readers_is_not_copied_for_each():
    with serving() as (application, server), contextlib.ExitStack() as stack:
        parked = []
        for _ in range(10):
            stack.enter_context(asking(server))
            parked.append(application.next())
        body = b"x" * 60_000_000
        for later in parked:
            later.answer(body)
        # More than may be unread, if each had its own.
        client = stack.enter_context(asking(server))
        application.next().answer(b"z" * 10_000)
        assert answer_of(client)[1] == b"z" * 10_000
        processes.wait_for(
            lambda: server._server.unread._bytes == len(body), _SECONDS, "the small body is read"
        )
        assert not any(later.is_cut_off.is_set() for later in parked)


def test_answers_of_parked_requests_are_sent_before_a_stop():
    with serving() as (application, server), asking(server) as client:
        application.next().answer(b"x" * 100_000)
        server.stop()
        assert len(answer_of(client)[1]) == 100_000


def test_limit_of_open_files_is_raised_or_its_shortage_logged(caplog):
    code = (
        "import logging, resource\n"
        "from migprog.httpd.open_files import allow_open_files\n"
        "logging.basicConfig()\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 1500))\n"
        "allow_open_files(1000, '[api] bind_port')\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))\n"
        "allow_open_files(2000, '[api] bind_port')\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=_SECONDS, check=True
    )
    assert done.stdout.splitlines() == ["(1256, 1500)", "(1500, 1500)"]
    assert "the limit of open files is 1500, 2000 connections need 2256" in done.stderr
