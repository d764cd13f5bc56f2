# SPDX-License-Identifier: Apache-2.0
"""HTTP requests whose answers are bounded in time and size, for keystoneauth's sessions.

The timeout of ``requests`` is that of each read: a server that sends a byte now and then is waited
for as long as it likes, and what it sends is kept in memory, however much it is.
"""

import contextlib
import functools
import socket
import threading
import time
from typing import Any

import requests
from keystoneauth1 import session as keystone_session

_MAX_BYTES = 4 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024


class TooLarge(requests.RequestException):
    """An answer has more bytes than are read."""


def bound(session: keystone_session.Session, seconds: float, max_bytes: int = _MAX_BYTES) -> None:
    """Have each request of a session answered as a whole within ``seconds`` of being sent.

    One that is not fails as one that times out; one with more than ``max_bytes``, unpacked, as one
    that cannot be read. To connect may take as long again: that is up to the session's timeout.
    """
    for scheme in ("https://", "http://"):
        session.session.mount(scheme, _Bounded(seconds, max_bytes))


class _Deadline:
    """Ends the connection of one exchange when it has taken too long."""

    def __init__(self, seconds: float) -> None:
        self.has_passed = False
        self._connection: Any = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def begin(self, connection: Any) -> None:
        self._connection = connection
        self._timer.start()

    def end(self) -> None:
        self._timer.cancel()

    def _cut(self) -> None:
        self.has_passed = True
        # Whoever reads from it is woken; to close it is up to them.
        with contextlib.suppress(OSError, AttributeError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)


_mine = threading.local()


class _Watched:
    """What sends a request by a connection of urllib3's says so."""

    def request(self, *arguments: Any, **more: Any) -> None:
        if self.sock is None:  # type: ignore[attr-defined]
            self.connect()  # type: ignore[attr-defined]
        deadline: _Deadline | None = getattr(_mine, "deadline", None)
        if deadline is not None:
            deadline.begin(self)
        super().request(*arguments, **more)  # type: ignore[misc]


@functools.cache
def _watched(pool: type) -> type:
    """urllib3's kind of pool, with connections that are watched."""
    connection = type("_Connection", (_Watched, pool.ConnectionCls), {})  # type: ignore[attr-defined]
    return type("_Pool", (pool,), {"ConnectionCls": connection})


class _Bounded(keystone_session.TCPKeepAliveAdapter):
    def __init__(self, seconds: float, max_bytes: int) -> None:
        self._seconds = seconds
        self._max_bytes = max_bytes
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        super().init_poolmanager(*arguments, **more)
        pools = self.poolmanager.pool_classes_by_scheme
        self.poolmanager.pool_classes_by_scheme = {
            scheme: _watched(pool) for scheme, pool in pools.items()
        }

    def send(self, request: Any, *arguments: Any, **more: Any) -> requests.Response:
        deadline = _mine.deadline = _Deadline(self._seconds)
        begun = time.monotonic()
        try:
            answer: requests.Response = super().send(request, *arguments, **more)
            self._read(answer)
        except requests.RequestException as error:
            if not deadline.has_passed:
                raise
            seconds = time.monotonic() - begun
            text = f"{request.url}: no whole answer within {seconds:.1f} s"
            raise requests.ReadTimeout(text, request=request) from error
        finally:
            _mine.deadline = None
            deadline.end()
        return answer

    def _read(self, answer: requests.Response) -> None:
        body = bytearray()
        for chunk in answer.iter_content(_CHUNK_BYTES):
            body += chunk
            if len(body) > self._max_bytes:
                answer.close()
                raise TooLarge(f"{answer.url}: its answer has more than {self._max_bytes} bytes")
        # What requests itself keeps when it reads all.
        answer._content = bytes(body)
        answer._content_consumed = True  # type: ignore[attr-defined]
