# SPDX-License-Identifier: Apache-2.0
"""libvirt on another host, by TCP: what the kernel and libvirt's client wait for without an end."""

import contextlib
import socket
import threading
from collections.abc import Iterator

from lab.faults.relay import Relay
from lab.hosts import Host, Lab
from lab.parts import processes
from migprog.tests.functional.parties.hung import full_backlog
from migprog.tests.functional.parties.libvirt import (
    ANSWERS,
    FAILS,
    READY_SECONDS,
    WATCHES,
    agent,
    in_time,
)
from migprog.tests.functional.parties.table import SHORT, Times, cell

_CHUNK_BYTES = 65536
_HANGS = "libvirt has not answered for"
# libvirt's keepalive: interval × count seconds.
_KEEPALIVE_SECONDS = 30.0
_AGAIN = "logs it, abandons the attempt and makes another, until it watches as before"


@contextlib.contextmanager
def _by_tcp(host: Host, port: int = 0) -> Iterator[int]:
    """A port that leads to the socket of a host's libvirtd."""
    path = host.uri.partition("socket=")[2]

    def carry(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                libvirtd = socket.socket(socket.AF_UNIX)
                libvirtd.connect(path)
                for ends in ((client, libvirtd), (libvirtd, client)):
                    threading.Thread(target=carry, args=ends, daemon=True).start()

    with socket.create_server(("127.0.0.1", port)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def _uri(port: int) -> str:
    return f"qemu+tcp://127.0.0.1:{port}/system"


def _await_another_attempt() -> None:
    """While the one before hangs."""

    def attempts() -> int:
        return sum(each.name == "call to libvirt" for each in threading.enumerate())

    seconds = in_time(2 * _open_seconds(SHORT))
    processes.wait_for(lambda: attempts() > 1, seconds, "another attempt to connect")


def _open_seconds(times: Times) -> float:
    return times.scan + 3 * times.libvirt


@cell("libvirt by TCP", "away", "agent", _AGAIN, _open_seconds)
def _(hosts: Lab) -> None:
    host = hosts.hosts[0]
    with contextlib.ExitStack() as stack:
        with full_backlog() as port:
            log, _conductor = stack.enter_context(agent(host, _uri(port)))
            log.await_line(_HANGS, in_time(SHORT.scan + SHORT.libvirt))
            _await_another_attempt()
        stack.enter_context(_by_tcp(host, port))
        log.await_line(WATCHES, READY_SECONDS)
        log.await_line(ANSWERS, READY_SECONDS)


@cell("libvirt by TCP", "refuses", "agent", _AGAIN, lambda t: t.scan)
def _(hosts: Lab) -> None:
    host = hosts.hosts[0]
    (port,) = processes.free_ports(1)
    with agent(host, _uri(port)) as (log, _conductor):
        log.await_line(FAILS, in_time(SHORT.scan))
        with _by_tcp(host, port):
            log.await_line(WATCHES, READY_SECONDS)


@cell("libvirt by TCP", "silent", "agent", _AGAIN, _open_seconds)
def _(hosts: Lab) -> None:
    host = hosts.hosts[0]
    with _by_tcp(host) as port, Relay(port) as relay:
        # It takes connections, and says nothing.
        relay.cut()
        with agent(host, _uri(relay.port)) as (log, _conductor):
            log.await_line(_HANGS, in_time(SHORT.scan + SHORT.libvirt))
            _await_another_attempt()
            # Those attempts get no answer any more, ever.
            relay.silence()
            relay.mend(forgotten=False)
            log.await_line(WATCHES, READY_SECONDS)


@cell(
    *("libvirt by TCP", "slow", "agent"),
    "logs it, closes the silent connection and opens another",
    lambda t: _KEEPALIVE_SECONDS + t.scan,
    long=True,
)
def _(hosts: Lab) -> None:
    host = hosts.hosts[0]
    with (
        _by_tcp(host) as port,
        Relay(port) as relay,
        agent(host, _uri(relay.port)) as (log, _conductor),
    ):
        log.await_line(WATCHES, READY_SECONDS)
        relay.silence()
        log.await_line(_HANGS, in_time(SHORT.scan + SHORT.libvirt))
        log.await_line(WATCHES, in_time(_KEEPALIVE_SECONDS + SHORT.scan), count=2)
