# SPDX-License-Identifier: Apache-2.0
"""One outgoing migration: what was seen of it goes in, what is to be told comes out.

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
from migprog.core.unresponsive import Answers

# libvirt-domain.h: virDomainEventType and its details.
_SUSPENDED, _RESUMED, _STOPPED = 3, 4, 5
_SUSPENDED_MIGRATED, _SUSPENDED_POSTCOPY, _SUSPENDED_POSTCOPY_FAILED = 1, 7, 8
_STOPPED_MIGRATED = 3
# What a source sees of a migration that no poll has met.
DEPARTURES = {
    (_SUSPENDED, _SUSPENDED_MIGRATED),
    (_SUSPENDED, _SUSPENDED_POSTCOPY),
    (_STOPPED, _STOPPED_MIGRATED),
}
# A migration is told of once its statistics were read, or after so long without them.
_FIRST_READING_SECONDS = 1.0
# QEMU's own words (MigrationStatus in its QAPI) for its switch-over.
_QEMU_SWITCHES_OVER = ("pre-switchover", "device")
_POST_COPY = (Phase.POST_COPY, Phase.POST_COPY_PAUSED)


class Monitor:
    """Watches one migration that was found at ``found_at``.

    ``completion_time_seconds`` is how long earlier ones took from their switch-over to their end,
    ``resent_share`` what those of the same server had to send again. It is read each
    ``poll_interval_seconds`` or so, which may change. ``kept`` is what an agent before has left of
    it; it is None as soon as the migration is known to run still, and nothing is told before.
    """

    def __init__(
        self,
        uuid: str,
        server_uuid: str,
        found_at: float,
        completion_time_seconds: float | None = None,
        kept: checkpoint.Checkpoint | None = None,
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
        # The host that it goes to, once a conductor has told it.
        self.destination: str | None = None
        self._answers = Answers(found_at)
        self.poll_interval_seconds = poll_interval_seconds
        self._switching: Phase | None = None
        self.ending = Ending()
        # An operator has it paused by us, or anybody else has: its pause is no measure for others.
        self.forced = False
        self._percent: int | None = None
        self._judgement: verdict.Judgement | None = None
        self._said: Assessment | None = None
        self._notes = calibration.ForecastSamples()
        self._sequence = 0
        self._started_at_epoch: float | None = None
        # Added to the monotonic clock's seconds: all instants of one migration are by one clock,
        # even if the host's is set meanwhile.
        self._epoch: float | None = None
        self._told: schedule.ReportSummary | None = None
        self.kept = kept
        self._taken_up = kept is not None
        if kept is not None:
            self._take_up(kept)

    def _take_up(self, kept: checkpoint.Checkpoint) -> None:
        self._facts = ServerFacts(
            server_name=kept.server_name, project_id=kept.project_id, user_id=kept.user_id
        )
        self._course = self._course._replace(started_at=kept.started_clock)
        self._sequence = kept.sequence
        self._percent = kept.percent
        if kept.phase in _POST_COPY:
            self._switching = kept.phase

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
        latest, told = self._course.latest, self._told
        if latest is None or told is None or latest.at == told.sampled_at:
            return None
        return told.read_at

    @property
    def stands(self) -> tuple[Status, Phase]:
        """How it stands now."""
        return self._status, self._phase

    # What was seen.

    @property
    def verdict(self) -> verdict.Verdict:
        """The latest verdict; that of the start before there is one."""
        judgement = self._judgement
        return verdict.Verdict.STARTING if judgement is None else judgement.verdict

    def learn(self, facts: ServerFacts | None) -> None:
        """Take up what is known of the server itself."""
        if facts is not None and facts != self._facts:
            self._facts = facts
            self._course = self._course._replace(
                memory_size_bytes=facts.memory_size_bytes,
                memory_resident_bytes=facts.memory_resident_bytes,
                has_host_devices=facts.has_host_devices,
            )

    def goes_to(self, destination: str, completion_time_seconds: float | None) -> None:
        """Take up the host that it goes to, and how long earlier migrations to it took from their
        switch-over to their end."""
        self.destination = destination
        self._course = self._course._replace(completion_time_seconds=completion_time_seconds)

    def read(
        self,
        stats: Mapping[str, Any],
        downtime_limit_seconds: float | None,
        at: float,
        disks: Sequence[Disk] | None = None,
    ) -> None:
        """Take up the job statistics of the server, and how far the copies of its disks are."""
        self._answers = self._answers.reading(at)
        state = outgoing_job(stats)
        if state is JobState.ACTIVE:
            new = from_job_stats(stats, at, downtime_limit_seconds, disks)
            self._sampled(new, job_start.began_at(stats, at))
        elif state is JobState.CANCELLED:
            self.ending.ended(Status.CANCELLED, "the migration was aborted", at)
        elif state is JobState.FAILED:
            self.ending.ended(Status.FAILED, "libvirt says that the migration failed", at)
        elif self._switching is None and self._course.paused_at is None:
            # After a switch-over the job's end is told by events; before one, it was given up.
            self.ending.given_up(at)

    def runs_still(self, phase: Phase | None) -> None:
        """Take up that the migration that an agent before has left goes on, maybe in post-copy."""
        self.kept = None
        self.turned(phase)

    def turned(self, phase: Phase | None, is_paused: bool = False) -> None:
        """Take up what the server's own state tells of its migration, if anything."""
        if phase is not None:
            self._turns(phase, self._answers.at)
        if is_paused:
            self._paused(self._answers.at, by_migration=False, was_found=True)

    def lost(self, why: str, at: float, certain: bool) -> None:
        """Take up that it ended while nobody watched."""
        self.ending.ended(Status.UNKNOWN, why, at, certain)

    def iteration_begins(self, at: float) -> None:
        """Take up that QEMU begins a pass over the server's memory."""
        self._answers = self._answers.event(at)
        self._course = precopy.iteration_begins(self._course, at)

    def gone(self, error: str, at: float) -> None:
        """Take up that libvirt does not know the server any more."""
        text = f"the server is gone from its source, and nothing told how it ended: {error}"
        self.ending.ended(Status.UNKNOWN, text, at, certain=False)

    def lifecycle(self, event: int, detail: int, at: float) -> None:
        """Take up libvirt's lifecycle event of the server."""
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
        """Take up that the guest is paused at its source. libvirt says of any pause during a
        migration that it is the migration's."""
        if self._switching in _POST_COPY or self._course.paused_at is not None:
            return
        self._course = guest_pause.paused(self._course, at, was_found)
        self.ending.pause_is_unusual = not (
            by_migration and guest_pause.is_switchover(self._course)
        )

    def _turns(self, phase: Phase, at: float) -> None:
        """Take up that post-copy begins, was interrupted or goes on."""
        if phase is not self._switching:
            self._course = guest_pause.post_copy_begins(self._course, at)
        self._switching = phase

    def qemu_migration(self, status: str, at: float) -> None:
        """Take up QEMU's own word for the state of its migration."""
        self._answers = self._answers.event(at)
        if status in ("cancelling", "cancelled"):
            self.ending.cancelled = True
        elif status == "failed":
            self.ending.ended(Status.FAILED, "QEMU says that the migration failed", at)
        elif status == "postcopy-paused":
            self._turns(Phase.POST_COPY_PAUSED, at)
        elif status in ("postcopy-active", "postcopy-recover"):
            self._turns(Phase.POST_COPY, at)
        elif status in _QEMU_SWITCHES_OVER and self._switching is None:
            self._course = guest_pause.paused(self._course, at)
            self._switching = Phase.SWITCHOVER

    def job_completed(self, stats: Mapping[str, Any], at: float) -> None:
        """Take up the final statistics of a migration that succeeded."""
        before = self._course.latest
        limit_seconds = before.downtime_limit_seconds if before else None
        self.ending.final = from_job_stats(stats, at, limit_seconds)
        self.ending.ended(Status.COMPLETED, None, at)

    def _sampled(self, new: Sample, began_at: float | None) -> None:
        begins = self._course.latest is None and not self._taken_up
        if begins and began_at is not None:
            self._course = self._course._replace(started_at=began_at)
        self._course = precopy.observe(self._course, new)
        if self._course.paused_at is not None and self._phase is not Phase.SWITCHOVER:
            self.ending.pause_is_unusual = True

    # What is to be told.

    @property
    def over(self) -> bool:
        """Its end has been told."""
        return self._told is not None and self._told.status in ENDED

    def report_if_due(
        self, rules: schedule.Rules, now: float, wall: float
    ) -> tuple[schedule.Reason, Report] | None:
        """The report that should leave now, and why; it counts as told. None to wait.

        ``wall`` is ``now`` in seconds since the epoch.
        """
        self.judge(now)
        return self.due(rules, wall)

    def judge(self, now: float) -> None:
        """Judge it by what was seen until ``now``; :meth:`due` goes by that."""
        self._said = None
        if self._waits(now):
            return
        self._said = said = self._state(now)
        self._percent = said.telling.percent
        if self.ending.end is None:
            self._judgement = said.judgement
            # A switch-over that was stuck is no measure for others.
            self.ending.pause_is_unusual |= said.judgement.verdict is verdict.Verdict.STALLED
            self._notes = calibration.add_sample(
                self._notes, now, said.telling.read_at, said.forecast
            )

    def due(self, rules: schedule.Rules, wall: float) -> tuple[schedule.Reason, Report] | None:
        """As :meth:`report_if_due` by the latest judgement; ``wall`` is when that was."""
        said, end = self._said, self.ending.end
        if said is None:
            return None
        reason = schedule.reason_to_report(said.telling, self._told, rules)
        if reason is None:
            return None
        self._told = said.telling
        self._sequence += 1
        epoch = wall - said.telling.at
        if self.kept is not None and end is not None and self._status is Status.UNKNOWN:
            ended_at = end.at + self._one_epoch(epoch)
            return reason, checkpoint.settled(self.kept, end.error or "", ended_at)
        return reason, self._report(said, epoch)

    def preview(self, now: float, wall: float) -> Report:
        """What a report would say now; it does not count as told. Arguments as above."""
        return self._report(self._state(now), wall - now)

    def _waits(self, now: float) -> bool:
        if self.ending.end is not None:
            return self.ending.may_change(now)
        if self.kept is not None:
            return True
        return self._course.latest is None and now < self._found_at + _FIRST_READING_SECONDS

    def _state(self, now: float) -> Assessment:
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
        telling = schedule.ReportSummary(
            now, *how, percent, forecast.eta_seconds is not None, sampled_at
        )
        return Assessment(telling, judgement, assessment.told(forecast))

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
        """What it does, or did until it ended."""
        if self._switching is None and guest_pause.is_switchover(self._course):
            return Phase.SWITCHOVER
        return self._switching or estimate.phase_of(self._course)

    def _report(self, said: Assessment, epoch: float) -> Report:
        """``epoch`` added to a time of the monotonic clock gives seconds since the epoch."""
        end, epoch = self.ending.end, self._one_epoch(epoch)
        if self._started_at_epoch is None:
            # Told once, however it is known better later on.
            self._started_at_epoch = epoch + self._course.started_at
        latest = self.ending.final or self._course.latest or Sample(at=said.telling.at)
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
            **assessment.fields(said),
            **assessment.counters(latest),
            disks=assessment.disks(self._course.latest),
            **self._calibration(),
        )

    def _one_epoch(self, epoch: float) -> float:
        """That of this migration; it is ``epoch`` for the first that asks."""
        if self._epoch is None:
            self._epoch = epoch
        return self._epoch

    def _calibration(self) -> dict[str, Any]:
        """How good the forecasts were, as a report's fields; empty unless it has completed."""
        end = self.ending.end
        if end is None or end.status is not Status.COMPLETED:
            return {}
        quarters = calibration.compare(self._notes, self._course.started_at, end.at)
        return calibration.to_fields(quarters)
