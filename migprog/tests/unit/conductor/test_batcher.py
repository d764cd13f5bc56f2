# SPDX-License-Identifier: Apache-2.0
import dataclasses
import threading

import pytest

from lab.parts.processes import wait_for
from migprog.conductor import batcher
from migprog.conductor.batcher import BatchWindow, ReportBatcher
from migprog.core.messages import Ack, Batch
from migprog.metrics import REGISTRY
from migprog.objects import Stored, Unavailable
from migprog.tests import stores
from migprog.tests.store_cases.agents import AGENT

_SECONDS = 60


class Database:
    """Stores as fast as it is let: each transaction waits for :attr:`go`."""

    def __init__(self):
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.transactions = []
        self.error = None
        self.poison = None

    def store(self, heard):
        self.begun.release()
        assert self.go.acquire(timeout=_SECONDS)
        self.transactions.append([each.batch for each in heard])
        if self.error is not None:
            raise self.error
        if any(each.batch.host == self.poison for each in heard):
            raise ZeroDivisionError("nobody foresaw this")
        return [Stored(Ack(), len(each.batch.reports)) for each in heard]


@pytest.fixture
def database():
    return Database()


@pytest.fixture
def intake(database):
    intake = ReportBatcher(database.store)
    intake.start()
    yield intake
    for _ in range(100):
        database.go.release()
    intake.stop()


def batch(*reports, host="a"):
    return Batch(host=host, node=host, reports=reports)


class Storing(threading.Thread):
    def __init__(self, intake, told):
        super().__init__(daemon=True)
        self.intake, self.told = intake, told
        self.stored = self.error = None
        self.start()

    def run(self):
        try:
            self.stored = self.intake.store(self.told)
        except Exception as error:
            self.error = error

    def answer(self):
        self.join(_SECONDS)
        assert not self.is_alive()
        return self.stored


def busy(database, intake):
    """Have a first transaction under way; gives who waits for it."""
    first = Storing(intake, batch(stores.report(), host="first"))
    assert database.begun.acquire(timeout=_SECONDS)
    return first


def waiting(intake, count):
    """Wait until so many ask."""
    with intake._changed:
        pass
    while True:
        with intake._changed:
            if len(intake._pending) == count:
                return


def test_an_idle_database_is_handed_each_batch_at_once(database, intake):
    database.go.release()
    report = stores.report()
    assert intake.store(batch(report)).reports == 1
    assert len(database.transactions) == 1


def test_batches_received_meanwhile_are_stored_together(database, intake):
    first = busy(database, intake)
    others = [Storing(intake, batch(stores.report(), host=str(n))) for n in range(5)]
    waiting(intake, 5)
    database.go.release(2)
    for each in (first, *others):
        assert each.answer().reports == 1
    assert [len(transaction) for transaction in database.transactions] == [1, 5]


def test_number_of_batches_in_a_transaction_is_limited(database, intake):
    first = busy(database, intake)
    large = tuple(stores.report() for _ in range(500))
    others = [Storing(intake, batch(*large, host=str(n))) for n in range(6)]
    waiting(intake, 6)
    database.go.release(3)
    for each in (first, *others):
        each.answer()
    assert [len(transaction) for transaction in database.transactions] == [1, 4, 2]


def test_of_progress_the_latest_is_kept(database, intake):
    first = busy(database, intake)
    one, two = stores.report(), stores.report()
    superseded = REGISTRY.get_sample_value("migprog_reports_superseded_total")
    for sequence in (2, 4, 3):
        intake.keep(batch(stores.later(one, sequence=sequence), stores.later(two, sequence=1)))
    database.go.release(2)
    first.answer()
    assert database.begun.acquire(timeout=_SECONDS)
    intake.stop()
    ((kept,),) = database.transactions[1:]
    assert sorted(report.sequence for report in kept.reports) == [1, 4]
    assert REGISTRY.get_sample_value("migprog_reports_superseded_total") == superseded + 4


