# SPDX-License-Identifier: Apache-2.0
"""Follow migrations until somebody ends it, or until what a script waits for has come about."""

import contextlib
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

from migprog.cli.errors import ApiRefused, ApiUnavailable
from migprog.cli.events import Event
from migprog.cli.exit_status import Exit
from migprog.cli.feed import Feed
from migprog.cli.screen import Screen
from migprog.cli.state import Snapshot, State

# Times left count down, and figures grow old.
TICK_SECONDS = 1.0
# An answer that takes longer is an outage: the figures grow old.
OVERDUE_SECONDS = 5.0
_STOP_SECONDS = 0.2

# Takes the state and the seconds since the first answer; returns an exit status, or None to go on.
Decide: TypeAlias = Callable[[State, float], Exit | None]


def follow(feed: Feed, screen: Screen, now: Callable[[], float], decide: Decide) -> Exit:
    """Show migrations until ``decide`` says that it is over; return its exit status.

    ``now``: the API's clock. Raises :class:`ApiUnavailable` and :class:`ApiRefused` of the first
    request; later failures are shown as outages, and it continues.
    """
    state = State()
    began: float | None = None
    with _read(feed) as news, _ended_by_signals():
        while True:
            found = _next(news)
            if isinstance(found, Snapshot):
                screen.show(state, state.take(found), now())
            elif found is None:
                screen.show(state, _overdue(feed, state, now()), now())
            elif isinstance(found, ApiUnavailable | ApiRefused) and state.taken_at is not None:
                screen.show(state, state.fail(str(found), now()), now())
            else:
                raise found
            if state.taken_at is None:
                # The first request has a deadline of its own.
                continue
            began = time.monotonic() if began is None else began
            code = decide(state, time.monotonic() - began)
            if code is not None:
                return code


def _overdue(feed: Feed, state: State, now: float) -> list[Event]:
    seconds = feed.overdue_seconds()
    if state.taken_at is None or seconds < OVERDUE_SECONDS:
        return []
    return state.fail(f"the API has not answered for {seconds:.0f} s", now)


_News: TypeAlias = "queue.Queue[Snapshot | Exception]"


def _next(news: _News) -> Snapshot | Exception | None:
    """Return what is new; None if nothing is for a second."""
    try:
        return news.get(timeout=TICK_SECONDS)
    except queue.Empty:
        return None


@contextlib.contextmanager
def _read(feed: Feed) -> Iterator[_News]:
    """Read a feed in a thread of its own, so that an API that hangs holds up nothing."""
    news: _News = queue.Queue(maxsize=1)
    stopped = threading.Event()

    def put(found: Snapshot | Exception) -> None:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                news.put(found, timeout=TICK_SECONDS)
                return

    def read() -> None:
        while not stopped.is_set():
            try:
                found: Snapshot | Exception = feed.next()
            except Exception as error:
                found = error
            put(found)

    thread = threading.Thread(target=read, name="feed", daemon=True)
    thread.start()
    try:
        yield news
    finally:
        stopped.set()
        feed.stop()
        thread.join(_STOP_SECONDS)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Leave the terminal as it was when the process is asked to end, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = {each: signal.signal(each, end) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
