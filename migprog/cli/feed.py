# SPDX-License-Identifier: Apache-2.0
"""What is new of migrations: the one place that knows how the API is asked for it.

A feed's ``next`` waits until there may be news, and returns the migrations as they are then. This
one polls by conditional requests; one that waits for news of a list may take its place.
"""

import threading
import time
from dataclasses import dataclass, field
from typing import Protocol

from migprog.cli import outcome
from migprog.cli.client import Client, Query
from migprog.cli.errors import ApiRefused
from migprog.cli.record import Record
from migprog.cli.state import Snapshot

# Of those that are in progress no longer; the others have their turn with the next polls.
_MAX_ENDS_A_POLL = 50
# A poll takes at most this share of the time, so that a slow API is asked less often.
_MAX_SHARE = 0.1


class Feed(Protocol):
    def next(self) -> Snapshot:
        """Return the migrations when there may be news of them; at once the first time.

        Raises :class:`ApiUnavailable`, :class:`ApiRefused`; it may be called again then.
        """
        ...

    def stop(self) -> None:
        """Let a ``next`` that waits return soon. Of any thread."""
        ...


@dataclass(slots=True)
class PollingFeed:
    """Asks for the migrations that ``query`` selects every ``interval_seconds``, or less often if
    answers take long."""

    client: Client
    query: Query
    interval_seconds: float
    _known: dict[int, Record] = field(default_factory=dict)
    # In progress before, and not looked at since.
    _left: dict[int, Record] = field(default_factory=dict)
    _wait_seconds: float = 0.0
    _stopped: threading.Event = field(default_factory=threading.Event)

    def next(self) -> Snapshot:
        self._stopped.wait(self._wait_seconds)
        began = time.monotonic()
        self._wait_seconds = self.interval_seconds
        snapshot = self._poll()
        took = time.monotonic() - began
        self._wait_seconds = max(self.interval_seconds - took, took / _MAX_SHARE - took)
        return snapshot

    def stop(self) -> None:
        self._stopped.set()

    def _poll(self) -> Snapshot:
        page = self.client.in_progress(self.query)
        # A record keeps its number, even if it gets another UUID.
        records = {each["id"]: each for each in page.records}
        if not page.truncated:
            # Of those on later pages nothing is known.
            self._left |= {key: each for key, each in self._known.items() if key not in records}
        self._known = records
        asked = dict(list(self._left.items())[:_MAX_ENDS_A_POLL])
        final = {key: _final(self.client, each) for key, each in asked.items()}
        # Not before all were read: what is lost in an outage is asked for after it.
        for key in asked:
            del self._left[key]
        return Snapshot(
            self.client.now(),
            records,
            [each for each in final.values() if each is not None and not each["in_progress"]],
            [asked[key] for key, each in final.items() if each is None],
            page.truncated,
        )


@dataclass(slots=True)
class ServerFeed:
    """Asks for one migration of a server every ``interval_seconds``.

    ``id_or_uuid``: which; None: the newest, if it is in progress or has just ended, else the next
    one to begin.
    """

    client: Client
    server_uuid: str
    id_or_uuid: str | None
    interval_seconds: float
    _began_at: float | None = None
    _wait_seconds: float = 0.0
    _stopped: threading.Event = field(default_factory=threading.Event)

    def next(self) -> Snapshot:
        self._stopped.wait(self._wait_seconds)
        self._wait_seconds = self.interval_seconds
        found = self._find()
        now = self.client.now()
        if self._began_at is None:
            self._began_at = now
        if found is None or (
            self.id_or_uuid is None and not outcome.is_meant(found, self._began_at)
        ):
            return Snapshot(now, {})
        self.id_or_uuid = self.id_or_uuid or str(found["id"])
        if found["in_progress"]:
            return Snapshot(now, {found["id"]: found})
        return Snapshot(now, {}, ended=[found])

    def stop(self) -> None:
        self._stopped.set()

    def _find(self) -> Record | None:
        if self.id_or_uuid is None:
            return self.client.newest(self.server_uuid)
        return self.client.migration(self.server_uuid, self.id_or_uuid)


def _final(client: Client, last: Record) -> Record | None:
    """Return the record as it is now; None if there is none any more."""
    try:
        return client.migration(last["server_uuid"], str(last["id"]))
    except ApiRefused as error:
        if error.status == 404:
            return None
        raise
