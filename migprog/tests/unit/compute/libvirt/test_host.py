# SPDX-License-Identifier: Apache-2.0
"""When a libvirt's servers are looked at, on a connection that does nothing."""

from lab import fake_libvirt
from migprog.compute.libvirt import host
from migprog.compute.libvirt.callbacks import ALL
from migprog.compute.libvirt.search import Search
from migprog.concurrency import Inbox
from migprog.tests.fixtures.driven import SERVER


class Connection(fake_libvirt.Connection):
    def get(self):
        return self


class Searches(Search):
    def __init__(self, here):
        super().__init__("", here._inbox, here._reader, here._sampled)
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
