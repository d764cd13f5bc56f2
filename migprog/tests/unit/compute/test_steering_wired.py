# SPDX-License-Identifier: Apache-2.0
"""Steering among the agent's other work: what it does, and what becomes of the reports."""

import dataclasses
import errno
import logging
from typing import Any

import pytest

from lab.simulated import Guest, precopy
from migprog.compute.actions import Actions
from migprog.compute.actions_in_progress import ActionsInProgress
from migprog.compute.libvirt.loop_messages import ActionResult
from migprog.compute.libvirt.steering_actions import SteeringResult
from migprog.compute.state.journal import Journal
from migprog.compute.steering import Steering
from migprog.compute.watchlist import WatchList
from migprog.core import advice_entry, checkpoint
from migprog.core.actions import Action
from migprog.core.observation import Reading
from migprog.core.steering.advice import SteeringAction
from migprog.core.steering.policies import Mode, Policies
from migprog.core.steering.requirements import POLICIES
from migprog.metrics import REGISTRY
from migprog.recording import observation_rows
from migprog.recording.writer import Recorder
from migprog.tests.fixtures.driven import SERVER
from migprog.tests.fixtures.threads import cannot_start
from migprog.tests.fixtures.watching import RULES, SETTINGS, Sampler
from migprog.tests.unit.compute.test_actions import answer, request

# What remains of it stays at 1 s of its bandwidth.
PLATEAU = Guest(memory_mib=200, dirty_mib_s=80, working_set_mib=40, bandwidth_mib_s=40)
# Converges slowly, for longer than the patience.
CONVERGES = Guest(memory_mib=1200, dirty_mib_s=28, working_set_mib=1200, bandwidth_mib_s=40)
BEGUN = 1000.0
PATIENT = dataclasses.replace(POLICIES["gentle"], patience_seconds=10.0)


class Policy(Policies):
    """As a programming error in a policy would be."""

    def of(self, _server_uuid: str, _project_id: str | None) -> Any:
        raise RuntimeError("nobody foresaw it")


class Host:
    """An agent's watch list, with a server that is on its way; gives what is reported of it.

    ``acted`` is what steering has begun. libvirt does it and answers with the next step, unless it
    ``hangs``; what another party does to the limit comes by ``limit_seconds``.
    """

    def __init__(self, mode, policies=None, since=0.0, guest=PLATEAU):
        policies = policies or Policies("p", {"p": PATIENT}, {}, {})
        self.acted: list[Any] = []
        self.hangs = False
        self.limit_seconds = 0.3
        self.in_progress = ActionsInProgress()
        self.operators = Actions(lambda *_: None, self.in_progress)
        self.steering = Steering(
            *(mode, policies, lambda *call: self.acted.append(call), self.in_progress), since=since
        )
        self.journal = Journal(None, "here", "boot")
        recorder = Recorder(None, SETTINGS.record_limits)
        how = (SETTINGS, lambda *_: Sampler(), recorder, self.journal, self.steering)
        self.watches = WatchList(*how)
        self.reports: dict[int, Any] = {}
        self.now = BEGUN
        self._rows = precopy(guest, give_up_seconds=120.0)

    def run(self, seconds):
        until = self.now + seconds
        for row in self._rows:
            self.now = BEGUN + row["t"]
            seen = observation_rows.from_row(row | {"t": self.now}, SERVER, self.limit_seconds)
            if seen is not None:
                self.watches.take(seen)
            self.step()
            if self.now >= until:
                break
        return self

    def step(self):
        self.watches.reporting.attend(RULES, self.now, {SERVER})
        if SERVER in self.steering._under_way and not self.hangs:
            self.answer()
            self.watches.reporting.attend(RULES, self.now, {SERVER})
        for report in self.journal.outbox.load(self.now).reports:
            self.reports[report.sequence] = report

    def answer(self, error=None):
        figures = self.acted[-1][0].figures
        self.limit_seconds = figures.get("downtime_limit_seconds", self.limit_seconds)
        self.steering.done(SteeringResult(server_uuid=SERVER, at=self.now, error=error))

    def ends(self, job_type):
        self.now += 0.5
        stats = {"type": job_type, "operation": 5, "time_elapsed": 1, "memory_total": 2**20}
        self.watches.take(Reading(server_uuid=SERVER, at=self.now, stats=stats))
        for _ in range(5):
            self.step()
            self.now += 1.0
        return self

    @property
    def monitor(self):
        return self.watches.monitor(SERVER)

    @property
    def latest(self):
        """The latest report's advice: action, reason and state of each entry."""
        advice = self.reports[max(self.reports)].advice
        return advice and [(each["action"], each["reason"], each["state"]) for each in advice]

    @property
    def actions(self):
        return [advice.action for advice, *_ in self.acted]


