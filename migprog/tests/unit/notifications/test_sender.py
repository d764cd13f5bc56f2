# SPDX-License-Identifier: Apache-2.0
import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from lab.parts.processes import wait_for
from migprog.core.notices import Event, Kind, Priority
from migprog.metrics import REGISTRY
from migprog.notifications.sender import Sender, SendingLimits
from migprog.tests.fixtures.threads import cannot_start

_SECONDS = 30.0
_SOON = SendingLimits(keep_seconds=60.0, call_seconds=0.05, pause_seconds=0.01, stop_seconds=0.5)


def event(number: int = 0) -> Event:
    return Event(kind=Kind.END, priority=Priority.INFO, migration={"uuid": str(number)}, more={})


def counted(outcome: str) -> float:
    labels = {"event": "end", "outcome": outcome}
    return REGISTRY.get_sample_value("migprog_notifications_total", labels) or 0.0


class Broker:
    """Takes events; ``error`` is raised instead, and while ``open`` is clear it hangs."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.attempts = 0
        self.error: Exception | None = None
        self.open = threading.Event()
        self.open.set()

    def send(self, event: Event) -> None:
        self.attempts += 1
        self.open.wait(_SECONDS)
        if self.error is not None:
            raise self.error
        self.taken.append(event.migration["uuid"])


Make = Callable[[SendingLimits], Sender]


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def make(broker: Broker) -> Iterator[Make]:
    made: list[Sender] = []

    def make(patience: SendingLimits) -> Sender:
        made.append(Sender(broker.send, "notifications by broker x", patience=patience))
        return made[-1]

    yield make
    broker.open.set()
    for each in made:
        each.stop()


def test_events_are_sent_once_and_in_order(broker: Broker, make: Make) -> None:
    before = counted("sent")
    sender = make(_SOON)
    sender.put(map(event, range(50)))
    sender.put(map(event, range(50, 100)))
    wait_for(lambda: counted("sent") == before + 100, _SECONDS, "all to be sent")
    assert broker.taken == [str(number) for number in range(100)]


def test_nothing_runs_before_the_first_event(make: Make) -> None:
    """A WSGI server forks after it has made the application."""
    before = threading.active_count()
    make(_SOON).put([])
    assert threading.active_count() == before


def test_events_are_sent_once_a_thread_can_be_started(
    broker: Broker, make: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = make(_SOON)
    with monkeypatch.context() as system:
        system.setattr(threading.Thread, "start", cannot_start)
        sender.put([event(1)])
        sender.put([event(2)])
    (line,) = caplog.messages
    assert line.startswith("notifications by broker x: can't start new thread; notifications wait")
    sender.put([event(3)])
    wait_for(lambda: len(broker.taken) == 3, _SECONDS, "all to be sent")
    assert broker.taken == ["1", "2", "3"]


def test_event_is_sent_when_the_broker_is_back(
    broker: Broker, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    broker.error = ConnectionRefusedError("refused")
    sender = make(_SOON)
    sender.put([event(1), event(2)])
    wait_for(lambda: broker.attempts > 3, _SECONDS, "some attempts")
    broker.error = None
    wait_for(lambda: len(broker.taken) == 2, _SECONDS, "both to be sent")
    assert broker.taken == ["1", "2"]
    sender.stop()
    lines = [each.getMessage() for each in caplog.records if each.levelno >= logging.INFO]
    assert len(lines) == 2
    assert lines[0].startswith("notifications by broker x: cannot connect: refused; each is tried")
    assert "works again" in lines[1]


def test_broker_that_hangs_blocks_no_caller(broker: Broker, make: Make) -> None:
    """What it takes late counts as sent: it is not sent again."""
    broker.open.clear()
    sender = make(_SOON)
    begun = time.monotonic()
    sender.put(map(event, range(1000)))
    wait_for(lambda: broker.attempts, _SECONDS, "an attempt")
    sender.put(map(event, range(1000, 2000)))
    # No call of the broker's is part of it: 2,000 of them would take a hundred seconds.
    assert time.monotonic() - begun < _SECONDS
    assert broker.attempts == 1
    broker.open.set()
    wait_for(lambda: len(broker.taken) == 2000, _SECONDS, "all to be sent")
    assert broker.taken == [str(number) for number in range(2000)]


def test_oldest_are_dropped_counted_and_logged_once(
    broker: Broker, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    broker.open.clear()
    before = counted("dropped")
    sender = make(SendingLimits(most=10, call_seconds=60.0))
    sender.put([event(0)])
    wait_for(lambda: broker.attempts, _SECONDS, "the first to be under way")
    sender.put(map(event, range(1, 101)))
    assert counted("dropped") == before + 90
    broker.open.set()
    wait_for(lambda: len(broker.taken) == 11, _SECONDS, "the rest to be sent")
    assert broker.taken == ["0", *map(str, range(91, 101))]
    (line,) = (each.getMessage() for each in caplog.records if "dropped" in each.getMessage())
    assert "notification end of migration 1 is dropped: 10 wait for the broker" in line


def test_event_that_is_too_old_is_dropped(
    broker: Broker, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    broker.error = ConnectionRefusedError("refused")
    before = counted("dropped")
    sender = make(SendingLimits(keep_seconds=0.05, call_seconds=1.0, pause_seconds=0.01))
    sender.put(map(event, range(5)))
    wait_for(lambda: counted("dropped") == before + 5, _SECONDS, "all to be dropped")
    assert broker.taken == []
    (line,) = (each.getMessage() for each in caplog.records if "is dropped" in each.getMessage())
    assert "migration 0 is dropped: cannot connect: refused" in line


def test_unexpected_error_drops_one_event_alone(
    broker: Broker, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    broker.error = ZeroDivisionError("nobody foresaw this")
    sender = make(_SOON)
    sender.put([event(1)])
    wait_for(lambda: "this traceback as a bug" in caplog.text, _SECONDS, "the log line")
    broker.error = None
    sender.put([event(2)])
    wait_for(lambda: broker.taken == ["2"], _SECONDS, "the next to be sent")


def test_stop_sends_what_waits(broker: Broker, make: Make) -> None:
    sender = make(SendingLimits(stop_seconds=_SECONDS))
    sender.put(map(event, range(100)))
    sender.stop()
    assert len(broker.taken) == 100


def test_stop_does_not_wait_for_a_broker_that_hangs(broker: Broker) -> None:
    broker.open.clear()
    closed = threading.Event()

    def close() -> None:
        broker.open.wait(_SECONDS)
        closed.set()

    sender = Sender(broker.send, "notifications by broker y", close, _SOON)
    sender.put([event(1)])
    wait_for(lambda: broker.attempts, _SECONDS, "an attempt")
    sender.stop()
    assert not closed.is_set()
    broker.open.set()
    assert closed.wait(_SECONDS)


def test_nothing_is_sent_after_the_close(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """The transport is gone then: what still waits is dropped, and no bug is reported."""
    before = counted("dropped")
    broker.open.clear()
    closed = threading.Event()

    def send(event: Event) -> None:
        broker.send(event)
        raise AttributeError("the transport is gone")

    sender = Sender(send, "notifications by broker z", closed.set, SendingLimits(stop_seconds=0.05))
    sender.put(map(event, range(10)))
    wait_for(lambda: broker.attempts, _SECONDS, "an attempt")
    sender.stop()
    assert closed.wait(_SECONDS)
    broker.open.set()
    wait_for(lambda: counted("dropped") == before + 10, _SECONDS, "all to be dropped")
    assert broker.attempts == 1
    assert [line for line in caplog.records if line.levelno >= logging.ERROR] == []
