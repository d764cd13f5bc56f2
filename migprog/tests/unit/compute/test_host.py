# SPDX-License-Identifier: Apache-2.0
"""When a libvirt's servers are looked at, on a connection that does nothing."""

from migprog.compute import host

from migprog.concurrency import Inbox
from migprog.tests.fixtures.driven import SERVER

SECONDS = 30.0


class Connection:
    def isAlive(self):
        return True

    def close(self):
        pass


class Host(host.Host):
    """Notes what is searched for; after each search there is an event, up to ``most`` searches or
    ``full`` of them for all servers."""

    def __init__(self, scan_interval_seconds, most, full):
        super().__init__("", Inbox(), scan_interval_seconds, qemu_events=False)
        self.searches = []
        self._most, self._full_at_most = most, full

    @property
    def full(self):
        return sum(host._ALL in named for named in self.searches)

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
    assert [host._ALL in named for named in here.searches] == [True, False, False, False]
