# SPDX-License-Identifier: Apache-2.0
"""When a libvirt's servers are looked at, on a connection that does nothing or does not come."""

import threading

import libvirt
import pytest

from lab import fake_libvirt
from migprog.compute.libvirt import host, sampler
from migprog.compute.libvirt.callbacks import ALL
from migprog.compute.libvirt.loop_messages import Disconnected
from migprog.compute.libvirt.opening import Opening
from migprog.compute.libvirt.search import Search
from migprog.concurrency import Inbox
from migprog.core.observation import Reading
from migprog.tests import inboxes
from migprog.tests.fixtures.driven import SERVER
from migprog.tests.fixtures.threads import cannot_start

SECONDS = 30.0


class Connection(fake_libvirt.Connection):
    def get(self):
        return self


class Searches(Search):
    def __init__(self, here):
        super().__init__(Connection, here._inbox, here._reader, here._sampled)
        self._here = here

    def run(self, named):
        self._here.searched(named)


class Host(host.Host):
    """Notes what is searched for; after each search there is an event, up to ``most`` searches or
    ``full`` of them for all servers."""

    def __init__(self, scan_interval_seconds, most, full):
        super().__init__("", Inbox(), scan_interval_seconds, qemu_events=False)
        self._search = Searches(self)
        self.searches = []
        self._most, self._full_at_most = most, full

    @property
    def full(self):
        return sum(ALL in named for named in self.searches)

    def _connect(self):
        self._connection = Connection()

    def searched(self, named):
        self.searches.append(set(named))
        ends = len(self.searches) == self._most or self.full == self._full_at_most
        self._wakes.put(None if ends else SERVER)


def test_events_that_never_cease_put_off_no_search_of_all_servers():
    here = Host(scan_interval_seconds=0.25, most=40, full=3)
    here._run()
    assert here.full == 3
    # The servers of the events are looked at in between, and with all the others.
    assert all(SERVER in named for named in here.searches[1:])


def test_events_alone_cause_no_search_of_all_servers():
    here = Host(scan_interval_seconds=3600.0, most=4, full=40)
    here._run()
    assert [ALL in named for named in here.searches] == [True, False, False, False]


def test_a_shorter_interval_begins_with_a_search():
    """Else what it promises, and what is held against it, comes when the one before has passed."""

    class Changed(Host):
        def searched(self, named):
            super().searched(named)
            self.search_every(1800.0 if len(self.searches) == 2 else 3600.0)

    here = Changed(scan_interval_seconds=3600.0, most=40, full=2)
    here._run()
    assert [ALL in named for named in here.searches] == [True, False, True]


def test_server_with_a_sampler_is_left_to_it(monkeypatch):
    here = host.Host("", Inbox(), 5.0, qemu_events=False)
    left: list[str] = []
    monkeypatch.setattr(here._search, "leave_to_sampler", left.append)
    here.sampler(SERVER).stop()
    assert left == [SERVER]
    assert here._sampled() <= {SERVER}


@pytest.fixture
def silent(monkeypatch):
    """A host whose libvirt answers the connection for events, and no other for :data:`SECONDS`."""
    inbox, answers = Inbox(), threading.Event()
    here = host.Host("", inbox, 5.0, qemu_events=False, open_seconds=0.05)
    # However busy the machine is.
    here._opening = Opening(SECONDS)

    def open_(_uri):
        if here._connection is not None:
            answers.wait(SECONDS)
        return Connection()

    monkeypatch.setattr(libvirt, "openReadOnly", open_)
    yield here
    answers.set()
    inbox.close()


def test_host_connects_again_while_attempts_of_its_search_hang(silent):
    errors = []
    for _ in range(5):
        silent._wakes.put(None)
        silent._run()
        # It has not been connected.
        (message,) = silent._inbox.get_all(0)
        assert isinstance(message, Disconnected)
        errors.append(message.error)
    no_answer = "no answer from libvirt within 0.05 s"
    assert errors == [no_answer] * 4 + ["too many calls wait for libvirt"]


def test_sampler_whose_attempt_to_connect_hangs_ends(silent):
    silent._connection = Connection()
    hung = silent.sampler(SERVER)
    hung.ask(0.0, 0.0)
    (reading,) = inboxes.take(silent._inbox)
    assert isinstance(reading, Reading)
    assert reading.error == "no answer from libvirt within 0.05 s"
    hung.stop()
    while silent._sampled():
        silent._inbox.get_all(SECONDS)


def test_server_whose_sampler_cannot_be_started_is_left_to_the_searches(monkeypatch):
    monkeypatch.setattr(sampler, "native_thread", cannot_start)
    here = host.Host("", Inbox(), 5.0, qemu_events=False)
    with pytest.raises(RuntimeError):
        here.sampler(SERVER)
    assert here._sampled() == set()
    assert not here._read_next(SERVER)
