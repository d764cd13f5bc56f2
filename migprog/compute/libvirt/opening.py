# SPDX-License-Identifier: Apache-2.0
"""Open a connection to libvirt, with a deadline that libvirt itself does not have.

The kernel tries a host that drops packets for two minutes, and one that accepts the connection and
does not answer for ever: keepalive begins when the connection is open. So each attempt has a native
thread. One that is late is abandoned, and closes the connection if it gets one after all.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Any

from migprog.deadline import DeadlineRunner

# When so many attempts hang, another one is made only after this time, as they may never return.
_MOST_HANGING = 4
_RARE_SECONDS = 600.0


class Opening:
    """Attempts of ``seconds`` each, by any threads. Those that share it share its limit."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._attempts = DeadlineRunner(_MOST_HANGING, "libvirt", native=True)
        self._last_at = time.monotonic()

    def open(self, open: Callable[[], Any]) -> Any:
        """Return the connection that ``open`` returns, or raise what it raises.

        Raises :class:`TimeoutError` when it is late, and at once while too many attempts hang.
        """
        now = time.monotonic()

        def attempt() -> Any:
            self._last_at = now
            return open()

        is_extra = now - self._last_at >= _RARE_SECONDS
        return self._attempts.run(attempt, self._seconds, _close, is_extra)


def _close(connection: Any) -> None:
    with contextlib.suppress(Exception):
        connection.close()
