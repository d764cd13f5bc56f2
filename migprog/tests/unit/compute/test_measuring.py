# SPDX-License-Identifier: Apache-2.0
"""When a server is measured, when it is not, and what becomes of it."""

import dataclasses
import logging
import uuid

import pytest

from migprog.compute.libvirt.loop_messages import MeasuringBegan, MeasuringEnded
from migprog.compute.measuring import (
    MOST_WAITING,
    MeasureAllRequest,
    MeasureRequest,
    Measuring,
    Rules,
)
from migprog.core.agent_answer import Answer
from migprog.core.measurement import Failure, Target, Window
from migprog.core.server_facts import ServerFacts
from migprog.tests.fixtures.threads import cannot_start

A, B, C = (str(uuid.UUID(int=number)) for number in (1, 2, 3))
NOW = 1000.0
WINDOWS = (1, 4)


@dataclasses.dataclass
class Site:
    """Measuring with everything around it."""

    started: list = dataclasses.field(default_factory=list)
    cancelled: list = dataclasses.field(default_factory=list)
    reported: list = dataclasses.field(default_factory=list)
    migrating: set = dataclasses.field(default_factory=set)
    running: set = dataclasses.field(default_factory=lambda: {A, B, C})

    def __post_init__(self):
        self.measuring = Measuring(
            Rules(True, WINDOWS),
            self._start,
            lambda: frozenset(self.running),
            self.reported.append,
            lambda at: at + 1e9,
        )

    def _start(self, server_uuid, windows):
        self.started.append((server_uuid, windows))
        return lambda: self.cancelled.append(server_uuid)

    def ask(self, server_uuid=A, now=NOW):
        request = MeasureRequest(Target(server_uuid=server_uuid), "user 'u', request 'req-1'")
        self.measuring.take(request, self.has_job, now)
        return request.answer

    def ask_all(self):
        request = MeasureAllRequest("user 'u', request 'req-2'")
        self.measuring.take_all(request, self.has_job)
        return request.answer

    def has_job(self, server_uuid):
        return server_uuid in self.migrating

    def look(self, now=NOW):
        self.measuring.look(now, self.has_job, is_quiet=not self.migrating)

    def begins(self, server_uuid=A, now=NOW):
        self.measuring.seen(MeasuringBegan(server_uuid=server_uuid, at=now), now)

    def ends(self, server_uuid=A, now=NOW, failure=None, **values):
        ended = MeasuringEnded(
            server_uuid=server_uuid,
            at=now,
            windows=() if failure else (Window(1.0, 22),),
            facts=ServerFacts(memory_size_bytes=2**29, project_id="p", has_host_devices=True),
            failure=failure,
            **values,
        )
        self.measuring.seen(ended, now)


@pytest.fixture
def site():
    return Site()


def answer(future):
    assert future.done()
    return future.result(0)


def test_requested_server_is_measured_and_reported(site):
    asked = site.ask()
    assert site.started == [(A, WINDOWS)]
    assert not asked.done(), "QEMU has not begun"
    site.begins()
    assert answer(asked) == Answer()
    site.ends(now=NOW + 5, resident_bytes=7, disk_bytes=0, downtime_limit_seconds=0.5)
    (found,) = site.reported
    assert (found.server_uuid, found.measured_at) == (A, NOW + 5 + 1e9)
    assert found.windows == ((1.0, 22),)
    assert (found.memory_bytes, found.resident_bytes, found.disk_bytes) == (2**29, 7, 0)
    assert (found.project_id, found.has_host_devices, found.failure) == ("p", True, None)


def test_nothing_is_measured_unless_it_is_allowed(site):
    site.measuring.rules = Rules(False, WINDOWS, interval_seconds=1.0)
    assert answer(site.ask()) == Answer.of(Failure.DISABLED)
    site.look(NOW + 100)
    assert site.started == []
    assert site.measuring.next_look_at() is None


def test_server_with_a_job_is_not_measured(site):
    site.migrating.add(A)
    assert answer(site.ask()) == Answer.of(Failure.MIGRATES)
    assert site.started == []


