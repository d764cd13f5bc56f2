# SPDX-License-Identifier: Apache-2.0
"""An HTTP server within the process: waitress, whose application runs on threads, green ones too.

One thread reads requests and writes responses for all connections, so a slow or silent client
occupies a connection but no thread. The number of connections is limited, for each address and in
total; a whole request must arrive within some seconds. Some threads are reserved for paths that
must be answered whatever the other threads do.

For many clients, or for TLS, use uWSGI or gunicorn behind a proxy with
``migprog.wsgi:application``.
"""

import contextlib
import logging
import queue
import select
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from waitress import channel, server, wasyncore
from waitress.adjustments import Adjustments
from waitress.task import ErrorTask

from migprog import exception
from migprog.core.log_limit import LogLimit

LOG = logging.getLogger(__name__)

_BACKLOG = 128
_MAX_HEAD_BYTES = 64 * 1024
# Larger than the applications' limits, so that they refuse bodies in their own form.
_MAX_BODY_BYTES = 1024 * 1024
_RESERVED_THREADS = 2
# Responses that a client has not read yet go to a file beyond this size.
_ANSWER_IN_MEMORY_BYTES = 4 * 1024 * 1024
# How much of its responses a client may leave unread before its next request is served.
_UNREAD_BYTES = 64 * 1024
_LOOK_SECONDS = 0.5
_STOP_SECONDS = 5.0
_LOG_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits for clients.

    ``request_seconds``: to send a request, counted from the connection or the request's first
    byte. ``answer_seconds``: to read a response. ``idle_seconds``: between two requests of a
    connection.
    """

    request_seconds: float = 10.0
    answer_seconds: float = 60.0
    idle_seconds: float = 30.0
    connections: int = 500
    connections_per_client: int = 250


# Returns the status line, headers and body of the response to a request that is not valid HTTP, by
# the request's path (None: unreadable) and the status.
Refuse = Callable[[str | None, int], tuple[str, list[tuple[str, str]], bytes]]


class _ErrorTask(ErrorTask):
    """Answers a request that does not reach the application, in the application's form."""

    def execute(self) -> None:
        refuse = self.channel.server.refuse
        if refuse is None:
            super().execute()
            return
        path = getattr(self.request, "path", None)
        self.status, headers, body = refuse(path, self.request.error.code)
        self.response_headers.extend(headers)
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(channel.HTTPChannel):
    """A connection that knows how long its client has been due to act."""

    error_task_class = _ErrorTask

    def __init__(self, server: "_Waitress", *arguments: Any, **more: Any) -> None:
        self._awaited_since = time.monotonic()
        self._served_once = self._is_served = False
        # A further request was read and waits until the client has read more of the responses.
        self.is_put_off = False
        super().__init__(server, *arguments, **more)

    def received(self, data: bytes) -> bool:
        if self._served_once and self.request is None:
            self._awaited_since = time.monotonic()
        return bool(super().received(data))

    def service(self) -> None:
        self._is_served = True
        try:
            super().service()
        finally:
            self._served_once = True
            self._awaited_since = time.monotonic()
            self._is_served = False

    @property
    def is_idle(self) -> bool:
        """Whether no request is being served and no response is being sent."""
        return not (self.requests or self._is_served or self.total_outbufs_len)

    @property
    def has_unread(self) -> bool:
        """Whether so much of the responses is unread that the next request must wait.

        Otherwise waitress would make the thread of the next request wait for the client.
        """
        return bool(self.total_outbufs_len > _UNREAD_BYTES)

    def is_late(self, now: float, bounds: Bounds) -> bool:
        """Return whether the client has taken too long."""
        if self._is_served or (self.requests and not self.is_put_off):
            return False
        if self.total_outbufs_len:
            seconds = bounds.answer_seconds
        elif self._served_once and self.request is None:
            seconds = bounds.idle_seconds
        else:
            seconds = bounds.request_seconds
        return now - self._awaited_since > seconds


class _Waitress(server.TcpWSGIServer):
    """waitress with migprog's limits."""

    channel_class = _Channel

    def __init__(self, bounds: Bounds, refuse: Refuse | None, *arguments: Any, **more: Any) -> None:
        self._bounds = bounds
        self.refuse = refuse
        self._lines = LogLimit(_LOG_SECONDS)
        super().__init__(*arguments, **more)

    def maintenance(self, now: float) -> None:
        """Do nothing: waitress marks connections to be closed once they are writable, which they
        never are if the client does not read."""

    def close_late(self) -> None:
        """Close the connections whose clients have taken too long. Call between two polls."""
        now = time.monotonic()
        for each in list(self.active_channels.values()):
            if each.is_late(now, self._bounds):
                each.handle_close()

    def take_up(self) -> None:
        """Queue requests that were put off, once the client has read enough."""
        for each in list(self.active_channels.values()):
            if each.is_put_off and not each.has_unread:
                each.is_put_off = False
                self.add_task(each)

    @property
    def is_sending(self) -> bool:
        """Whether a part of a response has not been sent yet."""
        return any(each.total_outbufs_len for each in list(self.active_channels.values()))

    def accept(self) -> tuple[socket.socket, Any] | None:
        """Return the next connection, if its client may have one more."""
        accepted: tuple[socket.socket, Any] | None = super().accept()
        if accepted is None:
            return None
        client = accepted[1][0]
        there_are = list(self.active_channels.values())
        its = [each for each in there_are if each.addr[0] == client]
        if len(its) >= self._bounds.connections_per_client:
            self._warn(
                "closed a connection of %s: it has %d already, the limit for an address; "
                "if it is a proxy of the API, raise [api] max_connections_per_client",
                client,
                len(its),
            )
            if not self._make_room(its):
                accepted[0].close()
                return None
        elif len(there_are) >= self._bounds.connections and not self._make_room(there_are):
            self._warn(
                "closed a connection of %s: all %d connections are in use; serve the API by "
                "more processes, or by uWSGI or gunicorn behind a proxy",
                client,
                len(there_are),
            )
            accepted[0].close()
            return None
        return accepted

    def _make_room(self, among: Iterable[_Channel]) -> bool:
        """Close the connection that has been idle for the longest; return whether there was one."""
        idle = [each for each in among if each.is_idle]
        if not idle:
            return False
        min(idle, key=lambda each: each.last_activity).handle_close()
        return True

    def _warn(self, text: str, *values: Any) -> None:
        """Log a warning, at most once a minute."""
        if self._lines.held_back("closed", time.monotonic()) is not None:
            LOG.warning(text, *values)


