# SPDX-License-Identifier: Apache-2.0
"""Following a feed; the feeds here say what a test has them say."""

import threading
import time
from collections.abc import Sequence

import pytest

from migprog.cli import watch
from migprog.cli.errors import ApiRefused, ApiUnavailable
from migprog.cli.events import Event, Kind
from migprog.cli.exit_status import Exit
from migprog.cli.state import Snapshot, State
from migprog.tests.unit.cli.records import NOW, record


class Feed:
    """Gives what it was given, then hangs until it is stopped."""

    def __init__(self, *news: Snapshot | Exception) -> None:
        self._news = list(news)
        self._stopped = threading.Event()
        self.hung = False

    def next(self) -> Snapshot:
        if not self._news:
            self.hung = True
            self._stopped.wait()
            raise ApiUnavailable("stopped")
        found = self._news.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def overdue_seconds(self) -> float:
        return 1000.0 if self.hung else 0.0

    def stop(self) -> None:
        self._stopped.set()


class Screen:
    def __init__(self) -> None:
        self.kinds: list[Kind] = []

    def show(self, state: State, news: Sequence[Event], now: float) -> None:
        self.kinds += [each.kind for each in news]


def follow(feed: Feed, until: Kind) -> list[Kind]:
    """What happened up to the first event of a kind, after which the watch is over."""
    screen = Screen()
    code = watch.follow(
        feed, screen, lambda: NOW, lambda _s, _t: Exit.FAILED if until in screen.kinds else None
    )
    assert code == Exit.FAILED
    return screen.kinds


@pytest.mark.parametrize("error", [ApiUnavailable("away"), ApiRefused("no", 403), ValueError("x")])
def test_first_request_has_to_succeed(error: Exception) -> None:
    with pytest.raises(type(error)):
        follow(Feed(error), Kind.LISTED)


def test_later_failures_are_outages_until_the_next_answer() -> None:
    one = Snapshot(NOW, {1: record(1)})
    feed = Feed(one, ApiUnavailable("away"), ApiRefused("no token", 401), one)
    assert follow(feed, Kind.API_AVAILABLE) == [
        Kind.LISTED,
        Kind.API_UNAVAILABLE,
        Kind.API_AVAILABLE,
    ]


def test_error_of_our_own_ends_the_watch() -> None:
    with pytest.raises(KeyError):
        follow(Feed(Snapshot(NOW, {}), KeyError("percent")), Kind.LISTED)


def test_api_that_hangs_is_an_outage_though_nothing_has_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "TICK_SECONDS", 0.01)
    assert follow(Feed(Snapshot(NOW, {})), Kind.API_UNAVAILABLE) == [Kind.API_UNAVAILABLE]


def test_time_counts_from_the_first_answer() -> None:
    seconds: list[float] = []

    def decide(_state: State, since: float) -> Exit | None:
        seconds.append(since)
        return Exit.TIMEOUT

    began = time.monotonic()
    assert watch.follow(Feed(Snapshot(NOW, {})), Screen(), lambda: NOW, decide) == Exit.TIMEOUT
    assert 0 <= seconds[0] <= time.monotonic() - began
