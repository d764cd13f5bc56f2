# SPDX-License-Identifier: Apache-2.0
"""The loops without which this process does not do its work: a watchdog needs all of them turning.

A loop must wait for no remote party longer than its ``late_seconds``: what is unavailable is logged
and retried (:mod:`migprog.outages`), and is no reason to restart this process.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

from migprog.core.duration import describe
from migprog.core.liveness import LOOP_LATE_SECONDS
from migprog.exception import LoopFailed

LOG = logging.getLogger(__name__)

# A loop with nothing to do turns at least this often.
IDLE_SECONDS = 10.0

_lock = threading.Lock()
_loops: "list[Loop]" = []


class Loop:
    """A loop of one thread; it is late ``late_seconds`` after its last turn."""

    def __init__(self, name: str, late_seconds: float) -> None:
        self.name = name
        self._late_seconds = late_seconds
        self._turned_at = time.monotonic()

    def turned(self) -> None:
        """Record that the loop begins its next turn."""
        self._turned_at = time.monotonic()

    def age_seconds(self) -> float:
        """Return the seconds since its last turn began."""
        return time.monotonic() - self._turned_at

    def silence_seconds(self, now: float) -> float | None:
        """Return the seconds since the last turn if the loop is late, else None."""
        seconds = now - self._turned_at
        return seconds if seconds > self._late_seconds else None


@contextlib.contextmanager
def turning(name: str, late_seconds: float = LOOP_LATE_SECONDS) -> Iterator[Loop]:
    """Register the loop that runs in the block until the block returns.

    A loop that an exception ends stays registered, and becomes late.
    """
    loop = Loop(name, late_seconds)
    with _lock:
        _loops.append(loop)
    yield loop
    with _lock:
        _loops.remove(loop)


def run(
    name: str, body: Callable[[Loop], None], failed: Callable[[LoopFailed], None] | None
) -> None:
    """Run ``body`` as a registered loop. If an exception ends it, that is logged, and ``failed`` is
    called to end the process, so that it is started again."""
    try:
        with turning(name) as loop:
            body(loop)
    except Exception as error:
        LOG.exception(
            "%s has failed, and does nothing more; this process ends, to be started again; report "
            "this traceback as a bug",
            name,
        )
        if failed is not None:
            failed(LoopFailed(f"{name} has failed: {type(error).__name__}: {error}"))


def late(now: float) -> list[str]:
    """Return what each late loop is called, and for how long it has not turned."""
    with _lock:
        known = list(_loops)
    silent = ((loop.name, loop.silence_seconds(now)) for loop in known)
    return [f"{name} ({describe(seconds)})" for name, seconds in silent if seconds is not None]
