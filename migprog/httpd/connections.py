# SPDX-License-Identifier: Apache-2.0
"""All connections of clients: how many there may be, which is closed for another, what is sent."""

import collections
import logging
import socket
import threading
import time
from collections.abc import Iterable
from typing import Any

from waitress import server

from migprog.core.log_limit import LogLimit
from migprog.httpd.bounds import Bounds
from migprog.httpd.channel import Channel, Refuse
from migprog.httpd.parking import Later, Unread

LOG = logging.getLogger(__name__)

_LOG_SECONDS = 60.0
# Of bodies that are shared, as many bytes may be unread; for more, the slowest readers are cut off
# after a second.
_MOST_SHARED_BYTES = 64 * 2**20
_ROOM_SECONDS = 1.0


class Waitress(server.TcpWSGIServer):
    """waitress with migprog's limits."""

    channel_class = Channel

    def __init__(self, bounds: Bounds, refuse: Refuse | None, *arguments: Any, **more: Any) -> None:
        self._bounds = bounds
        self.refuse = refuse
        self._lines = LogLimit(_LOG_SECONDS)
        self.unread = Unread(_MOST_SHARED_BYTES)
        # Connections whose responses have come, and what has come.
        self._resumed: collections.deque[tuple[Channel, Later]] = collections.deque()
        self._no_room_since: float | None = None
        # Of the thread that polls.
        self.thread_id: int | None = None
        super().__init__(*arguments, **more)

    def pull_trigger(self) -> None:
        """Wake the thread that polls; it needs none for what it does itself."""
        if threading.get_ident() != self.thread_id:
            super().pull_trigger()

    def maintenance(self, now: float) -> None:
        """Do nothing: waitress marks connections to be closed once they are writable, which they
        never are if the client does not read."""

    def close_late(self) -> None:
        """Close the connections whose clients have taken too long. Call between two polls."""
        now = time.monotonic()
        for each in list(self.active_channels.values()):
            if each.is_late(now, self._bounds):
                each.cut_off()

    def resume(self, channel: Channel, later: Later) -> None:
        """Queue a finished response for sending. May be called in any thread."""
        is_first = not self._resumed
        self._resumed.append((channel, later))
        if is_first:
            self.pull_trigger()

    def send_resumed(self) -> None:
        """Send the responses that have come. Call between two polls.

        The thread that polls does so itself: others would wait for it, and for each other, with
        each response. Meanwhile no new request is read.
        """
        while self._resumed:
            channel, later = self._resumed[0]
            if later.body is not None and not self.unread.has_room(later.body):
                self._make_room_to_send()
                return
            self._no_room_since = None
            self._resumed.popleft()
            try:
                channel.resume(later)
            except Exception:
                LOG.exception(
                    "failed to send a response; its client's connection is closed; report this "
                    "traceback as a bug"
                )
                channel.handle_close()

    def _make_room_to_send(self) -> None:
        """Cut off who has been reading for the longest, if there is no room for a second."""
        now = time.monotonic()
        if self._no_room_since is None:
            self._no_room_since = now
        if now - self._no_room_since < _ROOM_SECONDS:
            return
        reading = [each for each in self.active_channels.values() if each.reads_since is not None]
        if reading:
            min(reading, key=lambda each: each.reads_since).cut_off()

    def take_up(self) -> None:
        """Queue requests that were put off, once the client has read enough."""
        for each in list(self.active_channels.values()):
            if each.is_put_off and not each.has_unread:
                each.is_put_off = False
                self.add_task(each)

    @property
    def is_sending(self) -> bool:
        """Whether a part of a response has not been sent yet."""
        return bool(self._resumed) or any(
            each.total_outbufs_len for each in list(self.active_channels.values())
        )

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

    def _make_room(self, among: Iterable[Channel]) -> bool:
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
