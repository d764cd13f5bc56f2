# SPDX-License-Identifier: Apache-2.0
"""What is a migration, by what libvirt was seen to tell (9.0.0) of each kind of job."""

import dataclasses
import itertools
import pathlib
import time

import pytest

from lab import corpus
from migprog.compute import watchlist
from migprog.compute.settings import Settings
from migprog.compute.state.journal import Journal
from migprog.compute.watchlist import WatchList
from migprog.core import checkpoint
from migprog.core.monitor import Monitor
from migprog.core.observation import Iteration, JobCompleted, JobEvent, Lifecycle, Reading
from migprog.core.schedule import Rules
from migprog.core.status import Status
from migprog.recording import format, rows
from migprog.recording.writer import Limits, Recorder
from migprog.tests.fixtures import calls
from migprog.tests.fixtures.driven import SERVER
from migprog.tests.unit.core.test_checkpoint import KEPT

SAVED = pathlib.Path(corpus.__file__).parent / "field" / "lab-save.jsonl.gz"
RULES = Rules(report_interval_seconds=5.0, heartbeat_interval_seconds=30.0)
SETTINGS = Settings(
    connection_uri="",
    host=None,
    my_ip=None,
    poll_interval_seconds=0.5,
    scan_interval_seconds=5.0,
    qemu_events=True,
    libvirt_timeout_seconds=10.0,
    rules=RULES,
    state_path=None,
    record_path=None,
    record_limits=Limits(2**20, 1),
)
SAVE, MIGRATION_OUT, SNAPSHOT, DUMP = 2, 5, 6, 8
PAUSED, SUSPENDED_MIGRATED = (3, 0), (3, 1)
STOPPED_MIGRATED, STOPPED_SAVED, STOPPED_CRASHED = (5, 3), (5, 4), (5, 2)
# Its job began so long before.
ELAPSED_SECONDS = 2.0


class Sampler:
    """Reads when it is told to by a test."""

    def __init__(self):
        self.asked_at = None
        self.stopped = False

    def ask(self, now):
        self.asked_at = now

    def stop(self):
        self.stopped = True


class Agent:
    """A watch list and what it would report; time goes by a tenth of a second a step."""

    def __init__(self):
        self.samplers = []
        self.ledger = Journal(None, "here", "boot")
        self.watches = WatchList(
            SETTINGS, self._sampler, Recorder(None, SETTINGS.record_limits), self.ledger
        )
        self.now = time.monotonic()

    def _sampler(self, _server_uuid, _left):
        self.samplers.append(Sampler())
        return self.samplers[-1]

    def wait(self, seconds):
        self.now += seconds
        self.watches.reporting.attend(RULES, self.now, {SERVER})

    def poll_each(self, seconds):
        """Have the configuration read again."""
        self.watches.reporting.settings = dataclasses.replace(
            SETTINGS, poll_interval_seconds=seconds
        )

    def sees(self, seen):
        self.watches.take(seen)
        self.wait(0.1)

    def _step(self, message, **values):
        self.sees(message(server_uuid=SERVER, at=self.now, **values))

    def iteration(self, number):
        self._step(Iteration, number=number)

    def lifecycle(self, kind):
        self._step(Lifecycle, event=kind[0], detail=kind[1])

    def qemu(self, status):
        self._step(JobEvent, qemu_status=status)

    def completed(self, operation):
        stats = {"operation": operation, "time_elapsed": ELAPSED_SECONDS * 1000}
        self._step(JobCompleted, stats=stats)

    def reads(self, operation=None, job_type=2, elapsed_seconds=ELAPSED_SECONDS):
        stats = {"type": 0}
        if operation is not None:
            stats = {"type": job_type, "operation": operation, "memory_total": 2**20}
            stats["time_elapsed"] = round(elapsed_seconds * 1000)
        self._step(Reading, stats=stats)

    def gone(self):
        self._step(Reading, gone=True, error="domain is not running")

    def reports(self):
        """The latest of each migration."""
        return self.ledger.outbox.load(self.now).reports

    def reported(self):
        """How each migration stands in the end."""
        for _ in range(5):
            self.wait(1.0)
        return [report.status for report in self.reports()]


