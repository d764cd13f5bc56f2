# SPDX-License-Identifier: Apache-2.0
"""An HTTP server within our own process: waitress, whose application runs on threads, green too.

One thread reads requests and writes answers for all connections, so that a client which is slow or
silent takes a connection and no thread. Connections are bounded: those of one address, and all of
them; a request has to be there as a whole within some seconds. Some threads are reserved for paths
that are answered whatever the others do.

Where the API has many clients, or serves TLS, uWSGI or gunicorn behind a proxy serve
``migprog.wsgi:application`` instead.
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

LOG = logging.getLogger(__name__)

_BACKLOG = 128
_MAX_HEAD_BYTES = 64 * 1024
# What an application refuses at less than that it can refuse in its own words.
_MAX_BODY_BYTES = 1024 * 1024
_RESERVED_THREADS = 2
# What a client that reads slowly makes us keep goes to a file beyond this.
_ANSWER_IN_MEMORY_BYTES = 4 * 1024 * 1024
# What a client may leave unread of its answers before its next request is served.
_UNREAD_BYTES = 64 * 1024
_LOOK_SECONDS = 0.5
_STOP_SECONDS = 5.0
_LOG_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a server takes of its clients.

    ``request_seconds``: for a request, from its first byte or the connection's begin to its end.
    ``answer_seconds``: to read an answer. ``idle_seconds``: between two requests of a connection.
    """

    request_seconds: float = 10.0
    answer_seconds: float = 60.0
    idle_seconds: float = 30.0
    connections: int = 500
    connections_per_client: int = 250


# The status line, headers and body of the answer to a request that is no valid HTTP, by its path
# (None: it cannot be read) and status.
Refuse = Callable[[str | None, int], tuple[str, list[tuple[str, str]], bytes]]


class _ErrorTask(ErrorTask):
    """Answers a request that the application does not see, in the application's form."""

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
    """A connection that knows since when its client has to do something."""

    error_task_class = _ErrorTask

    def __init__(self, server: "_Waitress", *arguments: Any, **more: Any) -> None:
        self._awaited_since = time.monotonic()
        self._served_once = self._is_served = False
        # Another request of it has been read, and waits until its client has read more answers.
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
        """Nothing of it is being computed or sent."""
        return not (self.requests or self._is_served or self.total_outbufs_len)

    @property
    def has_unread(self) -> bool:
        """Whether its client has left so much of its answers unread that the next one waits.

        waitress would have the thread that computes the next answer wait for the client.
        """
        return bool(self.total_outbufs_len > _UNREAD_BYTES)

    def is_late(self, now: float, bounds: Bounds) -> bool:
        """Whether its client has taken too long."""
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
    """waitress with our bounds."""

    channel_class = _Channel

    def __init__(self, bounds: Bounds, refuse: Refuse | None, *arguments: Any, **more: Any) -> None:
        self._bounds = bounds
        self.refuse = refuse
        self._logged_at = -_LOG_SECONDS
        super().__init__(*arguments, **more)

    def maintenance(self, now: float) -> None:
        """Nothing: waitress only marks connections to be closed as soon as they can be written to,
        which one whose client does not read never can."""

    def close_late(self) -> None:
        """Close the connections whose clients have taken too long; between two rounds."""
        now = time.monotonic()
        for each in list(self.active_channels.values()):
            if each.is_late(now, self._bounds):
                each.handle_close()

    def take_up(self) -> None:
        """Go on with requests that were put off, where the client has read enough."""
        for each in list(self.active_channels.values()):
            if each.is_put_off and not each.has_unread:
                each.is_put_off = False
                self.add_task(each)

    @property
    def is_sending(self) -> bool:
        """Whether a part of an answer has not been sent yet."""
        return any(each.total_outbufs_len for each in list(self.active_channels.values()))

    def accept(self) -> tuple[socket.socket, Any] | None:
        """The next connection, if its client may have one more."""
        accepted: tuple[socket.socket, Any] | None = super().accept()
        if accepted is None:
            return None
        client = accepted[1][0]
        there_are = list(self.active_channels.values())
        its = [each for each in there_are if each.addr[0] == client]
        if len(its) >= self._bounds.connections_per_client:
            self._say("closed a connection of %s: it has %d already", client, len(its))
            if not self._make_room(its):
                accepted[0].close()
                return None
        elif len(there_are) >= self._bounds.connections and not self._make_room(there_are):
            self._say("closed a connection of %s: there are %d", client, len(there_are))
            accepted[0].close()
            return None
        return accepted

    def _make_room(self, among: Iterable[_Channel]) -> bool:
        """Close the connection that has been idle for the longest, if one is: what says nothing
        gives way to what may."""
        idle = [each for each in among if each.is_idle]
        if not idle:
            return False
        min(idle, key=lambda each: each.last_activity).handle_close()
        return True

    def _say(self, text: str, *values: Any) -> None:
        """Log it, once a minute."""
        now = time.monotonic()
        if now - self._logged_at >= _LOG_SECONDS:
            self._logged_at = now
            LOG.warning(text, *values)


class _Threads:
    """Serves requests: those of reserved paths by threads of their own."""

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
        """Have a request served; ``task`` is the channel that it came by."""
        if task.has_unread:
            task.is_put_off = True
            return
        path = getattr(task.requests[0], "path", None)
        which = self._reserved_queue if path in self._reserved else self._queue
        which.put(task)

    def stop(self, deadline: float) -> None:
        """Let those under way end, until ``deadline``, and cancel those that wait."""
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
                LOG.exception("failed to serve a request")


class Server:
    """Serves a WSGI application on ``host`` and ``port`` (0: any free one) with some threads.

    ``option`` (``[group] name``) is what said so. ``port`` is the real one once it has started.
    Paths that are ``reserved`` have two threads of their own. ``refuse`` answers what is no valid
    HTTP; without it waitress does, as plain text.
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
        """Return as soon as it listens. Raises :class:`exception.ConfigError` when it cannot."""
        try:
            listener = _listen(self.host, self.port)
        except (OSError, UnicodeError) as error:
            raise exception.ConfigError(f"{self._option}: {error}") from error
        self.port = listener.getsockname()[1]
        adjustments = Adjustments(
            # Of itself, which several processes of an API need not agree on.
            ident="migprog",
            threads=self._thread_count,
            # Ours count clients; this one counts its own pipes as well, and never comes into play.
            connection_limit=2 * self._bounds.connections + 100,
            cleanup_interval=1,
            max_request_header_size=_MAX_HEAD_BYTES,
            max_request_body_size=_MAX_BODY_BYTES,
            outbuf_overflow=_ANSWER_IN_MEMORY_BYTES,
            log_socket_errors=False,
            # What proxies say is up to oslo.middleware.
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
        """Let requests at hand end (for 5 seconds), close every connection, and return."""
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