def test_more_progress_than_may_wait_is_dropped_counted_and_logged_once(database, caplog):
    intake = ReportBatcher(database.store, most_waiting=3)
    intake.start()
    first = busy(database, intake)
    overflowed = REGISTRY.get_sample_value("migprog_reports_overflowed_total")
    known = [stores.report() for _ in range(3)]
    intake.keep(batch(*known, *(stores.report() for _ in range(4)), host="flood"))
    intake.keep(batch(*(stores.later(each, sequence=5) for each in known), host="flood"))
    database.go.release(2)
    first.answer()
    assert database.begun.acquire(timeout=_SECONDS)
    intake.stop()
    ((kept,),) = database.transactions[1:]
    assert {(each.uuid, each.sequence) for each in kept.reports} == {(k.uuid, 5) for k in known}
    assert REGISTRY.get_sample_value("migprog_reports_overflowed_total") == overflowed + 4
    assert caplog.text.count("3 progress reports wait for the database") == 1


def test_database_that_is_away_fails_the_waiting_batches(database, intake):
    database.error = Unavailable("away")
    intake.keep(batch(stores.report()))
    asking = Storing(intake, batch(stores.report()))
    database.go.release(2)
    asking.answer()
    assert asking.error is database.error
    database.error = None
    database.go.release()
    assert intake.store(batch(stores.report())).reports


def test_batch_that_cannot_be_stored_does_not_affect_others(database, intake):
    first = busy(database, intake)
    bad = Storing(intake, batch(stores.report(), host="bad"))
    good = Storing(intake, batch(stores.report(), host="good"))
    waiting(intake, 2)
    database.poison = "bad"
    database.go.release(10)
    assert first.answer()
    assert good.answer().reports
    bad.answer()
    assert isinstance(bad.error, ZeroDivisionError)


def test_stop_stores_pending_batches(database):
    intake = ReportBatcher(database.store)
    intake.keep(batch(stores.report()))
    database.go.release()
    intake.start()
    intake.stop()
    assert len(database.transactions) == 1


def test_transactions_begin_a_moment_apart():
    """What comes alone is stored at once; what follows soon is stored together, and at the latest
    with what somebody waits for."""
    database = Database()
    for _ in range(3):
        database.go.release()
    intake = ReportBatcher(database.store, BatchWindow(0.0, 60.0, 60.0))
    intake.start()
    for waiting in (0, 5):
        for number in range(waiting):
            intake.keep(batch(stores.report(), host=f"host-{number}"))
        assert intake.store(batch(stores.report())).reports
    for number in range(3):
        intake.keep(batch(stores.report(), host=f"host-{number}"))
    intake.stop()
    assert [len(transaction) for transaction in database.transactions] == [1, 6, 3]


def test_progress_of_few_messages_waits_for_enough():
    database = Database()
    for _ in range(3):
        database.go.release()
    window = BatchWindow(0.0, 0.0, for_few_messages_seconds=3600.0, enough_messages=3)
    intake = ReportBatcher(database.store, window)
    intake.start()

    def stored():
        return [len(transaction) for transaction in database.transactions]

    # What comes alone waits for nothing.
    intake.keep(batch(stores.report(), host="a"))
    wait_for(lambda: stored() == [1], _SECONDS, "the first")
    for number in range(3):
        assert stored() == [1]
        intake.keep(batch(stores.report(), host=f"host-{number}"))
    wait_for(lambda: stored() == [1, 3], _SECONDS, "enough")
    intake.keep(batch(stores.report(), host="b"))
    intake.stop()
    assert stored() == [1, 3, 1]


def test_progress_that_a_transaction_leaves_does_not_wait_for_more(monkeypatch):
    monkeypatch.setattr(batcher, "_MAX_REPORTS", 2)
    database = Database()
    window = BatchWindow(0.0, 0.0, for_few_messages_seconds=3600.0, enough_messages=5)
    intake = ReportBatcher(database.store, window)
    for number in range(5):
        intake.keep(batch(stores.report(), host=f"host-{number}"))
    intake.start()
    for _ in range(3):
        assert database.begun.acquire(timeout=_SECONDS)
        database.go.release()
    intake.stop()
    assert [len(transaction) for transaction in database.transactions] == [2, 2, 1]


