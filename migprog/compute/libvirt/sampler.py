# SPDX-License-Identifier: Apache-2.0
"""Read one server in a real thread of its own, so that a call that hangs delays no other."""

import queue
import time
from collections.abc import Callable

from migprog.compute.libvirt.gathering import Gathering
from migprog.concurrency import native_queue, native_thread
from migprog.core.observation import Reading


class Sampler:
    """Reads one server's statistics in a thread of its own; at most one reading is in progress.

    ``asked_at``: since when the answer is awaited; None if none is. Only the thread that empties
    the inbox reads and writes it.
    """

    def __init__(
        self,
        server_uuid: str,
        read: Callable[[], Reading],
        gathering: Gathering,
        ended: Callable[["Sampler"], None],
    ) -> None:
        self.server_uuid = server_uuid
        self.asked_at: float | None = None
        self._read = read
        self._gathering = gathering
        self._ended = ended
        self._is_stopped = False
        self._requests: queue.SimpleQueue[bool] = native_queue()

    def start(self) -> None:
        native_thread(self._run, f"sampler {self.server_uuid}")

    def ask(self, now: float) -> None:
        self.asked_at = now
        self._gathering.requested(self.server_uuid, now)
        self._requests.put(True)

    def read_next(self) -> bool:
        """Read as soon as the present call has returned; return False where no reading will come.
        Any thread may call this."""
        if self._is_stopped:
            return False
        if self._requests.empty():
            self._requests.put(True)
        return True

    def stop(self) -> None:
        """End the thread as soon as its call returns."""
        self._is_stopped = True
        self._requests.put(False)

    def _run(self) -> None:
        while self._requests.get():
            self._gathering.put(self._reading())
        self._ended(self)

    def _reading(self) -> Reading:
        try:
            return self._read()
        except Exception as error:
            # An unexpected error: continue, as the next reading may succeed.
            return Reading(server_uuid=self.server_uuid, at=time.monotonic(), error=repr(error))
