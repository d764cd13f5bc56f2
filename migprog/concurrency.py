# SPDX-License-Identifier: Apache-2.0
"""eventlet or threads: chosen once, before anything else is imported.

Every command's module calls :func:`choose` as its very first act. The rest of the program is
written with ``threading``, which is green under eventlet. What must be a real thread whichever
backend runs (libvirt blocks in C) is started by :func:`native_thread`, and talks to the rest
through an :class:`Inbox` alone: eventlet's locks, queues and loggers are not for real threads.
"""

import collections
import contextlib
import os
import select
import signal
from collections.abc import Callable
from typing import Any

EVENTLET = "eventlet"
THREADING = "threading"
_VARIABLE = "MIGPROG_CONCURRENCY"


def choose(backend: str | None = None) -> str:
    """Set the backend up, and return its name: ``backend``, or what ``MIGPROG_CONCURRENCY`` names
    (default eventlet).

    Raises :class:`SystemExit` with a message when the variable names neither, or names one that the
    installed oslo.service does not have.
    """
    backend = backend or os.environ.get(_VARIABLE, EVENTLET)
    if backend not in (EVENTLET, THREADING):
        raise SystemExit(f"{_VARIABLE}: {backend!r} must be one of: {EVENTLET}, {THREADING}")
    if backend == EVENTLET:
        import eventlet

        eventlet.monkey_patch()
    # Not before eventlet has patched its locks.
    import logging

    from oslo_service import backend as oslo_backend

    # It logs what it raises, before there is a log.
    logging.getLogger("oslo_service.backend").addHandler(logging.NullHandler())
    try:
        oslo_backend.init_backend(oslo_backend.BackendType(backend))
    except (ImportError, ValueError) as error:
        # oslo.service before 4.2 has eventlet alone; later ones need cotyledon for threads.
        raise SystemExit(
            f"{_VARIABLE}: {backend!r} is not possible with the installed oslo.service ({error}); "
            f"pip install 'migprog[{backend}]', or set it to {EVENTLET}"
        ) from None
    return backend


def _original(module: str) -> Any:
    """A module of the standard library as it is without eventlet's patches."""
    from eventlet import patcher

    return patcher.original(module)


def native_thread(target: Callable[[], None], name: str) -> None:
    """Start a real daemon thread, under eventlet too."""
    _original("threading").Thread(target=target, name=name, daemon=True).start()


def native_queue() -> Any:
    """A ``queue.SimpleQueue`` in C, which eventlet does not patch, for real threads."""
    import _queue

    return _queue.SimpleQueue()


def native_socket(family: int, kind: int) -> Any:
    """A socket in C, which eventlet does not patch, for real threads."""
    import _socket

    return _socket.socket(family, kind)


class Inbox:
    """A mailbox that any thread may fill and one (green) thread empties.

    ``put`` never blocks and never switches: it is safe in libvirt's callbacks.
    """

    def __init__(self) -> None:
        self._items: collections.deque[Any] = collections.deque()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        # eventlet's own would wait where these say that they would block.
        self._read, self._write = _original("os").read, _original("os").write
        # A real one: whoever holds it neither waits nor switches. A signal's handler puts, too.
        self._lock, self._is_closed = _original("threading").RLock(), False

    def put(self, item: Any) -> None:
        """Add an item; nobody takes what is put in when it is closed."""
        self._items.append(item)
        # The number of a pipe that is closed may be another file's already. A full pipe is as good
        # a wake-up as one more byte in it.
        with self._lock, contextlib.suppress(BlockingIOError):
            if not self._is_closed:
                self._write(self._writer, b"\0")

    def get_all(self, timeout_seconds: float) -> list[Any]:
        """Everything that is there, in order; waits for a first item up to the timeout.

        It may return nothing before that: a signal wakes it, and so does the byte of an item that
        it has returned already, which is written after the item is there.
        """
        if not self._items:
            select.select([self._reader], [], [], max(0.0, timeout_seconds))
        with contextlib.suppress(BlockingIOError):
            while len(self._read(self._reader, 4096)) == 4096:
                pass
        items = []
        while self._items:
            items.append(self._items.popleft())
        return items

    def wake_on_signals(self) -> None:
        """Let every signal wake the reader; only in the main thread.

        Python's own handlers run between two steps of the interpreter: one that comes just before
        the reader begins to wait would otherwise be heard when something else wakes it.
        """
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            os.close(self._reader)
            os.close(self._writer)
