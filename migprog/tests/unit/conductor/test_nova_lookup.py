# SPDX-License-Identifier: Apache-2.0
"""Nova's ids are looked up while reports are stored, in a real store; Nova is a list, or fails."""

import dataclasses
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest

from lab.parts.processes import wait_for
from migprog import objects
from migprog.conductor.batcher import BatchWindow, ReportBatcher
from migprog.conductor.nova_client import NoAnswer
from migprog.conductor.nova_lookup import NovaIdLookup
from migprog.conductor.nova_lookup_queue import LookupTimes
from migprog.conductor.storing import make_store_batches
from migprog.core import nova_match
from migprog.core.messages import Batch
from migprog.core.nova_match import NovaMigration
from migprog.core.status import Status
from migprog.metrics import REGISTRY
from migprog.tests import stores
from migprog.tests.stores import START

AT_ONCE = LookupTimes(under_way_seconds=(0.01,), ended_seconds=(0.01, 0.01), pause_seconds=0.001)
EARLY = dataclasses.replace(AT_ONCE, failures_interval_seconds=0.01)
_SECONDS = 60
Ask = Callable[[str], list[NovaMigration]]


class Nova:
    """Answers for one server what a function does, and for all of them all that is ``known``."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.known: list[NovaMigration] = []
        self.asked: list[str] = []

    def migrations(self, server_uuid: str) -> list[NovaMigration]:
        self.asked.append(server_uuid)
        return self._ask(server_uuid)

    def changed_since(self, at: datetime) -> tuple[list[NovaMigration], bool]:
        self.asked.append("changed")
        return [each for each in self.known if (each.updated_at or each.created_at) >= at], True

    def listed(self) -> tuple[list[NovaMigration], bool]:
        self.asked.append("listed")
        return [each for each in self.known if each.status in nova_match.LISTED], True


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("migprog_nova_id_lookups_total", {"outcome": outcome})


@pytest.fixture
def store(tmp_path) -> Iterator[objects.Store]:
    store = stores.ready(f"sqlite:///{tmp_path}/migprog.sqlite")
    yield store
    store.close()


@pytest.fixture
def naming(store: objects.Store) -> Iterator[Callable[..., NovaIdLookup]]:
    """Starts one that asks a function."""
    started = []

    def start(ask: Ask | Nova, patience: LookupTimes = AT_ONCE) -> NovaIdLookup:
        asked = ask if isinstance(ask, Nova) else Nova(ask)
        started.append(NovaIdLookup(store, asked, patience))
        started[-1].start()
        return started[-1]

    yield start
    for each in started:
        each.stop()
    for each in started:
        # The store is closed next.
        each._thread.join(_SECONDS)


def settled(outcome: str, before: float) -> None:
    wait_for(lambda: counted(outcome) > before, _SECONDS, f"a migration that is {outcome}")


def test_new_migration_gets_its_nova_ids_once(store, naming) -> None:
    report = stores.report()
    theirs, asked = stores.nova_record(report), []
    before = counted("named")

    def ask(server_uuid: str) -> list[NovaMigration]:
        asked.append(server_uuid)
        return [theirs]

    stores.store(store, report)
    old = stores.migration(store, report)
    naming(ask).appeared(report.server_uuid, report.uuid)
    settled("named", before)
    named = stores.migration(store, report)
    assert (named.nova_id, named.nova_uuid) == (17, theirs.uuid)
    assert named.updated_at > old.updated_at
    # What is told later leaves it alone.
    ended = stores.later(report, status=Status.COMPLETED)
    stores.store(store, stores.later(report, sequence=2), stores.arrival(report.server_uuid))
    stores.store(store, stores.later(ended, sequence=3))
    named = stores.migration(store, report)
    assert (named.nova_id, named.status) == (17, Status.COMPLETED)
    assert asked[0] == report.server_uuid and len(asked) <= 2


@pytest.mark.parametrize(("number_of_records", "outcome"), [(0, "absent"), (2, "ambiguous")])
def test_ambiguous_records_are_not_matched(
    store, naming, number_of_records: int, outcome: str
) -> None:
    report = stores.report(status=Status.FAILED)
    stores.store(store, report)
    before = counted(outcome)
    records = [stores.nova_record(report, n, status="failed") for n in range(number_of_records)]
    naming(lambda _server: records).appeared(report.server_uuid, report.uuid)
    settled(outcome, before)
    assert stores.migration(store, report).nova_id is None


def test_a_record_is_one_migrations_alone(store, naming) -> None:
    """Another attempt follows so soon that the first one's record could be its own."""
    first = stores.report(status=Status.FAILED)
    second = stores.report(
        server_uuid=first.server_uuid, started_at=START + 1, status=Status.FAILED
    )
    theirs = stores.nova_record(first)
    started = naming(lambda _server: [theirs])
    for report, outcome in ((first, "named"), (second, "absent")):
        before = counted(outcome)
        stores.store(store, report)
        started.appeared(report.server_uuid, report.uuid)
        settled(outcome, before)
    assert stores.migration(store, first).nova_id == 17
    assert stores.migration(store, second).nova_id is None


