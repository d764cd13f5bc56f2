# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools

from migprog.compute.reporting.outbox import Outbox
from migprog.core.messages import MAX_BATCH, Ack, Arrival, ArrivalState
from migprog.tests.fixtures.driven import SERVER, UUID
from migprog.tests.store_cases.measuring import measured
from migprog.tests.unit.core.test_messages import REPORT

ARRIVAL = Arrival(server_uuid=SERVER, state=ArrivalState.RESUMED, at=3.0)


def report(sequence, uuid=UUID):
    return dataclasses.replace(REPORT, sequence=sequence, uuid=uuid)


def test_latest_report_replaces_older_ones_and_stays_acknowledged_if_one_was():
    outbox = Outbox()
    outbox.put_report(report(1), needs_ack=True)
    outbox.put_report(report(2), needs_ack=False)
    load = outbox.load(now=0.0)
    assert [r.sequence for r in load.reports] == [2]
    assert load.needs_ack


def test_progress_alone_needs_no_answer():
    outbox = Outbox()
    outbox.put_report(report(2), needs_ack=False)
    load = outbox.load(now=0.0)
    assert not load.needs_ack
    outbox.sent(load, None, now=0.0)
    assert outbox.empty
    assert not outbox.load(now=0.0)


def test_report_that_comes_while_a_batch_is_sent_stays():
    outbox = Outbox()
    outbox.put_report(report(1), needs_ack=True)
    load = outbox.load(now=0.0)
    outbox.put_report(report(2), needs_ack=False)
    outbox.sent(load, Ack(), now=0.0)
    assert [r.sequence for r in outbox.load(now=0.0).reports] == [2]


def test_unsent_reports_stay():
    outbox = Outbox()
    outbox.put_report(report(1), needs_ack=True)
    assert outbox.load(now=0.0)
    assert outbox.load(now=100.0).reports == (report(1),)


def test_oldest_seconds_is_that_of_the_oldest_report_until_it_is_sent():
    outbox = Outbox()
    assert outbox.oldest_seconds(now=5.0) == 0.0
    outbox.put_report(report(1), needs_ack=True, now=5.0)
    outbox.put_report(report(1, uuid=UUID[:-1] + "e"), needs_ack=False, now=8.0)
    # The newer report of a migration waits as long as the one that it replaces.
    outbox.put_report(report(2), needs_ack=False, now=9.0)
    assert outbox.oldest_seconds(now=10.0) == 5.0
    outbox.sent(outbox.load(now=10.0), Ack(), now=10.0)
    assert outbox.oldest_seconds(now=11.0) == 0.0


def test_oldest_seconds_begins_again_when_an_older_report_is_acknowledged():
    """Or conductors that are slower than reports come in would look as if they took none."""
    outbox = Outbox()
    outbox.put_report(report(1), needs_ack=True, now=0.0)
    load = outbox.load(now=0.0)
    outbox.put_report(report(2), needs_ack=True, now=1.0)
    outbox.sent(load, Ack(), now=2.0)
    assert outbox.oldest_seconds(now=3.0) == 1.0


def test_oldest_seconds_leaves_out_an_arrival_whose_migration_no_agent_reports():
    outbox = Outbox()
    outbox.put_arrival(ARRIVAL, now=0.0)
    assert outbox.oldest_seconds(now=2.0) == 2.0
    outbox.sent(outbox.load(now=2.0), Ack(), now=2.0)
    assert outbox.load(now=60.0)
    assert outbox.oldest_seconds(now=60.0) == 0.0


def test_unmatched_arrival_is_sent_again_at_growing_intervals_then_dropped():
    outbox = Outbox()
    outbox.put_arrival(ARRIVAL, now=0.0)
    told = []
    for now in range(2000):
        load = outbox.load(float(now))
        if load:
            assert load.needs_ack
            told.append(now)
            outbox.sent(load, Ack(), float(now))
    assert told[:6] == [0, 1, 2, 3, 5, 9]
    assert max(b - a for a, b in itertools.pairwise(told)) == 30
    assert told[-1] <= 600
    assert outbox.next_arrival_in(2000.0) is None


