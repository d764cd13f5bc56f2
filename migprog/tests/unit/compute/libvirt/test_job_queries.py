# SPDX-License-Identifier: Apache-2.0
"""Servers that are asked for their jobs in real threads, and some that hang."""

import threading
import time

import pytest

from migprog.compute.libvirt import job_queries
from migprog.compute.libvirt.job_queries import MAX_WAITING, JobQueries, Lock
from migprog.compute.libvirt.loop_messages import AnswersAgain, NoAnswer
from migprog.concurrency import Inbox
from migprog.tests import inboxes
from migprog.tests.fixtures.threads import cannot_start

SECONDS = 30.0
# Whoever does answer does so within that, however busy the machine is.
PATIENCE_SECONDS = 0.5


class Server:
    """``lock`` is what libvirt says of its lock; asked for its job it waits for ``released``."""

    def __init__(self, hangs=False, lock=Lock.FREE, answers=True):
        self.lock = lock
        self.answers = answers
        self.released = threading.Event()
        if not hangs:
            self.released.set()
        self.asked = 0
        self.locks_asked = 0


class Connection:
    """Notes whether two threads use it at once, or one that is closed and was not opened again."""

    def __init__(self):
        self.calls = 0
        self.closed = False
        self.misused = False

    def get(self):
        self.closed = False
        return self

    def close(self):
        self.closed = True

    def __enter__(self):
        self.calls += 1
        self.misused |= self.closed or self.calls > 1

    def __exit__(self, *_details):
        self.calls -= 1


class Site:
    def __init__(self, **servers):
        self.inbox = Inbox()
        self.servers = servers
        self.insisted: list[str] = []
        self.connections: list[Connection] = []
        # That it hangs itself, until this is set.
        self.hangs: threading.Event | None = None
        self.asking = JobQueries(
            self.inbox, self._connect, self._ask, self._lock, patience_seconds=PATIENCE_SECONDS
        )

    def _connect(self):
        self.connections.append(Connection())
        return self.connections[-1]

    def _ask(self, connection, uuid, server):
        with connection:
            if server is None:
                self.insisted.append(uuid)
                return self.servers[uuid].released.wait(SECONDS)
            server.asked += 1
            server.released.wait(SECONDS)
            return server.answers

    def _lock(self, connection, uuid, _server):
        with connection:
            server = self.servers[uuid]
            server.locks_asked += 1
            if self.hangs is not None:
                self.hangs.wait(SECONDS)
            return server.lock

    def search(self):
        self.asking.ask_all(self.servers)

    def messages(self, count):
        """So many messages, in order, as words."""
        seen = [(type(each), each.server_uuid) for each in inboxes.take(self.inbox, count)]
        assert len(seen) == count
        return seen


@pytest.fixture
def site():
    sites = []

    def make(**servers):
        sites.append(Site(**servers))
        return sites[-1]

    yield make
    for each in sites:
        for server in each.servers.values():
            server.released.set()
        assert not any(connection.misused for connection in each.connections)
        each.inbox.close()


def wait_for(condition):
    give_up_at = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < give_up_at, "waited in vain"
        time.sleep(0.005)


def test_servers_that_answer_are_asked_once_and_for_nothing_else(site):
    here = site(a=Server(), b=Server())
    here.search()
    assert [(s.asked, s.locks_asked) for s in here.servers.values()] == [(1, 0)] * 2
    assert here.inbox.get_all(0) == []


def test_hanging_server_delays_no_other(site):
    here = site(a=Server(hangs=True), b=Server(), c=Server())
    here.search()
    assert [server.asked for server in here.servers.values()] == [1, 1, 1]
    assert here.messages(1) == [(NoAnswer, "a")]
    # It is not asked again as long as its call has not returned.
    here.search()
    assert [server.asked for server in here.servers.values()] == [1, 2, 2]
    here.servers["a"].released.set()
    assert here.messages(1) == [(AnswersAgain, "a")]
    wait_for(lambda: not here.asking._waited_for)
    here.search()
    assert [server.asked for server in here.servers.values()] == [2, 3, 3]