def test_latest_heartbeat_of_an_agent_is_kept(database, intake):
    first = busy(database, intake)
    for migrations in (1, 2, 3):
        agent = dataclasses.replace(AGENT, migrations=migrations)
        intake.keep(dataclasses.replace(batch(), agent=agent))
    database.go.release(2)
    first.answer()
    assert database.begun.acquire(timeout=_SECONDS)
    intake.stop()
    ((kept,),) = database.transactions[1:]
    assert kept.agent.migrations == 3


def test_batch_with_a_heartbeat_only_is_stored():
    database = Database()
    intake = ReportBatcher(database.store)
    intake.keep(dataclasses.replace(batch(), agent=AGENT))
    database.go.release()
    intake.start()
    assert database.begun.acquire(timeout=_SECONDS)
    intake.stop()
    assert [each.agent for (each,) in database.transactions] == [AGENT]


def test_heartbeats_gather_until_anything_else_is_stored():
    database = Database()
    for _ in range(3):
        database.go.release()
    intake = ReportBatcher(database.store, BatchWindow(0.0, 0.0, for_heartbeats_seconds=3600.0))
    intake.start()

    def stored():
        return [{each.host for each in transaction} for transaction in database.transactions]

    def beat(*hosts):
        for host in hosts:
            intake.keep(dataclasses.replace(batch(host=host), agent=AGENT))

    # One that comes alone waits for nothing.
    beat("a")
    wait_for(lambda: stored() == [{"a"}], _SECONDS, "the first")
    beat("b", "c")
    intake.keep(batch(stores.report(), host="d"))
    wait_for(lambda: stored()[1:] == [{"b", "c", "d"}], _SECONDS, "those that gathered")
    beat("e")
    assert intake.store(batch(stores.report(), host="f")).reports
    assert stored()[2:] == [{"e", "f"}]
    intake.stop()


def test_another_agents_heartbeat_does_not_take_the_place_of_the_hosts_own(database, intake):
    first = busy(database, intake)
    for key in ("mine", "another"):
        told = dataclasses.replace(AGENT, key=key)
        intake.keep(Batch(host="h", node="n", agent=told))
    database.go.release(2)
    assert first.answer()
    assert database.begun.acquire(timeout=_SECONDS)
    wait_for(lambda: len(database.transactions) == 2, _SECONDS, "the heartbeats to be stored")
    assert [each.agent.key for each in database.transactions[1]] == ["mine", "another"]


def test_another_hosts_progress_does_not_take_the_place_of_the_sources(database, intake):
    first = busy(database, intake)
    mine = stores.report(3, percent=40)
    intake.keep(batch(mine, host="source"))
    intake.keep(batch(stores.later(mine, 9, percent=99), host="evil"))
    database.go.release(2)
    assert first.answer()
    assert database.begun.acquire(timeout=_SECONDS)
    wait_for(lambda: len(database.transactions) == 2, _SECONDS, "the progress to be stored")
    told = {each.host: [r.percent for r in each.reports] for each in database.transactions[1]}
    assert told == {"source": [40], "evil": [99]}


class Time:
    """The time of a batcher, moved by a test."""

    now = 1000.0

    def monotonic(self):
        return self.now

    time = monotonic


def test_oldest_report_waits_from_its_receipt_until_it_is_stored(monkeypatch):
    time = Time()
    monkeypatch.setattr(batcher, "time", time)
    database = Database()
    intake = ReportBatcher(database.store)
    assert intake.oldest_seconds() == 0.0
    progress = stores.report()
    intake.keep(batch(progress))
    time.now += 5.0
    # A newer report takes its place in the queue.
    intake.keep(batch(stores.later(progress)))
    intake.keep(batch(stores.report(), host="b"))
    assert intake.oldest_seconds() == 5.0
    intake.start()
    assert database.begun.acquire(timeout=_SECONDS)
    time.now += 2.0
    intake.keep(batch(stores.report(), host="c"))
    assert intake.oldest_seconds() == 7.0
    for _ in range(2):
        database.go.release()
    intake.stop()
    assert intake.oldest_seconds() == 0.0


def test_batch_whose_sender_waits_counts_as_waiting(database, intake):
    first = busy(database, intake)
    assert intake.oldest_seconds() > 0.0
    database.go.release()
    first.answer()
    wait_for(lambda: intake.oldest_seconds() == 0.0, _SECONDS, "nothing to wait")
