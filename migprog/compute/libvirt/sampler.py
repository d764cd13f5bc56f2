# SPDX-License-Identifier: Apache-2.0
"""Read one server in a real thread of its own, so that a call that hangs delays no other."""

import queue
import time
from collections.abc import Callable

from migprog.compute.libvirt.gathering import LONGEST_SECONDS, Gathering
from migprog.concurrency import native_queue, native_thread
from migprog.core.observation import Reading


class Sampler:
    """Reads one server's statistics in a thread of its own; at most one reading is in progress.

    ``read`` is called with the instant at which its reading begins, and returns it as ``began_at``.
    ``asked_at``: since when the answer is awaited; None if none is. Only the thread that empties
    the inbox reads and writes it.
    """

    def __init__(
        self,
        server_uuid: str,
        read: Callable[[float], Reading],
        gathering: Gathering,
        ended: Callable[["Sampler"], None],
    ) -> None:
        self.server_uuid = server_uuid
        self.asked_at: float | None = None
        self._read = read
        self._gathering = gathering
        self._ended = ended
        self._is_stopped = False
        # When the reading in progress began, and how long the latest one took. The thread sets
        # them, any may read them.
        self._began_at: float | None = None
        self._latest_seconds = 0.0
        self._requests: queue.SimpleQueue[bool] = native_queue()

    def start(self) -> None:
        native_thread(self._run, f"sampler {self.server_uuid}")

    def ask(self, now: float, due_at: float) -> None:
        """Await a reading that begins at ``due_at`` or later. It is requested, unless it is in
        progress or :meth:`read_next` has requested it."""
        began_at = self._began_at
        if began_at is not None and began_at >= due_at:
            self.asked_at = began_at
            return
        self.asked_at = now
        if self._requests.empty():
            if self._answers_in_time:
                self._gathering.wait_for(self.server_uuid, now)
            self._requests.put(True)

    def read_next(self) -> bool:
        """Request a reading, unless one is requested already; return whether it begins at once and
        is expected to end soon. Any thread may call this."""
        if self._is_stopped or not self._requests.empty():
            return False
        begins_at_once = self._began_at is None
        self._requests.put(True)
        return begins_at_once and self._answers_in_time

    def stop(self) -> None:
        """End the thread as soon as its call returns."""
        self._is_stopped = True
        self._requests.put(False)

    def _run(self) -> None:
        while self._requests.get():
            self._began_at = began_at = time.monotonic()
            reading = self._reading(began_at)
            self._latest_seconds = time.monotonic() - began_at
            # Before it is put: the loop awaits what is in progress, and would not see it again.
            self._began_at = None
            self._gathering.put(reading)
        self._ended(self)

    @property
    def _answers_in_time(self) -> bool:
        """Whether other servers' readings, and events of this one, may wait for its reading."""
        return self._latest_seconds < LONGEST_SECONDS

    def _reading(self, began_at: float) -> Reading:
        try:
            return self._read(began_at)
        except Exception as error:
            # An unexpected error: continue, as the next reading may succeed.
            return Reading(
                server_uuid=self.server_uuid,
                at=time.monotonic(),
                error=repr(error),
                began_at=began_at,
            )
