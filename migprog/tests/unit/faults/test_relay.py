# SPDX-License-Identifier: Apache-2.0
"""The network that the fault suite cuts."""

import contextlib
import socket

import pytest

from lab.faults.relay import Relay


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


@pytest.fixture
def relay(server):
    with Relay(server.getsockname()[1]) as relay:
        yield relay


@contextlib.contextmanager
def connected(relay, server):
    """A client, and the server's end."""
    with socket.create_connection(("127.0.0.1", relay.port), 10) as client:
        there, _ = server.accept()
        there.settimeout(10)
        with there:
            yield client, there


def hears_nothing(end):
    end.settimeout(0.2)
    with pytest.raises(TimeoutError):
        end.recv(10)
    end.settimeout(10)


def test_relay_carries_both_directions_and_closes(relay, server):
    with connected(relay, server) as (client, there):
        client.sendall(b"call")
        assert there.recv(10) == b"call"
        there.sendall(b"answer")
        assert client.recv(10) == b"answer"
        there.close()
        assert client.recv(10) == b""


def test_cut_relay_carries_nothing_until_it_is_mended(relay, server):
    with connected(relay, server) as (client, there):
        relay.cut()
        client.sendall(b"call")
        there.sendall(b"answer")
        hears_nothing(there)
        hears_nothing(client)
        relay.mend(forgotten=False)
        assert there.recv(10) == b"call"
        assert client.recv(10) == b"answer"


def test_connection_to_a_cut_relay_waits(relay, server):
    relay.cut()
    with socket.create_connection(("127.0.0.1", relay.port), 10) as client:
        client.sendall(b"call")
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()
        server.settimeout(10)
        relay.mend(forgotten=False)
        there, _ = server.accept()
        with there:
            assert there.recv(10) == b"call"


def test_connections_may_be_forgotten_meanwhile(relay, server):
    with connected(relay, server) as (client, _there):
        relay.cut()
        relay.mend(forgotten=True)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(10) == b""
    with connected(relay, server) as (client, there):
        client.sendall(b"call")
        assert there.recv(10) == b"call"


def test_connections_that_are_silenced_carry_nothing_and_new_ones_do(relay, server):
    with connected(relay, server) as (client, there):
        client.sendall(b"call")
        assert there.recv(10) == b"call"
        relay.silence()
        with connected(relay, server) as (another, its):
            another.sendall(b"call")
            assert its.recv(10) == b"call"
        client.sendall(b"again")
        there.sendall(b"answer")
        hears_nothing(there)
        hears_nothing(client)
