# SPDX-License-Identifier: Apache-2.0
"""Long polls: few at a time, so that other requests find a thread, and for a limited time.

Each checks the few columns that change twice a second: with so few long polls this costs less than
one client that polls. None holds a database connection while it waits.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import falcon

from migprog.api import errors
from migprog.api.error_codes import ErrorCode
from migprog.metrics import api as metrics

MOST_SECONDS = 30
_LOOK_SECONDS = 0.5


class LongPolls:
    """Limits the long polls to ``most`` at a time."""

    def __init__(self, most: int) -> None:
        self._places = threading.BoundedSemaphore(most) if most else None
        self._ended = threading.Event()

    def until(self, req: falcon.Request, has_changed: Callable[[], bool], seconds: float) -> None:
        """Return when ``has_changed``, or after ``seconds``, or when the service stops.

        Raises :class:`errors.ApiError` if the request would have to wait, but too many do, or this
        process serves one request at a time.
        """
        if has_changed():
            return
        with self.place(req):
            self._look(has_changed, time.monotonic() + seconds)

    @contextlib.contextmanager
    def place(self, req: falcon.Request) -> Iterator[None]:
        """Take one of the places while the block runs. Raises :class:`errors.ApiError`."""
        if self._places is None:
            raise _refused("Long polls are off here ([api] max_long_polls); repeat without wait.")
        if not req.env["wsgi.multithread"]:
            raise _refused("This process has one thread and no long polls; repeat without wait.")
        if not self._places.acquire(blocking=False):
            raise _refused()
        req.env[metrics.LONG_POLL] = True
        try:
            with metrics.long_poll():
                yield
        finally:
            self._places.release()

    def _look(self, has_changed: Callable[[], bool], deadline: float) -> None:
        while (left := deadline - time.monotonic()) > 0:
            if self._ended.wait(min(left, _LOOK_SECONDS)) or has_changed():
                return

    def stop(self) -> None:
        """End all long polls."""
        self._ended.set()


def _refused(why: str | None = None) -> errors.ApiError:
    return errors.ApiError(
        ErrorCode.TOO_MANY_LONG_POLLS,
        why,
        retry_after_seconds=int(errors.RETRY_AFTER_SECONDS),
    )
