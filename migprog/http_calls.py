# SPDX-License-Identifier: Apache-2.0
"""HTTP to Nova and Keystone: a deadline for all of a call, and bounded answers.

The timeout of requests (2.34) begins again with each packet: a server that sends a byte now and
then keeps a call for ever. So each call runs in a thread of its own; where it has not returned by
its deadline its connections are shut down, which ends the thread.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import requests
from keystoneauth1 import session as keystone_session

from migprog.bounded import Bounded

_T = TypeVar("_T")

# A token comes with a catalog: where there are many regions that has some hundred KiB.
_MAX_ANSWER_BYTES = 2**20
_CHUNK_BYTES = 16 * 1024
_LOCAL = threading.local()


class Calls:
    """Runs calls to ``whom`` with a deadline, at most so many at a time. Any thread may use it.

    One that waits for a name's address goes on beyond its deadline; others end with it.
    """

    def __init__(self, whom: str, deadline_seconds: float, most: int) -> None:
        self._deadline_seconds = deadline_seconds
        self._running = Bounded(most, whom)

    def run(self, call: Callable[[], _T]) -> _T:
        """Return what ``call`` returns, or raise what it raises; :class:`TimeoutError` too late."""
        its = _Sockets()

        def run() -> _T:
            _LOCAL.sockets = its
            try:
                return call()
            finally:
                its.close()

        try:
            return self._running.run(run, self._deadline_seconds)
        except TimeoutError:
            its.cut()
            raise


def mount(session: requests.Session) -> requests.Session:
    """Have :class:`Calls` shut down the connections of a session for keystoneauth's."""
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    return session


class _Sockets:
    """Those that a call uses, by descriptors of our own: it is shut down while others read it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: list[socket.socket] = []
        self._is_cut = False

    def use(self, used: socket.socket) -> None:
        with self._lock:
            if self._is_cut:
                raise TimeoutError("its call is over")
            self._used.append(socket.socket(fileno=os.dup(used.fileno())))

    def cut(self) -> None:
        with self._lock:
            self._is_cut = True
            for each in self._used:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with self._lock:
            for each in self._used:
                each.close()
            self._used.clear()


def _use(used: socket.socket) -> None:
    its: _Sockets | None = getattr(_LOCAL, "sockets", None)
    if its is not None:
        its.use(used)


class _Cut:
    """A connection that its call can shut down: while it is new, and when it is used again."""

    def _new_conn(self) -> Any:
        made = super()._new_conn()  # type: ignore[misc]
        _use(made)
        return made

    def putrequest(self, *arguments: Any, **options: Any) -> None:
        connected = getattr(self, "sock", None)
        if connected is not None:
            _use(connected)
        super().putrequest(*arguments, **options)  # type: ignore[misc]


def _cutting(manager: Any) -> Any:
    """Have the connections of a pool manager of urllib3's cut."""
    manager.pool_classes_by_scheme = {
        scheme: type(pool.__name__, (pool,), {"ConnectionCls": _cut(pool.ConnectionCls)})
        for scheme, pool in manager.pool_classes_by_scheme.items()
    }
    return manager


def _cut(connection: type) -> type:
    return type(connection.__name__, (_Cut, connection), {})


class _Adapter(keystone_session.TCPKeepAliveAdapter):
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        _cutting(self.poolmanager)

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        if (made := self.proxy_manager.get(proxy)) is not None:
            return made
        return _cutting(super().proxy_manager_for(proxy, **options))

    def send(self, request: Any, *_stream: Any, **options: Any) -> requests.Response:
        """The answer, read to its end."""
        answer = super().send(request, **options | {"stream": True})
        body = b""
        for chunk in answer.iter_content(_CHUNK_BYTES):
            body += chunk
            if len(body) > _MAX_ANSWER_BYTES:
                answer.close()
                raise requests.RequestException(
                    f"the answer has more than {_MAX_ANSWER_BYTES} bytes"
                )
        # As requests itself keeps it (Response.content).
        answer._content = body
        return answer
