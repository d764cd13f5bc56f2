# SPDX-License-Identifier: Apache-2.0
"""Requests that wait for news: few at a time, so that others find a thread, and not for long.

Each looks by itself, twice a second, at the few columns that tell: with so few of them that is less
than one client that polls. None holds a connection to the database while it waits.
"""

import threading
import time
from collections.abc import Callable

import falcon

from migprog.api import errors
from migprog.api.error_codes import ErrorCode
from migprog.metrics import api as metrics

MOST_SECONDS = 30
_LOOK_SECONDS = 0.5


class Waiting:
    """At most ``most`` requests that wait at a time."""

    def __init__(self, most: int) -> None:
        self._places = threading.BoundedSemaphore(most) if most else None
        self._ended = threading.Event()

    def until(self, req: falcon.Request, there_is_news: Callable[[], bool], seconds: float) -> None:
        """Return when there is news, or after some seconds, or when the service ends.

        Raises :class:`errors.ApiError` to a request that would have to wait, when
        too many do, or when this process serves one request at a time.
        """
        if there_is_news():
            return
        if (
            self._places is None
            or not req.env["wsgi.multithread"]
            or not self._places.acquire(blocking=False)
        ):
            raise errors.ApiError(
                ErrorCode.TOO_MANY_LONG_POLLS,
                retry_after_seconds=int(errors.RETRY_AFTER_SECONDS),
            )
        req.env[metrics.LONG_POLL] = True
        try:
            with metrics.long_poll():
                self._look(there_is_news, time.monotonic() + seconds)
        finally:
            self._places.release()

    def _look(self, there_is_news: Callable[[], bool], deadline: float) -> None:
        while (left := deadline - time.monotonic()) > 0:
            if self._ended.wait(min(left, _LOOK_SECONDS)) or there_is_news():
                return

    def stop(self) -> None:
        """Nobody waits any longer."""
        self._ended.set()