def test_one_server_is_measured_at_a_time(site):
    first, second, again = site.ask(A), site.ask(B), site.ask(A)
    assert answer(second) == answer(again) == Answer(), "they wait for their turn"
    site.look()
    assert [each for each, _ in site.started] == [A]
    assert not first.done()
    site.ends(A)
    site.look(NOW + 1)
    assert [each for each, _ in site.started] == [A, B]


def test_request_for_a_waiting_server_leaves_the_round_as_it_is(site):
    site.measuring.rules = Rules(True, WINDOWS, 600.0)
    site.look()
    ((first, _),) = site.started
    other = max({A, B, C} - {first})
    site.ask(other)
    assert answer(site.ask(other)) == Answer()
    site.ends(first, failure=Failure.JOB_RUNS)
    assert site.reported == [], "nobody has asked for it"


def test_failure_of_a_round_is_reported_if_somebody_has_asked_meanwhile(site):
    site.measuring.rules = Rules(True, WINDOWS, 600.0)
    site.look()
    ((first, _),) = site.started
    assert answer(site.ask(first)) == Answer()
    site.ends(first, failure=Failure.MIGRATION_BEGAN)
    assert [each.failure for each in site.reported] == ["migration-began"]


def test_waiting_servers_are_bounded(site):
    site.ask(A)
    for _ in range(MOST_WAITING):
        assert answer(site.ask(str(uuid.uuid4()))) == Answer()
    assert answer(site.ask(B)) == Answer.of(Failure.BUSY)


def test_measurement_is_given_up_once_when_a_migration_begins(site, caplog):
    caplog.set_level(logging.INFO)
    asked = site.ask()
    site.begins()
    site.look()
    assert site.cancelled == []
    site.migrating.add(A)
    site.look()
    site.look()
    assert site.cancelled == [A]
    site.ends(failure=Failure.MIGRATION_BEGAN)
    assert answer(asked) == Answer()
    (found,) = site.reported
    assert (found.failure, found.windows) == ("migration-began", None)
    assert "a migration of the server began" in caplog.records[-1].getMessage()


def test_requested_measurement_that_cannot_be_begun_has_failed(site, caplog):
    with pytest.MonkeyPatch.context() as system:
        system.setattr(site.measuring, "_start", cannot_start)
        assert answer(site.ask()) == Answer.of(Failure.LIBVIRT_FAILED)
    assert "can't start new thread" in caplog.text
    assert not site.ask().done(), "the next one begins"
    assert site.started == [(A, WINDOWS)]


def test_round_goes_on_after_a_measurement_that_cannot_be_begun(site):
    site.measuring.rules = Rules(True, WINDOWS, 600.0)
    with pytest.MonkeyPatch.context() as system:
        system.setattr(site.measuring, "_start", cannot_start)
        site.look()
    site.look(site.measuring.next_look_at())
    assert [each for each, _ in site.started] == [B]


def test_failure_before_it_has_begun_is_the_answer_alone(site):
    asked = site.ask()
    site.ends(failure=Failure.NOT_RUNNING)
    assert answer(asked) == Answer.of(Failure.NOT_RUNNING)
    assert site.reported == []


def test_libvirt_that_hangs_stops_measuring_until_it_answers(site, caplog):
    site.ask()
    late_at = site.measuring.next_look_at()
    assert late_at > NOW + sum(WINDOWS)
    site.look(late_at)
    site.look(late_at + 1)
    assert site.cancelled == [A]
    hangs = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert len(hangs) == 1 and "libvirt does not answer" in hangs[0].getMessage()
    assert answer(site.ask(B)) == Answer.of(Failure.LIBVIRT_HANGS)
    assert site.measuring.next_look_at() is None
    site.ends(failure=Failure.TIMED_OUT)
    site.ask(B)
    assert [each for each, _ in site.started] == [A, B]


def test_round_measures_every_server_once_in_its_interval(site):
    site.measuring.rules = Rules(True, WINDOWS, 600.0)
    now = NOW
    while now < NOW + 500:
        site.look(now)
        if site.started and len(site.started) > len(site.reported):
            site.ends(site.started[-1][0], now)
        now += 1
    assert sorted(each for each, _ in site.started) == [A, B, C]
    while now < NOW + 700:
        site.look(now)
        if len(site.started) > len(site.reported):
            site.ends(site.started[-1][0], now)
        now += 1
    assert sorted(each for each, _ in site.started) == [A, A, B, B, C, C]


