# SPDX-License-Identifier: Apache-2.0
"""Connections of clients: how many there may be, and how long a client may take."""

import logging
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from waitress import channel, server
from waitress.task import ErrorTask

from migprog.core.log_limit import LogLimit

LOG = logging.getLogger(__name__)

# How much of its responses a client may leave unread before its next request is served.
_UNREAD_BYTES = 64 * 1024
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

    def __init__(self, server: "Waitress", *arguments: Any, **more: Any) -> None:
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


class Waitress(server.TcpWSGIServer):
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
