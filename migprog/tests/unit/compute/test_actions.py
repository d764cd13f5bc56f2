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
from migprog.compute.libvirt.events import ActionResult
from migprog.core import checkpoint
from migprog.core.actions import Action, Answer, Refusal, Target
from migprog.core.monitor import Monitor
from migprog.core.report import Report
from migprog.core.schedule import Rules
from migprog.core.status import Phase, Status

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
    return Request(action, target, "user 'u', request 'req-1'")


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
    assert log.records[-1].getMessage().endswith("has failed: no route to rack7")


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
