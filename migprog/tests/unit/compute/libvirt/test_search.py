# SPDX-License-Identifier: Apache-2.0
"""What a search leaves to a sampler, on a connection that does nothing."""

from lab import fake_libvirt
from migprog.compute.libvirt.callbacks import ALL
from migprog.compute.libvirt.domain_reader import Reader
from migprog.compute.libvirt.job_queries import Lock
from migprog.compute.libvirt.loop_messages import AnswersAgain, NoAnswer
from migprog.compute.libvirt.search import Search
from migprog.compute.unresponsive_servers import UnresponsiveServers
from migprog.concurrency import Inbox
from migprog.tests import inboxes
from migprog.tests.fixtures.driven import SERVER


class Connection(fake_libvirt.Connection):
    def get(self):
        return self


class Silent(Search):
    """One server, which a search has found silent."""

    def __init__(self):
        self.inbox = Inbox()
        self.watched: set[str] = set()
        super().__init__(Connection, self.inbox, Reader(), lambda: self.watched)
        self._queries._no_answer(SERVER)

    def _states(self, _connection, _named):
        return [(fake_libvirt.Domain(SERVER), {})]

    def _ask(self, _connection, server_uuid, _asked):
        # Its sampler begins just now.
        self.watched.add(server_uuid)
        self.leave_to_sampler(server_uuid)
        self._queries._no_answer(server_uuid)
        return False

    def _lock(self, _connection, _server_uuid, _asked):
        return Lock.FREE


def test_search_skips_a_watched_server_that_does_not_answer(caplog):
    here, silent = Silent(), UnresponsiveServers()
    here.leave_to_sampler(SERVER)
    began, ended = inboxes.take(here.inbox, 2)
    assert [type(began), type(ended)] == [NoAnswer, AnswersAgain]
    silent.begins(SERVER, began.at)
    silent.ends(SERVER, ended.at, ended.gone)
    silent.look(began.at + 3600.0, 10.0)
    assert caplog.records == []
    assert not here._queries._unanswered


def test_search_skips_a_server_that_becomes_watched_meanwhile():
    here = Silent()
    here.run([ALL])
    assert not here._queries._unanswered