def test_first_round_begins_soon_after_the_first_servers_are_found(site):
    site.measuring.rules = Rules(True, WINDOWS, 600.0)
    site.running.clear()
    site.look()
    site.running.add(A)
    site.look(NOW + 5)
    assert [each for each, _ in site.started] == [A]


def test_round_waits_while_a_server_migrates(site):
    site.measuring.rules = Rules(True, WINDOWS, 600.0)
    site.migrating.add(C)
    site.look()
    assert site.started == []
    site.migrating.clear()
    site.look()
    assert len(site.started) == 1


def test_failure_in_a_round_is_not_reported(site):
    site.measuring.rules = Rules(True, WINDOWS, 600.0)
    site.look()
    ((server_uuid, _),) = site.started
    site.ends(server_uuid, failure=Failure.JOB_RUNS)
    site.look(NOW + 1)
    assert site.reported == []
    assert len(site.started) == 1, "the next one is not at once"


def test_request_is_before_the_round(site):
    site.measuring.rules = Rules(True, WINDOWS, 600.0)
    site.look()
    ((first, _),) = site.started
    last = max({A, B, C} - {first})
    assert answer(site.ask(last)) == Answer()
    site.ends(first)
    site.look()
    assert site.started[-1][0] == last


def test_gone_server_is_forgotten(site):
    site.measuring.rules = Rules(True, WINDOWS, 600.0)
    site.running = {A}
    site.look()
    site.ends(A)
    site.running = set()
    site.look(NOW + 60)
    site.running = {A}
    site.look(NOW + 120)
    assert [each for each, _ in site.started] == [A, A]


def test_all_servers_are_measured_one_after_the_other_whatever_their_number(site):
    site.running = {str(uuid.UUID(int=number)) for number in range(1, MOST_WAITING + 9)}
    site.migrating.add(A)
    assert answer(site.ask_all()) == Answer()
    for number in range(len(site.running) - 1):
        site.look(NOW + number)
        site.ends(site.started[-1][0], NOW + number)
    assert {each for each, _ in site.started} == site.running - {A}
    assert {each.server_uuid for each in site.reported} == site.running - {A}
    assert site.measuring.next_look_at() is None, "nothing waits"


def test_failure_to_measure_one_of_all_is_reported(site):
    site.ask_all()
    site.look()
    site.ends(A, failure=Failure.NOT_RUNNING)
    (found,) = site.reported
    assert (found.server_uuid, found.failure) == (A, "server-not-running")
    site.look(NOW + 1)
    assert [each for each, _ in site.started] == [A, B]


def test_server_that_is_being_measured_is_not_measured_again_for_all(site):
    site.ask(A)
    site.ask_all()
    for each in (A, B, C):
        site.look()
        site.ends(each)
    assert [each for each, _ in site.started] == [A, B, C]


def test_no_server_of_all_is_measured_unless_it_is_allowed_or_while_libvirt_hangs(site):
    site.measuring.rules = Rules(False, WINDOWS)
    assert answer(site.ask_all()) == Answer.of(Failure.DISABLED)
    site.measuring.rules = Rules(True, WINDOWS)
    site.ask(A)
    site.look(NOW + 1000)
    assert answer(site.ask_all()) == Answer.of(Failure.LIBVIRT_HANGS)
    assert [each for each, _ in site.started] == [A]


def test_newest_measurement_of_each_server_that_runs_here_is_remembered(site):
    for number, each in enumerate((A, B, A)):
        site.ask(each)
        site.ends(each, NOW + number, resident_bytes=number)
    assert site.measuring.newest(A).measured_at == NOW + 2
    assert (site.measuring.newest(A).resident_bytes, site.measuring.newest(C)) == (2, None)
    site.ask(A)
    site.ends(A, NOW + 9, failure=Failure.TIMED_OUT)
    assert site.measuring.newest(A).measured_at == NOW + 2
    site.running.discard(B)
    site.ask(A)
    site.ends(A, NOW + 20)
    assert site.measuring.newest(B) is None
