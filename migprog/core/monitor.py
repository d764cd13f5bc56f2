# SPDX-License-Identifier: Apache-2.0
"""Monitor one outgoing migration: events and statistics go in, reports come out.

No clock, thread or connection in here: the live agent and a replayed recording drive the same
code. ``at`` and ``now`` are one monotonic clock's seconds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from migprog.core import assessment, checkpoint, job_start, progress, schedule
from migprog.core.assessment import Assessment
from migprog.core.ending import Ending
from migprog.core.forecast import calibration, estimate, guest_pause, precopy, verdict
from migprog.core.forecast.job_sample import Disk, JobState, Sample, from_job_stats, outgoing_job
from migprog.core.report import Report
from migprog.core.server_facts import ServerFacts
from migprog.core.status import ENDED, Phase, Status
from migprog.core.steering.situation import Capabilities, Situation, situation_of
from migprog.core.unresponsive import Answers

# libvirt-domain.h: virDomainEventType and its details.
_SUSPENDED, _RESUMED, _STOPPED = 3, 4, 5
_SUSPENDED_MIGRATED, _SUSPENDED_POSTCOPY, _SUSPENDED_POSTCOPY_FAILED = 1, 7, 8
_STOPPED_MIGRATED = 3
# What the source sees of a migration that no poll has found.
DEPARTURES = {
    (_SUSPENDED, _SUSPENDED_MIGRATED),
    (_SUSPENDED, _SUSPENDED_POSTCOPY),
    (_STOPPED, _STOPPED_MIGRATED),
}
# A migration is reported once its statistics were read, or after so long without them.
_FIRST_READING_SECONDS = 1.0
# QEMU's own words (MigrationStatus in its QAPI) for its switchover.
_QEMU_SWITCHES_OVER = ("pre-switchover", "device")
_POST_COPY = (Phase.POST_COPY, Phase.POST_COPY_PAUSED)


class Monitor:
    """Monitors one migration that was found at ``found_at``.

    ``completion_time_seconds`` is how long earlier migrations took from their switchover to their
    end, ``resent_share`` what those of the same server sent again. It is read each
    ``poll_interval_seconds`` or so, which may change. ``saved`` is the checkpoint of an earlier
    agent; it is None once the migration is known to be running, and nothing is reported before.
    """

    def __init__(
        self,
        uuid: str,
        server_uuid: str,
        found_at: float,
        completion_time_seconds: float | None = None,
        saved: checkpoint.Checkpoint | None = None,
        poll_interval_seconds: float = 0.0,
        resent_share: float | None = None,
    ) -> None:
        self.uuid = uuid
        self.server_uuid = server_uuid
        self._found_at = found_at
        self._facts = ServerFacts()
        self._course = precopy.PrecopyState(
            started_at=found_at,
            completion_time_seconds=completion_time_seconds,
            resent_share=resent_share,
        )
        # The host that it goes to, once a conductor has reported it.
        self.destination: str | None = None
        self._answers = Answers(found_at)
        self.poll_interval_seconds = poll_interval_seconds
        self._switching: Phase | None = None
        self.ending = Ending()
        # Paused by us for an operator, or by another party: others must not learn from its pause.
        self.forced = False
        self._percent: int | None = None
        self._judgement: verdict.Judgement | None = None
        self._assessed: Assessment | None = None
        self._forecasts = calibration.ForecastSamples()
        self._sequence = 0
        self._started_at_epoch: float | None = None
        # Added to the monotonic clock's seconds: all instants of one migration are by one clock,
        # even if the host's is set meanwhile.
        self._epoch: float | None = None
        self._reported: schedule.ReportSummary | None = None
        self.saved = saved
        self._is_resumed = saved is not None
        if saved is not None:
            self._resume(saved)

    def _resume(self, saved: checkpoint.Checkpoint) -> None:
        self._facts = ServerFacts(
            server_name=saved.server_name, project_id=saved.project_id, user_id=saved.user_id
        )
        self._course = self._course._replace(started_at=saved.started_clock)
        self._sequence = saved.sequence
        self._percent = saved.percent
        if saved.phase in _POST_COPY:
            self._switching = saved.phase

    @property
    def started_clock(self) -> float:
        """When libvirt's job began, by the monotonic clock."""
        return self._course.started_at

    @property
    def ended_clock(self) -> float | None:
        """When its end was seen, by the same clock."""
        return None if self.ending.end is None else self.ending.end.at

    @property
    def seen_clock(self) -> float:
        """When it was last seen to run, by the same clock."""
        latest = self._course.latest
        return self._found_at if latest is None else latest.at

    @property
    def reported_clock(self) -> float | None:
        """When the counters that were last reported had been read, by the same clock; None where
        none are newer."""
        latest, reported = self._course.latest, self._reported
        if latest is None or reported is None or latest.at == reported.sampled_at:
            return None
        return reported.read_at

    @property
    def state(self) -> tuple[Status, Phase]:
        """Its present status and phase."""
        return self._status, self._phase

    # Events and statistics.

    @property
    def verdict(self) -> verdict.Verdict:
        """The latest verdict; that of the start before there is one."""
        judgement = self._judgement
        return verdict.Verdict.STARTING if judgement is None else judgement.verdict

    def learn(self, facts: ServerFacts | None) -> None:
        """Use what is known of the server itself."""
        if facts is not None and facts != self._facts:
            self._facts = facts
            self._course = self._course._replace(
                memory_size_bytes=facts.memory_size_bytes,
                memory_resident_bytes=facts.memory_resident_bytes,
                has_host_devices=facts.has_host_devices,
            )

    def goes_to(self, destination: str, completion_time_seconds: float | None) -> None:
        """Set the destination host, and how long earlier migrations to it took from their
        switchover to their end."""
        self.destination = destination
        self._course = self._course._replace(completion_time_seconds=completion_time_seconds)

    def read(
        self,
        stats: Mapping[str, Any],
        downtime_limit_seconds: float | None,
        at: float,
        disks: Sequence[Disk] | None = None,
    ) -> None:
        """Process the job statistics of the server, and how far the copies of its disks are."""
        self._answers = self._answers.reading(at)
        state = outgoing_job(stats)
        if state is JobState.ACTIVE:
            new = from_job_stats(stats, at, downtime_limit_seconds, disks)
            self._sampled(new, job_start.began_at(stats, at))
        elif state is JobState.CANCELLED:
            self.ending.ended(Status.CANCELLED, "the migration was aborted", at)
        elif state is JobState.FAILED:
            self.ending.ended(Status.FAILED, "libvirt reported that the migration failed", at)
        elif self._switching is None and self._course.paused_at is None:
            # After a switchover events report the job's end; before one, it was given up.
            self.ending.given_up(at)

    def runs_still(self, phase: Phase | None) -> None:
        """Record that the migration of the checkpoint is still running, maybe in post-copy."""
        self.saved = None
        self.turned(phase)

    def turned(self, phase: Phase | None, is_paused: bool = False) -> None:
        """Process what the server's own state shows of its migration, if anything."""
        if phase is not None:
            self._turns(phase, self._answers.at)
        if is_paused:
            self._paused(self._answers.at, by_migration=False, was_found=True)

    def lost(self, why: str, at: float, certain: bool) -> None:
        """Record that it ended while no agent watched it."""
        self.ending.ended(Status.UNKNOWN, why, at, certain)

    def iteration_begins(self, at: float) -> None:
        """Process QEMU's event that an iteration over the server's memory begins."""
        self._answers = self._answers.event(at)
        self._course = precopy.iteration_begins(self._course, at)

    def gone(self, error: str, at: float) -> None:
        """Record that libvirt does not know the server any more."""
        text = f"the server is gone from its source, and its end was not seen: {error}"
        self.ending.ended(Status.UNKNOWN, text, at, certain=False)

    def lifecycle(self, event: int, detail: int, at: float) -> None:
        """Process libvirt's lifecycle event of the server."""
        self._answers = self._answers.event(at)
        if (event, detail) == (_SUSPENDED, _SUSPENDED_POSTCOPY):
            self._turns(Phase.POST_COPY, at)
        elif (event, detail) == (_SUSPENDED, _SUSPENDED_POSTCOPY_FAILED):
            self._turns(Phase.POST_COPY_PAUSED, at)
        elif event == _SUSPENDED:
            self._paused(at, by_migration=detail == _SUSPENDED_MIGRATED)
        elif event == _RESUMED and self._switching not in _POST_COPY:
            self._course = guest_pause.resumed(self._course, at)
            self._switching = None
        elif (event, detail) == (_STOPPED, _STOPPED_MIGRATED):
            self.ending.pause_is_unusual |= self.forced
            self.ending.arrives(self._course, at, self._phase_under_way)
        elif event == _STOPPED:
            text = "the server stopped at its source while it migrated"
            self.ending.ended(Status.FAILED, text, at)

    def _paused(self, at: float, by_migration: bool, was_found: bool = False) -> None:
        """Record that the guest is paused at its source. libvirt attributes any pause during a
        migration to the migration."""

        if self._switching in _POST_COPY or self._course.paused_at is not None:
            return
        self._course = guest_pause.paused(self._course, at, was_found)
        self.ending.pause_is_unusual = not (
            by_migration and guest_pause.is_switchover(self._course)
        )

    def _turns(self, phase: Phase, at: float) -> None:
        """Record that post-copy begins, was interrupted or goes on."""
        if phase is not self._switching:
            self._course = guest_pause.post_copy_begins(self._course, at)
        self._switching = phase

    def qemu_migration(self, status: str, at: float) -> None:
        """Process QEMU's own status of its migration."""
        self._answers = self._answers.event(at)
        if status in ("cancelling", "cancelled"):
            self.ending.cancelled = True
        elif status == "failed":
            self.ending.ended(Status.FAILED, "QEMU reported that the migration failed", at)
        elif status == "postcopy-paused":
            self._turns(Phase.POST_COPY_PAUSED, at)
        elif status in ("postcopy-active", "postcopy-recover"):
            self._turns(Phase.POST_COPY, at)
        elif status in _QEMU_SWITCHES_OVER and self._switching is None:
            self._course = guest_pause.paused(self._course, at)
            self._switching = Phase.SWITCHOVER

    def job_completed(self, stats: Mapping[str, Any], at: float) -> None:
        """Process the final statistics of a migration that succeeded."""
        before = self._course.latest
        limit_seconds = before.downtime_limit_seconds if before else None
        self.ending.final = from_job_stats(stats, at, limit_seconds)
        self.ending.ended(Status.COMPLETED, None, at)

    def _sampled(self, new: Sample, began_at: float | None) -> None:
        begins = self._course.latest is None and not self._is_resumed
        if begins and began_at is not None:
            self._course = self._course._replace(started_at=began_at)
        self._course = precopy.observe(self._course, new)
        if self._course.paused_at is not None and self._phase is not Phase.SWITCHOVER:
            self.ending.pause_is_unusual = True

    # Reports.

    @property
    def over(self) -> bool:
        """Whether its end has been reported."""
        return self._reported is not None and self._reported.status in ENDED

    def report_if_due(
        self, rules: schedule.Rules, now: float, wall: float
    ) -> tuple[schedule.Reason, Report] | None:
        """Return the report that is due, and why, and count it as reported; None to wait.

        ``wall`` is ``now`` in seconds since the epoch.
        """
        self.judge(now)
        return self.due(rules, wall)

    def judge(self, now: float) -> None:
        """Assess it by what was seen until ``now``; :meth:`due` uses the result."""
        self._assessed = None
        if self._waits(now):
            return
        self._assessed = assessed = self._assess(now)
        self._percent = assessed.summary.percent
        if self.ending.end is None:
            self._judgement = assessed.judgement
            # Later migrations must not learn from a stuck switchover.
            self.ending.pause_is_unusual |= assessed.judgement.verdict is verdict.Verdict.STALLED
            self._forecasts = calibration.add_sample(
                self._forecasts, now, assessed.summary.read_at, assessed.forecast
            )

    def due(self, rules: schedule.Rules, wall: float) -> tuple[schedule.Reason, Report] | None:
        """As :meth:`report_if_due` by the latest assessment; ``wall`` is when that was."""
        assessed, end = self._assessed, self.ending.end
        if assessed is None:
            return None
        reason = schedule.reason_to_report(assessed.summary, self._reported, rules)
        if reason is None:
            return None
        self._reported = assessed.summary
        self._sequence += 1
        epoch = wall - assessed.summary.at
        if self.saved is not None and end is not None and self._status is Status.UNKNOWN:
            ended_at = end.at + self._one_epoch(epoch)
            return reason, checkpoint.unknown_end(self.saved, end.error or "", ended_at)
        return reason, self._report(assessed, epoch)

    def situation(self, now: float, capabilities: Capabilities) -> Situation | None:
        """Return what steering has to know of it by the latest judgement; None where there is none,
        and after its end."""
        if self._judgement is None or self.ending.end is not None or self.saved is not None:
            return None
        how = (self._course, self._phase, self._judgement)
        return situation_of(*how, now, self._found_at, capabilities)

    def preview(self, now: float, wall: float) -> Report:
        """Return the report as it would be now, without counting it as reported."""
        return self._report(self._assess(now), wall - now)

    def _waits(self, now: float) -> bool:
        if self.ending.end is not None:
            return self.ending.may_change(now)
        if self.saved is not None:
            return True
        return self._course.latest is None and now < self._found_at + _FIRST_READING_SECONDS

    def _assess(self, now: float) -> Assessment:
        phase = self._phase
        silent_seconds = self._answers.silent_seconds(now, self.poll_interval_seconds)
        judgement = verdict.judge(self._course, phase, now, self._judgement, silent_seconds)
        forecast = estimate.forecast(self._course, phase, judgement.verdict)
        percent = self._percent
        if self.ending.end is None:
            percent = progress.percent(self._course, forecast, percent)
        elif self.ending.end.status is Status.COMPLETED:
            percent = 100
        sampled_at = self._course.latest.at if self._course.latest else None
        how = (self._status, phase, judgement.verdict)
        summary = schedule.ReportSummary(
            now, *how, percent, forecast.eta_seconds is not None, sampled_at
        )
        return Assessment(summary, judgement, assessment.rounded(forecast))

    @property
    def _status(self) -> Status:
        if self.ending.end is not None:
            return self.ending.end.status
        if self._switching in _POST_COPY:
            return Status.POST_COPY
        return Status.RUNNING

    @property
    def _phase(self) -> Phase:
        if self.ending.end is not None:
            return Phase.DONE
        return self._phase_under_way

    @property
    def _phase_under_way(self) -> Phase:
        """The present phase, or the last one before its end."""
        if self._switching is None and guest_pause.is_switchover(self._course):
            return Phase.SWITCHOVER
        return self._switching or estimate.phase_of(self._course)

    def _report(self, assessed: Assessment, epoch: float) -> Report:
        """Make a report. ``epoch`` plus a monotonic clock's time gives seconds since the epoch."""
        end, epoch = self.ending.end, self._one_epoch(epoch)
        if self._started_at_epoch is None:
            # Reported once and not changed, even if it is known better later.
            self._started_at_epoch = epoch + self._course.started_at
        latest = self.ending.final or self._course.latest or Sample(at=assessed.summary.at)
        return Report(
            uuid=self.uuid,
            server_uuid=self.server_uuid,
            sequence=self._sequence,
            started_at=round(self._started_at_epoch, 3),
            sampled_at=round(epoch + (end.at if end else latest.at), 3),
            ended_at=round(epoch + end.at, 3) if end else None,
            server_name=self._facts.server_name,
            project_id=self._facts.project_id,
            user_id=self._facts.user_id,
            throughput_bytes_per_second=precopy.throughput(self._course),
            iteration_start_remaining_bytes=precopy.last_iteration_start_bytes(self._course),
            total_seconds=self.ending.total_seconds(self._course),
            error=end.error if end else None,
            **assessment.fields(assessed),
            **assessment.counters(latest),
            disks=assessment.disks(self._course.latest),
            **self._calibration(),
        )

    def _one_epoch(self, epoch: float) -> float:
        """Return the epoch of this migration; the first call sets it."""
        if self._epoch is None:
            self._epoch = epoch
        return self._epoch

    def _calibration(self) -> dict[str, Any]:
        """Return the forecast checks as a report's fields; empty unless it has completed."""
        end = self.ending.end
        if end is None or end.status is not Status.COMPLETED:
            return {}
        checks = calibration.compare(self._forecasts, self._course.started_at, end.at)
        return calibration.to_fields(checks)
