# SPDX-License-Identifier: Apache-2.0
"""Connections to a libvirt, each of them used by one thread at a time.

A call that may wait for a server is made on a connection that no other thread uses. Where several
threads call on one connection, libvirt's client has the thread that waits for the first answer send
the calls of the others; it can miss that it is to do so (measured with libvirt 9.0: 1 % of calls
that follow each other at once, up to 5 s each). So a call that hangs would delay those about other
servers. libvirt also answers no more than five calls of one connection at a time.
"""

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import libvirt

from migprog.compute.libvirt.opening import Opening
from migprog.concurrency import native_thread

# A libvirt that does not answer for so long (interval × count seconds) counts as disconnected.
KEEPALIVE = (5, 6)


class ThreadConnection:
    """A connection to the libvirt behind ``uri`` for one thread. It is opened at the first use, and
    again when it has broken; ``opening`` has the deadline for that.

    ``is_read_write`` is asked at each use, and may change; without it the connection is read-only.
    libvirt shows the bandwidth limit on read-write connections alone. Where it refuses one, the
    connection is read-only.
    """

    def __init__(
        self, uri: str, opening: Opening, is_read_write: Callable[[], bool] | None = None
    ) -> None:
        self._uri = uri
        self._opening = opening
        self._is_read_write = is_read_write
        self._opened_read_write = False
        self._connection: libvirt.virConnect | None = None

    def get(self) -> Any:
        """Return the connection. Raises :class:`libvirtError`, or :class:`TimeoutError` if it could
        not be opened in time."""
        read_write = self._is_read_write is not None and self._is_read_write()
        if self._connection is not None and not (
            self._connection.isAlive() and self._opened_read_write == read_write
        ):
            self.close()
        if self._connection is None:
            self._connection = self._opening.open(lambda: self._open(read_write))
            self._opened_read_write = read_write
            self._connection.setKeepAlive(*KEEPALIVE)
        return self._connection

    def _open(self, read_write: bool) -> Any:
        if read_write:
            with contextlib.suppress(libvirt.libvirtError):
                return libvirt.open(self._uri)
        return libvirt.openReadOnly(self._uri)

    def close(self) -> None:
        """Close it, if it is open."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(libvirt.libvirtError):
                connection.close()


@functools.cache
def run_event_loop() -> None:
    """Run libvirt's event loop in a thread, once a process, before the first connection."""

    def run() -> None:
        while True:
            with contextlib.suppress(libvirt.libvirtError):
                libvirt.virEventRunDefaultImpl()

    libvirt.registerErrorHandler(lambda _opaque, _error: None, None)
    libvirt.virEventRegisterDefaultImpl()
    native_thread(run, "libvirt events")
