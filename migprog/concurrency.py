# SPDX-License-Identifier: Apache-2.0
"""Threads or eventlet: chosen once, before anything else is imported.

Every command that serves calls :func:`choose` as its very first act. The rest of the program is
written with ``threading``, which is green under eventlet. What must be a real thread whichever
backend runs (libvirt blocks in C) is started by :func:`native_thread`, and talks to the rest
through an :class:`Inbox` alone: eventlet's locks, queues and loggers are not for real threads.

The choice is an environment variable and no option: eventlet replaces parts of the standard library
before anything else imports them, and reading the configuration imports most of it.
"""

import collections
import contextlib
import importlib
import os
import re
import select
import signal
import sys
from collections.abc import Callable
from typing import Any

EVENTLET = "eventlet"
THREADING = "threading"
_VARIABLE = "MIGPROG_CONCURRENCY"
_PATCHER = "eventlet.patcher"
# The first oslo.service with a backend on threads, and the OpenStack release that has it.
_THREADING_SINCE = (4, 2)
_FIRST = "4.2 (OpenStack 2025.2)"


def choose(backend: str | None = None) -> str:
    """Set the backend up and return its name: ``backend``, or the one that ``MIGPROG_CONCURRENCY``
    names, or else threads; eventlet where the installed oslo.service has no threads.

    Raises :class:`SystemExit` with a message when the variable names neither, or when the backend
    that is asked for cannot be loaded.
    """
    backend = backend or os.environ.get(_VARIABLE) or _default()
    if backend not in (EVENTLET, THREADING):
        raise SystemExit(f"{_VARIABLE}: {backend!r} must be one of: {EVENTLET}, {THREADING}")
    if backend == THREADING and not _has_threads():
        instead = f"; unset {_VARIABLE}, or set it to {EVENTLET}"
        raise SystemExit(
            f"threads are not possible with the installed oslo.service {_oslo_service()}: "
            f"{_FIRST} is the first with them{instead if _VARIABLE in os.environ else ''}"
        )
    if backend == EVENTLET:
        import eventlet

        eventlet.monkey_patch()
    else:
        _hide_eventlet()
    _load(backend)
    return backend


def prefer_threads() -> None:
    """Set threads up for what must not be patched: a check, or the API in another HTTP server.

    A server that runs on eventlet itself is followed. Where the installed oslo.service has no
    threads, or is in use already, its backend is left as it is.
    """
    if "oslo_service.service" in sys.modules:
        return
    if is_green():
        _load(EVENTLET)
    elif _has_threads():
        _hide_eventlet()
        _load(THREADING)


def is_green() -> bool:
    """Return whether the process runs on eventlet."""
    patcher = sys.modules.get(_PATCHER)
    return patcher is not None and bool(patcher.is_monkey_patched("thread"))


def why_green() -> str:
    """Return why the process runs on eventlet, for the log."""
    if os.environ.get(_VARIABLE) == EVENTLET:
        return f"{_VARIABLE} is set to it"
    return f"the installed oslo.service {_oslo_service()} has no threads; {_FIRST} is the first"


def _default() -> str:
    return THREADING if _has_threads() else EVENTLET


def _oslo_service() -> str:
    # It imports much, which eventlet should have patched before.
    import importlib.metadata

    return importlib.metadata.version("oslo.service")


def _has_threads() -> bool:
    """Whether the installed oslo.service can do without eventlet; by its number alone, as to import
    an older one imports eventlet."""
    numbers = re.findall(r"\d+", _oslo_service())
    return tuple(map(int, numbers[:2])) >= _THREADING_SINCE


def _hide_eventlet() -> None:
    """Let no library import eventlet: several do where it is installed, used or not, and it then
    warns of its own end."""
    sys.modules.setdefault(EVENTLET, None)  # type: ignore[arg-type]


def _load(backend: str) -> None:
    # Not before eventlet has patched its locks.
    import logging

    from oslo_service import backend as oslo_backend

    # It logs what it raises, before there is a log.
    logging.getLogger("oslo_service.backend").addHandler(logging.NullHandler())
    try:
        oslo_backend.init_backend(oslo_backend.BackendType(backend))
    except (ImportError, ValueError) as error:
        raise SystemExit(
            f"{_VARIABLE}: {backend!r} cannot be loaded ({error}); "
            f"pip install 'oslo.service[{backend}]'"
        ) from None


def _original(module: str) -> Any:
    """Return a module of the standard library as it is without eventlet's patches."""
    if is_green():
        return sys.modules[_PATCHER].original(module)
    return importlib.import_module(module)


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
