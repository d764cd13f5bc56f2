# SPDX-License-Identifier: Apache-2.0
"""What is new of migrations: the one place that knows how the API is asked for it.

A feed's ``next`` waits until there may be news, and returns the migrations as they are then. A list
is followed by requests that wait for its news where the API offers that, else by polls.
"""

import contextlib
import threading
import time
from collections.abc import Mapping
from typing import Protocol

from migprog.cli import exit_status
from migprog.cli.client import Client, News, Query
from migprog.cli.errors import ApiRefused, ApiUnavailable
from migprog.cli.record import Record
from migprog.cli.state import Snapshot

# Of those that are in progress no longer; the others have their turn with the next polls.
_MAX_ENDS_A_POLL = 50
# A poll takes at most this share of the time, so that a slow API is asked less often.
_MAX_SHARE = 0.1
_MAX_WAIT_SECONDS = 30.0
# How long a request waits for news, and how long lists are polled when no watcher is free.
_NEWS_SECONDS = 10
# Then it hangs.
LONGEST_ANSWER_SECONDS = 15.0
_POLLS_SECONDS = 60.0


class Feed(Protocol):
    def next(self) -> Snapshot:
        """Return the migrations when there may be news of them; at once the first time.

        Raises :class:`ApiUnavailable`, :class:`ApiRefused`; it may be called again then.
        """
        ...

    def overdue_seconds(self) -> float:
        """Return for how long an answer is overdue. May be called in any thread."""
        ...

    def stop(self) -> None:
        """Let a ``next`` that waits return soon. May be called in any thread."""
        ...


class _Polling:
    """Asks every ``interval_seconds``, or less often if answers take long."""

    def __init__(self, interval_seconds: float) -> None:
        self._interval_seconds = interval_seconds
        self._wait_seconds = 0.0
        self._asked: float | None = None
        # How long an answer may take that waits for news.
        self._waits_seconds = 0
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
        # Not what the API waited for news.
        busy = 0.0 if self._waits_seconds else took
        rest = min(busy / _MAX_SHARE - busy, _MAX_WAIT_SECONDS)
        self._wait_seconds = max(self._interval_seconds - took, rest)
        return snapshot

    def overdue_seconds(self) -> float:
        asked = self._asked
        if asked is None:
            return 0.0
        return max(0.0, time.monotonic() - asked - self._waits_seconds)

    def stop(self) -> None:
        self._stopped.set()

    def _poll(self) -> Snapshot:
        raise NotImplementedError


class ListFeed(_Polling):
    """Asks for the migrations that ``query`` selects: for what is new of them, not sooner than
    ``interval_seconds`` after the last answer; or for all of them."""

    def __init__(self, client: Client, query: Query, interval_seconds: float) -> None:
        super().__init__(interval_seconds)
        self._client = client
        self._query = query
        self._known: dict[int, Record] = {}
        # In progress before, and not looked at since.
        self._left: dict[int, Record] = {}
        self._cursor: str | None = None
        self._polls_until = 0.0

    def _poll(self) -> Snapshot:
        news = self._news() if time.monotonic() >= self._polls_until else None
        if news is None:
            return self._snapshot(*self._listed(), {})
        records = {} if news.is_whole else dict(self._known)
        for key in news.left:
            records.pop(key, None)
        records |= {each["id"]: each for each in news.changed}
        # Newest first, as a list is.
        records = dict(sorted(records.items(), reverse=True))
        snapshot = self._snapshot(records, False, {each["id"]: each for each in news.ended})
        self._cursor = news.cursor
        return snapshot

    def _news(self) -> News | None:
        """Return what is new, once something is; None: the list is to be asked for."""
        # The first answer, and the one after an outage, is waited for by people.
        self._waits_seconds = _NEWS_SECONDS if self._cursor is not None else 0
        try:
            news = self._client.news(self._query, self._cursor, self._waits_seconds)
        except ApiUnavailable:
            self._cursor = None
            raise
        if news is None:
            self._waits_seconds, self._cursor = 0, None
            self._polls_until = time.monotonic() + _POLLS_SECONDS
        return news

    def _listed(self) -> tuple[dict[int, Record], bool]:
        page = self._client.in_progress(self._query)
        # A record keeps its number, even if it gets another UUID.
        return {each["id"]: each for each in page.records}, page.truncated

    def _snapshot(
        self, records: dict[int, Record], truncated: bool, ended: Mapping[int, Record]
    ) -> Snapshot:
        """Return what is known now. ``ended``: final records that need not be asked for."""
        if not truncated:
            # Of those on later pages nothing is known.
            self._left |= {key: each for key, each in self._known.items() if key not in records}
        self._known = records
        asked = dict(list(self._left.items())[:_MAX_ENDS_A_POLL])
        final = {
            key: ended[key] if key in ended else _final(self._client, each)
            for key, each in asked.items()
        }
        # Not before all were read: what is lost in an outage is asked for after it.
        for key in asked:
            del self._left[key]
        return Snapshot(
            self._client.now(),
            records,
            [each for each in final.values() if each is not None and not each["in_progress"]],
            [asked[key] for key, each in final.items() if each is None],
            truncated,
        )


class HostFeed(ListFeed):
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
                self.is_silent = self._client.drain(self._host)["silent"]
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
            self.id_or_uuid is None and not exit_status.is_meant(found, self._began_at)
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
