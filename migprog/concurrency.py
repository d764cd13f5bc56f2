# SPDX-License-Identifier: Apache-2.0
"""Choose threads or eventlet once, before anything else is imported.

Every serving command calls :func:`choose` first. The rest of the program is written with
``threading``, which is green under eventlet. What must run in a native thread with any backend, as
libvirt blocks in C, is started by :func:`native_thread` and communicates through an :class:`Inbox`,
a :func:`native_queue`, or single steps on a set or dict: eventlet's locks, queues and loggers must
not be used from native threads.

The choice is an environment variable rather than an option: eventlet patches parts of the standard
library before anything else imports them, and reading the configuration imports most of it.
"""

import _queue
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
# The first oslo.service with a threading backend, and its OpenStack release.
_THREADING_SINCE = (4, 2)
_FIRST = "4.2 (OpenStack 2025.2)"


def choose(backend: str | None = None) -> str:
    """Set the backend up and return its name.

    The backend is ``backend``, else the one in ``MIGPROG_CONCURRENCY``, else threads if the
    installed oslo.service supports them, else eventlet. Raises :class:`SystemExit` with a message
    if the variable has another value, or if the backend cannot be loaded.
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
    """Set threads up for code that must not be patched: a check, or the API in another WSGI server.

    A server that runs on eventlet keeps eventlet. If the installed oslo.service has no threading
    backend, or is already in use, its backend is left as it is.
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
    # Not at the top: it imports much that eventlet must patch first.
    import importlib.metadata

    return importlib.metadata.version("oslo.service")


def _has_threads() -> bool:
    """Return whether the installed oslo.service supports threads, by its version: importing an
    older one imports eventlet."""
    numbers = re.findall(r"\d+", _oslo_service())
    return tuple(map(int, numbers[:2])) >= _THREADING_SINCE


def _hide_eventlet() -> None:
    """Keep libraries from importing eventlet: several do if it is installed, and it then prints a
    deprecation warning."""
    sys.modules.setdefault(EVENTLET, None)  # type: ignore[arg-type]


def _load(backend: str) -> None:
    # Not at the top: eventlet must patch its locks first.
    import logging

    from oslo_service import backend as oslo_backend

    # It logs what it raises, before logging is set up.
    logging.getLogger("oslo_service.backend").addHandler(logging.NullHandler())
    try:
        oslo_backend.init_backend(oslo_backend.BackendType(backend))
    except (ImportError, ValueError) as error:
        raise SystemExit(
            f"{_VARIABLE}: {backend!r} cannot be loaded ({error}); "
            f"pip install 'oslo.service[{backend}]'"
        ) from None


def _original(module: str) -> Any:
    """Return a module of the standard library without eventlet's patches."""
    if is_green():
        return sys.modules[_PATCHER].original(module)
    return importlib.import_module(module)


def native_thread(target: Callable[[], None], name: str) -> None:
    """Start a native daemon thread, under eventlet too."""
    _original("threading").Thread(target=target, name=name, daemon=True).start()


class _NativeQueue(_queue.SimpleQueue):  # type: ignore[type-arg]
    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next item, as ``queue.SimpleQueue`` does. One thread at a time may get with a
        timeout, and no other may get meanwhile.

        If the lock is free, CPython's (3.11.2) first attempt takes it, finds no item, and
        recomputes the timeout; a negative one means for ever. ``get_nowait`` takes the lock first.
        """
        if timeout is not None:
            with contextlib.suppress(_queue.Empty):
                return self.get_nowait()
        return super().get(block, timeout)


def native_queue() -> Any:
    """Return a ``queue.SimpleQueue`` in C, which eventlet does not patch, for native threads."""
    return _NativeQueue()


def native_sleep(seconds: float) -> None:
    """Sleep in a native thread: eventlet's sleep does not work there."""
    if seconds > 0:
        with contextlib.suppress(_queue.Empty):
            native_queue().get(timeout=seconds)


def native_socket(family: int, kind: int) -> Any:
    """Return a socket in C, which eventlet does not patch, for native threads."""
    import _socket

    return _socket.socket(family, kind)


class Inbox:
    """A mailbox that any thread may fill and one (green) thread empties.

    ``put`` never blocks and never switches threads, so it may be called in libvirt's callbacks.
    """

    def __init__(self) -> None:
        self._items: collections.deque[Any] = collections.deque()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        # eventlet's versions would wait where these raise BlockingIOError.
        self._read, self._write = _original("os").read, _original("os").write
        # A native lock, held only for moments. Reentrant, as a signal handler may call put, too.
        self._lock, self._is_closed = _original("threading").RLock(), False

    def put(self, item: Any, wakes: bool = True) -> None:
        """Add an item; after close it is never returned. One that does not wake the reader waits
        for one that does, or for the reader's timeout."""
        self._items.append(item)
        if wakes:
            self.wake()

    def wake(self) -> None:
        """Wake the reader."""
        # The file descriptor of a closed pipe may belong to another file. A full pipe wakes the
        # reader just as well as one more byte.
        with self._lock, contextlib.suppress(BlockingIOError):
            if not self._is_closed:
                self._write(self._writer, b"\0")

    def get_all(self, timeout_seconds: float) -> list[Any]:
        """Return all items in order; wait up to the timeout for one that wakes.

        The result may be empty before the timeout: a signal wakes the reader, and so does the byte
        of an item that was returned already, since the byte is written after the item.
        """
        woken, _, _ = select.select([self._reader], [], [], max(0.0, timeout_seconds))
        if woken:
            with contextlib.suppress(BlockingIOError):
                while len(self._read(self._reader, 4096)) == 4096:
                    pass
        items = []
        while self._items:
            items.append(self._items.popleft())
        return items

    def wake_on_signals(self) -> None:
        """Wake the reader on every signal. Call this in the main thread.

        Python runs signal handlers between two steps of the interpreter: a signal just before the
        reader begins to wait would otherwise be handled at the next wake-up only.
        """
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            os.close(self._reader)
            os.close(self._writer)
