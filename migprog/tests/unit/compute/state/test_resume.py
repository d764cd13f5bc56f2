# SPDX-License-Identifier: Apache-2.0
"""An agent before has left a migration: what becomes of it, by what its successor sees."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.simulated import Guest, precopy
from migprog.compute.state import resume
from migprog.core import checkpoint
from migprog.core.monitor import Monitor
from migprog.core.observation import Reading
from migprog.core.schedule import ReportReason, Rules
from migprog.core.status import ENDED, Phase, Status
from migprog.tests.fixtures.driven import EPOCH, RULES, SERVER, UUID, feed

CHATTY = Rules(report_interval_seconds=0.0, heartbeat_interval_seconds=0.0)
STATS = {
    "operation": 5,
    "type": 2,
    "time_elapsed": 60_000,
    "memory_total": 1000,
    "memory_processed": 700,
    "memory_remaining": 300,
    "memory_iteration": 1,
}
# It began at 100 and was last seen at 130; now it is 160.
NOW = 160.0
KEPT = checkpoint.Checkpoint(
    uuid=UUID,
    server_uuid=SERVER,
    sequence=300,
    phase=Phase.MEMORY_FIRST_ITERATION,
    started_at=EPOCH + 100,
    sampled_at=EPOCH + 130,
    boot_id="boot",
    started_clock=100.0,
    seen_clock=130.0,
    percent=42,
    server_name="web",
    project_id="p",
    user_id="u",
)


def left(kept=KEPT):
    return Monitor(kept.uuid, kept.server_uuid, NOW, checkpoint=kept)


def look(monitor, at=NOW, **seen):
    reading = Reading(server_uuid=SERVER, at=at, **seen)
    resume.look(monitor, monitor.checkpoint, reading, EPOCH)
    return reading


def told(monitor, seconds=5):
    due = [monitor.report_if_due(RULES, NOW + s, EPOCH + NOW + s) for s in range(seconds)]
    return [each for each in due if each is not None]


def test_resumed_migration_is_not_reported_before_it_is_searched_for():
    monitor = left()
    look(monitor, error="libvirt hangs")
    assert told(monitor, 100) == []


def test_running_migration_continues_its_record():
    monitor = left()
    reading = look(monitor, stats=STATS)
    assert monitor.checkpoint is None
    monitor.read(reading.stats, 0.3, NOW)
    ((reason, report),) = told(monitor)
    assert reason is ReportReason.FIRST
    assert (report.uuid, report.sequence, report.started_at) == (UUID, 301, EPOCH + 100)
    assert report.status is Status.RUNNING
    assert report.percent >= 42
    assert (report.server_name, report.project_id, report.user_id) == ("web", "p", "u")


@pytest.mark.parametrize(
    ("reading", "why"),
    [
        ({"stats": {"type": 0}}, checkpoint.LEFT_RUNNING),
        # A job, but none that takes it away.
        ({"stats": STATS | {"operation": 3}}, checkpoint.LEFT_RUNNING),
        ({"gone": True, "error": "no domain"}, checkpoint.LEFT_GONE),
        # It was migrated away, in ten seconds: maybe by another migration than this.
        (
            {"gone": True, "stats": STATS | {"type": 3, "time_elapsed": 10_000}},
            checkpoint.LEFT_GONE,
        ),
        ({"gone": True, "stats": {"type": 0}}, checkpoint.LEFT_GONE),
        ({"stats": STATS | {"time_elapsed": 29_000}}, checkpoint.LEFT_BEHIND),
    ],
)
def test_end_that_no_agent_saw_is_unknown_with_the_reason(reading, why):
    monitor = left()
    look(monitor, **reading)
    ((_, report),) = told(monitor)
    assert (report.status, report.error) == (Status.UNKNOWN, why)
    assert (report.uuid, report.sequence, report.percent) == (UUID, 301, 42)
    assert report.ended_at == EPOCH + NOW
    assert report.sampled_at == KEPT.sampled_at
    assert report.memory_processed_bytes is report.total_seconds is None
    assert monitor.over


def test_resumed_migration_has_the_end_that_libvirt_still_shows():
    monitor = left()
    final = STATS | {"type": 3, "time_elapsed": 45_000, "downtime": 20, "memory_remaining": 0}
    look(monitor, gone=True, stats=final)
    ((_, report),) = told(monitor)
    assert (report.status, report.percent) == (Status.COMPLETED, 100)
    assert (report.total_seconds, report.downtime_seconds) == (45.0, 0.02)
    assert report.server_name == "web"


def test_event_of_the_end_overrides_the_unknown_end():
    monitor = left()
    look(monitor, gone=True, error="no domain")
    monitor.job_completed(STATS | {"type": 3}, NOW + 0.1)
    assert [report.status for _, report in told(monitor)] == [Status.COMPLETED]


def test_a_clock_that_was_set_moves_no_start():
    monitor = left()
    hour_ms = 3_600_000
    reading = look(monitor, stats=STATS | {"time_elapsed": 60_000 + hour_ms})
    assert monitor.checkpoint is None
    monitor.read(reading.stats, 0.3, NOW)
    monitor.gone("no domain", NOW + 1)
    ((_, report),) = told(monitor)
    assert report.total_seconds == 61.0


def test_clock_set_back_before_the_start_makes_no_new_record():
    # libvirt says 0 of its time then, until it ends.
    monitor = left()
    reading = look(monitor, stats=STATS | {"time_elapsed": 0})
    assert monitor.checkpoint is None
    monitor.read(reading.stats, 0.3, NOW)
    ((_, report),) = told(monitor)
    assert (report.uuid, report.started_at) == (UUID, EPOCH + 100)

    another = left()
    look(another, stats={"operation": 5, "type": 2, "time_elapsed": 0})
    assert [report.error for _, report in told(another)] == [checkpoint.LEFT_BEHIND]


@pytest.mark.parametrize("phase", [Phase.POST_COPY, Phase.POST_COPY_PAUSED])
def test_post_copy_is_not_forgotten(phase):
    monitor = left(dataclasses.replace(KEPT, phase=phase))
    reading = look(monitor, stats=STATS)
    monitor.read(reading.stats, 0.3, NOW)
    assert [(r.status, r.phase) for _, r in told(monitor)] == [(Status.POST_COPY, phase)]


def test_post_copy_that_began_meanwhile_is_seen():
    monitor = left()
    reading = look(monitor, stats=STATS, phase=Phase.POST_COPY)
    monitor.read(reading.stats, 0.3, NOW)
    assert [report.status for _, report in told(monitor)] == [Status.POST_COPY]


class Host:
    """Runs agents one after the other on the rows of a recording, and keeps what they keep."""

    def __init__(self):
        self.reports = []
        self.kept = None
        self.monitor = None

    def see(self, row):
        at = row["t"]
        if self.monitor is None:
            self.monitor = Monitor(UUID, SERVER, at, checkpoint=self.kept)
        if self.monitor.checkpoint is not None:
            if row["kind"] != "sample":
                feed(self.monitor, row)
                return
            reading = Reading(server_uuid=SERVER, at=at, stats=row["stats"])
            resume.look(self.monitor, self.monitor.checkpoint, reading, EPOCH)
        if self.monitor.checkpoint is None:
            feed(self.monitor, row)
        self.report(at)

    def report(self, at):
        if self.monitor is None or self.monitor.over:
            return
        due = self.monitor.report_if_due(CHATTY, at, EPOCH + at)
        if due is not None:
            report = due[1]
            self.reports.append(report)
            if checkpoint.is_due(report, self.kept, at):
                self.kept = checkpoint.make(report, "boot", self.monitor.started_clock, at)

    def crash(self):
        # Whom nobody has told of is somebody else to the next.
        self.monitor = None


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 200), max_size=6), st.booleans())
def test_whenever_agents_are_killed_one_record_goes_on_to_its_end(crashes, completes):
    guest = Guest(memory_mib=256, dirty_mib_s=5.0 if completes else 60.0)
    rows = list(precopy(guest, give_up_seconds=40.0))
    host = Host()
    # The last rows are its end, which somebody sees.
    for number, row in enumerate(rows):
        if number in crashes and number < len(rows) - 3:
            host.crash()
        host.see(row)
    for later in range(1, 5):
        host.report(rows[-1]["t"] + later)
    sequences = [report.sequence for report in host.reports]
    assert sequences == sorted(set(sequences))
    assert len({(report.uuid, report.started_at) for report in host.reports}) == 1
    ends = [report.status for report in host.reports if report.status in ENDED]
    assert len(ends) == 1
    assert host.reports[-1].status in ENDED
    if completes:
        assert ends == [Status.COMPLETED]


def test_a_guest_that_is_found_paused_dirties_nothing():
    monitor = Monitor(UUID, SERVER, NOW)
    monitor.turned(None, is_paused=True)
    monitor.read(STATS, 0.3, NOW)
    # 700 bytes were sent in a minute: 300 are no switch-over.
    assert monitor.preview(NOW, EPOCH + NOW).phase is Phase.MEMORY_FIRST_ITERATION
    monitor.read(STATS | {"memory_processed": 750, "memory_remaining": 250}, 0.3, NOW + 5)
    said = monitor.preview(NOW + 5, EPOCH + NOW + 5)
    assert said.phase is Phase.MEMORY_FIRST_ITERATION
    # Since when, and what it dirtied before, nobody knows: much may be sent again.
    assert said.verdict_message.startswith(
        "guest paused for at least 5.0 s, by an operator or a tool"
    )
    assert said.eta_high_seconds > 2 * 250 / (50 / 5)
