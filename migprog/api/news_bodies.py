# SPDX-License-Identifier: Apache-2.0
"""Answers to watchers of lists, as JSON. What several of them get is made once."""

import functools
import threading
import zlib
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from microversion_parse import Version

from migprog.api import json_bytes, views
from migprog.core.news import Entry, News, Selection, Snapshot, Traits
from migprog.objects import Migration

# What is kept of a round; beyond it answers are made again.
_MOST_BYTES = 32 * 2**20
# The fastest: a list of 1,000 is a tenth as long with it, and hardly shorter with more effort.
_LEVEL, _GZIP = 1, 31


@dataclass(frozen=True, slots=True)
class View:
    """Which migrations a watcher sees, and how: whether with hosts, in which microversion, with
    links to which address of the API; whether compressed by gzip. Watchers with one view get the
    same answers."""

    selection: Selection
    hosts: bool
    version: Version
    base: str
    is_compressed: bool = False


def traits(migration: Migration) -> Traits:
    """Return what filters look at."""
    return Traits(
        migration.server_uuid,
        migration.project_id,
        migration.source_compute,
        migration.dest_compute,
        migration.status,
        migration.verdict,
    )


class Bodies:
    """Makes answers, each once a round as long as they are not too large.

    ``now`` returns the API's time.
    """

    def __init__(self, now: Callable[[], datetime], stale_after_seconds: float) -> None:
        self._now = now
        self._stale_after_seconds = stale_after_seconds
        self._lock = threading.Lock()
        self._cursor = ""
        self._kept: dict[Hashable, bytes | None] = {}
        self._bytes = 0

    def whole(self, snapshot: Snapshot, view: View) -> bytes:
        """Return the answer with the whole list."""
        made = self._once(
            snapshot, view, lambda: self._made(snapshot, view, snapshot.whole(view.selection))
        )
        assert made is not None
        return made

    def news(self, snapshot: Snapshot, view: View, since: int) -> bytes | None:
        """Return the answer with what is new since a round; None: nothing is."""

        def make() -> bytes | None:
            news = snapshot.news(view.selection, since)
            return self._made(snapshot, view, news) if news else None

        return None if since == snapshot.round else self._once(snapshot, (view, since), make)

    def nothing(self, snapshot: Snapshot, view: View) -> bytes:
        """Return the answer that nothing is new."""
        made = self._once(snapshot, view.is_compressed, lambda: self._made(snapshot, view, News()))
        assert made is not None
        return made

    def clear(self) -> None:
        """Forget what was made."""
        with self._lock:
            self._cursor, self._kept, self._bytes = "", {}, 0

    def _made(self, snapshot: Snapshot, view: View, news: News) -> bytes:
        now = self._now()

        def shown(entries: Iterable[Entry]) -> Iterator[bytes]:
            for each in entries:
                key = (view.hosts, view.version, view.base, each.value[0].id, each.changed)
                make = functools.partial(self._shown, each, view, now)
                yield self._once(snapshot, key, make) or b""

        body = _document(shown(news.changed), shown(news.ended), news, snapshot.cursor)
        return zlib.compress(body, _LEVEL, wbits=_GZIP) if view.is_compressed else body

    def _shown(self, entry: Entry, view: View, now: datetime) -> bytes:
        migration, _is_stale = entry.value
        shown = views.migration(
            migration, view.base, now, self._stale_after_seconds, view.hosts, view.version
        )
        return json_bytes.dump(shown)

    def _once(
        self, snapshot: Snapshot, key: Hashable, make: Callable[[], bytes | None]
    ) -> bytes | None:
        with self._lock:
            if snapshot.cursor != self._cursor or self._bytes > _MOST_BYTES:
                self._cursor, self._kept, self._bytes = snapshot.cursor, {}, 0
            kept = self._kept
            if key in kept:
                return kept[key]
        made = make()
        with self._lock:
            if kept is self._kept:
                kept[key] = made
                self._bytes += len(made or b"")
        return made


def _document(changed: Iterable[bytes], ended: Iterable[bytes], news: News, cursor: str) -> bytes:
    rest = {"left": news.left, "whole": news.is_whole, "cursor": cursor}
    return b'{"migrations": [%b], "ended": [%b], %b' % (
        b", ".join(changed),
        b", ".join(ended),
        json_bytes.dump(rest)[1:],
    )
