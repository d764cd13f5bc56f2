# SPDX-License-Identifier: Apache-2.0
"""Read one server in a real thread of its own, so that a call that hangs delays no other."""

import dataclasses
import math
import queue
import time
from collections.abc import Callable

from migprog.compute.libvirt.gathering import LONGEST_SECONDS, Gathering
from migprog.concurrency import native_queue, native_thread
from migprog.core.observation import Reading


class Sampler:
    """Reads one server's statistics in a thread of its own; at most one reading is in progress, and
    one more requested.

    Each reading is put into the inbox with the time at which it began. A reading begins after each
    request; several requests may share one. Threads need no lock for that: however their steps
    interleave, no request is lost, and at worst one reading more is made.

    ``asked_at``: since when the agent's loop awaits a reading, which begins then or later; None if
    it awaits none. Times are a monotonic clock's.
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
        # When the newest reading began that the loop has taken. Only the loop uses these two.
        self._taken_began_at = -math.inf
        self._read = read
        self._gathering = gathering
        self._ended = ended
        self._is_stopped = False
        # A reading is requested and has not begun.
        self._is_requested = False
        # The thread sets these three: a reading is in progress; when the newest began; whether the
        # newest that has ended took so long that nothing should wait for the next.
        self._is_reading = False
        self._began_at = -math.inf
        self._is_slow = False
        self._requests: queue.SimpleQueue[bool] = native_queue()

    def start(self) -> None:
        native_thread(self._run, f"sampler {self.server_uuid}")

    def ask(self, now: float, due_at: float) -> None:
        """Await a reading that begins at ``due_at`` or later; request it, unless it has begun and
        was not taken yet. Only the agent's loop may call this."""
        began_at = self._began_at
        if began_at >= due_at and began_at > self._taken_began_at:
            self.asked_at = began_at
            return
        self.asked_at = now
        if not self._is_slow:
            self._gathering.wait_for(self.server_uuid, now)
        self._request()

    def take(self, reading: Reading) -> None:
        """Record that the loop has taken a reading. One that began before the loop asked is not the
        one that it awaits."""
        if reading.began_at is not None:
            self._taken_began_at = max(self._taken_began_at, reading.began_at)
            if self.asked_at is not None and reading.began_at >= self.asked_at:
                self.asked_at = None

    def read_next(self) -> bool:
        """Request a reading; return whether it begins at once and is expected to end soon. Any
        thread may call this."""
        if self._is_stopped:
            return False
        is_free = not (self._is_reading or self._is_requested)
        self._request()
        return is_free and not self._is_slow

    def stop(self) -> None:
        """End the thread as soon as its call returns."""
        self._is_stopped = True
        self._requests.put(False)

    def _request(self) -> None:
        if not self._is_requested:
            self._is_requested = True
            self._requests.put(True)

    def _run(self) -> None:
        while self._requests.get() and not self._is_stopped:
            self._is_reading = True
            # Before the reading begins: what is requested from now on needs another.
            self._is_requested = False
            self._began_at = began_at = time.monotonic()
            reading = self._reading()
            self._is_slow = time.monotonic() - began_at >= LONGEST_SECONDS
            self._is_reading = False
            self._gathering.put(dataclasses.replace(reading, began_at=began_at))
        self._ended(self)

    def _reading(self) -> Reading:
        try:
            return self._read()
        except Exception as error:
            # An unexpected error: continue, as the next reading may succeed.
            return Reading(server_uuid=self.server_uuid, at=time.monotonic(), error=repr(error))