def count(action, outcome):
    labels = {"action": action, "outcome": outcome}
    return REGISTRY.get_sample_value("migprog_advice_total", labels)


RAISED = ("raise-downtime", "not-converging")


def test_off_reports_no_advice():
    host = Host(Mode.OFF).run(60)
    assert host.acted == []
    assert {report.advice for report in host.reports.values()} == {None}


def test_advice_is_reported_at_once_counted_and_not_carried_out():
    before = count("raise-downtime", "advised")
    host = Host(Mode.ADVISE).run(60)
    assert host.acted == []
    assert host.latest == [(*RAISED, "advised")]
    assert count("raise-downtime", "advised") == before + 1
    first = next(report for report in host.reports.values() if report.advice)
    (entry,) = first.advice
    assert first.sampled_at - entry["at"] == pytest.approx(0.0, abs=0.6)
    assert advice_entry.rule(first.advice) == first.advice


def test_enforced_advice_is_carried_out_once_and_reported_as_done():
    before = count("raise-downtime", "done")
    host = Host(Mode.ENFORCE).run(100)
    assert host.actions == [SteeringAction.RAISE_DOWNTIME]
    assert host.latest == [(*RAISED, "done")]
    assert count("raise-downtime", "done") == before + 1


def test_a_limit_that_is_lowered_is_set_again_three_times_and_no_more():
    host = Host(Mode.ENFORCE)
    for _ in range(100):
        host.run(1)
        host.limit_seconds = 0.3
    assert host.actions == 4 * [SteeringAction.RAISE_DOWNTIME]
    lowered = ("raise-downtime", "limit-lowered", "done")
    last = ("stop-asserting", "lowered-repeatedly", "done")
    assert host.latest == [(*RAISED, "done"), *(3 * [lowered]), last]


def test_a_reading_from_before_an_action_is_no_lowered_limit():
    """The sampler may have read the limit just before it was set."""
    host = Host(Mode.ENFORCE)
    while not host.acted:
        host.run(0.1)
    raised, host.limit_seconds = host.limit_seconds, 0.3
    host.run(0.1)
    host.limit_seconds = raised
    host.run(20)
    assert host.actions == [SteeringAction.RAISE_DOWNTIME]


def test_a_migration_that_began_before_the_agent_is_advised_about_alone(caplog):
    caplog.set_level(logging.INFO)
    host = Host(Mode.ENFORCE, since=BEGUN + 5).run(100)
    assert host.acted == []
    assert host.latest == [(*RAISED, "advised")]
    assert "; not done: the migration began before this agent was started" in caplog.text


def test_a_record_goes_on_with_what_an_earlier_agent_did():
    before = Host(Mode.ENFORCE).run(60)
    report = before.reports[max(before.reports)]
    saved = checkpoint.make(report, "boot", before.monitor.started_clock, before.now)
    host = Host(Mode.ENFORCE, since=before.now)
    host.now, host.limit_seconds = before.now, before.limit_seconds
    assert host.watches.resume(saved, before.now)
    host.run(100)
    assert host.acted == []
    assert host.latest[0] == (*RAISED, "done")


def test_nothing_is_done_where_the_limit_in_force_is_not_known():
    host = Host(Mode.ENFORCE)
    host.limit_seconds = None
    host.run(100)
    assert host.acted == []
    assert host.latest == [(*RAISED, "advised")]


def test_a_limit_that_is_not_read_for_a_moment_is_no_lowered_one():
    host = Host(Mode.ENFORCE).run(60)
    limit_seconds, host.limit_seconds = host.limit_seconds, None
    host.run(10)
    host.limit_seconds = limit_seconds
    host.run(10)
    assert host.actions == [SteeringAction.RAISE_DOWNTIME]


