# SPDX-License-Identifier: Apache-2.0
import itertools
import uuid

import pytest

from migprog.core import job_start
from migprog.core.actions import Action, Refusal, Target, refusal
from migprog.core.agent_answer import Answer
from migprog.core.status import ENDED, Phase, Status
from migprog.core.wire_table import Malformed

MEMORY = (Phase.MEMORY_FIRST_ITERATION, Phase.MEMORY_ITERATIONS)
TARGET = Target(uuid=str(uuid.UUID(int=1)), server_uuid=str(uuid.UUID(int=2)))
# libvirt's: a migration out, under way, for ten seconds.
STATS = {"type": 2, "operation": 5, "time_elapsed": 10_000}


@pytest.mark.parametrize(("status", "phase"), list(itertools.product(Status, Phase)))
def test_actions_by_status_and_phase(status, phase):
    # That it has moved is its destination's word: the source's agent, which has no such status of
    # its own, is asked.
    running = status in (Status.RUNNING, Status.POST_MIGRATING)
    assert (refusal(Action.ABORT, status, phase) is None) is running
    forced = refusal(Action.FORCE_COMPLETE, status, phase)
    if running and phase not in (Phase.POST_COPY, Phase.POST_COPY_PAUSED, Phase.DONE):
        assert (forced is None) is (phase in MEMORY)


def test_why_not():
    why = {
        (action, status): refusal(action, status, Phase.POST_COPY)
        for action in Action
        for status in (Status.COMPLETED, Status.POST_COPY)
    }
    for action in Action:
        assert why[action, Status.COMPLETED] is Refusal.ENDED
        assert why[action, Status.POST_COPY] is Refusal.AT_DESTINATION
    assert all(refusal(Action.ABORT, status, Phase.DONE) for status in ENDED)
    forced = {phase: refusal(Action.FORCE_COMPLETE, Status.RUNNING, phase) for phase in Phase}
    assert forced[Phase.DISK_COPY] is forced[Phase.SETUP] is Refusal.NO_MEMORY_COPIED
    assert forced[Phase.SWITCHOVER] is Refusal.SWITCHING_OVER


@pytest.mark.parametrize(
    ("changes", "at", "seen_at", "it_is"),
    [
        ({}, 100.0, 99.5, True),
        ({}, 100.0, 90.0, True),
        # It began at 90, after that was seen: another one.
        ({}, 100.0, 89.9, False),
        ({"time_elapsed": 200}, 100.0, 99.5, False),
        # Somebody set the clock back.
        ({"time_elapsed": 0, "memory_processed": 1}, 100.0, 1.0, True),
        ({"time_elapsed": 0}, 100.0, 99.5, False),
        # None, a migration in, and a snapshot.
        ({"type": 0}, 100.0, 99.5, False),
        ({"operation": 4}, 100.0, 99.5, False),
        ({"operation": 6}, 100.0, 99.5, False),
    ],
)
def test_target_matches_its_job_only(changes, at, seen_at, it_is):
    assert job_start.is_migration_seen(STATS | changes, at, seen_at) is it_is


def test_a_target_on_its_way():
    assert Target.from_wire(TARGET.to_wire()) == TARGET
    later = {"fields": ["uuid", "why", "server_uuid"], "rows": [[TARGET.uuid, {}, TARGET.uuid]]}
    assert Target.from_wire(later).server_uuid == TARGET.uuid


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        (None, "must be a dictionary"),
        ({"fields": ["uuid"], "rows": []}, "one entry"),
        ({"fields": ["uuid"], "rows": [[TARGET.uuid]]}, "server_uuid: is missing"),
        ({"fields": ["uuid", "server_uuid"], "rows": [["x", "y"]]}, "uuid: 'x' must be a UUID"),
        ({"fields": ["uuid"], "rows": [["x"], ["y"]]}, "at most 1"),
    ],
)
def test_invalid_targets_are_malformed(wire, said):
    with pytest.raises(Malformed, match=said):
        Target.from_wire(wire)


def test_an_answer_on_its_way():
    for answer in (Answer(), Answer("it is over"), *map(Answer.of, Refusal)):
        assert Answer.from_wire(answer.to_wire(), Refusal) == answer
    assert (
        Answer.from_wire(None, Refusal) == Answer.from_wire({"of_tomorrow": 1}, Refusal) == Answer()
    )
    assert len(Answer.from_wire({"refused": "x" * 9999}, Refusal).refused) == 255
    odd: list[object] = ["of-tomorrow", 1, ["x"], {}]
    for reason in odd:
        assert Answer.from_wire({"refused": "no", "reason": reason}, Refusal) == Answer("no")