class _Threads:
    """Threads that serve requests; reserved paths have threads of their own."""

    def __init__(self, threads: int, reserved: Collection[str]) -> None:
        self._reserved = frozenset(reserved)
        self._queue: queue.Queue[Any] = queue.Queue()
        self._reserved_queue: queue.Queue[Any] = queue.Queue()
        self._threads = [self._start(self._queue, n) for n in range(threads)]
        if self._reserved:
            self._threads += [
                self._start(self._reserved_queue, threads + n) for n in range(_RESERVED_THREADS)
            ]

    def add_task(self, task: Any) -> None:
        """Queue a request. ``task``: the channel that it came by."""
        if task.has_unread:
            task.is_put_off = True
            return
        path = getattr(task.requests[0], "path", None)
        which = self._reserved_queue if path in self._reserved else self._queue
        which.put(task)

    def stop(self, deadline: float) -> None:
        """Cancel waiting requests, and wait for those being served until ``deadline``."""
        for each in (self._queue, self._reserved_queue):
            with contextlib.suppress(queue.Empty):
                while True:
                    each.get_nowait().cancel()
            for _ in self._threads:
                each.put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _start(self, tasks: "queue.Queue[Any]", number: int) -> threading.Thread:
        thread = threading.Thread(
            target=self._run, args=(tasks,), name=f"http-{number}", daemon=True
        )
        thread.start()
        return thread

    def _run(self, tasks: "queue.Queue[Any]") -> None:
        while (task := tasks.get()) is not None:
            try:
                task.service()
            except Exception:
                LOG.exception("failed to serve a request; its client gets no response")


class Server:
    """Serves a WSGI application on ``host`` and ``port`` (0: any free port) with ``threads``.

    ``option``: the option (``[group] name``) that has the address. The attribute ``port`` is the
    real one after the start. ``reserved``: paths that have two threads of their own. ``refuse``:
    answers invalid HTTP; by default waitress does, as plain text.
    """

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        host: str,
        port: int,
        threads: int,
        option: str,
        bounds: Bounds = Bounds(),
        reserved: Collection[str] = (),
        refuse: Refuse | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self._option = option
        self._app = app
        self._thread_count = threads
        self._bounds = bounds
        self._reserved = reserved
        self._refuse = refuse
        self._map: dict[int, Any] = {}
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Return as soon as it listens. Raises :class:`exception.ConfigError` if it cannot."""
        try:
            listener = _listen(self.host, self.port)
        except (OSError, UnicodeError) as error:
            raise exception.ConfigError(f"{self._option}: {error}") from error
        self.port = listener.getsockname()[1]
        adjustments = Adjustments(
            # Constant, so that several processes of an API answer alike.
            ident="migprog",
            threads=self._thread_count,
            # Ours count clients; this one also counts waitress's own pipes and is never reached.
            connection_limit=2 * self._bounds.connections + 100,
            cleanup_interval=1,
            max_request_header_size=_MAX_HEAD_BYTES,
            max_request_body_size=_MAX_BODY_BYTES,
            outbuf_overflow=_ANSWER_IN_MEMORY_BYTES,
            log_socket_errors=False,
            # oslo.middleware handles proxy headers.
            clear_untrusted_proxy_headers=False,
            backlog=_BACKLOG,
            sockets=[listener],
        )
        self._threads = _Threads(self._thread_count, self._reserved)
        self._server = _Waitress(
            self._bounds,
            self._refuse,
            self._app,
            map=self._map,
            _sock=listener,
            dispatcher=self._threads,
            adj=adjustments,
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
            bind_socket=False,
        )
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)
        self._thread.start()
        LOG.info("%s: listening on %s port %d", self._option, self.host, self.port)

    def _serve(self) -> None:
        # eventlet has no poll().
        use_poll = hasattr(select, "poll")
        look_at = 0.0
        while not self._stopping:
            wasyncore.loop(timeout=_LOOK_SECONDS, use_poll=use_poll, map=self._map, count=1)
            self._server.take_up()
            if time.monotonic() >= look_at:
                self._server.close_late()
                look_at = time.monotonic() + _LOOK_SECONDS

    def stop(self) -> None:
        """Wait up to 5 seconds for requests in progress, close all connections, and return."""
        if self._thread is None or self._stopping:
            return
        self._server.accepting = False
        deadline = time.monotonic() + _STOP_SECONDS
        self._threads.stop(deadline)
        while self._server.is_sending and time.monotonic() < deadline:
            time.sleep(0.01)
        self._stopping = True
        self._server.pull_trigger()
        self._thread.join()
        wasyncore.close_all(self._map)


def _listen(host: str, port: int) -> socket.socket:
    family, *_rest, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    both = family == socket.AF_INET6 and address[0] == "::"
    return socket.create_server(
        address[:2],
        family=family,
        backlog=_BACKLOG,
        dualstack_ipv6=both and socket.has_dualstack_ipv6(),
    )
