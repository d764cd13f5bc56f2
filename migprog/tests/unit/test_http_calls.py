# SPDX-License-Identifier: Apache-2.0
"""Answers that take too long, or have too much, end in time."""

import contextlib
import itertools
import socket
import ssl
import threading
import time

import pytest
import requests
from keystoneauth1 import exceptions
from keystoneauth1 import session as keystone_session

from migprog import http_calls
from migprog.tests.functional import tls

_DEADLINE_SECONDS, _SECONDS = 0.5, 60
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
_MUCH = bytes(2**16)


@contextlib.contextmanager
def answering(parts, certificates=None):
    """A server that answers each request on each connection by the parts."""

    def answer(client):
        with contextlib.suppress(OSError), client:
            if certificates is not None:
                client = certificates.wrap_socket(client, server_side=True)
            while client.recv(65536):
                for part in parts():
                    client.sendall(part)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=answer, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def dripping(data):
    """One byte after the other, for ever."""

    def parts():
        for byte in itertools.chain(data, itertools.repeat(ord(" "))):
            yield bytes([byte])
            time.sleep(0.05)

    return parts


def get(url, session=None, deadline_seconds=_SECONDS, **options):
    session = session or bounded_session()
    calls = http_calls.Calls("the server", deadline_seconds, 1)
    return calls.run(lambda: session.get(url, connect_retries=0, **options))


def bounded_session(**options):
    return keystone_session.Session(
        session=http_calls.mount(requests.Session()), timeout=60, **options
    )


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nX: ", _HEAD])
def test_an_answer_that_drips_is_waited_for_until_the_deadline(head):
    with answering(dripping(head)) as port, pytest.raises(TimeoutError, match="the server"):
        get(f"http://127.0.0.1:{port}/", deadline_seconds=_DEADLINE_SECONDS)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_with_too_many_bytes_is_not_read(stream):
    with (
        answering(lambda: itertools.chain([_HEAD], itertools.repeat(_MUCH))) as port,
        pytest.raises(exceptions.ClientException, match="more than 1048576 bytes"),
    ):
        get(f"http://127.0.0.1:{port}/", stream=stream)


def test_a_connection_serves_one_call_after_the_other():
    with answering(lambda: [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"]) as port:
        session = bounded_session()
        for _ in range(2):
            assert get(f"http://127.0.0.1:{port}/", session).json() == {}


def test_deadline_holds_with_tls(tmp_path):
    authority = tls.Authority(tmp_path / "ca")
    files = authority.issue("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    whole = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"]
    for parts, error, seconds in (
        (lambda: whole, None, _SECONDS),
        (dripping(_HEAD), TimeoutError, _DEADLINE_SECONDS),
    ):
        with answering(parts, context) as port:
            session = bounded_session(verify=files.ca)
            with pytest.raises(error) if error else contextlib.nullcontext():
                get(f"https://127.0.0.1:{port}/", session, seconds)
