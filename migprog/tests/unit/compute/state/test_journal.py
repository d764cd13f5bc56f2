# SPDX-License-Identifier: Apache-2.0
"""What is on disk before it is reported: with a disk that works when the test lets it."""

import dataclasses
import logging

import pytest

from migprog.compute.state.entries import decode, encode, name_of
from migprog.compute.state.journal import PATIENCE_SECONDS, Journal
from migprog.compute.state.writer import Written
from migprog.core import checkpoint
from migprog.core.messages import Ack, Arrival, ArrivalState
from migprog.core.status import Phase, Status
from migprog.metrics import REGISTRY
from migprog.tests.fixtures.driven import SERVER
from migprog.tests.unit.core.test_checkpoint import FIRST, KEPT, told

END = told(2, status=Status.COMPLETED, phase=Phase.DONE, ended_at=9.0)
ARRIVAL = Arrival(server_uuid=SERVER, state=ArrivalState.RESUMED, at=3.0, complete=True)


class Disk:
    """Stands where the keeper does: ``work`` does what was asked for since, or fails to."""

    def __init__(self, files=None):
        self.files = {} if files is None else files
        self.wishes = {}
        self.writes = 0

    def put(self, name, data, ticket):
        self.wishes[name] = (data, ticket)

    def work(self, error=None):
        tickets = {name: ticket for name, (_, ticket) in self.wishes.items()}
        for name, (data, _) in self.wishes.items():
            if error is None and data is None:
                self.files.pop(name, None)
            elif error is None:
                self.files[name] = data
                self.writes += 1
        self.wishes = {}
        return Written(tickets, error)

    def entries(self):
        return {name: decode(data) for name, data in self.files.items()}


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
def ledger(disk):
    return Journal(disk, "here", "boot")


def waiting(ledger, now=0.0):
    load = ledger.outbox.load(now)
    return [*load.reports, *load.arrivals]


def tell(ledger, report, now=0.0, needs_ack=True):
    ledger.report(report, needs_ack, 0.0, now)


@pytest.mark.parametrize("report", [FIRST, END])
def test_report_waits_until_it_is_on_disk(ledger, disk, report):
    tell(ledger, report)
    assert waiting(ledger) == []
    ledger.take(disk.work(), 0.1)
    assert waiting(ledger) == [report]
    assert list(disk.files) == [report.uuid]


def test_complete_arrival_is_kept_until_acknowledged(ledger, disk):
    under_way = dataclasses.replace(ARRIVAL, complete=None)
    ledger.report_arrival(under_way, 0.0)
    assert waiting(ledger) == [under_way]
    ledger.report_arrival(ARRIVAL, 0.5)
    assert waiting(ledger, 0.5) == [under_way]
    ledger.take(disk.work(), 1.0)
    assert waiting(ledger, 1.0) == [ARRIVAL]
    ledger.outbox.sent(ledger.outbox.load(1.0), Ack(), 1.0)
    disk.work()
    assert list(disk.entries().values()) == [ARRIVAL]
    ledger.outbox.sent(ledger.outbox.load(9.0), Ack(arrived=(SERVER,)), 9.0)
    disk.work()
    assert disk.files == {}


def test_acknowledgement_of_an_earlier_arrival_keeps_the_later_ones_file(ledger, disk):
    later = dataclasses.replace(ARRIVAL, at=2000.0)
    ledger.report_arrival(ARRIVAL, 0.0)
    ledger.take(disk.work(), 0.0)
    load = ledger.outbox.load(0.0)
    # The server has left and come back meanwhile.
    ledger.report_arrival(later, 1.0)
    ledger.outbox.sent(load, Ack(arrived=(SERVER,)), 2.0)
    ledger.take(disk.work(), 2.0)
    assert waiting(ledger, 2.0) == list(disk.entries().values()) == [later]
    ledger.outbox.sent(ledger.outbox.load(2.0), Ack(arrived=(SERVER,)), 2.0)
    disk.work()
    assert disk.files == {}


def test_arrival_of_an_earlier_agent_is_removed_once_acknowledged(ledger, disk):
    disk.put(name_of(ARRIVAL), encode(ARRIVAL), 1)
    disk.work()
    ledger.load(disk.entries(), 0.0, 0.0)
    ledger.outbox.sent(ledger.outbox.load(0.0), Ack(), 0.0)
    # It tells by now how long it has waited.
    ledger.outbox.sent(ledger.outbox.load(9.0), Ack(arrived=(SERVER,)), 9.0)
    disk.work()
    assert disk.files == {}


def test_found_server_replaces_no_arrival(ledger, disk):
    found = dataclasses.replace(ARRIVAL, complete=None, found=True)
    ledger.report_arrival(ARRIVAL, 0.0)
    ledger.report_arrival(found, 0.0)
    ledger.take(disk.work(), 0.0)
    ledger.report_arrival(found, 0.0)
    assert waiting(ledger) == [ARRIVAL]


