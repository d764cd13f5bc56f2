# SPDX-License-Identifier: Apache-2.0
"""Resources that processes use: CPU, memory, and traffic with the broker."""

import contextlib
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

# In Linux's struct tcp_info: two 64-bit counters, since 4.1.
_BYTES_ACKED_AND_RECEIVED = struct.Struct("=QQ")
_OFFSET = 120


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds since a process started, and its memory now."""

    cpu_seconds: float
    rss_bytes: int


def used(processes: Iterable[psutil.Process]) -> Usage | None:
    """Return what these processes and their children use together, including ended children; None
    if there is no such process here."""
    cpu_seconds, rss_bytes, found = 0.0, 0, False
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            cpu_seconds += times.user + times.system + times.children_user + times.children_system
            rss_bytes += process.memory_info().rss
            found = True
            for child in process.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    own = child.cpu_times()
                    cpu_seconds += own.user + own.system
                    rss_bytes += child.memory_info().rss
    return Usage(cpu_seconds, rss_bytes) if found else None


# Host and port; None for a file.
Address = tuple[str | None, int | None]


def listening(address: Address) -> list[psutil.Process]:
    """Return the process that listens on the port, if the address is this machine's; those of other
    users are visible to root only."""
    host, port = address
    if port is None or not _is_here(host):
        return []
    with contextlib.suppress(psutil.AccessDenied, psutil.NoSuchProcess):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            if listens and connection.pid is not None:
                return [psutil.Process(connection.pid)]
    return []


def named(program: str) -> list[psutil.Process]:
    """Return the processes on this machine that run a program of migprog."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any(os.path.basename(word) == program for word in words[:3]):
            found.append(process)
    return found


def _is_here(host: str | None) -> bool:
    try:
        wanted = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    ours = {
        address.address for addresses in psutil.net_if_addrs().values() for address in addresses
    }
    return bool(wanted & ours)


class Traffic:
    """Bytes that this process exchanges with the peers on a port, over all connections."""

    def __init__(self, port: int | None) -> None:
        self._port = port
        # By connection: its local port, and its last counters.
        self._seen: dict[int, tuple[int, int]] = {}

    def bytes(self) -> tuple[int, int]:
        """Return bytes acknowledged by the peer, and received, since the beginning.

        A closed connection counts with what was seen last.
        """
        for connection in psutil.Process().net_connections("tcp"):
            if connection.raddr and connection.raddr.port == self._port and connection.fd >= 0:
                with contextlib.suppress(OSError):
                    self._seen[connection.laddr.port] = _tcp_bytes(connection.fd)
        totals = list(self._seen.values())
        return sum(sent for sent, _ in totals), sum(received for _, received in totals)


def _tcp_bytes(descriptor: int) -> tuple[int, int]:
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        info = connection.getsockopt(
            socket.IPPROTO_TCP, socket.TCP_INFO, _OFFSET + _BYTES_ACKED_AND_RECEIVED.size
        )
    acked, received = _BYTES_ACKED_AND_RECEIVED.unpack_from(info, _OFFSET)
    return acked, received
