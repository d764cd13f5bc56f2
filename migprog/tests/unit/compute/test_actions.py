# SPDX-License-Identifier: Apache-2.0
"""What an agent does of what it is asked for, and what its log has of that."""

import logging
import time
import uuid
from concurrent.futures import Future

import pytest

from migprog.compute.actions import Actions
from migprog.compute.actions_in_progress import ActionsInProgress
from migprog.compute.endpoint import Request
from migprog.compute.libvirt.loop_messages import ActionResult
from migprog.core import checkpoint
from migprog.core.actions import Action, Refusal, Target
from migprog.core.agent_answer import Answer
from migprog.core.messages import Report
from migprog.core.monitor import Monitor
from migprog.core.schedule import Rules
from migprog.core.status import Phase, Status
from migprog.tests.fixtures.threads import cannot_start

SERVER, MIGRATION, OTHER = (str(uuid.UUID(int=number)) for number in (1, 2, 3))
NOW = 1000.0
STATS = {
    "type": 2,
    "operation": 5,
    "time_elapsed": 5000,
    "memory_total": 2**30,
    "memory_processed": 2**20,
    "memory_remaining": 2**29,
    "memory_iteration": 1,
}


def monitor(*, stats=STATS):
    """Of a migration that was read at ``NOW``."""
    new = Monitor(MIGRATION, SERVER, NOW - 1)
    if stats:
        new.read(stats, 0.3, NOW)
    return new


def request(action=Action.ABORT, migration=MIGRATION):
    target = Target(uuid=migration, server_uuid=SERVER)
    return Request(action, target, "u", "p", "req-1")


@pytest.fixture
def acts():
    """What was to be done."""
    return []


@pytest.fixture
def in_progress():
    return ActionsInProgress()


@pytest.fixture
def actions(acts, in_progress):
    return Actions(lambda *what: acts.append(what), in_progress)


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO)
    return caplog


def answer(asked):
    return asked.answer.result(0)


@pytest.mark.parametrize("action", Action)
def test_action_is_carried_out(actions, acts, log, action):
    asked = request(action)
    actions.take(asked, monitor(), NOW + 0.1)
    assert acts == [(action, SERVER, NOW)]
    assert not asked.answer.done()
    actions.done(ActionResult(server_uuid=SERVER, at=NOW, how="so"))
    assert answer(asked) == Answer()
    who = f"server {SERVER}: {action.value} of migration {MIGRATION}, for user 'u', request 'req-1'"
    assert [each.getMessage() for each in log.records] == [
        f"{who}, is begun",
        f"{who}, is done: so",
    ]


@pytest.mark.parametrize("action", Action)
def test_action_that_cannot_be_begun_has_failed_and_the_next_one_is_carried_out(
    actions, acts, in_progress, log, action
):
    one, failed = monitor(), request(action)
    Actions(cannot_start, in_progress).take(failed, one, NOW)
    assert answer(failed) == Answer.of(Refusal.LIBVIRT_FAILED)
    assert [entry["state"] for entry in recorded(one)] == ["failed"]
    assert 'has failed: RuntimeError("can\'t start new thread")' in log.messages[-1]
    assert not one.forced
    actions.take(request(action), one, NOW + 1)
    assert acts == [(action, SERVER, NOW)]


def recorded(one):
    """What the record's next report says of operators' actions."""
    return one.preview(NOW + 1, 5000.0).actions


@pytest.mark.parametrize(
    ("result", "state"),
    [({"how": "so"}, "done"), ({"error": "no"}, "failed"), ({"refused": Refusal.ENDED}, "failed")],
)
def test_record_has_who_asked_when_and_what_became_of_it(actions, result, state):
    one = monitor()
    assert recorded(one) is None
    actions.take(request(), one, NOW + 0.5)
    (entry,) = recorded(one)
    who = {"user_id": "u", "project_id": "p", "request_id": "req-1"}
    after_seconds = round(NOW + 0.5 - one.started_clock, 3)
    what = {"after_seconds": after_seconds, "action": "abort"}
    assert entry == what | who | {"state": "begun"}
    actions.done(ActionResult(server_uuid=SERVER, at=NOW + 0.6, **result))
    assert recorded(one) == ({**entry, "state": state},)


