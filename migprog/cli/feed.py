# SPDX-License-Identifier: Apache-2.0
"""What is new of migrations: the one place that knows how the API is asked for it.

A feed's ``next`` waits until there may be news, and returns the migrations as they are then. This
one polls by conditional requests; one that waits for news of a list may take its place.
"""

import contextlib
import threading
import time
from typing import Protocol

from migprog.cli import outcome
from migprog.cli.client import Client, Query
from migprog.cli.errors import ApiRefused, ApiUnavailable
from migprog.cli.record import Record
from migprog.cli.state import Snapshot

# Of those that are in progress no longer; the others have their turn with the next polls.
_MAX_ENDS_A_POLL = 50
# A poll takes at most this share of the time, so that a slow API is asked less often.
_MAX_SHARE = 0.1
_MAX_WAIT_SECONDS = 30.0


class Feed(Protocol):
    def next(self) -> Snapshot:
        """Return the migrations when there may be news of them; at once the first time.

        Raises :class:`ApiUnavailable`, :class:`ApiRefused`; it may be called again then.
        """
        ...

    def overdue_seconds(self) -> float:
        """Return for how long an answer is overdue. Of any thread."""
        ...

    def stop(self) -> None:
        """Let a ``next`` that waits return soon. Of any thread."""
        ...


class _Polling:
    """Asks every ``interval_seconds``, or less often if answers take long."""

    def __init__(self, interval_seconds: float) -> None:
        self._interval_seconds = interval_seconds
        self._wait_seconds = 0.0
        self._asked: float | None = None
        self._stopped = threading.Event()

    def next(self) -> Snapshot:
        self._stopped.wait(self._wait_seconds)
        self._wait_seconds = self._interval_seconds
        began = self._asked = time.monotonic()
        try:
            snapshot = self._poll()
        finally:
            self._asked = None
        took = time.monotonic() - began
        rest = min(took / _MAX_SHARE - took, _MAX_WAIT_SECONDS)
        self._wait_seconds = max(self._interval_seconds - took, rest)
        return snapshot

    def overdue_seconds(self) -> float:
        asked = self._asked
        return 0.0 if asked is None else time.monotonic() - asked

    def stop(self) -> None:
        self._stopped.set()

    def _poll(self) -> Snapshot:
        raise NotImplementedError


class PollingFeed(_Polling):
    """Asks for the migrations that ``query`` selects."""

    def __init__(self, client: Client, query: Query, interval_seconds: float) -> None:
        super().__init__(interval_seconds)
        self._client = client
        self._query = query
        self._known: dict[int, Record] = {}
        # In progress before, and not looked at since.
        self._left: dict[int, Record] = {}

    def _poll(self) -> Snapshot:
        page = self._client.in_progress(self._query)
        # A record keeps its number, even if it gets another UUID.
        records = {each["id"]: each for each in page.records}
        if not page.truncated:
            # Of those on later pages nothing is known.
            self._left |= {key: each for key, each in self._known.items() if key not in records}
        self._known = records
        asked = dict(list(self._left.items())[:_MAX_ENDS_A_POLL])
        final = {key: _final(self._client, each) for key, each in asked.items()}
        # Not before all were read: what is lost in an outage is asked for after it.
        for key in asked:
            del self._left[key]
        return Snapshot(
            self._client.now(),
            records,
            [each for each in final.values() if each is not None and not each["in_progress"]],
            [asked[key] for key, each in final.items() if each is None],
            page.truncated,
        )


class HostFeed(PollingFeed):
    """Asks for the migrations from and to a host.

    ``is_silent``: whether the host's agent does not report, so that an empty list says nothing;
    None: not known, or the list is not empty.
    """

    def __init__(self, client: Client, host: str, interval_seconds: float) -> None:
        super().__init__(client, {"host": host}, interval_seconds)
        self._host = host
        self.is_silent: bool | None = None

    def _poll(self) -> Snapshot:
        snapshot = super()._poll()
        self.is_silent = None
        if not snapshot.records:
            with contextlib.suppress(ApiUnavailable):
                self.is_silent = self._client.drain(self._host)["stale"]
        return snapshot


class ServerFeed(_Polling):
    """Asks for one migration of a server.

    ``id_or_uuid``: which; None: the newest, if it is in progress or has just ended, else the next
    one to begin.
    """

    def __init__(
        self, client: Client, server_uuid: str, id_or_uuid: str | None, interval_seconds: float
    ) -> None:
        super().__init__(interval_seconds)
        self.id_or_uuid = id_or_uuid
        self._client = client
        self._server_uuid = server_uuid
        self._began_at: float | None = None

    def _poll(self) -> Snapshot:
        found = self._find()
        now = self._client.now()
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

    def _find(self) -> Record | None:
        if self.id_or_uuid is None:
            return self._client.newest(self._server_uuid)
        return self._client.migration(self._server_uuid, self.id_or_uuid)


def _final(client: Client, last: Record) -> Record | None:
    """Return the record as it is now; None if there is none any more."""
    try:
        return client.migration(last["server_uuid"], str(last["id"]))
    except ApiRefused as error:
        if error.status == 404:
            return None
        raise
