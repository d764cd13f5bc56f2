# SPDX-License-Identifier: Apache-2.0
"""Readings that are requested together wake the agent's loop together.

One turn of the loop for the readings of all servers costs a fraction of one turn for each. A server
that answers late delays the others' readings by :data:`LONGEST_SECONDS` at most, each time that it
is requested; one that does not answer is not requested again.
"""

from migprog.concurrency import Inbox
from migprog.core.observation import Reading

LONGEST_SECONDS = 0.1


class Gathering:
    """The loop requests and looks, the threads that read call :meth:`put`. Single steps on a set
    need no lock, and eventlet's would not work in these threads. Times are a monotonic clock's."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._awaited: set[str] = set()
        self._late_at = 0.0

    @property
    def late_at(self) -> float | None:
        """When to wait no longer; None while nothing is awaited."""
        return self._late_at if self._awaited else None

    def requested(self, server_uuid: str, now: float) -> None:
        """Record that a reading is requested."""
        if not self._awaited:
            self._late_at = now + LONGEST_SECONDS
        self._awaited.add(server_uuid)

    def put(self, reading: Reading) -> None:
        """Put a reading into the inbox; the last one that is awaited wakes the loop."""
        self._inbox.put(reading, wakes=False)
        self._awaited.discard(reading.server_uuid)
        if not self._awaited:
            self._inbox.wake()

    def look(self, now: float) -> None:
        """Wait no longer for what is late: from now on each reading wakes the loop."""
        if self._awaited and now >= self._late_at:
            self._awaited.clear()
            # One may have come meanwhile, and have left that to the others.
            self._inbox.wake()
