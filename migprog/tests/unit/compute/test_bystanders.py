# SPDX-License-Identifier: Apache-2.0
"""A server that does not answer delays no other, whatever it is asked for, and by whom.

On a connection of this libvirt a call waits for the one before, as one of the real libvirt's may.
"""

import math
import threading
import time
import uuid

import libvirt
import pytest

from lab import fake_libvirt
from migprog.compute.libvirt import host
from migprog.compute.libvirt.callbacks import ALL
from migprog.compute.libvirt.loop_messages import AnswersAgain, NoAnswer
from migprog.concurrency import Inbox
from migprog.core.observation import Reading
from migprog.tests import inboxes

SECONDS = 30.0
MIGRATES = {"type": 2, "operation": 5, "time_elapsed": 2000, "memory_total": 2**20}


class Domain(fake_libvirt.Domain):
    def __init__(self, connection, server):
        super().__init__(server.uuid)
        self._connection = connection
        self._server = server

    def controlInfo(self):
        with self._connection.one_at_a_time:
            held = not self._server.answers.is_set()
            return [libvirt.VIR_DOMAIN_CONTROL_OCCUPIED if held else 0, 0, 0]

    def jobStats(self, _flags=0):
        with self._connection.one_at_a_time:
            self._server.answers.wait(SECONDS)
            return self._server.stats


class Server:
    def __init__(self, hangs=False, stats=None):
        self.uuid = str(uuid.uuid4())
        self.stats = stats or {"type": 0}
        self.answers = threading.Event()
        if not hangs:
            self.answers.set()


class Connection(fake_libvirt.Connection):
    def __init__(self, servers, capabilities):
        super().__init__()
        self._servers = servers
        self._capabilities = capabilities
        self.one_at_a_time = threading.Lock()

    def getCapabilities(self):
        return self._capabilities

    def lookupByUUIDString(self, server_uuid):
        (server,) = (each for each in self._servers if each.uuid == server_uuid)
        with self.one_at_a_time:
            return Domain(self, server)

    def getAllDomainStats(self, _stats, _flags):
        with self.one_at_a_time:
            domains = [Domain(self, server) for server in self._servers]
            return [(domain, domain.stats()) for domain in domains]

    def domainListGetStats(self, domains, stats, flags):
        with self.one_at_a_time:
            return super().domainListGetStats(domains, stats, flags)


class Site:
    """A host and what it hands over."""

    def __init__(self, monkeypatch, servers):
        capabilities = f"<capabilities><host><uuid>{uuid.uuid4()}</uuid></host></capabilities>"
        monkeypatch.setattr(libvirt, "openReadOnly", lambda _uri: Connection(servers, capabilities))
        self.servers = servers
        self.inbox = Inbox()
        self.host = host.Host("qemu:///system", self.inbox, 5.0, qemu_events=False)
        self.host._connect()
        self.inbox.get_all(0)
        self.unread = []
        self.samplers = []

    def sampler(self, server):
        self.samplers.append(self.host.sampler(server.uuid))
        return self.samplers[-1]

    def search(self):
        """Search as the host's own thread does; give up where that hangs."""
        thread = threading.Thread(target=self.host._search.run, args=([ALL],), daemon=True)
        thread.start()
        thread.join(SECONDS / 3)
        assert not thread.is_alive(), "a server that hangs holds up the search"

    def messages(self, kind, count=1):
        """Wait for so many of a kind, and take those that came; the others are left. As the agent's
        loop does, wait no longer for readings that are late."""
        while sum(isinstance(each, kind) for each in self.unread) < count:
            self.host.gathering.give_up_late(math.inf)
            self.unread += inboxes.take(self.inbox)
        seen = [each.server_uuid for each in self.unread if isinstance(each, kind)]
        self.unread = [each for each in self.unread if not isinstance(each, kind)]
        return seen


@pytest.fixture
def site(monkeypatch):
    sites = []

    def make(*servers):
        sites.append(Site(monkeypatch, servers))
        return sites[-1]

    yield make
    for each in sites:
        for server in each.servers:
            server.answers.set()
        for sampler in each.samplers:
            sampler.stop()
        each.host._close()
        each.host._claim.release()


def test_servers_that_hang_delay_the_discovery_of_no_other(site):
    other = Server(stats=MIGRATES)
    hung = [Server(hangs=True) for _ in range(2)]
    here = site(hung[0], Server(), hung[1], Server(), other)
    for _ in range(3):
        here.search()
        assert here.messages(Reading) == [other.uuid]


def test_servers_that_hang_as_they_are_read_delay_the_reading_of_no_other(site):
    hung, other = [Server(hangs=True, stats=MIGRATES) for _ in range(6)], Server(stats=MIGRATES)
    here = site(*hung, other)
    for server in hung:
        here.sampler(server).ask(0.0, 0.0)
    sampler = here.sampler(other)
    for _ in range(3):
        sampler.ask(now := time.monotonic(), now)
        assert here.messages(Reading) == [other.uuid]
    for server in hung:
        server.answers.set()
    assert sorted(here.messages(Reading, 6)) == sorted(server.uuid for server in hung)


def test_servers_that_hang_as_they_are_read_delay_the_search_for_no_other(site):
    hung, other = Server(hangs=True, stats=MIGRATES), Server(stats=MIGRATES)
    here = site(hung, other)
    here.sampler(hung).ask(0.0, 0.0)
    here.search()
    assert here.messages(Reading) == [other.uuid]


def test_a_server_that_answers_again_is_found(site):
    hung = Server(hangs=True, stats=MIGRATES)
    here = site(hung, Server())
    here.search()
    assert here.messages(NoAnswer) == [hung.uuid]
    hung.answers.set()
    assert here.messages(AnswersAgain) == [hung.uuid]
    # The call that was left waiting has read it.
    assert here.messages(Reading) == [hung.uuid]
