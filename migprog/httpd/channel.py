# SPDX-License-Identifier: Apache-2.0
"""One connection of a client: its requests, its responses, and how long the client takes."""

import functools
import time
from collections.abc import Callable
from typing import Any

from waitress import buffers
from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.task import ErrorTask, WSGITask

from migprog.httpd.bounds import Bounds
from migprog.httpd.parking import PARK, Later, Parked

# How much of its responses a client may leave unread before its next request is served.
_UNREAD_BYTES = 64 * 1024
# Bodies that come later are shared by their readers if they are larger than this.
_COPIED_BYTES = 8 * 1024

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


class _Task(WSGITask):
    """Runs the application, once; its response may have been completed later by ``body``."""

    body: bytes | None = None

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ[PARK] = True
        return environ

    def execute(self) -> None:
        if self.body is None:
            try:
                super().execute()
            except Parked as parked:
                parked.task = self
                raise
            return
        self.content_length = len(self.body)
        head = self.build_response_header()
        self.wrote_header = True
        if len(self.body) <= _COPIED_BYTES:
            self.channel.write_soon(head + self.body)
        else:
            self.channel.write_soon(head)
            self.channel.write_shared(self.body)


class Channel(HTTPChannel):
    """A connection that knows how long its client has been due to act.

    ``server``: the :class:`migprog.httpd.connections.Waitress` that has accepted it. While a
    request's response is to come later, the request stays the first of :attr:`requests`, and no
    thread serves it.
    """

    error_task_class = _ErrorTask

    def __init__(self, server: Any, *arguments: Any, **more: Any) -> None:
        self._awaited_since = time.monotonic()
        self._served_once = self._is_served = False
        self._parked: Parked | None = None
        # What is served next, if it was parked.
        self._task: _Task | None = None
        # Whose body is being sent.
        self._answered: Later | None = None
        # A further request was read and waits until the client has read more of the responses.
        self.is_put_off = False
        super().__init__(server, *arguments, **more)

    def received(self, data: bytes) -> bool:
        if self._served_once and self.request is None:
            self._awaited_since = time.monotonic()
        return bool(super().received(data))

    def task_class(self, _channel: Any, request: Any) -> _Task:
        """Return the task of a request, for waitress: the one that was parked, or a new one."""
        task, self._task = self._task, None
        return task or _Task(self, request)

    def service(self) -> None:
        self._is_served = True
        try:
            super().service()
        except Parked as parked:
            self._park(parked)
        finally:
            self._served_once = True
            self._awaited_since = time.monotonic()
            self._is_served = False

    def _park(self, parked: Parked) -> None:
        self._parked = parked
        if self.connected:
            parked.later.attach(functools.partial(self.server.resume, self, parked.later))
        else:
            parked.later.lost()

    def resume(self, later: Later) -> None:
        """Send what has come, or have the request served again. Of the server's thread."""
        parked = self._parked
        if parked is None or parked.later is not later:
            return
        self._parked = None
        if later.is_again:
            self.server.add_task(self)
            return
        self._task = parked.task
        self._task.body = later.body
        self._answered = later
        self.service()

    def write_shared(self, body: bytes) -> None:
        """Send bytes without a copy of them."""
        with self.outbuf_lock:
            if not self.connected:
                raise ClientDisconnected
            self.outbufs.append(self.server.unread.buffer(body))
            self.outbufs.append(buffers.OverflowableBuffer(self.adj.outbuf_overflow))
            self.current_outbuf_count = 0
            self.total_outbufs_len += len(body)
            self._flush_exception(self._flush_some, do_close=False)

    def readable(self) -> bool:
        if self._parked is None:
            return bool(super().readable())
        # So that a client that goes is seen; one further request may wait.
        return not (self.will_close or self.close_when_flushed or len(self.requests) > 1)

    def handle_close(self) -> None:
        super().handle_close()
        parked, self._parked = self._parked, None
        if parked is not None:
            parked.later.lost()

    def cut_off(self) -> None:
        """Close the connection of a client that takes too long."""
        answered = self._answered if self.total_outbufs_len else None
        self.handle_close()
        if answered is not None:
            answered.cut_off()

    @property
    def reads_since(self) -> float | None:
        """Return since when a body that came later is being read; None: none is."""
        has_body = self._answered is not None and self.total_outbufs_len
        return self._awaited_since if has_body else None

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
