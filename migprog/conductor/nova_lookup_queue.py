# SPDX-License-Identifier: Apache-2.0
"""The queue of the Nova id lookup: which migrations are looked up, and when.

The lookup of a migration is repeated while it is in progress, and for some time after its end.
"""

import logging
import threading
import time
from dataclasses import dataclass

from migprog.metrics import conductor as metrics
from migprog.metrics.conductor import NovaIdLookup as Outcome

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LookupTimes:
    """When to ask Nova.

    ``most``: migrations in the queue. A migration is looked up at once, and again after each delay
    of ``under_way_seconds``, the last of which repeats while the migration is in progress or Nova
    does not answer; after its end, once after each delay of ``ended_seconds``. ``pause_seconds``
    lie between two rounds. Of more than ``few`` servers one request asks for all.
    ``search_interval_seconds``: how often the store is searched for migrations that other
    conductors have stored. At the start it is searched for those, too, that ended within
    ``search_at_start_seconds``, while Nova was away. ``failures_interval_seconds``: how often Nova
    is asked for migrations that failed before libvirt began.
    """

    most: int = 1000
    under_way_seconds: tuple[float, ...] = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0)
    ended_seconds: tuple[float, ...] = (2.0, 15.0, 60.0, 300.0, 900.0)
    pause_seconds: float = 0.2
    few: int = 5
    search_interval_seconds: float = 60.0
    search_at_start_seconds: float = 24 * 3600.0
    failures_interval_seconds: float = 15.0


@dataclass(slots=True)
class Waiting:
    """A migration without Nova's id, or whose id Nova's list of the server may still change.

    ``asked``: lookups while it was in progress; ``asked_since``: lookups since it ended.
    """

    server_uuid: str
    uuid: str
    due: float
    asked: int = 0
    asked_since: int = 0


class LookupQueue:
    """Any thread adds to it and stops it; one thread looks up what is due."""

    def __init__(self, patience: LookupTimes) -> None:
        self._patience = patience
        self._changed = threading.Condition()
        # By our UUIDs.
        self._waiting: dict[str, Waiting] = {}
        self._stopping = False

    @property
    def is_stopping(self) -> bool:
        return self._stopping

    def stop(self) -> None:
        """End the wait of the thread that looks up, for good."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def add(self, server_uuid: str, uuid: str) -> None:
        """Queue a migration, to be looked up at once. Never blocks."""
        with self._changed:
            if uuid in self._waiting:
                return
            if len(self._waiting) >= self._patience.most:
                metrics.nova_id_lookup(Outcome.DROPPED)
                return
            self._waiting[uuid] = Waiting(server_uuid, uuid, time.monotonic())
            self._changed.notify()

    def due(self) -> list[Waiting]:
        """Return the migrations that are due, and set when each is due again."""
        now = time.monotonic()
        with self._changed:
            due = [each for each in self._waiting.values() if each.due <= now]
        for each in due:
            # Kept unless this round gets an answer.
            each.asked += 1
            each.due = now + self._delay_seconds(each)
        return due

    def wait(self, until: float) -> None:
        """Wait until a lookup is due or the monotonic clock shows ``until``, at least for the
        pause."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, self._patience.pause_seconds)
            while not self._stopping:
                due = [each.due for each in self._waiting.values()]
                left = min([until, *due]) - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def again(self, waiting: Waiting, in_progress: bool, outcome: Outcome) -> None:
        """Set the time of the next lookup, or end the lookup after the last one."""
        patience, now = self._patience, time.monotonic()
        if in_progress:
            waiting.due = now + self._delay_seconds(waiting)
        elif waiting.asked_since < len(patience.ended_seconds):
            waiting.due = now + patience.ended_seconds[waiting.asked_since]
            waiting.asked_since += 1
        else:
            LOG.info(
                "Nova's id of migration %s of server %s is unknown: %s; it is not looked up again",
                *(waiting.uuid, waiting.server_uuid, outcome.value),
            )
            self.done(waiting, outcome)

    def done(self, waiting: Waiting, outcome: Outcome) -> None:
        """End the lookup of a migration."""
        with self._changed:
            self._waiting.pop(waiting.uuid, None)
        metrics.nova_id_lookup(outcome)

    def _delay_seconds(self, waiting: Waiting) -> float:
        """Return the delay before the next lookup of a migration in progress."""
        delays = self._patience.under_way_seconds
        return delays[min(waiting.asked, len(delays)) - 1]