def test_ended_migration_is_looked_up_again_and_then_given_up(store, naming) -> None:
    report, asked = stores.report(status=Status.FAILED), []
    stores.store(store, report)
    before = counted("failed")

    def ask(server_uuid: str) -> list[NovaMigration]:
        asked.append(server_uuid)
        raise RuntimeError("nobody foresaw it")

    started = naming(ask)
    started.appeared(report.server_uuid, report.uuid)
    wait_for(lambda: counted("failed") > before, _SECONDS, "it to give up")
    tries = len(AT_ONCE.ended_seconds) + 1
    assert len(asked) == tries
    # And serves on.
    started.appeared(report.server_uuid, report.uuid)
    wait_for(lambda: len(asked) == 2 * tries, _SECONDS, "it to ask again")


def test_migration_that_ended_while_nova_was_away_gets_its_ids_later(store, naming) -> None:
    report = stores.report(status=Status.COMPLETED)
    stores.store(store, report)
    away = [NoAnswer("503")] * 10 * len(AT_ONCE.ended_seconds)
    theirs = stores.nova_record(report, status="completed")

    def ask(_server: str) -> list[NovaMigration]:
        if away:
            raise away.pop()
        return [theirs]

    naming(ask).appeared(report.server_uuid, report.uuid)
    wait_for(lambda: stores.migration(store, report).nova_uuid, 20, "its name")
    assert not away


def test_migration_in_progress_is_looked_up_until_nova_answers(store, naming) -> None:
    """However often it is away, refuses, or does not know it yet; and a while after its end."""
    report = stores.report()
    stores.store(store, report)
    answers = ["away", None, "HTTP 403"] * 5
    theirs = stores.nova_record(report)

    def ask(_server: str) -> list[NovaMigration]:
        if not answers:
            return [theirs]
        why = answers.pop()
        if why is not None:
            raise NoAnswer(why)
        return []

    naming(ask)
    wait_for(lambda: stores.migration(store, report).nova_uuid, _SECONDS, "its name")
    assert stores.migration(store, report).nova_uuid == theirs.uuid and not answers


def test_attempt_and_immediate_retry_both_get_their_nova_ids(store, naming) -> None:
    """Nova says for a moment of both that they run, and was away when the first one did."""
    first = stores.report()
    stores.store(store, first, stores.later(first, status=Status.CANCELLED, ended_at=START + 3))
    second = stores.report(server_uuid=first.server_uuid, started_at=START + 6)
    stores.store(store, second)
    at = stores.at(START + 3)
    theirs = [
        stores.nova_record(second, 18, created_at=at),
        stores.nova_record(first, 17, status="cancelled", updated_at=at),
    ]
    started = naming(lambda _server: theirs)
    for each in (first, second):
        started.appeared(each.server_uuid, each.uuid)
    wait_for(lambda: stores.migration(store, second).nova_id, _SECONDS, "the second's name")
    assert stores.migration(store, second).nova_id == 18
    assert stores.migration(store, first).nova_id == 17


def test_one_that_nova_lists_beside_another_is_not_alone_until_that_has_ended(
    store, naming
) -> None:
    report = stores.report(sequence=9)
    stores.store(store, report)
    stale = stores.nova_record(report, 9, created_at=stores.at(START - 9000))
    listed = [stores.nova_record(report), stale]
    naming(lambda _server: listed)

    def record() -> objects.NovaRecord | None:
        return stores.migration(store, report).nova_record

    wait_for(record, _SECONDS, "its name")
    assert not record().is_alone
    listed[1] = dataclasses.replace(stale, status="error")
    wait_for(lambda: record().is_alone, _SECONDS, "Nova to list no other")
    assert stores.migration(store, report).nova_id == 17


