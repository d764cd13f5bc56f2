# SPDX-License-Identifier: Apache-2.0
"""Watchers of lists: one reading of the migrations in progress an interval, whatever their number.

A round reads all migrations in progress by one statement, and by one more the final records of
those that have just ended. Then each watcher whose list has changed is answered. Rounds begin with
the first watcher, and end when there has been none for as long as a cursor is known.

A watcher learns nothing of what its list does not show: cursors are random, one a round; it is
answered when its own list has changed or its time is over, at the end of a round or at a time of
its own choice.
"""

import collections
import functools
import logging
import secrets
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from datetime import UTC, datetime

from migprog import httpd, objects
from migprog.api import errors, views
from migprog.api.error_codes import ErrorCode
from migprog.api.news_bodies import Bodies, View, traits
from migprog.core.news import MOST_ROUNDS, Found, Snapshot
from migprog.metrics import api as metrics

LOG = logging.getLogger(__name__)

MOST_MIGRATIONS = 10_000
# The share of the watchers that one user may have.
_SHARE_OF_USER = 4
# How soon after its time is over a watcher is answered.
_TICK_SECONDS = 0.5
# Without a round for so many intervals, and seconds, lists are too old to be shown.
_BEHIND_INTERVALS, _BEHIND_SECONDS = 3, 10.0
_CURSOR_BYTES = 12


class _TooMany(Exception):
    """More migrations are in progress than a round reads."""


def _refusal(code: ErrorCode) -> errors.ApiError:
    return errors.ApiError(code, retry_after_seconds=int(errors.RETRY_AFTER_SECONDS))


class Watcher(httpd.Later):
    """A request that waits for news of a list.

    ``since``: the round that it knows; None: it gets the whole list with the next round.
    ``seconds``: how long it waits. ``user``: who is limited to a share of the watchers, None: is
    not.
    """

    def __init__(
        self, news: "ListWatchers", view: View, since: int | None, seconds: float, user: Hashable
    ) -> None:
        super().__init__()
        self.view = view
        self.since = since
        self.deadline = time.monotonic() + seconds
        self.user = user
        self._news = news

    def lost(self) -> None:
        self._news.forget(self)

    def cut_off(self) -> None:
        metrics.watcher_cut_off()


