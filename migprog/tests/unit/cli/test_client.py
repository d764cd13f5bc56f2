# SPDX-License-Identifier: Apache-2.0
"""The client with servers unlike migprog's API; with a real one: ``functional/cli/test_cli.py``."""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator

import pytest
from keystoneauth1 import adapter, noauth, session

from migprog.cli import api_requests
from migprog.cli.client import Client
from migprog.cli.errors import ApiRefused, ApiUnavailable
from migprog.tests.fixtures.dripping import BEGINNINGS, dripping


def client_of(url: str, deadline_seconds: float = 30.0) -> Client:
    made = session.Session(auth=noauth.NoAuth(endpoint=url))
    return Client(adapter.Adapter(made, endpoint_override=url), deadline_seconds=deadline_seconds)


@contextlib.contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """The address of a server that has one answer."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_given: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("begin", BEGINNINGS.values(), ids=BEGINNINGS)
def test_answer_without_end_is_cut_at_the_deadline(begin: bytes) -> None:
    with (
        dripping(begin) as server,
        pytest.raises(ApiUnavailable, match=r"no answer from the API within 0\.3 s"),
    ):
        client_of(f"http://127.0.0.1:{server.port}", 0.3).in_progress({})


def test_answer_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_requests, "_MAX_ANSWER_BYTES", 1000)
    with (
        answering(200, b" " * 2000) as url,
        pytest.raises(ApiUnavailable, match="larger than"),
    ):
        client_of(url).in_progress({})


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (200, b"<html>", ApiUnavailable, "is not JSON"),
        (200, b"[]", ApiUnavailable, "is not the API's: it has no 'migrations'"),
        (200, b"{}", ApiUnavailable, "is not the API's: it has no 'migrations'"),
        (502, b"<html>", ApiUnavailable, "HTTP 502"),
        (429, b"", ApiUnavailable, "HTTP 429"),
        (403, b"{}", ApiRefused, "HTTP 403"),
        (403, json.dumps({"errors": [{"detail": "x\x1b[2J"}]}).encode(), ApiRefused, r"x\?\[2J"),
        # A server that asks for another microversion without end.
        (406, b'{"errors": [{"max_version": "1.9", "detail": "no"}]}', ApiRefused, "no"),
        (304, b"", ApiRefused, "HTTP 304"),
    ],
)
def test_answers_of_others_are_errors(
    status: int, body: bytes, error: type[Exception], said: str
) -> None:
    with answering(status, body) as url, pytest.raises(error, match=said):
        client_of(url).in_progress({})


@pytest.mark.parametrize("given", ["", "2", "1.", "1.x", "01.1", "1.01", "latest", "1.1.1"])
def test_version_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="must be 1, or a microversion"):
        api_requests.parse_microversion(given)


def test_version_is_one_or_a_microversion() -> None:
    assert api_requests.parse_microversion("1") is None
    assert api_requests.parse_microversion("1.10") == (1, 10)