@pytest.fixture
def agent():
    return Agent()


def save(agent, operation=SAVE):
    """A save as libvirt's events and its answers told of it, in their order."""
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
    """No call came through: only the events tell."""
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
        seen = rows.from_row(row | {"t": agent.now}, SERVER)
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


def test_a_migration_is_reported_from_its_first_event_on_when_it_is_proven(agent):
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


def test_what_an_agent_before_has_left_is_not_found_in_a_save(agent):
    assert agent.watches.resume(KEPT, agent.now)
    save(agent)
    assert agent.reported() == [Status.UNKNOWN]
    assert [(each.uuid, each.error) for each in agent.reports()] == [
        (KEPT.uuid, checkpoint.LEFT_RUNNING)
    ]


def test_what_an_agent_before_has_left_takes_a_candidate_s_place(agent):
    agent.iteration(1)
    assert agent.watches.resume(KEPT, agent.now)
    assert [sampler.stopped for sampler in agent.samplers] == [True, False]
    assert not agent.watches.resume(KEPT, agent.now)


def test_nothing_can_be_done_to_a_candidate(agent):
    agent.iteration(1)
    assert agent.watches.monitor(SERVER) is None
    agent.reads(MIGRATION_OUT)
    assert agent.watches.monitor(SERVER) is not None


def test_readings_that_come_seldom_since_a_reload_are_no_silence_of_libvirt(agent):
    for _ in range(3):
        agent.reads(MIGRATION_OUT)
    agent.poll_each(20.0)
    # As it was to be by the interval before.
    agent.reads(MIGRATION_OUT)
    for _ in range(19):
        agent.wait(1.0)
        said = agent.watches.monitor(SERVER).preview(agent.now, agent.now)
        assert "libvirt has not answered" not in said.verdict_message
    agent.wait(60.0)
    said = agent.watches.monitor(SERVER).preview(agent.now, agent.now)
    assert "libvirt has not answered for 79 s" in said.verdict_message


def test_an_interval_that_a_reload_shortens_is_taken_up_before_the_long_one_is_over(agent):
    agent.poll_each(1e9)
    agent.reads(MIGRATION_OUT)
    agent.reads(MIGRATION_OUT)
    assert agent.samplers[-1].asked_at is None
    agent.poll_each(0.5)
    for _ in range(2):
        agent.wait(1.0)
    assert agent.samplers[-1].asked_at is not None


def test_a_server_that_does_not_answer_is_logged_ever_more_rarely_and_when_it_answers(caplog):
    caplog.set_level("INFO", "migprog.compute.watched_migration")
    agent = Agent()
    active = {"type": 2, "operation": MIGRATION_OUT, "time_elapsed": 2000}
    agent.watches.take(Reading(server_uuid=SERVER, at=agent.now, stats=active))
    for _ in range(1000):
        agent.wait(1.0)
        if agent.now % 30 < 1:
            # libvirt has given up: the lock of the server's job is held, which is no answer.
            agent.watches.take(Reading(server_uuid=SERVER, at=agent.now, error="?", error_code=68))
    agent.wait(1.0)
    agent.watches.take(Reading(server_uuid=SERVER, at=agent.now, stats=active))
    *silent, answers = [
        r.message for r in caplog.records if r.name == "migprog.compute.watched_migration"
    ]
    words = f"server {SERVER}: libvirt has not answered for"
    assert all(line.startswith(words) for line in silent)
    seconds = [int(line.removeprefix(words).split()[0]) for line in silent]
    pauses = [later - before for before, later in itertools.pairwise(seconds)]
    assert pauses == pytest.approx([60, 120, 240, 480], abs=2)
    assert answers == f"server {SERVER}: libvirt answers again after 1000 s"


