# SPDX-License-Identifier: Apache-2.0
"""Readings that are requested together wake the agent's loop together.

One turn of the loop for the readings of all servers costs a fraction of one turn for each. A server
that answers late delays the others' readings by :data:`LONGEST_SECONDS` at most, and once: nothing
waits for its next readings, until one has taken less time than that.
"""

from migprog.concurrency import Inbox
from migprog.core.observation import Reading

LONGEST_SECONDS = 0.1


class Gathering:
    """The threads that read call :meth:`put`, the loop calls the rest. There is no lock, as
    eventlet's do not work in these threads: no reading is left lying because of the order of the
    steps in :meth:`put` and :meth:`give_up_late`. Times are a monotonic clock's."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._awaited: set[str] = set()
        self._late_at = 0.0

    @property
    def late_at(self) -> float | None:
        """When to wait no longer; None while nothing is awaited."""
        return self._late_at if self._awaited else None

    def wait_for(self, server_uuid: str, now: float) -> None:
        """Wait for a server's reading, which is requested next, before the loop is woken."""
        if not self._awaited:
            self._late_at = now + LONGEST_SECONDS
        self._awaited.add(server_uuid)

    def put(self, reading: Reading) -> None:
        """Put a reading into the inbox; the last one that is awaited wakes the loop."""
        # Put, discard, then look: the thread that finds nothing awaited wakes the loop after all
        # the others have put theirs.
        self._inbox.put(reading, wakes=False)
        self._awaited.discard(reading.server_uuid)
        if not self._awaited:
            self._inbox.wake()

    def give_up_late(self, now: float) -> None:
        """Wait no longer for readings that are late, and wake the loop: one may have come
        meanwhile, and have left that to the others. From now on each reading wakes the loop."""
        if self._awaited and now >= self._late_at:
            # Clear, then wake: a thread that looked before has put its reading, and the loop takes
            # it now; one that looks later wakes the loop itself.
            self._awaited.clear()
            self._inbox.wake()
