# SPDX-License-Identifier: Apache-2.0
"""What is known of one outgoing migration: what is seen of it goes in.

No clock, thread or connection in here. ``at`` is a monotonic clock's seconds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from migprog.core import checkpoint as checkpoint_
from migprog.core import job_start, libvirt_abi
from migprog.core.ending import Ending
from migprog.core.forecast import (
    estimate,
    foreseen_resent,
    guest_pause,
    precopy,
    precopy_updates,
    vcpu_time,
)
from migprog.core.forecast.dirty_curve import DirtyCurve
from migprog.core.forecast.expectation import Expectation
from migprog.core.forecast.job_sample import (
    Disk,
    JobState,
    Sample,
    from_job_stats,
    is_outgoing,
    outgoing_job,
)
from migprog.core.forecast.resent import Resent
from migprog.core.observation import (
    Iteration,
    JobCompleted,
    JobEvent,
    Lifecycle,
    Observation,
    Reading,
)
from migprog.core.server_facts import ServerFacts
from migprog.core.status import POST_COPY_PHASES, Phase, Status
from migprog.core.unresponsive import AnswerTimes

# QEMU's own words (MigrationStatus in its QAPI) for its switchover.
_QEMU_SWITCHES_OVER = ("pre-switchover", "device")


class MigrationState:
    """The state of one migration, see :class:`migprog.core.monitor.Monitor`.

    ``checkpoint`` is that of an earlier agent; it is None once the migration is known to be
    running.
    """

    def __init__(
        self,
        server_uuid: str,
        found_at: float,
        completion_time_seconds: float | None,
        checkpoint: checkpoint_.Checkpoint | None,
        expected_resent: Resent | None,
    ) -> None:
        self.server_uuid = server_uuid
        self._found_at = found_at
        self._facts = ServerFacts()
        self._precopy = precopy.PrecopyState(
            started_at=found_at,
            completion_time_seconds=completion_time_seconds,
            resent=expected_resent or Resent(),
        )
        # The host that it goes to, once a conductor has reported it.
        self.destination: str | None = None
        # Of its guest, known before it began.
        self._curves: tuple[DirtyCurve, ...] = ()
        self._answers = AnswerTimes(found_at)
        # The phase that events have shown; None while its statistics show it.
        self._switching: Phase | None = None
        self.ending = Ending()
        # Paused by us for an operator, or by another party: others must not learn from its pause.
        self.forced = False
        self.checkpoint = checkpoint
        self._is_resumed = checkpoint is not None
        if checkpoint is not None:
            self._facts = ServerFacts(
                server_name=checkpoint.server_name,
                project_id=checkpoint.project_id,
                user_id=checkpoint.user_id,
            )
            self._precopy = self._precopy._replace(started_at=checkpoint.started_clock)
            if checkpoint.phase in POST_COPY_PHASES:
                self._switching = checkpoint.phase

    @property
    def started_clock(self) -> float:
        """When libvirt's job began, by the monotonic clock."""
        return self._precopy.started_at

    @property
    def ended_clock(self) -> float | None:
        """When its end was seen, by the same clock."""
        return None if self.ending.end is None else self.ending.end.at

    @property
    def seen_clock(self) -> float:
        """When it was last seen to run, by the same clock."""
        latest = self._precopy.latest
        return self._found_at if latest is None else latest.at

    @property
    def project_id(self) -> str | None:
        """The server's project, where it is known."""
        return self._facts.project_id

    @property
    def state(self) -> tuple[Status, Phase]:
        """Its present status and phase."""
        return self._status, self._phase

    def learn(self, facts: ServerFacts | None) -> None:
        """Use what is known of the server itself."""
        if facts is not None and facts is not self._facts and facts != self._facts:
            self._facts = facts
            self._precopy = self._precopy._replace(
                memory_size_bytes=facts.memory_size_bytes,
                memory_resident_bytes=facts.memory_resident_bytes,
                has_host_devices=facts.has_host_devices,
            )

    def goes_to(self, destination: str, completion_time_seconds: float | None) -> None:
        """Set the destination host, and how long earlier migrations to it took from their
        switchover to their end."""
        self.destination = destination
        if completion_time_seconds is not None:
            self._precopy = self._precopy._replace(completion_time_seconds=completion_time_seconds)

    def expects(self, expectation: Expectation) -> None:
        """Set what was known of it before it began."""
        self._curves = expectation.curves
        known = self._precopy.completion_time_seconds
        if known is None and expectation.overhead_seconds is not None:
            # Its setup is in that, too.
            known = min(expectation.overhead_seconds, guest_pause.COMPLETION_TIME_SECONDS)
        self._precopy = self._precopy._replace(
            completion_time_seconds=known,
            known_bytes_per_second=expectation.bytes_per_second,
            known_spread=expectation.spread or 0.0,
        )
        self._foresee()

    def take(self, seen: Observation) -> None:
        """Process what was seen of the migration, by libvirt now or in a recording."""
        match seen:
            case Reading(stats=stats, at=at):
                self.turned(seen.phase, seen.is_paused)
                if stats is not None:
                    limit_seconds, seconds = seen.downtime_limit_seconds, seen.vcpu_time_seconds
                    self.read(stats, limit_seconds, at, seen.disks, seconds)
                elif seen.gone:
                    self.gone(seen.error or "", at)
            case Iteration():
                self.iteration_begins(seen.at)
            case Lifecycle():
                self.lifecycle(seen.event, seen.detail, seen.at)
            case JobCompleted(stats=stats) if is_outgoing(stats):
                self.job_completed(stats, seen.at)
            case JobCompleted():
                self.has_other_job(seen.at)
            case JobEvent(qemu_status=str(status)):
                self.qemu_migration(status, seen.at)

    def read(
        self,
        stats: Mapping[str, Any],
        downtime_limit_seconds: float | None,
        at: float,
        disks: Sequence[Disk] | None = None,
        vcpu_time_seconds: float | None = None,
    ) -> None:
        """Process the job statistics of the server, how far the copies of its disks are, and the
        processor time of its vCPUs."""
        self._answers = self._answers.reading(at)
        state = outgoing_job(stats)
        if state is JobState.ACTIVE:
            new = from_job_stats(stats, at, downtime_limit_seconds, disks, vcpu_time_seconds)
            self._sampled(new, job_start.began_at(stats, at))
        elif state is JobState.CANCELLED:
            self.ending.ended(Status.CANCELLED, "the migration was aborted", at)
        elif state is JobState.FAILED:
            self.ending.job_failed("libvirt reported that the migration failed", at)
        elif self._switching is None and self._precopy.paused_at is None:
            # After a switchover events report the job's end; before one, it was given up.
            self.ending.given_up(at)

    def runs_still(self, phase: Phase | None) -> None:
        """Record that the migration of the checkpoint is still running, maybe in post-copy."""
        self.checkpoint = None
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

    def has_other_job(self, at: float) -> None:
        """Record that the server has a job which a migrating server cannot have."""
        if self.checkpoint is not None:
            self.lost(checkpoint_.LEFT_RUNNING, at, certain=False)
        else:
            self.ending.given_up(at)

    def iteration_begins(self, at: float) -> None:
        """Process QEMU's event that an iteration over the server's memory begins."""
        self._answers = self._answers.event(at)
        self._precopy = precopy_updates.iteration_begins(self._precopy, at)

    def gone(self, error: str, at: float) -> None:
        """Record that libvirt does not know the server any more."""
        text = f"the server is gone from its source, and its end was not seen: {error}"
        self.ending.ended(Status.UNKNOWN, text, at, certain=False)

    def lifecycle(self, event: int, detail: int, at: float) -> None:
        """Process libvirt's lifecycle event of the server."""
        self._answers = self._answers.event(at)
        kind = (event, detail)
        if kind == libvirt_abi.SUSPENDED_POSTCOPY:
            self._turns(Phase.POST_COPY, at)
        elif kind == libvirt_abi.SUSPENDED_POSTCOPY_FAILED:
            self._turns(Phase.POST_COPY_PAUSED, at)
        elif event == libvirt_abi.SUSPENDED:
            self._paused(at, by_migration=kind == libvirt_abi.SUSPENDED_MIGRATED)
        elif event == libvirt_abi.RESUMED and self._switching not in POST_COPY_PHASES:
            self._precopy = guest_pause.resumed(self._precopy, at)
            self._switching = None
        elif kind == libvirt_abi.STOPPED_MIGRATED:
            self.ending.pause_is_unusual |= self.forced
            self.ending.arrives(self._precopy, at, self._phase_under_way)
        elif kind == libvirt_abi.STOPPED_SAVED:
            self.has_other_job(at)
        elif event == libvirt_abi.STOPPED:
            text = "the server stopped at its source while it migrated"
            self.ending.ended(Status.FAILED, text, at)

    def _paused(self, at: float, by_migration: bool, was_found: bool = False) -> None:
        """Record that the guest is paused at its source. libvirt attributes any pause during a
        migration to the migration."""

        if self._switching in POST_COPY_PHASES or self._precopy.paused_at is not None:
            return
        self._precopy = guest_pause.paused(self._precopy, at, was_found)
        self.ending.pause_is_unusual = not (
            by_migration and guest_pause.is_switchover(self._precopy)
        )

    def _turns(self, phase: Phase, at: float) -> None:
        """Record that post-copy begins, was interrupted or goes on."""
        if phase is not self._switching:
            self._precopy = guest_pause.post_copy_begins(self._precopy, at)
        self._switching = phase

    def qemu_migration(self, status: str, at: float) -> None:
        """Process QEMU's own status of its migration."""
        self._answers = self._answers.event(at)
        if status in ("cancelling", "cancelled"):
            self.ending.cancelled = True
        elif status == "failed":
            self.ending.job_failed("QEMU reported that the migration failed", at)
        elif status == "postcopy-paused":
            self._turns(Phase.POST_COPY_PAUSED, at)
        elif status in ("postcopy-active", "postcopy-recover"):
            self._turns(Phase.POST_COPY, at)
        elif status in _QEMU_SWITCHES_OVER and self._switching is None:
            self._precopy = guest_pause.paused(self._precopy, at)
            self._switching = Phase.SWITCHOVER

    def job_completed(self, stats: Mapping[str, Any], at: float) -> None:
        """Process the final statistics of a migration that succeeded."""
        before = self._precopy.latest
        limit_seconds = before.downtime_limit_seconds if before else None
        self.ending.final = from_job_stats(stats, at, limit_seconds)
        self.ending.ended(Status.COMPLETED, None, at)

    def _foresee(self) -> None:
        """Use the curves that were known before, until its own iterations show better."""
        if not self._curves or self._precopy.iterations or self._precopy.latest is None:
            return
        found = foreseen_resent.resent(self._curves, self._precopy)
        if found is not None:
            self._precopy = self._precopy._replace(resent=found, is_foreseen=True)

    def _sampled(self, new: Sample, began_at: float | None) -> None:
        begins = self._precopy.latest is None and not self._is_resumed
        if begins and began_at is not None:
            self._precopy = self._precopy._replace(started_at=began_at)
        self._precopy = precopy_updates.observe(self._precopy, new)
        self._foresee()
        if new.vcpu_time_seconds is not None:
            vcpus = vcpu_time.observe(self._precopy.vcpus, new)
            self._precopy = self._precopy._replace(vcpus=vcpus)
        if self._precopy.paused_at is not None and self._phase is not Phase.SWITCHOVER:
            self.ending.pause_is_unusual = True

    @property
    def _status(self) -> Status:
        if self.ending.end is not None:
            return self.ending.end.status
        if self._switching in POST_COPY_PHASES:
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
        if self._switching is None and guest_pause.is_switchover(self._precopy):
            return Phase.SWITCHOVER
        return self._switching or estimate.phase_of(self._precopy)
