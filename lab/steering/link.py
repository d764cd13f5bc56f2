# SPDX-License-Identifier: Apache-2.0
"""A network link of limited speed between two hosts of a lab.

QEMU lifts its own limit for the last part of a migration, while the server is paused. On a
machine's loopback that part takes no time, and the downtime shows nothing. With a link it takes as
long as on a network.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Self

import libvirt

from lab.hosts.ports import ADDRESS as DESTINATION_ADDRESS
from lab.parts import processes

# Of the loopback, too; the destination listens at another address, on the same port.
ADDRESS = "127.0.0.3"
_CHUNK_BYTES = 16 * 1024
# QEMU counts as sent what waits in the link's own buffers.
_BUFFER_BYTES = 64 * 1024
# The link may catch up so much after it had no processor.
_BURST_SECONDS = 0.05


class Link:
    """Carries two ports, of memory and of disks, to the same ports of a destination.

    All that is sent to there shares ``bytes_per_second``; what comes back is not limited.
    """

    def __init__(self) -> None:
        self.bytes_per_second = 2.0**20
        self._lock = threading.Lock()
        self._free_at = 0.0
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def open(self, bytes_per_second: float) -> dict[str, Any]:
        """Carry a new migration and no other; return libvirt's parameters of it."""
        self.close()
        self.bytes_per_second = bytes_per_second
        return self.carry()

    def carry(self) -> dict[str, Any]:
        """Carry one more migration; return libvirt's parameters of it."""
        # New ones each time: libvirt keeps the port of disks reserved.
        ports = processes.free_ports(2)
        for port in ports:
            listener = socket.socket()
            self._sockets.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            # Connections of a process before may still be in TIME_WAIT.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((ADDRESS, port))
            listener.listen()
            self._start(self._accept, listener, port)
        return {
            libvirt.VIR_MIGRATE_PARAM_URI: f"tcp:{ADDRESS}:{ports[0]}",
            libvirt.VIR_MIGRATE_PARAM_DISKS_PORT: ports[1],
        }

    def close(self) -> None:
        """Break all connections, and take no more."""
        while self._threads:
            with self._lock:
                sockets, self._sockets = self._sockets, []
                threads, self._threads = self._threads, []
            for each in sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
            # One may have accepted a connection just before: then there is more to close.
            for thread in threads:
                thread.join()

    def _start(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, name="lab link", daemon=True)
        thread.start()
        with self._lock:
            self._threads.append(thread)

    def _accept(self, listener: socket.socket, port: int) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = listener.accept()
                there = socket.socket()
                there.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
                with self._lock:
                    self._sockets += [here, there]
                try:
                    there.connect((DESTINATION_ADDRESS, port))
                except OSError:
                    here.close()
                    continue
                self._start(self._carry, here, there, True)
                self._start(self._carry, there, here, False)

    def _carry(self, source: socket.socket, target: socket.socket, is_limited: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                if is_limited:
                    self._wait_for_turn(len(data))
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _wait_for_turn(self, size_bytes: int) -> None:
        """Return when the link has carried all that came before."""
        with self._lock:
            now = time.monotonic()
            begins_at = max(self._free_at, now - _BURST_SECONDS)
            self._free_at = begins_at + size_bytes / self.bytes_per_second
        if begins_at > now:
            time.sleep(begins_at - now)