def test_steering_that_fails_is_logged_once_and_changes_no_report(caplog):
    broken = Host(Mode.ENFORCE, Policy("p", {}, {}, {})).run(60)
    quiet = Host(Mode.OFF).run(60)
    (failed,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert failed.exc_info
    assert "steering failed; it does nothing more about this migration" in failed.getMessage()

    def reported(host):
        return [
            dataclasses.replace(each, uuid=SERVER, advice=None) for each in host.reports.values()
        ]

    assert reported(broken) == reported(quiet)


def test_an_action_that_cannot_be_begun_has_failed_and_leaves_operators_free(caplog):
    host = Host(Mode.ENFORCE)
    host.steering._act = cannot_start
    host.run(60)
    assert "could not carry out raise-downtime: RuntimeError" in caplog.text
    assert set(host.latest) == {(*RAISED, "failed")}
    assert SERVER not in host.in_progress


def test_a_job_that_fails_after_an_abort_that_could_not_be_begun_waits_for_no_answer():
    hopeless = dataclasses.replace(PATIENT, longest_downtime_seconds=0.3)
    host = Host(Mode.ENFORCE, Policies("p", {"p": hopeless}, {}, {}))
    host.steering._act = cannot_start
    host.run(100)
    host.ends(job_type=4)
    assert host.reports[max(host.reports)].status == "failed"
    assert set(host.latest) == {("abort", "hopeless", "failed")}


def test_an_operator_waits_for_steering_and_steering_for_an_operator():
    host = Host(Mode.ENFORCE)
    host.hangs = True
    host.run(60)
    assert len(host.acted) == 1
    asked = request(Action.ABORT, host.monitor.uuid)
    asked = dataclasses.replace(asked, target=dataclasses.replace(asked.target, server_uuid=SERVER))
    host.operators.take(asked, host.monitor, host.now)
    assert answer(asked).reason == "action-in-progress"

    other = Host(Mode.ENFORCE).run(3)
    asked = dataclasses.replace(
        request(Action.ABORT),
        target=dataclasses.replace(asked.target, uuid=other.monitor.uuid),
    )
    other.operators.take(asked, other.monitor, other.now)
    assert other.run(60).acted == []
    other.operators.done(ActionResult(server_uuid=SERVER, at=other.now, error="no"))
    assert other.run(20).actions == [SteeringAction.RAISE_DOWNTIME]


def test_an_abort_whose_effect_is_seen_before_libvirts_answer_is_reported_as_done():
    hopeless = dataclasses.replace(PATIENT, longest_downtime_seconds=0.3)
    host = Host(Mode.ENFORCE, Policies("p", {"p": hopeless}, {}, {}))
    host.hangs = True
    host.run(100)
    assert host.actions == [SteeringAction.ABORT]
    host.ends(job_type=5)
    report = host.reports[max(host.reports)]
    assert (report.status, host.latest) == ("cancelled", [("abort", "hopeless", "done")])
    before = count("abort", "done")
    host.answer()
    assert count("abort", "done") == before
    assert SERVER not in host.in_progress


@pytest.mark.parametrize("error", [None, "too late"])
def test_a_job_that_fails_before_libvirts_answer_to_its_abort_waits_for_that(error):
    hopeless = dataclasses.replace(PATIENT, longest_downtime_seconds=0.3)
    host = Host(Mode.ENFORCE, Policies("p", {"p": hopeless}, {}, {}))
    host.hangs = True
    host.run(100)
    host.ends(job_type=4)
    assert host.reports[max(host.reports)].status == "running"
    host.answer(error)
    host.step()
    report = host.reports[max(host.reports)]
    assert report.status == ("cancelled" if error is None else "failed")
    assert host.latest == [("abort", "hopeless", "done" if error is None else "failed")]


def test_another_mode_is_used_from_its_reload_on():
    host = Host(Mode.ENFORCE).run(5)
    host.steering.use(Mode.OFF, Policies("p", {"p": PATIENT}, {}, {}))
    assert host.run(100).acted == []


# What fails around steering changes nothing of what it does.


def fail(*_arguments):
    raise OSError(errno.ENOSPC, "nobody foresaw it")


def broken_journal(host, _monkeypatch):
    host.journal.report = fail


def broken_reports(_host, monkeypatch):
    monkeypatch.setattr("migprog.core.monitor.Monitor._report", fail)


def broken_schedule(_host, monkeypatch):
    monkeypatch.setattr("migprog.core.schedule.reason_to_report", fail)


def broken_recordings(_host, monkeypatch):
    monkeypatch.setattr("migprog.recording.writer.MigrationRecording.end", fail)


def broken_counters(_host, monkeypatch):
    monkeypatch.setattr("migprog.metrics.agent.report_due", fail)


def did(host):
    return [(advice.action, advice.reason, advice.at) for advice, *_ in host.acted]


@pytest.mark.parametrize("guest", [PLATEAU, CONVERGES], ids=["stuck", "converges"])
@pytest.mark.parametrize(
    "fault",
    [broken_journal, broken_reports, broken_schedule, broken_recordings, broken_counters],
)
def test_what_fails_around_steering_changes_none_of_its_actions(fault, guest, monkeypatch):
    sound = Host(Mode.ENFORCE, guest=guest).run(100)
    host = Host(Mode.ENFORCE, guest=guest)
    fault(host, monkeypatch)
    assert did(host.run(100)) == did(sound)
    assert host.actions == ([SteeringAction.RAISE_DOWNTIME] if guest is PLATEAU else [])
    assert host.now > BEGUN + 3 * PATIENT.patience_seconds
