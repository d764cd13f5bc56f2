# SPDX-License-Identifier: Apache-2.0
"""Responses whose body comes later, and that hold no thread until then.

An application that finds :data:`PARK` in a request's environment may return a :class:`Later` in
place of the body, after ``start_response`` as usual. The thread is free then. Whoever has news
calls :meth:`Later.answer` in any thread; the server's own thread sends the response. Many responses
with one body share its bytes.
"""

import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

# Key in a request's WSGI environment: this server accepts a Later as the response's body.
PARK = "migprog.park"


class Parked(BaseException):
    """Ends the service of a request whose body comes later. No error handler may catch it.

    ``task``: the server's, which will send the response.
    """

    task: Any

    def __init__(self, later: "Later") -> None:
        super().__init__()
        self.later = later


class Later:
    """A response's body that is not known yet. Its methods may be called in any thread.

    ``body``: once it is known. ``is_again``: the request is to be served again instead.
    """

    def __init__(self) -> None:
        self.body: bytes | None = None
        self.is_again = False
        self._lock = threading.Lock()
        self._is_settled = threading.Event()
        self._on_settled: Callable[[], None] | None = None

    def answer(self, body: bytes) -> None:
        """Send ``body``, which must never change. A second answer is ignored."""
        self._settle(body, False)

    def again(self) -> None:
        """Serve the request again: its answer is another one than the one that was begun."""
        self._settle(None, True)

    def wait(self, seconds: float) -> bool:
        """Wait in this thread, for servers without :data:`PARK`; return whether it is settled."""
        return self._is_settled.wait(seconds)

    def lost(self) -> None:
        """Called if the client has gone before the answer."""

    def cut_off(self) -> None:
        """Called if the client was cut off because it read the answer too slowly."""

    def attach(self, on_settled: Callable[[], None]) -> None:
        """Call ``on_settled`` once the body is known, at once if it is. For the server."""
        with self._lock:
            if not self._is_settled.is_set():
                self._on_settled = on_settled
                return
        on_settled()

    def _settle(self, body: bytes | None, is_again: bool) -> None:
        with self._lock:
            if self._is_settled.is_set():
                return
            self.body, self.is_again = body, is_again
            self._is_settled.set()
            call, self._on_settled = self._on_settled, None
        if call is not None:
            call()

    def __iter__(self) -> Iterator[bytes]:
        self._park()

    def _park(self) -> NoReturn:
        raise Parked(self)


class SharedBuffer:
    """One of waitress's output buffers, whose bytes other responses have, too."""

    def __init__(self, body: bytes, on_close: Callable[[], None]) -> None:
        self._rest = memoryview(body)
        self._on_close: Callable[[], None] | None = on_close

    def __len__(self) -> int:
        return len(self._rest)

    def get(self, numbytes: int = -1, skip: bool = False) -> memoryview:
        found = self._rest if numbytes < 0 else self._rest[:numbytes]
        if skip:
            self.skip(len(found))
        return found

    def skip(self, numbytes: int, allow_prune: bool = False) -> None:
        self._rest = self._rest[numbytes:]

    def close(self) -> None:
        self._rest = memoryview(b"")
        call, self._on_close = self._on_close, None
        if call is not None:
            call()


class Unread:
    """Counts the bytes of shared bodies that clients have yet to read, those of each body once."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        # How many read a body, by its id.
        self._readers: dict[int, tuple[bytes, int]] = {}
        self._bytes = 0

    def has_room(self, body: bytes) -> bool:
        """Return whether a response with this body may begin: it is being sent to others already,
        there is room for it, or there is nothing else."""
        with self._lock:
            return (
                id(body) in self._readers
                or not self._readers
                or self._bytes + len(body) <= self._most_bytes
            )

    def buffer(self, body: bytes) -> SharedBuffer:
        """Return a buffer for one more reader of a body."""
        self._count(body, 1)
        return SharedBuffer(body, functools.partial(self._count, body, -1))

    def _count(self, body: bytes, more: int) -> None:
        with self._lock:
            _, before = self._readers.pop(id(body), (body, 0))
            after = before + more
            if after:
                self._readers[id(body)] = body, after
            self._bytes += len(body) * (bool(after) - bool(before))