def test_refused_request_is_not_in_the_record(actions):
    one = monitor()
    actions.take(request(migration=OTHER), one, NOW)
    assert recorded(one) is None


def test_action_is_reported_at_once(actions):
    one, rules = monitor(), Rules(3600.0, 3600.0)
    assert one.report_if_due(rules, NOW + 0.1, 5000.0) is not None
    assert one.report_if_due(rules, NOW + 0.2, 5000.1) is None
    actions.take(request(), one, NOW + 0.3)
    reason, report = one.report_if_due(rules, NOW + 0.4, 5000.3)
    assert (reason, len(report.actions)) == ("action", 1)
    assert one.report_if_due(rules, NOW + 0.5, 5000.4) is None


def test_next_agent_goes_on_with_the_actions_of_the_earlier_one(actions):
    one = monitor()
    actions.take(request(), one, NOW)
    saved = checkpoint.make(one.preview(NOW, 5000.0), "boot", NOW - 9, NOW)
    resumed = Monitor(MIGRATION, SERVER, NOW + 5, None, saved)
    resumed.checkpoint = None
    resumed.read(STATS, 0.3, NOW + 6)
    assert recorded(resumed) == recorded(one)


def _kept():
    report = Report(
        uuid=MIGRATION,
        server_uuid=SERVER,
        sequence=1,
        status=Status.RUNNING,
        phase=Phase.MEMORY_ITERATIONS,
        started_at=1.0,
        sampled_at=2.0,
    )
    return Monitor(MIGRATION, SERVER, NOW, None, checkpoint.make(report, "boot", NOW - 9, NOW))


def _in_post_copy():
    one = monitor()
    one.turned(Phase.POST_COPY)
    return one


def _ended():
    one = monitor()
    one.lifecycle(5, 3, NOW)
    return one


@pytest.mark.parametrize(
    ("which", "migration", "why"),
    [
        (lambda: None, MIGRATION, Refusal.NOT_ON_HOST),
        (monitor, OTHER, Refusal.NOT_ON_HOST),
        (_kept, MIGRATION, Refusal.AGENT_STARTING),
        (_in_post_copy, MIGRATION, Refusal.AT_DESTINATION),
        (_ended, MIGRATION, Refusal.ENDED),
    ],
)
@pytest.mark.parametrize("action", Action)
def test_action_is_refused(actions, acts, log, which, migration, why, action):
    asked = request(action, migration)
    actions.take(asked, which(), NOW + 0.1)
    assert acts == []
    assert answer(asked) == Answer.of(why)
    (line,) = log.records
    assert line.levelno == logging.WARNING
    assert "user 'u', request 'req-1', is refused: " in line.getMessage()
    assert why.message in line.getMessage()


def test_nothing_is_forced_before_memory_moves(actions, acts):
    asked = request(Action.FORCE_COMPLETE)
    actions.take(asked, monitor(stats=None), NOW)
    assert answer(asked).reason is Refusal.NO_MEMORY_COPIED
    asked = request(Action.ABORT)
    actions.take(asked, monitor(stats=None), NOW)
    assert acts == [(Action.ABORT, SERVER, NOW - 1)]


def test_one_thing_at_a_time(actions, acts):
    first, second, third = request(), request(), request()
    actions.take(first, monitor(), NOW)
    actions.take(second, monitor(), NOW)
    assert answer(second).reason is Refusal.BUSY
    actions.done(ActionResult(server_uuid=SERVER, at=NOW, refused=Refusal.ENDED))
    assert answer(first) == Answer.of(Refusal.ENDED)
    actions.take(third, monitor(), NOW)
    assert len(acts) == 2


def test_libvirts_reason_is_logged(actions, log):
    """It may name hosts."""
    asked = request()
    actions.take(asked, monitor(), NOW)
    actions.done(ActionResult(server_uuid=SERVER, at=NOW, error="no route to rack7"))
    assert answer(asked) == Answer.of(Refusal.LIBVIRT_FAILED)
    assert log.records[-1].levelno == logging.ERROR
    assert (
        log.records[-1]
        .getMessage()
        .endswith(
            "has failed: no route to rack7; the migration may continue; check libvirt and QEMU"
        )
    )


