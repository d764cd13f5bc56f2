# SPDX-License-Identifier: Apache-2.0
"""Nova's names are learned beside the storing, over a real store; Nova is a list, or ill."""

import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from migprog import objects
from migprog.conductor.intake import Gathering, Intake, storing
from migprog.conductor.naming import Naming, Patience
from migprog.conductor.nova import NoAnswer
from migprog.core.nova import NovaMigration
from migprog.core.report import Batch, Report
from migprog.core.status import Status
from migprog.metrics import REGISTRY
from migprog.tests import stores
from migprog.tests.functional.processes import wait_for
from migprog.tests.stores import START

AT_ONCE = Patience(delays_seconds=(0.01, 0.01))


def nova_of(report: Report, number: int = 17, **more: object) -> NovaMigration:
    known = {
        "id": number,
        "uuid": str(uuid.uuid4()),
        "migration_type": "live-migration",
        "status": "running",
        "source_compute": "source",
        "source_node": None,
        "dest_compute": "dest",
        "created_at": stores.at(report.started_at) - timedelta(seconds=2),
        "updated_at": None,
    }
    return NovaMigration(**(known | more))


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("migprog_nova_namings_total", {"outcome": outcome})


@pytest.fixture
def store(tmp_path) -> Iterator[objects.Store]:
    store = stores.ready(f"sqlite:///{tmp_path}/migprog.sqlite")
    yield store
    store.close()


@pytest.fixture
def naming(store: objects.Store) -> Iterator[Callable[..., Naming]]:
    """Starts one that asks a function."""
    started = []

    def start(ask: Callable[[str], list[NovaMigration]], patience: Patience = AT_ONCE) -> Naming:
        started.append(Naming(store, ask, patience))
        started[-1].start()
        return started[-1]

    yield start
    for each in started:
        each.stop()


def settled(outcome: str, before: float) -> None:
    wait_for(lambda: counted(outcome) > before, 20, f"a migration that is {outcome}")


def test_one_that_appears_is_named_once_and_for_all(store, naming) -> None:
    report = stores.report()
    theirs, asked = nova_of(report), []
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
def test_it_is_not_guessed(store, naming, number_of_records: int, outcome: str) -> None:
    report = stores.report()
    stores.store(store, report)
    before, records = counted(outcome), [nova_of(report, n) for n in range(number_of_records)]
    naming(lambda _server: records).appeared(report.server_uuid, report.uuid)
    settled(outcome, before)
    assert stores.migration(store, report).nova_id is None


def test_a_record_is_one_migrations_alone(store, naming) -> None:
    """Another attempt follows so soon that the first one's record could be its own."""
    first = stores.report()
    second = stores.report(server_uuid=first.server_uuid, started_at=START + 1)
    theirs = nova_of(first)
    started = naming(lambda _server: [theirs])
    for report, outcome in ((first, "named"), (second, "absent")):
        before = counted(outcome)
        stores.store(store, report)
        started.appeared(report.server_uuid, report.uuid)
        settled(outcome, before)
    assert stores.migration(store, first).nova_id == 17
    assert stores.migration(store, second).nova_id is None


@pytest.mark.parametrize("fault", [NoAnswer("503"), RuntimeError("nobody foresaw it")])
def test_it_asks_again_and_gives_up(store, naming, fault: Exception) -> None:
    report, asked = stores.report(), []
    stores.store(store, report)
    before = counted("failed")

    def ask(server_uuid: str) -> list[NovaMigration]:
        asked.append(server_uuid)
        raise fault

    started = naming(ask)
    wait_for(lambda: counted("failed") > before, 20, "it to give up")
    tries = len(AT_ONCE.delays_seconds) + 1
    assert len(asked) == tries
    # And serves on.
    started.appeared(report.server_uuid, report.uuid)
    wait_for(lambda: len(asked) == 2 * tries, 20, "it to ask again")


def test_it_finds_those_that_a_conductor_before_did_not_get_to(store, naming) -> None:
    running, over = stores.report(), stores.report(status=Status.COMPLETED)
    stores.store(store, running, over)
    naming(lambda server: [nova_of(running)] if server == running.server_uuid else [])
    wait_for(lambda: stores.migration(store, running).nova_id, 20, "its name")
    assert stores.migration(store, over).nova_id is None


def test_too_many_are_dropped_and_counted(store, naming) -> None:
    asking, answer = threading.Event(), threading.Event()

    def ask(_server: str) -> list[NovaMigration]:
        asking.set()
        answer.wait(60)
        return []

    report = stores.report()
    stores.store(store, report)
    before = counted("dropped")
    started = naming(ask, Patience(most=3))
    assert asking.wait(20)
    for _ in range(5):
        started.appeared(report.server_uuid, str(uuid.uuid4()))
    assert counted("dropped") == before + 2
    answer.set()


def test_reports_are_stored_while_nova_does_not_answer(store, naming) -> None:
    """All of them, one after the other, before it says a word."""
    asking, answer = threading.Event(), threading.Event()

    def ask(_server: str) -> list[NovaMigration]:
        asking.set()
        answer.wait(60)
        return []

    intake = Intake(storing(store, naming(ask).appeared), Gathering(0.0, 0.0))
    intake.start()
    for _ in range(200):
        report = stores.report()
        stored = intake.store(Batch(host="source", node="node", reports=(report,)))
        assert stored.ack.stored == {report.uuid: 1}
    assert asking.wait(20) and not answer.is_set()
    assert len(objects.Migration.list(store)) == 200
    answer.set()
    intake.stop()