def test_a_paused_server_whose_last_event_was_lost_is_not_watched_for_ever(agent):
    agent.reads(MIGRATION_OUT)
    agent.lifecycle(SUSPENDED_MIGRATED)
    # libvirt was started anew meanwhile: the migration is gone, and nothing told so.
    for _ in range(12):
        agent.reads()
        agent.wait(1.0)
    assert agent.reported() == [Status.FAILED]
    assert SERVER not in agent.watches


def test_a_server_that_was_switched_over_may_be_without_a_job_before_its_end_is_told(agent):
    agent.reads(MIGRATION_OUT)
    agent.lifecycle(SUSPENDED_MIGRATED)
    for _ in range(6):
        agent.reads()
        agent.wait(1.0)
    assert SERVER in agent.watches
    agent.lifecycle(STOPPED_MIGRATED)
    assert agent.reported() == [Status.COMPLETED]


def migrates(agent, monkeypatch, servers):
    """Servers that migrate, of which a message told just now; gives those judged from then on."""
    judged: list[str] = []

    class Judged(Monitor):
        def judge(self, now):
            judged.append(self.server_uuid)
            super().judge(now)

    monkeypatch.setattr(watchlist, "Monitor", Judged)
    read(agent, dict.fromkeys(servers, 2**30))
    judged.clear()
    return judged


def read(agent, remaining):
    """Have servers read that have so many bytes of memory left, and what is due reported."""
    stats = {"type": 2, "operation": MIGRATION_OUT, "memory_total": 2**30, "memory_iteration": 1}
    for server_uuid, left in remaining.items():
        now = stats | {"memory_processed": 2**30 - left, "memory_remaining": left}
        agent.watches.take(Reading(server_uuid=server_uuid, at=agent.now, stats=now))
    agent.watches.reporting.attend(RULES, agent.now, set(remaining))


def test_a_message_judges_each_migration_once(agent, monkeypatch):
    servers = ["a", "b", "c"]
    judged = migrates(agent, monkeypatch, servers)
    agent.now += 2.0
    # The first one has a percentage, the second one nothing new, and the third one was not read.
    read(agent, {"a": 2**29, "b": 2**30})
    assert sorted(judged) == servers


def test_a_change_just_after_a_message_judges_no_other_migration(agent, monkeypatch):
    servers = ["a", "b", "c"]
    judged = migrates(agent, monkeypatch, servers)
    agent.now += 0.5
    agent.watches.take(
        Lifecycle(server_uuid="a", at=agent.now, event=STOPPED_MIGRATED[0], detail=3)
    )
    agent.watches.take(
        JobCompleted(server_uuid="a", at=agent.now, stats={"operation": MIGRATION_OUT})
    )
    agent.watches.reporting.attend(RULES, agent.now, {"a"})
    assert judged == ["a"]
    assert Status.COMPLETED in [report.status for report in agent.reports()]


def test_news_of_one_migration_costs_no_more_among_many():
    costs = []
    for count in (2, 40):
        agent = Agent()
        servers = dict.fromkeys([f"server {number}" for number in range(count)], 2**30)
        read(agent, servers)
        agent.watches.reporting.attend(RULES, agent.now, set())
        agent.now += 0.1
        agent.watches.take(Reading(server_uuid="server 0", at=agent.now, error="no answer"))

        def attend(agent=agent):
            agent.watches.reporting.attend(RULES, agent.now, {"server 0"})

        costs.append(calls.count(attend))
    # The UUIDs of all are gone through once.
    assert costs[1] <= costs[0] + 1


@pytest.mark.parametrize("reports", [False, True])
def test_what_nobody_has_news_of_is_read_when_it_is_time(agent, reports):
    read(agent, {"a": 2**30, "b": 2**30})
    samplers = dict(zip("ab", agent.samplers, strict=True))
    samplers["b"].asked_at = None
    # Its answer was lost on the way; something is seen of the other one alone, again and again.
    for _ in range(12):
        agent.now += 0.1
        if reports:
            read(agent, {"a": 2**29})
        else:
            agent.watches.reporting.attend(RULES, agent.now, {"a"})
    assert samplers["b"].asked_at is not None
    assert agent.watches.reporting.next_look_at > agent.now
