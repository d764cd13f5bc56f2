# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest

from migprog.core import checkpoint
from migprog.core.status import Phase, Status
from migprog.tests.unit.core.test_messages import ACTION, ADVICE, REPORT

FIRST = dataclasses.replace(
    REPORT, sequence=1, status=Status.RUNNING, phase=Phase.MEMORY_ITERATIONS, started_at=5000.0
)
KEPT = checkpoint.make(FIRST, "boot", started_clock=100.0, now=130.0)


def told(sequence, **values):
    return dataclasses.replace(FIRST, sequence=sequence, **values)


def test_a_first_report_waits_for_the_disk_and_the_next_ones_do_not():
    assert checkpoint.is_due(FIRST, None, 130.0)
    assert not checkpoint.is_due(told(2), KEPT, 131.0)
    assert not checkpoint.is_due(told(KEPT.sequence), KEPT, 131.0)


def test_no_report_leaves_with_a_sequence_that_is_not_set_aside():
    assert checkpoint.is_due(told(KEPT.sequence + 1), KEPT, 131.0)


def test_checkpoint_is_renewed_periodically_and_at_post_copy():
    assert not checkpoint.is_due(told(2), KEPT, 159.0)
    assert checkpoint.is_due(told(2), KEPT, 160.0)
    young = checkpoint.make(FIRST, "boot", started_clock=100.0, now=100.1)
    assert not checkpoint.is_due(told(2), young, 105.0)
    assert checkpoint.is_due(told(2), young, 105.2)
    old = checkpoint.make(FIRST, "boot", started_clock=100.0, now=9000.0)
    assert not checkpoint.is_due(told(2), old, 9059.0)
    assert checkpoint.is_due(told(2), old, 9060.0)
    turned = told(2, phase=Phase.POST_COPY)
    assert checkpoint.is_due(turned, KEPT, 131.0)
    assert not checkpoint.is_due(turned, checkpoint.make(turned, "boot", 100.0, 131.0), 132.0)


def test_it_is_renewed_with_each_advice_which_the_next_agent_goes_on_with():
    advised = told(2, advice=(ADVICE,))
    assert checkpoint.is_due(advised, KEPT, 131.0)
    kept = checkpoint.make(advised, "boot", 100.0, 131.0)
    assert kept.advice == (ADVICE,)
    assert not checkpoint.is_due(told(3, advice=(dict(ADVICE),)), kept, 132.0)
    assert checkpoint.is_due(told(3, advice=(ADVICE | {"state": "done"},)), kept, 132.0)


def test_it_is_renewed_with_each_action_which_the_next_agent_goes_on_with():
    asked = told(2, actions=(ACTION,))
    assert checkpoint.is_due(asked, KEPT, 131.0)
    kept = checkpoint.make(asked, "boot", 100.0, 131.0)
    assert kept.actions == (ACTION,)
    assert not checkpoint.is_due(told(3, actions=(dict(ACTION),)), kept, 132.0)
    assert checkpoint.is_due(told(3, actions=(ACTION | {"state": "failed"},)), kept, 132.0)


@pytest.mark.parametrize(
    ("started_clock", "started_at", "same"),
    [
        (100.0, 5000.0, True),
        # A clock was set forward by an hour, and a job looks as much older.
        (100.0 - 3600, 5000.0, True),
        # It was set back: the job looks younger, but libvirt's start is where it was.
        (600.0, 5001.0, True),
        # After the last that was seen of the old one another has begun; with a clock set, too.
        (130.5, 5030.5, False),
        (130.5, 5930.5, False),
    ],
)
def test_job_is_distinguished_from_another_of_the_server(started_clock, started_at, same):
    assert checkpoint.is_same_job(KEPT, started_clock, started_at) is same


def test_another_job_may_begin_a_moment_after_the_first():
    soon = checkpoint.make(FIRST, "boot", started_clock=100.0, now=100.1)
    assert checkpoint.is_same_job(soon, 100.001, 5000.001)
    assert not checkpoint.is_same_job(soon, 101.5, 5001.5)


def test_unseen_end_has_no_figures_and_the_highest_sequence():
    end = checkpoint.unknown_end(KEPT, checkpoint.LEFT_GONE, at=6000.0)
    assert end.status is Status.UNKNOWN
    assert end.sequence > KEPT.sequence >= FIRST.sequence
    assert (end.uuid, end.server_uuid, end.started_at) == (KEPT.uuid, KEPT.server_uuid, 5000.0)
    assert (end.ended_at, end.sampled_at) == (6000.0, FIRST.sampled_at)
    assert end.error == checkpoint.LEFT_GONE
    assert end.memory_processed_bytes is end.total_seconds is None


def test_texts_fit_into_a_record():
    texts = {text for name, text in vars(checkpoint).items() if name.startswith("LEFT_")}
    assert len(texts) == 5
    assert max(map(len, texts)) <= 255
