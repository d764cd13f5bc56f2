# SPDX-License-Identifier: Apache-2.0
"""What is a migration, by what libvirt 9.0.0 was seen to report of each kind of job."""

import itertools
import pathlib

import pytest

from lab import corpus
from migprog.core import checkpoint
from migprog.core.observation import Reading
from migprog.core.status import Status
from migprog.recording import format, observation_rows
from migprog.tests.fixtures.driven import SERVER
from migprog.tests.fixtures.durations import seconds_of
from migprog.tests.fixtures.threads import cannot_start
from migprog.tests.fixtures.watching import (
    DUMP,
    ELAPSED_SECONDS,
    MIGRATION_OUT,
    PAUSED,
    SAVE,
    SNAPSHOT,
    STOPPED_CRASHED,
    STOPPED_MIGRATED,
    STOPPED_SAVED,
    SUSPENDED_MIGRATED,
    Agent,
)
from migprog.tests.unit.core.test_checkpoint import KEPT

SAVED = pathlib.Path(corpus.__file__).parent / "field" / "lab-save.jsonl.gz"


@pytest.fixture
def agent():
    return Agent()


def save(agent, operation=SAVE):
    """A save as libvirt's events and its answers showed it, in their order."""
    agent.lifecycle(PAUSED)
    agent.qemu("setup")
    agent.iteration(1)
    agent.qemu("active")
    agent.reads(operation)
    agent.iteration(2)
    agent.reads(operation)
    agent.qemu("completed")
    agent.completed(operation)
    agent.reads(operation, job_type=3)


def saved(agent):
    save(agent)
    agent.lifecycle(STOPPED_SAVED)
    agent.gone()


def nothing_answers(agent):
    """No call was answered: only the events show it."""
    agent.iteration(1)
    agent.qemu("active")
    agent.iteration(2)
    agent.qemu("completed")
    agent.completed(SAVE)
    agent.lifecycle(STOPPED_SAVED)


def read_too_late(agent):
    agent.iteration(1)
    agent.gone()
    agent.lifecycle(STOPPED_SAVED)


def without_qemu_events(agent):
    agent.iteration(1)
    agent.reads(SAVE)
    agent.lifecycle(STOPPED_SAVED)


def save_that_fails(agent):
    agent.lifecycle(PAUSED)
    agent.iteration(1)
    agent.qemu("failed")
    agent.reads(None)


def long_snapshot(agent):
    for number in range(1, 30):
        agent.iteration(number)
        agent.reads(SNAPSHOT)
    agent.completed(SNAPSHOT)
    agent.reads(None)


NO_MIGRATIONS = [
    saved,
    lambda agent: save(agent, DUMP),
    lambda agent: save(agent, SNAPSHOT),
    long_snapshot,
    nothing_answers,
    read_too_late,
    without_qemu_events,
    save_that_fails,
]


@pytest.mark.parametrize("job", NO_MIGRATIONS)
def test_a_job_into_a_file_is_no_migration(agent, job):
    job(agent)
    assert agent.reported() == []
    assert len(agent.watches) == 0
    assert all(sampler.stopped for sampler in agent.samplers)


def test_the_recording_of_a_save_is_no_migration(agent):
    for row in format.read(str(SAVED)).rows:
        seen = observation_rows.from_row(row | {"t": agent.now}, SERVER)
        if seen is not None:
            agent.sees(seen)
    assert agent.reported() == []


@pytest.mark.parametrize("job", NO_MIGRATIONS)
def test_a_migration_right_after_such_a_job_is_seen_at_once(agent, job):
    job(agent)
    agent.iteration(1)
    agent.reads(MIGRATION_OUT, elapsed_seconds=0.1)
    assert SERVER in agent.watches
    (report,) = agent.reports()
    assert report.status is Status.RUNNING
    agent.completed(MIGRATION_OUT)
    agent.lifecycle(STOPPED_MIGRATED)
    assert agent.reported() == [Status.COMPLETED]


def test_proven_migration_is_reported_from_its_first_event(agent):
    agent.iteration(1)
    agent.wait(2.0)
    assert agent.reports() == ()
    agent.reads(MIGRATION_OUT)
    assert SERVER in agent.watches
    assert len(agent.reports()) == 1


def test_by_verdict_counts_migrations_that_are_proven_until_they_end(agent):
    agent.iteration(1)
    agent.wait(2.0)
    assert agent.watches.by_verdict() == {}
    agent.reads(MIGRATION_OUT)
    (report,) = agent.reports()
    assert agent.watches.by_verdict() == {report.verdict: 1}
    agent.completed(MIGRATION_OUT)
    agent.lifecycle(STOPPED_MIGRATED)
    assert agent.reported() == [Status.COMPLETED]
    assert agent.watches.by_verdict() == {}


@pytest.mark.parametrize(
    "events",
    [
        lambda agent: (agent.completed(MIGRATION_OUT), agent.lifecycle(STOPPED_MIGRATED)),
        lambda agent: (agent.lifecycle(STOPPED_MIGRATED), agent.completed(MIGRATION_OUT)),
        lambda agent: agent.lifecycle(STOPPED_MIGRATED),
        lambda agent: (agent.lifecycle(SUSPENDED_MIGRATED), agent.lifecycle(STOPPED_MIGRATED)),
    ],
)
@pytest.mark.parametrize(
    "before", [lambda agent: None, lambda agent: (agent.iteration(1), agent.gone())]
)
def test_a_migration_of_which_only_events_were_seen_has_its_record(agent, before, events):
    before(agent)
    events(agent)
    assert agent.reported() == [Status.COMPLETED]


