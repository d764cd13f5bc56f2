# SPDX-License-Identifier: Apache-2.0
"""How many readings a sampler makes, which of them is awaited, and who waits for it."""

import math
import time

import pytest

from migprog.compute.libvirt import sampler as samplers
from migprog.compute.libvirt.gathering import Gathering
from migprog.concurrency import Inbox, native_queue
from migprog.core.observation import Reading
from migprog.tests import inboxes
from migprog.tests.fixtures.driven import SERVER

SECONDS = 30.0
NOW = 0.0


class Server:
    """One whose calls return when a test has them return. ``began``: when each was made."""

    def __init__(self):
        self.began = []
        self.gathering = Gathering(Inbox())
        self._begun, self._returns, self._ended = (native_queue() for _ in range(3))
        self.sampler = samplers.Sampler(SERVER, self._read, self.gathering, self._ended.put)
        self.sampler.start()

    def _read(self):
        # As the thread has just set it.
        self.began.append(self.sampler._began_at)
        self._begun.put(self.began[-1])
        if self._returns.get():
            return Reading(server_uuid=SERVER, at=time.monotonic())
        raise ValueError

    def begun(self):
        """Wait until the next call is made; return when that was."""
        return self._begun.get(timeout=SECONDS)

    def answer(self, succeeds=True):
        """Have a call return; return its reading."""
        self._returns.put(succeeds)
        # As the agent's loop does, wait no longer for what is late.
        self.gathering.give_up_late(math.inf)
        (reading,) = inboxes.take(self.gathering._inbox)
        self.sampler.take(reading)
        return reading

    def calls(self):
        """End the thread when it has done what was requested; return how many calls it made."""
        for _ in range(10):
            self._returns.put(True)
        while self.sampler._is_requested or self.sampler._is_reading:
            time.sleep(0.001)
        self.end()
        self._ended.get(timeout=SECONDS)
        return len(self.began)

    def end(self):
        self.sampler.stop()
        self._returns.put(True)


@pytest.fixture
def server(monkeypatch):
    # However busy the machine is.
    monkeypatch.setattr(samplers, "LONGEST_SECONDS", math.inf)
    made = Server()
    yield made
    made.end()


def test_reading_that_an_iteration_has_requested_is_not_requested_again(server):
    server.sampler.ask(NOW, due_at=NOW)
    server.begun()
    server.sampler.read_next()
    server.sampler.ask(now := time.monotonic(), due_at=now)
    assert server.sampler.asked_at == now
    assert server.calls() == 2


def test_reading_in_progress_that_began_when_it_was_due_is_the_awaited_one(server):
    server.sampler.read_next()
    began_at = server.begun()
    server.sampler.ask(began_at + 1.0, due_at=began_at)
    assert server.sampler.asked_at == began_at
    assert server.answer().began_at == began_at
    assert server.sampler.asked_at is None
    assert server.calls() == 1


def test_reading_in_progress_that_began_before_it_was_due_is_repeated(server):
    server.sampler.read_next()
    due_at = math.nextafter(server.begun(), math.inf)
    server.sampler.ask(due_at, due_at)
    assert server.answer().began_at < server.sampler.asked_at == due_at
    server.begun()
    assert server.answer().began_at >= due_at
    assert server.sampler.asked_at is None
    assert server.calls() == 2


def test_reading_that_has_come_is_not_the_one_that_is_due_next(server):
    server.sampler.read_next()
    began_at = server.begun()
    server.answer()
    server.sampler.ask(began_at, due_at=began_at)
    assert server.calls() == 2


def test_reading_after_an_unexpected_error_says_when_it_began(server):
    server.sampler.ask(NOW, due_at=NOW)
    assert server.answer(succeeds=False).began_at == server.begun()


def test_iteration_counts_only_on_a_reading_that_begins_at_once(server):
    sampler = server.sampler
    assert sampler.read_next()
    server.begun()
    # A call is in progress, then one is requested besides.
    assert [sampler.read_next(), sampler.read_next()] == [False, False]
    assert server.calls() == 2
    assert not sampler.read_next()


def test_nothing_waits_for_a_server_that_was_late_until_it_was_in_time(server, monkeypatch):
    def others_wait():
        server.sampler.ask(NOW, due_at=math.inf)
        server.begun()
        waited_for = server.gathering.late_at is not None
        server.answer()
        return waited_for

    def events_wait():
        waited_for = server.sampler.read_next()
        server.begun()
        server.answer()
        return waited_for

    assert (others_wait(), events_wait()) == (True, True)
    monkeypatch.setattr(samplers, "LONGEST_SECONDS", 0.0)
    # It was in time before.
    assert others_wait()
    assert (others_wait(), events_wait()) == (False, False)
    monkeypatch.setattr(samplers, "LONGEST_SECONDS", math.inf)
    assert not events_wait()
    assert (others_wait(), events_wait()) == (True, True)
