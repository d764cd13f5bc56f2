# SPDX-License-Identifier: Apache-2.0
"""Write the state directory in a real thread, so that a slow or hanging disk delays nothing else.

Data is passed by name, the latest value replaces older ones; the result comes back through the
agent's inbox. What could not be written is tried again, as long as it is wanted.
"""

import contextlib
import math
import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from migprog.compute.state.directory import Contents, StateDirectory, TakenError
from migprog.concurrency import Inbox, native_queue, native_sleep, native_thread

_RETRY_SECONDS = 10.0
TAKEN_SECONDS = 10.0
_TAKEN_PAUSE_SECONDS = 0.2
_STOP_SECONDS = 1.0
_AT_A_TIME = 16
# How often the free space is measured.
_MEASURE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """The state that an earlier agent has left; None, and the error, if it cannot be read.

    ``taken``: another agent holds the state directory, and has not released it.
    """

    contents: Contents | None
    error: str | None
    taken: bool = False


@dataclass(frozen=True, slots=True)
class Awaited:
    """Another agent holds the state directory, as ``why`` says; it is tried again."""

    why: str


@dataclass(frozen=True, slots=True)
class Written:
    """All requests up to ``ticket`` are done, or have failed with ``error``."""

    tickets: Mapping[str, int]
    error: str | None


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """So many bytes are free for the directory."""

    free_bytes: int


@dataclass(frozen=True, slots=True)
class _WriteRequest:
    """What a file should hold; None: it should not exist."""

    ticket: int
    data: bytes | None


class StateWriter:
    """The thread, and its interface; :meth:`put` never waits.

    A directory that another process holds is tried again for ``taken_seconds``: an agent that is
    ending may be about to release it. The free space is measured every ``measure_seconds``.
    """

    def __init__(
        self,
        directory: StateDirectory,
        inbox: Inbox,
        retry_seconds: float = _RETRY_SECONDS,
        taken_seconds: float = TAKEN_SECONDS,
        measure_seconds: float = _MEASURE_SECONDS,
    ) -> None:
        self._directory = directory
        self._inbox = inbox
        self._retry_seconds = retry_seconds
        self._taken_seconds = taken_seconds
        self._measure_seconds = measure_seconds
        self._measure_at = -math.inf
        # Passed by single steps of the interpreter: eventlet's locks do not work here.
        self._requests: dict[str, _WriteRequest] = {}
        self._wakes: queue.SimpleQueue[bool] = native_queue()
        self._ended: queue.SimpleQueue[bool] = native_queue()
        # The thread's own: requests that the disk has refused.
        self._refused: dict[str, _WriteRequest] = {}
        self._error: str | None = None

    def start(self) -> None:
        native_thread(self._run, "state directory")

    def put(self, name: str, data: bytes | None, ticket: int) -> None:
        """Request ``data`` to be stored under a name; None: removed."""
        self._requests[name] = _WriteRequest(ticket, data)
        self._wakes.put(True)

    def stop(self) -> None:
        """End the thread when all requests are done; wait for that a moment."""
        self._wakes.put(False)
        try:
            self._ended.get(timeout=_STOP_SECONDS)
        except queue.Empty:
            return

    # The thread.

    def _run(self) -> None:
        self._open()
        continues = True
        while continues:
            self._measure()
            pause_seconds = self._retry_seconds if self._error else self._measure_seconds
            try:
                continues = self._wakes.get(timeout=pause_seconds)
            except queue.Empty:
                if self._error:
                    self._again()
            self._work()
        self._directory.close()
        self._ended.put(True)

    def _open(self) -> None:
        contents, taken = None, False
        try:
            contents = self._open_when_free()
            self._error = None
            self._directory.probe()
        except OSError as error:
            self._error = str(error)
            taken = isinstance(error, TakenError)
        self._inbox.put(Loaded(contents, self._error, taken))

    def _measure(self) -> None:
        """Report the free space, if that is due."""
        now = time.monotonic()
        if now >= self._measure_at and self._directory.is_open:
            self._measure_at = now + self._measure_seconds
            with contextlib.suppress(OSError):
                self._inbox.put(FreeSpace(self._directory.free_bytes()))

    def _open_when_free(self) -> Contents:
        give_up_at = time.monotonic() + self._taken_seconds
        while True:
            try:
                return self._directory.open()
            except TakenError as error:
                if time.monotonic() >= give_up_at:
                    raise
                self._inbox.put(Awaited(str(error)))
                native_sleep(_TAKEN_PAUSE_SECONDS)

    def _again(self) -> None:
        """Try again what has failed."""
        if not self._directory.is_open:
            self._open()
        while self._refused:
            name, request = self._refused.popitem()
            self._requests.setdefault(name, request)
        if not self._requests and self._directory.is_open:
            self._notify({}, self._attempt(self._directory.probe))

    def _work(self) -> None:
        while self._requests:
            self._do_some()

    def _do_some(self) -> None:
        """Do a few requests and report them, so that the first need not wait for the last."""
        tickets: dict[str, int] = {}
        error = None
        while self._requests and len(tickets) < _AT_A_TIME:
            name, request = self._requests.popitem()
            self._refused.pop(name, None)
            failed = self._execute(name, request)
            if failed is not None:
                error = failed
                if request.data is not None:
                    self._refused[name] = request
            tickets[name] = request.ticket
        if self._directory.is_open:
            error = error or self._attempt(self._directory.sync)
        if error is None and self._error is not None and not self._refused:
            # Removing a file, or writing a small one, does not prove that there is space.
            error = self._attempt(self._directory.probe)
        self._notify(tickets, error)

    def _execute(self, name: str, request: _WriteRequest) -> str | None:
        """Execute a request; return the error if it failed."""
        if not self._directory.is_open:
            return self._error
        if request.data is None:
            return self._attempt(lambda: self._directory.remove(name))
        data = request.data
        return self._attempt(lambda: self._directory.write(name, data))

    def _attempt(self, work: Callable[[], None]) -> str | None:
        try:
            work()
        except OSError as error:
            return str(error)
        return None

    def _notify(self, tickets: Mapping[str, int], error: str | None) -> None:
        # A success elsewhere does not resolve what was refused before.

        self._error = error or (self._error if self._refused else None)
        self._inbox.put(Written(tickets, self._error))
