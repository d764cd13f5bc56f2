# SPDX-License-Identifier: Apache-2.0
"""Has the state directory written by a real thread: a disk that is slow or hangs holds up nobody.

What is to be written is handed over by name, the latest value wins; what became of it comes back
through the agent's inbox. What could not be written is tried again, as long as it is wanted.
"""

import contextlib
import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from migprog.compute.state.directory import Contents, StateDirectory, TakenError
from migprog.concurrency import Inbox, native_queue, native_thread

_RETRY_SECONDS = 10.0
TAKEN_SECONDS = 10.0
_TAKEN_PAUSE_SECONDS = 0.2
_STOP_SECONDS = 1.0
_AT_A_TIME = 16


@dataclass(frozen=True, slots=True)
class Loaded:
    """What an agent before has left; None, and why, where that could not be read.

    ``taken``: another agent has the state directory, and has not given it up.
    """

    contents: Contents | None
    error: str | None
    taken: bool = False


@dataclass(frozen=True, slots=True)
class Awaited:
    """Another agent has the state directory, as ``why`` says; it is asked for again."""

    why: str


@dataclass(frozen=True, slots=True)
class Written:
    """Up to which ``ticket`` what was asked for is done, or has failed for the reason given."""

    tickets: Mapping[str, int]
    error: str | None


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a name should hold; None: nothing."""

    ticket: int
    data: bytes | None


class StateWriter:
    """The thread, and how to ask it; :meth:`put` never waits.

    A directory that another process has is asked for again for ``taken_seconds``: an agent that
    ends may just be letting go of it.
    """

    def __init__(
        self,
        directory: StateDirectory,
        inbox: Inbox,
        retry_seconds: float = _RETRY_SECONDS,
        taken_seconds: float = TAKEN_SECONDS,
    ) -> None:
        self._directory = directory
        self._inbox = inbox
        self._retry_seconds = retry_seconds
        self._taken_seconds = taken_seconds
        # Handed over by single steps of the interpreter: no lock of eventlet's would do here.
        self._wishes: dict[str, _Wish] = {}
        self._wakes: queue.SimpleQueue[bool] = native_queue()
        self._ended: queue.SimpleQueue[bool] = native_queue()
        # The thread's own: what the disk has refused.
        self._refused: dict[str, _Wish] = {}
        self._error: str | None = None

    def start(self) -> None:
        native_thread(self._run, "state directory")

    def put(self, name: str, data: bytes | None, ticket: int) -> None:
        """Have ``data`` kept under a name; None: have it removed."""
        self._wishes[name] = _Wish(ticket, data)
        self._wakes.put(True)

    def stop(self) -> None:
        """End the thread when it has done what it was asked for; wait for that a moment."""
        self._wakes.put(False)
        try:
            self._ended.get(timeout=_STOP_SECONDS)
        except queue.Empty:
            return

    # The thread.

    def _run(self) -> None:
        self._open()
        goes_on = True
        while goes_on:
            try:
                goes_on = self._wakes.get(timeout=self._retry_seconds if self._error else None)
            except queue.Empty:
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

    def _open_when_free(self) -> Contents:
        give_up_at = time.monotonic() + self._taken_seconds
        # eventlet's sleep is not for real threads.
        pause: queue.SimpleQueue[None] = native_queue()
        while True:
            try:
                return self._directory.open()
            except TakenError as error:
                if time.monotonic() >= give_up_at:
                    raise
                self._inbox.put(Awaited(str(error)))
                with contextlib.suppress(queue.Empty):
                    pause.get(timeout=_TAKEN_PAUSE_SECONDS)

    def _again(self) -> None:
        """Try once more what went wrong."""
        if not self._directory.is_open:
            self._open()
        while self._refused:
            name, wish = self._refused.popitem()
            self._wishes.setdefault(name, wish)
        if not self._wishes and self._directory.is_open:
            self._tell({}, self._attempt(self._directory.probe))

    def _work(self) -> None:
        while self._wishes:
            self._do_some()

    def _do_some(self) -> None:
        """Do a few of the wishes, and say so: nobody waits for all that many ask for at once."""
        tickets: dict[str, int] = {}
        error = None
        while self._wishes and len(tickets) < _AT_A_TIME:
            name, wish = self._wishes.popitem()
            self._refused.pop(name, None)
            failed = self._fulfil(name, wish)
            if failed is not None:
                error = failed
                if wish.data is not None:
                    self._refused[name] = wish
            tickets[name] = wish.ticket
        if self._directory.is_open:
            error = error or self._attempt(self._directory.sync)
        if error is None and self._error is not None and not self._refused:
            # To remove a file, or to write a small one, is no proof that the next has room.
            error = self._attempt(self._directory.probe)
        self._tell(tickets, error)

    def _fulfil(self, name: str, wish: _Wish) -> str | None:
        """Why it failed, if it did."""
        if not self._directory.is_open:
            return self._error
        if wish.data is None:
            return self._attempt(lambda: self._directory.remove(name))
        data = wish.data
        return self._attempt(lambda: self._directory.write(name, data))

    def _attempt(self, work: Callable[[], None]) -> str | None:
        try:
            work()
        except OSError as error:
            return str(error)
        return None

    def _tell(self, tickets: Mapping[str, int], error: str | None) -> None:
        # What was refused before is not well because something else was not.
        self._error = error or (self._error if self._refused else None)
        self._inbox.put(Written(tickets, self._error))