def test_many_are_asked_for_together(store, naming) -> None:
    reports = [stores.report() for _ in range(40)]
    stores.store(store, *reports)
    asked = Nova(lambda _server: [])
    asked.known = [stores.nova_record(each, n) for n, each in enumerate(reports, 1)]
    naming(asked)
    wait_for(
        lambda: all(stores.migration(store, each).nova_id for each in reports), _SECONDS, "names"
    )
    assert [stores.migration(store, each).nova_id for each in reports] == list(range(1, 41))
    assert asked.asked == ["changed", "listed"]
    assert all(stores.migration(store, each).nova_record.is_alone for each in reports)


def test_migrations_that_were_not_passed_on_are_found_by_the_search(store, naming) -> None:
    """Another conductor received it, and has stopped since; or it was one too many."""
    soon = dataclasses.replace(AT_ONCE, search_interval_seconds=0.05)
    theirs: dict[str, NovaMigration] = {}
    naming(lambda server: [theirs[server]], soon)
    report = stores.report()
    theirs[report.server_uuid] = stores.nova_record(report)
    stores.store(store, report)
    wait_for(lambda: stores.migration(store, report).nova_id, _SECONDS, "its name")


def test_restarted_conductor_names_what_its_predecessor_left_unnamed(store, naming) -> None:
    """Also what has ended while Nova was away; not what ended long ago."""
    now, day = time.time(), 86_400
    over, old = (
        stores.report(status=Status.COMPLETED, started_at=at, ended_at=at + 10)
        for at in (now - day / 2, now - 2 * day)
    )
    running = stores.report(started_at=now)
    stores.store(store, running, over, old)
    theirs = {
        each.server_uuid: [stores.nova_record(each, number, status=status)]
        for number, (each, status) in enumerate(
            ((running, "running"), (over, "completed"), (old, "completed")), start=17
        )
    }
    asked = Nova(theirs.__getitem__)
    naming(asked)
    wait_for(lambda: stores.migration(store, running).nova_id, _SECONDS, "Nova's id")
    wait_for(lambda: stores.migration(store, over).nova_id, _SECONDS, "Nova's id")
    assert old.server_uuid not in asked.asked


def test_search_does_not_begin_given_up_lookups_again(store, naming) -> None:
    at = time.time() - 10
    given_up = stores.report(status=Status.COMPLETED, started_at=at, ended_at=at)
    stores.store(store, given_up)
    before = counted("absent")
    asked = Nova(lambda _server: [])
    naming(asked, dataclasses.replace(AT_ONCE, search_interval_seconds=0.01))
    settled("absent", before)
    # A later one is found by a later search: the one given up was not in it.
    running = stores.report(started_at=time.time())
    stores.store(store, running)
    wait_for(lambda: running.server_uuid in asked.asked, _SECONDS, "a later search")
    assert asked.asked.count(given_up.server_uuid) == len(AT_ONCE.ended_seconds) + 1


def test_too_many_are_dropped_and_counted(store, naming) -> None:
    asking, answer = threading.Event(), threading.Event()

    def ask(_server: str) -> list[NovaMigration]:
        asking.set()
        answer.wait(60)
        return []

    report = stores.report()
    stores.store(store, report)
    before = counted("dropped")
    started = naming(ask, dataclasses.replace(AT_ONCE, most=3))
    assert asking.wait(_SECONDS)
    for _ in range(5):
        started.appeared(report.server_uuid, str(uuid.uuid4()))
    # With the one that is asked for.
    assert counted("dropped") == before + 3
    answer.set()


def test_reports_are_stored_while_nova_does_not_answer(store, naming) -> None:
    """All of them, one after the other, before it says a word."""
    asking, answer = threading.Event(), threading.Event()

    def ask(_server: str) -> list[NovaMigration]:
        asking.set()
        answer.wait(60)
        return []

    intake = ReportBatcher(make_store_batches(store, naming(ask).appeared), BatchWindow(0.0, 0.0))
    intake.start()
    for _ in range(200):
        report = stores.report()
        stored = intake.store(Batch(host="source", node="node", reports=(report,)))
        assert stored.reports == 1
    assert asking.wait(_SECONDS) and not answer.is_set()
    assert len(objects.Migration.list(store)) == 200
    answer.set()
    intake.stop()


def test_early_failures_are_searched_for(store, naming) -> None:
    asked = Nova(lambda _server: [])
    naming(asked, EARLY)
    wait_for(lambda: asked.asked.count("changed") > 3, _SECONDS, "it to ask for what has changed")
