# SPDX-License-Identifier: Apache-2.0
"""When a libvirt's servers are looked at, on a connection that does nothing."""

from lab import fake_libvirt
from migprog.compute.libvirt import host
from migprog.compute.libvirt.callbacks import ALL
from migprog.compute.libvirt.events import Answers, NoAnswer
from migprog.compute.libvirt.job_queries import Lock
from migprog.compute.unresponsive_servers import UnresponsiveServers
from migprog.concurrency import Inbox
from migprog.tests import inboxes
from migprog.tests.fixtures.driven import SERVER


class Connection(fake_libvirt.Connection):
    def get(self):
        return self


class Host(host.Host):
    """Notes what is searched for; after each search there is an event, up to ``most`` searches or
    ``full`` of them for all servers."""

    def __init__(self, scan_interval_seconds, most, full):
        super().__init__("", Inbox(), scan_interval_seconds, qemu_events=False)
        self.searches = []
        self._most, self._full_at_most = most, full

    @property
    def full(self):
        return sum(ALL in named for named in self.searches)

    def _connect(self):
        self._connection = Connection()

    def _search(self, named):
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
        def _search(self, named):
            super()._search(named)
            self.search_every(1800.0 if len(self.searches) == 2 else 3600.0)

    here = Changed(scan_interval_seconds=3600.0, most=40, full=2)
    here._run()
    assert [ALL in named for named in here.searches] == [True, False, True]


class Silent(host.Host):
    """One server, which a search has found silent."""

    def __init__(self):
        self.inbox = Inbox()
        super().__init__("", self.inbox, 5.0, qemu_events=False)
        self._connection = self._asking.connection = Connection()
        self._asking._no_answer(SERVER)

    def _states(self, _connection, _named):
        return [(fake_libvirt.Domain(SERVER), {})]

    def _ask(self, _connection, server_uuid, _asked):
        # Its sampler begins just now.
        self.began = self.sampler(server_uuid)
        self._asking._no_answer(server_uuid)
        return False

    def _lock(self, _connection, _server_uuid, _asked):
        return Lock.FREE


def test_search_skips_a_watched_server_that_does_not_answer(caplog):
    here, silent = Silent(), UnresponsiveServers()
    sampler = here.sampler(SERVER)
    try:
        began, ended = inboxes.take(here.inbox, 2)
        assert [type(began), type(ended)] == [NoAnswer, Answers]
        silent.begins(SERVER, began.at)
        silent.ends(SERVER, ended.at, ended.gone)
        silent.look(began.at + 3600.0, 10.0)
        assert caplog.records == []
        assert not here._asking._unanswered
    finally:
        sampler.stop()


def test_search_skips_a_server_that_becomes_watched_meanwhile():
    here = Silent()
    try:
        here._search([ALL])
        assert not here._asking._unanswered
    finally:
        here.began.stop()
