# SPDX-License-Identifier: Apache-2.0
"""A link carries all of it, no faster than it may, and leaves nothing behind."""

import contextlib
import socket
import threading
import time

import libvirt
import pytest

from lab.hosts.ports import ADDRESS as DESTINATION_ADDRESS
from lab.parts import processes
from lab.steering.link import ADDRESS, Link

SIZE_BYTES = 400_000


def ports(parameters):
    uri = parameters[libvirt.VIR_MIGRATE_PARAM_URI]
    return int(uri.rpartition(":")[2]), parameters[libvirt.VIR_MIGRATE_PARAM_DISKS_PORT]


@contextlib.contextmanager
def destination(port):
    """Takes one connection, and gives what came when that has ended."""
    came = bytearray()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((DESTINATION_ADDRESS, port))
        listener.listen()

        def take():
            connection, _ = listener.accept()
            with connection:
                while data := connection.recv(65536):
                    came.extend(data)

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield came
        thread.join(30)


def send(port, data):
    with socket.create_connection((ADDRESS, port), 10) as connection:
        connection.sendall(data)


@pytest.mark.parametrize("which", [0, 1])
def test_link_carries_no_faster_than_it_may(which):
    data = bytes(range(256)) * (SIZE_BYTES // 256)
    with Link() as link:
        port = ports(link.open(1_000_000))[which]
        begun = time.monotonic()
        with destination(port) as came:
            send(port, data)
        took_seconds = time.monotonic() - begun
    assert bytes(came) == data
    # It may catch up 50 ms, and does not wait for the last of it.
    assert took_seconds > 0.3


def test_link_without_a_destination_closes_what_connects():
    with Link() as link:
        port, _ = ports(link.open(1_000_000))
        with socket.create_connection((ADDRESS, port), 10) as connection:
            assert connection.recv(1) == b""


def test_closed_link_takes_no_connections_and_ends_its_threads():
    before = threading.active_count()
    with Link() as link:
        port, _ = ports(link.open(1_000_000))
        with destination(port) as came, socket.create_connection((ADDRESS, port), 10) as connection:
            connection.sendall(b"x")
            processes.wait_for(lambda: came, 10, "a byte to be carried")
            link.close()
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((ADDRESS, port), 10)