def test_endpoint_that_has_stopped_waiting_blocks_nothing(actions):
    """The endpoint has waited long enough."""
    asked = request()
    assert isinstance(asked.answer, Future)
    with pytest.raises(TimeoutError):
        asked.answer.result(0)
    actions.take(asked, monitor(), NOW)
    actions.done(ActionResult(server_uuid=SERVER, at=NOW, how="so"))
    assert answer(asked) == Answer()


def test_hanging_libvirt_is_logged_once(actions, in_progress, log):
    actions.take(request(), monitor(), NOW)
    assert in_progress.next_look_at(10.0) == NOW + 10
    for now in (NOW + 9, NOW + 11, NOW + 12):
        in_progress.look(now, 10.0)
    assert [each.getMessage() for each in log.records if each.levelno == logging.WARNING] == [
        f"server {SERVER}: abort of migration {MIGRATION}, for user 'u', request 'req-1', hangs: "
        "libvirt does not answer; no other action on the server until it does; check libvirt "
        "and QEMU"
    ]
    assert in_progress.next_look_at(10.0) is None
    late = request()
    actions.take(late, monitor(), NOW + 13)
    assert answer(late).reason is Refusal.BUSY


def test_forecast_after_the_guest_was_paused(actions):
    """What remains is still copied, for as long as that takes; it is no measure for others."""
    one = monitor()
    moving = STATS | {"time_elapsed": 6000, "memory_processed": 2**20 + 2**26}
    one.read(moving, 0.3, NOW + 1)
    actions.take(request(Action.FORCE_COMPLETE), one, NOW + 1)
    one.lifecycle(3, 1, NOW + 1)
    actions.done(ActionResult(server_uuid=SERVER, at=NOW + 1, how="paused", paused=True))
    one.read(moving | {"memory_processed": 2**20 + 2**26 + 2**25}, 0.3, NOW + 1.5)
    _reason, report = one.report_if_due(Rules(0.0, 30.0), NOW + 1.6, time.time())
    assert report.phase is Phase.MEMORY_FIRST_ITERATION
    assert report.eta_seconds == pytest.approx(2**29 / 2**26, rel=0.25)
    one.lifecycle(5, 3, NOW + 9)
    assert one.ending.completion_time_seconds is None


def test_failed_pause_does_not_count_as_one(actions):
    one = monitor()
    actions.take(request(Action.FORCE_COMPLETE), one, NOW)
    actions.done(ActionResult(server_uuid=SERVER, at=NOW, error="no"))
    one.lifecycle(3, 1, NOW + 1)
    one.lifecycle(5, 3, NOW + 1.5)
    assert one.ending.completion_time_seconds == 0.5


@pytest.mark.parametrize(
    ("answered", "status"),
    [({"how": "so"}, Status.CANCELLED), ({"error": "no"}, Status.FAILED)],
)
@pytest.mark.parametrize("is_seen_first", [True, False])
def test_job_that_fails_was_aborted_if_libvirt_has_accepted_an_abort(
    actions, answered, status, is_seen_first
):
    watched = monitor()
    actions.take(request(Action.ABORT), watched, NOW)
    seen = [
        lambda: watched.read(STATS | {"type": 4}, 0.3, NOW + 1),
        lambda: actions.done(ActionResult(server_uuid=SERVER, at=NOW, **answered)),
    ]
    for each in seen if is_seen_first else reversed(seen):
        each()
    assert watched.state[0] is status


def test_job_that_fails_after_a_forced_completion_has_failed(actions):
    watched = monitor()
    actions.take(request(Action.FORCE_COMPLETE), watched, NOW)
    actions.done(ActionResult(server_uuid=SERVER, at=NOW, how="so"))
    watched.read(STATS | {"type": 4}, 0.3, NOW + 1)
    assert watched.state[0] is Status.FAILED