class ListWatchers:
    """The rounds and the watchers of a process.

    ``most``: how many watchers there may be, 0: none. Rounds are read every ``interval_seconds``.
    ``now`` returns the API's time.
    """

    def __init__(
        self,
        store: objects.Store,
        most: int,
        interval_seconds: float,
        stale_after_seconds: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._most = most
        self._interval_seconds = interval_seconds
        self._stale_after_seconds = stale_after_seconds
        self._now = now
        self._bodies = Bodies(now, stale_after_seconds)
        self._changed = threading.Condition()
        # Under its lock.
        self._snapshot: Snapshot | None = None
        self._watchers: dict[Watcher, None] = {}
        self._by_user: collections.Counter[Hashable] = collections.Counter()
        # What is raised while rounds fail.
        self._failure: Callable[[], Exception] | None = None
        # When the last round was read, or the first one began.
        self._read_at = self._asked_at = 0.0
        # What the present threads know each other by; None: there are none.
        self._run: object | None = None
        self._is_stopped = False

    def ask(
        self, view: View, cursor: str | None, seconds: float, user: Hashable
    ) -> bytes | Watcher:
        """Return the answer if there is one already, else a watcher that will be answered.

        ``cursor``: of the last answer, None: the whole list is asked for. ``seconds``: how long to
        wait for news; 0: not at all, but for a first round.
        Raises :class:`errors.ApiError`, :class:`objects.Unavailable`.
        """
        snapshot = self._started()
        since = None if snapshot is None or cursor is None else snapshot.round_of(cursor)
        if snapshot is not None and since is None and (cursor is None or not seconds):
            return self._bodies.whole(snapshot, view)
        watcher = Watcher(self, view, since, seconds, user)
        while True:
            if snapshot is not None and since is not None:
                body = self._bodies.news(snapshot, view, since)
                if body is not None or not seconds or self._is_stopped:
                    return body or self._bodies.nothing(snapshot, view)
            if since is None:
                # An unknown cursor gets the whole list with the next round, not at once: a client
                # that reaches another process with each request asks no more often than others.
                watcher.deadline = float("inf")
            with self._changed:
                if snapshot is self._snapshot:
                    self._add(watcher)
                    return watcher
                snapshot = self._snapshot
                if since is None and snapshot is not None:
                    return self._bodies.whole(snapshot, view)

    def look(self) -> None:
        """Read a round, and answer the watchers that have news by it. Does not raise."""
        try:
            snapshot = self._read(self._snapshot or Snapshot())
        except objects.Unavailable as error:
            self._fail(functools.partial(objects.Unavailable, error.why))
        except _TooMany:
            self._fail(functools.partial(_refusal, ErrorCode.TOO_MANY_MIGRATIONS))
        except Exception:
            LOG.exception(
                "failed to read the migrations in progress; watchers are answered 500; report "
                "this traceback as a bug"
            )
            self._fail(functools.partial(RuntimeError, "the migrations in progress are not read"))
        else:
            metrics.news_round("read")
            with self._changed:
                self._snapshot, self._failure = snapshot, None
                self._read_at = time.monotonic()
                watchers = list(self._watchers)
            self._answer(snapshot, watchers)

    def forget(self, watcher: Watcher) -> bool:
        """Take a watcher off; return whether it was there. It is not answered then."""
        with self._changed:
            if watcher not in self._watchers:
                return False
            del self._watchers[watcher]
            self._by_user[watcher.user] -= 1
            if not self._by_user[watcher.user]:
                del self._by_user[watcher.user]
            self._asked_at = time.monotonic()
        metrics.watchers(-1)
        return True

    def stop(self) -> None:
        """Answer all watchers, and let none wait any more."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
            snapshot, watchers = self._snapshot, list(self._watchers)
        for each in watchers:
            self._end(each, snapshot)

    def _started(self) -> Snapshot | None:
        """Return the last round, and have rounds read; None: there is none yet."""
        with self._changed:
            now = self._asked_at = time.monotonic()
            if self._run is None and not self._is_stopped:
                run, self._failure, self._read_at = object(), None, now
                # If the second one cannot be started, the first one ends, as it has no run.
                for target in (self._end_waits, self._read_rounds):
                    name = target.__name__.strip("_")
                    threading.Thread(target=target, args=(run,), name=name, daemon=True).start()
                self._run = run
            if self._failure is not None:
                raise self._failure()
            if self._is_behind(now) or (self._is_stopped and self._snapshot is None):
                raise objects.Unavailable("has not answered for some seconds")
            return self._snapshot

    def _is_behind(self, now: float) -> bool:
        most = max(_BEHIND_INTERVALS * self._interval_seconds, _BEHIND_SECONDS)
        return self._run is not None and now - self._read_at > most

    def _add(self, watcher: Watcher) -> None:
        share = max(1, self._most // _SHARE_OF_USER)
        has_share = watcher.user is not None and self._by_user[watcher.user] >= share
        if has_share or len(self._watchers) >= self._most:
            raise _refusal(ErrorCode.TOO_MANY_WATCHERS)
        self._watchers[watcher] = None
        self._by_user[watcher.user] += 1
        metrics.watchers(1)

    def _read(self, known: Snapshot) -> Snapshot:
        found = objects.Migration.list(self._store, in_progress=True, limit=MOST_MIGRATIONS + 1)
        if len(found) > MOST_MIGRATIONS:
            raise _TooMany
        in_progress = self._found(found)
        left = known.left_since(in_progress)
        final = objects.Migration.of_ids(self._store, left) if left else []
        ended = self._found(each for each in final if not each.in_progress)
        return known.next(in_progress, ended, secrets.token_urlsafe(_CURSOR_BYTES))

    def _found(self, migrations: Iterable[objects.Migration]) -> dict[int, Found]:
        now, after = self._now(), self._stale_after_seconds
        return {
            each.id: Found(
                traits(each),
                (each, views.is_stale(each.in_progress, each.last_reported_at, now, after)),
            )
            for each in migrations
        }

    def _fail(self, failure: Callable[[], Exception]) -> None:
        metrics.news_round("failed")
        with self._changed:
            self._failure = failure
            watchers = list(self._watchers)
        for each in watchers:
            self._end(each, None)

    def _answer(self, snapshot: Snapshot, watchers: Iterable[Watcher]) -> None:
        for each in watchers:
            if each.since is None:
                body: bytes | None = self._bodies.whole(snapshot, each.view)
            else:
                body = self._bodies.news(snapshot, each.view, each.since)
            if body is None:
                # What it knows is the state of this round, too.
                each.since = snapshot.round
            elif self.forget(each):
                each.answer(body)

    def _end(self, watcher: Watcher, snapshot: Snapshot | None) -> None:
        """Answer a watcher whose time is over; without a snapshot have its request served again, so
        that it is answered with the error."""
        if not self.forget(watcher):
            return
        since = watcher.since
        if snapshot is None or since is None:
            watcher.again()
            return
        body = self._bodies.news(snapshot, watcher.view, since)
        watcher.answer(body or self._bodies.nothing(snapshot, watcher.view))

    def _read_rounds(self, run: object) -> None:
        next_at = time.monotonic()
        while True:
            began = time.monotonic()
            self.look()
            now = time.monotonic()
            # The database rests as long as a round took, at least.
            next_at = max(next_at + self._interval_seconds, now + (now - began))
            if not self._wait(run, next_at - now):
                return

    def _end_waits(self, run: object) -> None:
        """Answer those whose time is over. In a thread of its own: a round may hang."""
        while self._wait(run, _TICK_SECONDS):
            now = time.monotonic()
            with self._changed:
                is_behind = self._is_behind(now)
                snapshot = None if is_behind else self._snapshot
                over = [e for e in self._watchers if e.deadline <= now or is_behind]
            for each in over:
                self._end(each, snapshot)

    def _wait(self, run: object, seconds: float) -> bool:
        """Wait; return whether the threads of this run go on."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped, seconds)
            linger_seconds = MOST_ROUNDS * self._interval_seconds
            is_idle = not self._watchers and time.monotonic() - self._asked_at > linger_seconds
            if self._run is run and (self._is_stopped or is_idle):
                self._run, self._snapshot = None, None
                self._bodies.clear()
            return self._run is run