@pytest.mark.parametrize(("job_type", "status"), [(4, Status.FAILED), (5, Status.CANCELLED)])
def test_a_migration_that_was_first_read_as_it_failed_has_its_record(agent, job_type, status):
    agent.reads(MIGRATION_OUT, job_type=job_type)
    assert agent.reported() == [status]
    assert [report.total_seconds for report in agent.reports()] == [ELAPSED_SECONDS]
    # libvirt goes on to show it for a moment.
    agent.reads(MIGRATION_OUT, job_type=job_type, elapsed_seconds=0.0)
    assert agent.reported() == [status]


def test_a_candidate_whose_server_crashes_is_no_migration(agent):
    agent.iteration(1)
    agent.lifecycle(STOPPED_CRASHED)
    assert agent.reported() == []


def test_a_migration_whose_server_crashes_has_failed(agent):
    agent.reads(MIGRATION_OUT)
    agent.lifecycle(STOPPED_CRASHED)
    assert agent.reported() == [Status.FAILED]


@pytest.mark.parametrize("job", [saved, nothing_answers])
def test_a_save_ends_no_migration_by_its_server_s_stop(agent, job):
    # It was aborted, and the server saved before anything more was read of the migration.
    agent.reads(MIGRATION_OUT)
    agent.qemu("cancelled")
    job(agent)
    assert agent.reported() == [Status.CANCELLED]
    assert [report.error for report in agent.reports()] == ["the migration was aborted"]


def test_checkpoint_of_an_earlier_agent_does_not_match_a_save(agent):
    assert agent.watches.resume(KEPT, agent.now)
    save(agent)
    assert agent.reported() == [Status.UNKNOWN]
    assert [(each.uuid, each.error) for each in agent.reports()] == [
        (KEPT.uuid, checkpoint.LEFT_RUNNING)
    ]


def test_checkpoint_is_not_resumed_where_no_thread_can_be_started(agent, monkeypatch, caplog):
    with monkeypatch.context() as system:
        system.setattr(agent.watches, "_sampler", cannot_start)
        assert not agent.watches.resume(KEPT, agent.now)
    assert "cannot read it: can't start new thread" in caplog.text
    assert not agent.watches.has_job(KEPT.server_uuid)
    assert agent.watches.resume(KEPT, agent.now)


def test_checkpoint_of_an_earlier_agent_replaces_a_candidate(agent):
    agent.iteration(1)
    assert agent.watches.resume(KEPT, agent.now)
    assert [sampler.stopped for sampler in agent.samplers] == [True, False]
    assert not agent.watches.resume(KEPT, agent.now)


def test_nothing_can_be_done_to_a_candidate(agent):
    agent.iteration(1)
    assert agent.watches.monitor(SERVER) is None
    agent.reads(MIGRATION_OUT)
    assert agent.watches.monitor(SERVER) is not None


def test_unresponsive_server_is_logged_at_growing_intervals_and_when_it_answers(caplog):
    caplog.set_level("INFO", "migprog.compute.watched_migration")
    agent = Agent()
    active = {"type": 2, "operation": MIGRATION_OUT, "time_elapsed": 2000}
    agent.watches.take(Reading(server_uuid=SERVER, at=agent.now, stats=active))
    for _ in range(1000):
        agent.wait(1.0)
        if agent.now % 30 < 1:
            # libvirt has given up: the lock of the server's job is held, which is no answer.
            failed = {"at": agent.now, "began_at": agent.now, "error": "?", "error_code": 68}
            agent.watches.take(Reading(server_uuid=SERVER, **failed))
    agent.wait(1.0)
    agent.watches.take(Reading(server_uuid=SERVER, at=agent.now, stats=active))
    *silent, answers = [
        r.message for r in caplog.records if r.name == "migprog.compute.watched_migration"
    ]
    words = f"server {SERVER}: libvirt has not answered for"
    assert all(line.startswith(words) for line in silent)
    seconds = [seconds_of(line.removeprefix(words).strip()) for line in silent]
    pauses = [later - before for before, later in itertools.pairwise(seconds)]
    assert pauses == pytest.approx([60, 120, 240, 480], abs=2)
    # Since the last answer, which was up to 2 s before the first of the silent ones.
    words = f"server {SERVER}: libvirt answers again after "
    assert answers.startswith(words)
    assert seconds_of(answers.removeprefix(words)) == pytest.approx(1000, abs=2)


def test_paused_server_whose_last_event_was_lost_is_dropped(agent):
    agent.reads(MIGRATION_OUT)
    agent.lifecycle(SUSPENDED_MIGRATED)
    # libvirt was started anew meanwhile: the migration is gone, and nothing told so.
    for _ in range(12):
        agent.reads()
        agent.wait(1.0)
    assert agent.reported() == [Status.FAILED]
    assert SERVER not in agent.watches


def test_migration_without_a_job_after_switchover_has_not_ended(agent):
    agent.reads(MIGRATION_OUT)
    agent.lifecycle(SUSPENDED_MIGRATED)
    for _ in range(6):
        agent.reads()
        agent.wait(1.0)
    assert SERVER in agent.watches
    agent.lifecycle(STOPPED_MIGRATED)
    assert agent.reported() == [Status.COMPLETED]