def test_servers_with_a_held_lock_are_not_queried_while_one_hangs(site):
    here = site(a=Server(hangs=True), b=Server(lock=Lock.HELD, hangs=True), c=Server())
    here.search()
    here.search()
    assert [server.asked for server in here.servers.values()] == [1, 0, 2]
    assert here.messages(2) == [(NoAnswer, "a"), (NoAnswer, "b")]
    here.servers["b"].lock = Lock.FREE
    here.servers["b"].released.set()
    here.search()
    assert here.messages(1) == [(AnswersAgain, "b")]


def test_a_server_whose_lock_a_job_holds_is_waited_for(site):
    here = site(a=Server(hangs=True), b=Server(lock=Lock.JOB, hangs=True))
    here.search()
    here.search()
    assert here.insisted == ["b"]
    here.servers["b"].released.set()
    assert here.messages(3)[-1] == (AnswersAgain, "b")


def test_server_is_queried_again_after_a_thread_that_waits_for_it_could_not_be_started(
    site, monkeypatch
):
    start = job_queries.native_thread

    def fail(target, name):
        # Those of the searches can.
        if name != "search":
            cannot_start(target, name)
        start(target, name)

    here = site(a=Server(lock=Lock.JOB))
    here.asking._no_answer("a")
    monkeypatch.setattr(job_queries, "native_thread", fail)
    with pytest.raises(RuntimeError):
        here.search()
    here.asking.reset()
    here.search()
    assert here.servers["a"].asked == 1


def test_no_more_than_a_few_of_libvirts_threads_are_kept_waiting(site):
    servers = {f"{n}": Server(lock=Lock.JOB, hangs=True) for n in range(20)}
    here = site(a=Server(hangs=True), **servers)
    here.search()
    here.search()
    assert len(here.insisted) == MAX_WAITING - 1
    assert sum(server.asked for server in servers.values()) == 0
    assert len(here.messages(21)) == 21


def test_a_call_that_has_given_up_is_followed_by_the_next_at_once(site):
    here = site(a=Server(hangs=True, answers=False))
    here.search()
    here.servers["a"].lock = Lock.JOB
    # As after half a minute in libvirt.
    here.servers["a"].released.set()
    assert here.messages(2) == [(NoAnswer, "a"), (AnswersAgain, "a")]
    assert here.insisted == ["a"]


def test_waiting_thread_keeps_its_connection_until_the_answer(site):
    here = site(a=Server(hangs=True), b=Server(hangs=True), c=Server())
    here.search()
    assert [server.asked for server in here.servers.values()] == [1, 1, 1]
    left = [each for each in here.connections if each.calls]
    assert len(left) == 2
    assert here.asking.connection not in left
    here.servers["a"].released.set()
    here.servers["b"].released.set()
    wait_for(lambda: all(each.closed for each in left))
    assert not here.asking.connection.closed


def test_a_libvirt_that_hangs_itself_is_not_asked_for_each_server(site):
    servers = {f"{n}": Server(hangs=True) for n in range(20)}
    here = site(**servers)
    here.hangs = threading.Event()
    here.search()
    assert [server.asked + server.locks_asked for server in servers.values()] == [2] + [0] * 19
    assert here.messages(1) == [(NoAnswer, "0")]
    for _ in range(2 * MAX_WAITING):
        here.search()
    assert sum(server.locks_asked for server in servers.values()) == MAX_WAITING
    here.hangs.set()
    wait_for(lambda: not here.asking._locks_waited_for)


def test_a_server_that_is_gone_is_waited_for_no_more(site):
    here = site(a=Server(hangs=True))
    here.search()
    here.asking.forget([])
    (silent, gone) = inboxes.take(here.inbox, 2)
    assert (silent.server_uuid, gone.server_uuid, gone.gone) == ("a", "a", True)


def test_unexpected_exception_is_raised(site):
    here = site()
    with pytest.raises(AttributeError):
        here.asking.ask_all({"a": "no server"})
