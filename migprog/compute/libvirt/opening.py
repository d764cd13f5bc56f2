# SPDX-License-Identifier: Apache-2.0
"""Open a connection to libvirt, with a deadline that libvirt itself does not have.

The kernel tries a host that drops packets for two minutes, and one that accepts the connection and
does not answer for ever: keepalive begins when the connection is open. So each attempt has a real
thread. One that is late is abandoned, and closes the connection if it gets one after all.
"""

import contextlib
import queue
import time
from collections.abc import Callable
from typing import Any

from migprog.concurrency import native_queue, native_thread

# The name of its threads.
ATTEMPT = "connect to libvirt"
# When so many attempts hang, another one is made only after this time, as they may never return.
_MOST_HANGING = 4
_RARE_SECONDS = 600.0


class Opening:
    """Attempts of ``seconds`` each; used by one thread."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._hanging: set[object] = set()
        self._last_at = 0.0

    def open(self, open: Callable[[], Any]) -> Any:
        """Return the connection that ``open`` returns, or raise what it raises.

        Raises :class:`TimeoutError` when it is late, and at once while too many attempts hang.
        """
        now = time.monotonic()
        if len(self._hanging) >= _MOST_HANGING and now - self._last_at < _RARE_SECONDS:
            raise TimeoutError(f"{len(self._hanging)} attempts to connect have no answer yet")
        self._last_at = now
        attempt, answers, turn = object(), native_queue(), native_queue()
        # Either the thread takes it in time, or the deadline does.
        turn.put(None)

        def run() -> None:
            connection = error = None
            try:
                connection = open()
            except Exception as refused:
                error = refused
            if _takes(turn):
                answers.put((connection, error))
                return
            self._hanging.discard(attempt)
            if connection is not None:
                with contextlib.suppress(Exception):
                    connection.close()

        self._hanging.add(attempt)
        native_thread(run, ATTEMPT)
        try:
            connection, error = answers.get(timeout=self._seconds)
        except queue.Empty:
            if _takes(turn):
                raise TimeoutError(f"no connection within {self._seconds:g} s") from None
            connection, error = answers.get()
        self._hanging.discard(attempt)
        if error is not None:
            raise error
        return connection


def _takes(turn: Any) -> bool:
    try:
        turn.get_nowait()
    except queue.Empty:
        return False
    return True
