# SPDX-License-Identifier: Apache-2.0
import dataclasses
import threading
import time

import pytest

from migprog.compute import clock
from migprog.compute.reporting.outbox import Outbox
from migprog.compute.reporting.sender import Address, Enabled, HostStats, Sender
from migprog.core.forecast.expectation import Expectation
from migprog.core.messages import Ack, Arrival, ArrivalState, Batch
from migprog.core.schedule import Rules
from migprog.metrics import REGISTRY
from migprog.rpc.conductor import Unreachable
from migprog.tests.fixtures.driven import UUID
from migprog.tests.unit.compute.reporting.test_outbox import report

RULES = Rules(report_interval_seconds=5.0, heartbeat_interval_seconds=30.0)
ADDRESS = Address(host="compute-1", node="node-1", ip="10.0.0.1")


class Conductor:
    """Answers as the test says; remembers what it was sent. Signals each message."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.sent = []
        self.told = threading.Semaphore(0)

    def report(self, batch, acknowledged):
        self.sent.append((Batch.from_wire(batch)[0], acknowledged))
        self.told.release()
        answer = self.answers.pop(0) if self.answers else Ack()
        if isinstance(answer, Exception):
            raise answer
        return answer.to_wire() if acknowledged else None


def test_all_that_is_due_leaves_in_one_message():
    outbox, conductor = Outbox(), Conductor()
    for number in range(3):
        outbox.put_report(report(1, uuid=UUID[:-1] + str(number)), needs_ack=number == 1)
    assert Sender(outbox, conductor, ADDRESS, RULES).send()
    ((batch, acknowledged),) = conductor.sent
    assert (batch.host, batch.node, batch.address) == ("compute-1", "node-1", "10.0.0.1")
    assert len(batch.reports) == 3
    assert acknowledged
    assert outbox.empty


def test_what_an_answer_expects_of_migrations_is_passed_on():
    told = {UUID: Expectation(1e9, 0.1, 0.4)}
    outbox, conductor = Outbox(), Conductor(Ack(expected=told))
    passed: list[object] = []
    outbox.put_report(report(1), needs_ack=True)
    assert Sender(outbox, conductor, ADDRESS, RULES, on_expected=passed.append).send()
    assert passed == [told]


def test_nothing_due_is_nothing_sent():
    conductor = Conductor()
    assert Sender(Outbox(), conductor, ADDRESS, RULES).send()
    assert conductor.sent == []


def test_unacknowledged_batch_stays_and_is_sent_again():
    outbox, conductor = Outbox(), Conductor(Unreachable("away"))
    outbox.put_report(report(1), needs_ack=True)
    sender = Sender(outbox, conductor, ADDRESS, RULES)
    assert not sender.send()
    assert sender.send()
    assert [batch.reports for batch, _ in conductor.sent] == [(report(1),)] * 2
    assert outbox.empty


def test_an_entry_that_is_refused_is_not_repeated():
    outbox, conductor = Outbox(), Conductor(Ack(refused={"reports[0]": "percent: '7' is odd"}))
    outbox.put_report(report(1), needs_ack=True)
    assert Sender(outbox, conductor, ADDRESS, RULES).send()
    assert outbox.empty


def test_refusals_of_the_same_field_are_one_line_and_those_of_others_another(caplog):
    refusals = ["instant: is too old", "instant: is older still", "percent: '7' is odd"]
    outbox = Outbox()
    conductor = Conductor(*(Ack(refused={"reports[0]": why}) for why in refusals))
    sender = Sender(outbox, conductor, ADDRESS, RULES)
    for number, _why in enumerate(refusals):
        outbox.put_report(report(1 + number), needs_ack=True)
        assert sender.send()
    lines = [line for line in caplog.messages if "refused" in line]
    assert len(lines) == 2
    assert refusals[0] in lines[0] and refusals[2] in lines[1]


@pytest.mark.parametrize("error", [Unreachable("away"), RuntimeError("nobody foresaw it")])
def test_sender_runs_until_stopped_and_retries(error):
    outbox, conductor = Outbox(), Conductor(error)
    sender = Sender(outbox, conductor, ADDRESS, RULES)
    thread = threading.Thread(target=sender.run)
    thread.start()
    outbox.put_report(report(1), needs_ack=True)
    for _ in range(2):
        assert conductor.told.acquire(timeout=10)
    sender.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert outbox.empty


def test_a_fault_that_repeats_is_written_in_full_once_and_then_counted(caplog):
    caplog.set_level("INFO", logger="migprog.compute.reporting.sender")
    faults = [RuntimeError("nobody foresaw it")] * 3
    outbox, conductor = Outbox(), Conductor(*faults)
    sender = Sender(outbox, conductor, ADDRESS, RULES)
    thread = threading.Thread(target=sender.run)
    thread.start()
    outbox.put_report(report(1), needs_ack=True)
    for _ in range(4):
        assert conductor.told.acquire(timeout=30)
    sender.stop()
    thread.join(10)
    in_full = [record for record in caplog.records if record.exc_info]
    lines = [text for text in caplog.messages if text.startswith("reports to the conductors: ")]
    assert len(in_full) == 1
    assert "RuntimeError: nobody foresaw it; reports wait in this agent" in lines[0]
    assert "works again (3 failures in" in lines[-1]
    assert len(lines) == 2


def test_progress_asks_for_an_acknowledgement_now_and_then():
    outbox, conductor = Outbox(), Conductor()
    often = Sender(outbox, conductor, ADDRESS, Rules(1.0, heartbeat_interval_seconds=0.0))
    seldom = Sender(outbox, conductor, ADDRESS, RULES)
    for sender in (often, seldom):
        outbox.put_report(report(1), needs_ack=False)
        assert sender.send()
    assert [acknowledged for _, acknowledged in conductor.sent] == [True, False]


def test_unchanged_values_are_sent_again_only_with_a_call():
    outbox, conductor = Outbox(), Conductor()
    sender = Sender(outbox, conductor, ADDRESS, RULES)
    for number, needs_ack in enumerate((True, False)):
        told = dataclasses.replace(report(1 + number), server_name="web", percent=7)
        outbox.put_report(told, needs_ack)
        assert sender.send()
    names = [
        (batch.reports[0].server_name, batch.reports[0].percent) for batch, _ in conductor.sent
    ]
    assert names == [("web", 7), (None, 7)]


def test_no_answer_stretches_the_interval_and_answers_shorten_it():
    outbox, conductor = Outbox(), Conductor(Unreachable("away"))
    outbox.put_report(report(1), needs_ack=True)
    sender = Sender(outbox, conductor, ADDRESS, RULES)
    assert not sender.send()
    assert sender.flow_control.interval_seconds == 10.0
    assert sender.send()
    assert sender.flow_control.interval_seconds == 8.0


def test_log_distinguishes_unreachable_conductors_from_slow_ones(caplog):
    caplog.set_level("INFO")
    outbox = Outbox()
    outbox.put_report(report(1), needs_ack=True)
    sender = Sender(outbox, Conductor(Unreachable("no broker")), ADDRESS, RULES)
    assert not sender.send()
    (line,) = [each for each in caplog.messages if each.startswith("report interval")]
    assert line == "report interval raised to 10.0 s: no conductor is reached"


def test_rules_may_be_replaced():
    sender = Sender(Outbox(), Conductor(), ADDRESS, RULES)
    sender.rules = Rules(report_interval_seconds=2.0, heartbeat_interval_seconds=30.0)
    assert sender.flow_control.interval_seconds == 2.0


def counted(name, **labels):
    return REGISTRY.get_sample_value(name, labels)


def test_messages_are_counted_and_the_interval_is_shown():
    outcomes = ("sent", "answered", "failed")

    def messages():
        return [counted("migprog_messages_total", outcome=each) for each in outcomes]

    before = messages()
    outbox, conductor = Outbox(), Conductor(Ack(), Unreachable("away"))
    sender = Sender(outbox, conductor, ADDRESS, RULES)
    outbox.put_report(report(1), needs_ack=False)
    assert sender.send()
    outbox.put_report(report(2), needs_ack=True)
    assert not sender.send()
    assert counted("migprog_report_interval_seconds", node="node-1") == 10.0
    assert sender.send()
    assert counted("migprog_report_interval_seconds", node="node-1") == 8.0
    assert [now - then for now, then in zip(messages(), before, strict=True)] == [1, 1, 1]


def test_sender_sends_a_heartbeat_at_once_and_then_per_interval():
    conductor = Conductor()
    sender = Sender(Outbox(), conductor, ADDRESS, Rules(0.1, 0.2))
    thread = threading.Thread(target=sender.run)
    thread.start()
    sender.host_stats = HostStats(migrations=1, servers=7, servers_memory_bytes=2**30)
    for _ in range(3):
        assert conductor.told.acquire(timeout=10)
    sender.stop()
    thread.join(10)
    for batch, acknowledged in conductor.sent:
        assert not acknowledged
        assert batch.reports == batch.arrivals == ()
        assert (batch.agent.migrations, batch.agent.servers) == (1, 7)
        assert batch.agent.report_interval_seconds == 0.1
        assert batch.agent.actions_enabled is False
        assert batch.agent.heartbeat_interval_seconds == 0.2


def test_actions_enabled_is_sent_at_once_and_until_acknowledged():
    conductor = Conductor(None, Unreachable("away"))
    sender = Sender(Outbox(), conductor, ADDRESS, RULES)
    sender.host_stats = HostStats(migrations=0)
    assert sender.send()
    sender.set_enabled(Enabled(actions=True))
    assert not sender.send()
    assert sender.send()
    # Nothing is new any more, and the next heartbeat is far.
    assert sender.send()
    told = [batch.agent.actions_enabled for batch, _acknowledged in conductor.sent]
    assert told == [False, True, True]


def test_heartbeat_travels_with_a_batch_and_is_sent_once():
    outbox, conductor = Outbox(), Conductor()
    sender = Sender(outbox, conductor, ADDRESS, RULES)
    sender.host_stats = HostStats(migrations=2)
    for sequence in (1, 2):
        outbox.put_report(report(sequence), needs_ack=False)
        assert sender.send()
    (first, _), (second, _) = conductor.sent
    assert first.reports
    assert first.agent.migrations == 2
    assert second.agent is None


def test_unacknowledged_heartbeat_is_sent_again():
    conductor = Conductor(Unreachable("away"))
    sender = Sender(Outbox(), conductor, ADDRESS, RULES)
    sender.host_stats = HostStats(migrations=0)
    assert not sender.send()
    assert sender.send()
    assert [batch.agent is not None for batch, _ in conductor.sent] == [True, True]


def test_heartbeat_has_the_interval_in_force():
    outbox, conductor = Outbox(), Conductor(Unreachable("away"))
    sender = Sender(outbox, conductor, ADDRESS, RULES)
    outbox.put_report(report(1), needs_ack=True)
    assert not sender.send()
    sender.host_stats = HostStats(migrations=1)
    assert sender.send()
    assert conductor.sent[-1][0].agent.report_interval_seconds == 10.0


def test_every_batch_has_the_hosts_time():
    outbox, conductor = Outbox(), Conductor()
    sender = Sender(outbox, conductor, ADDRESS, RULES)
    outbox.put_report(report(1), needs_ack=True)
    assert sender.send()
    arrival = Arrival(server_uuid=UUID, state=ArrivalState.RESUMED, at=3.0)
    outbox.put_arrival(arrival, time.monotonic())
    assert sender.send()
    (reports, _), (arrivals, _) = conductor.sent
    assert abs(reports.sent_at - clock.wall(time.monotonic())) < 60
    assert 0 <= arrivals.sent_at - reports.sent_at < 60


def test_sender_leaves_out_a_value_that_no_conductor_would_take(caplog):
    """One of before refuses the whole report for it."""
    outbox, conductor = Outbox(), Conductor()
    sender = Sender(outbox, conductor, ADDRESS, RULES)
    before = REGISTRY.get_sample_value("migprog_agent_values_dropped_total")
    for sequence in (1, 2):
        odd = dataclasses.replace(report(sequence), downtime_seconds=2**64 / 1000, percent=7)
        outbox.put_report(odd, needs_ack=True)
        assert sender.send()
        told = conductor.sent[-1][0].reports[0]
        assert (told.sequence, told.percent, told.downtime_seconds) == (sequence, 7, None)
    assert REGISTRY.get_sample_value("migprog_agent_values_dropped_total") == before + 2
    (line,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert "downtime_seconds: '1.844674407370955e+16' must be from 0" in line