def test_an_arrival_that_found_its_migration_is_forgotten():
    outbox = Outbox()
    outbox.put_arrival(ARRIVAL, now=0.0)
    load = outbox.load(0.0)
    assert load.arrivals == (ARRIVAL,)
    outbox.sent(load, Ack(arrived=(SERVER,)), 0.0)
    assert outbox.next_arrival_in(0.0) is None


def test_unmatched_arrival_has_the_time_since_it_was_first_sent():
    outbox = Outbox()
    outbox.put_arrival(ARRIVAL, now=0.0)
    # Nobody took it: that tells nothing of what conductors know.
    assert outbox.load(5.0).arrivals[0].unmatched_seconds is None
    for now in (8.0, 40.0, 69.0):
        outbox.sent(outbox.load(now), Ack(), now)
    load = outbox.load(100.0)
    assert load.arrivals == (dataclasses.replace(ARRIVAL, unmatched_seconds=92.0),)
    outbox.sent(load, Ack(arrived=(SERVER,)), 100.0)
    assert outbox.next_arrival_in(100.0) is None


def test_found_server_is_sent_for_a_moment_and_replaces_no_arrival():
    outbox = Outbox()
    found = dataclasses.replace(ARRIVAL, at=9.0, found=True)
    outbox.put_arrival(found, now=0.0)
    assert outbox.load(0.0).arrivals == (found,)
    outbox.sent(outbox.load(0.0), Ack(), 0.0)
    assert outbox.load(1.0).arrivals == (dataclasses.replace(found, unmatched_seconds=1.0),)
    assert not outbox.load(5.0)
    assert outbox.next_arrival_in(5.0) is None
    outbox.put_arrival(ARRIVAL, now=6.0)
    outbox.put_arrival(found, now=6.0)
    assert outbox.load(6.0).arrivals == (ARRIVAL,)


def test_a_newer_arrival_is_not_taken_for_the_one_that_was_sent():
    outbox = Outbox()
    outbox.put_arrival(dataclasses.replace(ARRIVAL, state=ArrivalState.INCOMING), now=0.0)
    load = outbox.load(0.0)
    outbox.put_arrival(ARRIVAL, now=0.5)
    outbox.sent(load, Ack(arrived=(SERVER,)), 1.0)
    assert outbox.load(1.0).arrivals == (ARRIVAL,)


def test_size_of_a_batch_is_limited():
    outbox = Outbox()
    for number in range(MAX_BATCH + 5):
        outbox.put_report(report(1, uuid=str(number)), needs_ack=False)
    load = outbox.load(0.0)
    assert len(load.reports) == MAX_BATCH
    outbox.sent(load, None, 0.0)
    assert len(outbox.load(0.0).reports) == 5


def test_latest_measurement_of_a_server_is_sent_until_acknowledged():
    outbox = Outbox()
    older, newer = (measured(SERVER, at) for at in (1.0, 2.0))
    outbox.put_measurement(older)
    assert outbox.load(now=0.0).measurements == (older,)
    outbox.put_measurement(newer)
    load = outbox.load(now=0.0)
    assert load and load.needs_ack
    assert load.measurements == (newer,)
    assert not outbox.empty
    assert outbox.load(now=1.0).measurements == (newer,), "nobody has acknowledged it"
    outbox.sent(load, Ack(), now=1.0)
    assert outbox.empty


def test_measurement_that_comes_while_an_older_one_is_sent_stays():
    outbox = Outbox()
    outbox.put_measurement(measured(SERVER, 1.0))
    load = outbox.load(now=0.0)
    newer = measured(SERVER, 2.0)
    outbox.put_measurement(newer)
    outbox.sent(load, Ack(), now=0.0)
    assert outbox.load(now=1.0).measurements == (newer,)