def test_progress_is_hardly_ever_written(ledger, disk):
    tell(ledger, FIRST)
    ledger.take(disk.work(), 0.0)
    for sequence in range(2, 5000):
        now = sequence * 0.25
        tell(ledger, told(sequence), now, needs_ack=False)
        if disk.wishes:
            ledger.take(disk.work(), now)
        assert waiting(ledger) == [told(sequence)]
    # Twenty minutes: each minute, some at the beginning, and a block of sequences more or less.
    assert disk.writes < 50


def test_newer_report_replaces_one_that_waits_for_the_disk(ledger, disk):
    tell(ledger, FIRST)
    tell(ledger, told(2), needs_ack=False)
    assert waiting(ledger) == []
    ledger.take(disk.work(), 0.0)
    load = ledger.outbox.load(0.0)
    assert (load.reports, load.needs_ack) == ((told(2),), True)


def test_an_end_waits_for_its_own_writing(ledger, disk):
    tell(ledger, FIRST)
    first = {name: ticket for name, (_, ticket) in disk.wishes.items()}
    tell(ledger, END)
    ledger.take(Written(first, None), 0.0)
    assert waiting(ledger) == []
    ledger.take(disk.work(), 0.0)
    assert waiting(ledger) == [END]


def test_end_is_removed_once_acknowledged(ledger, disk):
    tell(ledger, END)
    ledger.take(disk.work(), 0.0)
    load = ledger.outbox.load(0.0)
    disk.work()
    assert list(disk.entries().values()) == [END]
    ledger.outbox.sent(load, Ack(), 0.0)
    disk.work()
    assert disk.files == {}


def failing():
    return REGISTRY.get_sample_value("migprog_state_path_failing", {"connection_uri": "here"})


def test_failing_disk_is_logged_once_and_delays_nothing(ledger, disk, caplog):
    caplog.set_level(logging.INFO)
    tell(ledger, FIRST)
    ledger.take(disk.work("no space left"), 0.0)
    assert waiting(ledger) == [FIRST]
    tell(ledger, END)
    assert waiting(ledger) == [END]
    ledger.take(disk.work("no space left"), 0.0)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "no space left" in caplog.text
    assert failing() == 1
    ledger.take(Written({}, None), 1.0)
    ledger.take(Written({}, None), 2.0)
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert failing() == 0


def test_a_disk_that_hangs_holds_up_nothing_for_long(ledger, disk):
    assert ledger.late_at is None
    tell(ledger, FIRST, now=10.0)
    tell(ledger, told(2), now=11.0)
    assert ledger.late_at == 10.0 + PATIENCE_SECONDS
    ledger.release(10.0 + PATIENCE_SECONDS - 0.1)
    assert waiting(ledger) == []
    ledger.release(10.0 + PATIENCE_SECONDS)
    assert waiting(ledger) == [told(2)]
    assert failing() == 1
    assert ledger.late_at is None
    # It was slow and nothing else.
    ledger.take(disk.work(), 60.0)
    assert failing() == 0


def test_a_disk_that_has_much_to_do_is_not_taken_for_hung(ledger, disk):
    other = told(1, uuid="9a1d6e0c-58f5-4f0e-8a41-0d3b6c1e7f55")
    tell(ledger, other, now=10.0)
    done = disk.work()
    tell(ledger, FIRST, now=10.0)
    ledger.take(done, 11.5)
    assert ledger.late_at == 11.5 + PATIENCE_SECONDS
    ledger.release(12.5)
    assert waiting(ledger) == [other]


def test_without_a_state_directory_reports_are_sent_at_once():
    ledger = Journal(None, "here", "boot")
    for report in (FIRST, END):
        tell(ledger, report)
        assert waiting(ledger) == [report]
    ledger.outbox.sent(ledger.outbox.load(0.0), Ack(), 0.0)
    assert ledger.outbox.empty


def test_checkpoints_from_before_a_reboot_are_not_searched_for(disk, ledger):
    disk.put(KEPT.uuid, encode(KEPT), 1)
    disk.work()
    after = Journal(disk, "here", "another boot")
    assert after.load(disk.entries(), 5.0, 9000.0) == []
    after.take(disk.work(), 5.0)
    (report,) = waiting(after)
    assert (report.status, report.error) == (Status.UNKNOWN, checkpoint.LEFT_BY_REBOOT)
    assert (report.ended_at, report.uuid) == (9000.0, KEPT.uuid)
    assert ledger.load(disk.entries(), 5.0, 9000.0) == []


def test_of_two_that_were_kept_of_a_server_only_the_newer_may_run_still(disk):
    newer = dataclasses.replace(
        KEPT, uuid="9a1d6e0c-58f5-4f0e-8a41-0d3b6c1e7f55", started_clock=KEPT.started_clock + 9
    )
    for entries in ([KEPT, newer], [newer, KEPT]):
        ledger = Journal(Disk(), "here", "boot")
        assert ledger.load({kept.uuid: kept for kept in entries}, 5.0, 9000.0) == [newer]
        ledger.release_all(5.0)
        (report,) = waiting(ledger)
        assert (report.uuid, report.error) == (KEPT.uuid, checkpoint.LEFT_BEHIND)
