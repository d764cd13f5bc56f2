# SPDX-License-Identifier: Apache-2.0
"""HTTP calls to Nova and Keystone with a deadline for the whole call and bounded responses.

The timeout of requests (2.34) starts again with each packet: a server that sends a byte now and
then holds up a call without end. So each call runs in its own thread; if it has not returned by its
deadline, its connections are shut down, which ends the thread.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import requests
from keystoneauth1 import session as keystone_session

from migprog.deadline import DeadlineRunner

_T = TypeVar("_T")

# A token's response includes the catalog, which may have some hundred KiB with many regions.
_MAX_ANSWER_BYTES = 2**20
_CHUNK_BYTES = 16 * 1024
_LOCAL = threading.local()


class Calls:
    """Runs calls to ``whom`` with a deadline, at most ``most`` at a time. Thread-safe.

    A call that is resolving a host name continues beyond its deadline; others end with it.
    """

    def __init__(self, whom: str, deadline_seconds: float, most: int) -> None:
        self._deadline_seconds = deadline_seconds
        self._running = DeadlineRunner(most, whom)

    def run(self, call: Callable[[], _T]) -> _T:
        """Return what ``call`` returns, or raise what it raises; :class:`TimeoutError` if late."""
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
    """Let :class:`Calls` shut down the connections of a session for keystoneauth. Return it."""
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    return session


class _Sockets:
    """A call's sockets, duplicated, so that they can be shut down while others read them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: list[socket.socket] = []
        self._is_cut = False

    def use(self, used: socket.socket) -> None:
        with self._lock:
            if self._is_cut:
                raise TimeoutError("the call's deadline has passed")
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
    """Mixin for a connection that its call can shut down, whether it is new or reused."""

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
    """Make the connections of a urllib3 pool manager subject to shutdown. Return it."""
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
        """Return the response after reading its whole body."""
        answer = super().send(request, **options | {"stream": True})
        body = b""
        for chunk in answer.iter_content(_CHUNK_BYTES):
            body += chunk
            if len(body) > _MAX_ANSWER_BYTES:
                answer.close()
                raise requests.RequestException(
                    f"the response has more than {_MAX_ANSWER_BYTES} bytes"
                )
        # As requests itself stores it for Response.content.
        answer._content = body
        return answer
