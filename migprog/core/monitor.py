# SPDX-License-Identifier: Apache-2.0
"""Monitor one outgoing migration: observations go in, reports come out.

No clock, thread or connection in here: the live agent and a replayed recording drive the same
code, by :meth:`~migprog.core.migration_state.MigrationState.take`. ``at`` and ``now`` are one
monotonic clock's seconds.
"""

from typing import Any

from migprog.core import assessment, operator_actions, progress, schedule
from migprog.core.advice_entry import MAX_ADVICE, AdviceEntry
from migprog.core.assessment import Assessment
from migprog.core.checkpoint import Checkpoint, unknown_end
from migprog.core.forecast import calibration, estimate, precopy, verdict
from migprog.core.forecast.dirty_rate import IterationStart
from migprog.core.forecast.guest_pause import downtime_limit_seconds
from migprog.core.forecast.job_sample import Sample
from migprog.core.forecast.resent import Resent
from migprog.core.messages import Report
from migprog.core.metric_figures import Figures, paused_since
from migprog.core.migration_state import MigrationState
from migprog.core.operator_actions import OperatorAction
from migprog.core.status import ENDED, Status
from migprog.core.steering.advice import Advice
from migprog.core.steering.situation import (
    Capabilities,
    Glimpse,
    Situation,
    situation_of,
    starts_of,
    steered_rate,
)

# A migration is reported once its statistics were read, or after so long without them.
_FIRST_READING_SECONDS = 1.0


class Monitor(MigrationState):
    """Monitors one migration that was found at ``found_at``.

    ``completion_time_seconds`` is how long earlier migrations took from their switchover to their
    end, ``expected_resent`` what the server is expected to send again. It is read each
    ``poll_interval_seconds`` or so, which may change. ``checkpoint`` is that of an earlier
    agent; it is None once the migration is known to be running, and nothing is reported before.
    """

    def __init__(
        self,
        uuid: str,
        server_uuid: str,
        found_at: float,
        completion_time_seconds: float | None = None,
        checkpoint: Checkpoint | None = None,
        poll_interval_seconds: float = 0.0,
        expected_resent: Resent | None = None,
    ) -> None:
        super().__init__(
            server_uuid, found_at, completion_time_seconds, checkpoint, expected_resent
        )
        self.uuid = uuid
        self.poll_interval_seconds = poll_interval_seconds
        self._percent = None if checkpoint is None else checkpoint.percent
        self._judgement: verdict.Judgement | None = None
        self._assessed: Assessment | None = None
        self._forecasts = calibration.ForecastSamples()
        self._sequence = 0 if checkpoint is None else checkpoint.sequence
        self._started_at_epoch: float | None = None
        # Added to the monotonic clock's seconds: all instants of one migration are by one clock,
        # even if the host's is set meanwhile.
        self._epoch_offset_seconds: float | None = None
        self._reported: schedule.ReportSummary | None = None
        # What steering has decided about it, the newest last; None where nothing is decided.
        self.advice: tuple[Advice, ...] | None = None
        # The iteration starts as steering has them, and what they were made from.
        self._starts_from: tuple[IterationStart, ...] = ()
        self._starts: tuple[tuple[float, int], ...] = ()
        # What an earlier agent has decided, for the record alone.
        self._earlier_advice = None if checkpoint is None else checkpoint.advice
        # What operators asked for, also of an earlier agent; the newest last.
        self._actions: tuple[OperatorAction, ...] = (checkpoint.actions or ()) if checkpoint else ()

    @property
    def reported_clock(self) -> float | None:
        """When the counters that were last reported had been read, by the same clock; None where
        none are newer."""
        latest, reported = self._precopy.latest, self._reported
        if latest is None or reported is None or latest.at == reported.sampled_at:
            return None
        return reported.read_at

    @property
    def verdict(self) -> verdict.Verdict:
        """The latest verdict; that of the start before there is one."""
        judgement = self._judgement
        return verdict.Verdict.STARTING if judgement is None else judgement.verdict

    @property
    def figures(self) -> Figures | None:
        """Its figures by the latest :meth:`judge`; None where that found nothing."""
        if self._assessed is None:
            return None
        return Figures(
            self.uuid,
            self.server_uuid,
            self._assessed,
            self._precopy,
            self.ending.final or self._precopy.latest,
            self.ending.total_seconds(self._precopy),
        )

    @property
    def guest_paused_clock(self) -> float | None:
        """Since when its guest is paused, by the same clock; None while it runs, where its owner
        may have paused it, and after the end."""
        return None if self.ending.end is not None else paused_since(self._precopy, self._phase)

    @property
    def over(self) -> bool:
        """Whether its end has been reported."""
        return self._reported is not None and self._reported.status in ENDED

    def abort_asked(self) -> None:
        """Record that this agent asks libvirt to abort it."""
        self.ending.abort_asked()

    def abort_answered(self, accepted: bool) -> None:
        """Record libvirt's answer to that."""
        if not self.over:
            self.ending.abort_answered(accepted)

    def report_if_due(
        self, rules: schedule.Rules, now: float, wall: float
    ) -> tuple[schedule.ReportReason, Report] | None:
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

    def due(
        self, rules: schedule.Rules, wall: float
    ) -> tuple[schedule.ReportReason, Report] | None:
        """As :meth:`report_if_due` by the latest assessment; ``wall`` is when that was."""
        assessed, end = self._assessed, self.ending.end
        if assessed is None:
            return None
        summary = assessed.summary
        if self.advice:
            newest = self.advice[-1]
            summary = summary._replace(latest_advice=(newest.at, newest.state.value))
        if self._actions:
            latest = len(self._actions), self._actions[-1]["state"]
            summary = summary._replace(latest_action=latest)
        reason = schedule.reason_to_report(summary, self._reported, rules)
        if reason is None:
            return None
        self._reported = summary
        self._sequence += 1
        now_offset_seconds = wall - assessed.summary.at
        if self.checkpoint is not None and end is not None and self._status is Status.UNKNOWN:
            ended_at = end.at + self._one_epoch_offset(now_offset_seconds)
            return reason, unknown_end(self.checkpoint, end.error or "", ended_at)
        return reason, self._report(assessed, now_offset_seconds)

    def acted(self, action: OperatorAction) -> None:
        """Record what an operator asked for; the same action with another state replaces it."""
        earlier = self._actions
        if earlier and {**earlier[-1], "state": action["state"]} == action:
            earlier = earlier[:-1]
        self._actions = (*earlier, action)[-operator_actions.MAX_ACTIONS :]

    def situation(self, now: float, capabilities: Capabilities) -> Situation | None:
        """Return what steering has to know of it by the latest :meth:`judge`; None where that found
        nothing, and after its end."""
        assessed = self._assessed
        if assessed is None or self.ending.end is not None:
            return None
        how = (self._precopy, assessed.summary.phase, assessed.judgement, assessed.forecast)
        return situation_of(*how, now, self._found_at, capabilities, self._latest_starts())

    def glimpse(self, now: float, capabilities: Capabilities) -> Glimpse | None:
        """Return the part of :meth:`situation` that shows whether steering may decide anything."""
        assessed, latest = self._assessed, self._precopy.latest
        if assessed is None or latest is None or self.ending.end is not None:
            return None
        return Glimpse(
            now,
            assessed.summary.phase,
            assessed.judgement.verdict,
            latest.memory_iteration,
            self._latest_starts(),
            steered_rate(self._precopy),
            downtime_limit_seconds(self._precopy),
            latest.downtime_limit_seconds is not None,
            self._precopy.paused_at is not None,
            capabilities,
        )

    def _latest_starts(self) -> tuple[tuple[float, int], ...]:
        if self._starts_from is not self._precopy.undisturbed:
            self._starts_from = self._precopy.undisturbed
            self._starts = starts_of(self._precopy)
        return self._starts

    def preview(self, now: float, wall: float) -> Report:
        """Return the report as it would be now, without counting it as reported."""
        return self._report(self._assess(now), wall - now)

    def _waits(self, now: float) -> bool:
        if self.ending.end is not None:
            return self.ending.may_change(now)
        if self.checkpoint is not None:
            return True
        return self._precopy.latest is None and now < self._found_at + _FIRST_READING_SECONDS

    def _assess(self, now: float) -> Assessment:
        phase = self._phase
        silent_seconds = self._answers.silent_seconds(now, self.poll_interval_seconds)
        judgement = verdict.judge(self._precopy, phase, now, self._judgement, silent_seconds)
        forecast = estimate.forecast(self._precopy, phase, judgement.verdict)
        percent = self._percent
        if self.ending.end is None:
            percent = progress.percent(self._precopy, forecast, percent)
        elif self.ending.end.status is Status.COMPLETED:
            percent = 100
        sampled_at = self._precopy.latest.at if self._precopy.latest else None
        how = (self._status, phase, judgement.verdict)
        summary = schedule.ReportSummary(
            now, *how, percent, forecast.eta_seconds is not None, sampled_at
        )
        return Assessment(summary, judgement, assessment.rounded(forecast))

    def _report(self, assessed: Assessment, now_offset_seconds: float) -> Report:
        """Make a report. ``now_offset_seconds`` plus the monotonic clock's time gives seconds since
        the epoch, by the host's clock as it is set now."""
        end, epoch_offset_seconds = self.ending.end, self._one_epoch_offset(now_offset_seconds)
        if self._started_at_epoch is None:
            # Reported once and not changed, even if it is known better later.
            self._started_at_epoch = epoch_offset_seconds + self._precopy.started_at
        latest = self.ending.final or self._precopy.latest or Sample(at=assessed.summary.at)
        return Report(
            uuid=self.uuid,
            server_uuid=self.server_uuid,
            sequence=self._sequence,
            started_at=round(self._started_at_epoch, 3),
            sampled_at=round(epoch_offset_seconds + (end.at if end else latest.at), 3),
            ended_at=round(epoch_offset_seconds + end.at, 3) if end else None,
            server_name=self._facts.server_name,
            project_id=self._facts.project_id,
            user_id=self._facts.user_id,
            throughput_bytes_per_second=precopy.throughput(self._precopy),
            iteration_start_remaining_bytes=precopy.last_iteration_start_bytes(self._precopy),
            total_seconds=self.ending.total_seconds(self._precopy),
            error=end.error if end else None,
            advice=self._advice(epoch_offset_seconds),
            actions=self._actions or None,
            **assessment.fields(assessed),
            **assessment.counters(latest, has_ended=end is not None),
            disks=assessment.disks(self._precopy.latest),
            **self._calibration(),
        )

    def _advice(self, epoch_offset_seconds: float) -> tuple[AdviceEntry, ...] | None:
        """Return what was decided, as a report's field."""
        if self.advice is None and self._earlier_advice is None:
            return None
        own = (each.to_fields(epoch_offset_seconds) for each in self.advice or ())
        return (*(self._earlier_advice or ()), *own)[-MAX_ADVICE:]

    def _one_epoch_offset(self, now_offset_seconds: float) -> float:
        """Return the offset of this migration; the first call sets it."""
        if self._epoch_offset_seconds is None:
            self._epoch_offset_seconds = now_offset_seconds
        return self._epoch_offset_seconds

    def _calibration(self) -> dict[str, Any]:
        """Return the forecast checks as a report's fields; empty unless it has completed."""
        end = self.ending.end
        if end is None or end.status is not Status.COMPLETED:
            return {}
        checks = calibration.compare(self._forecasts, self._precopy.started_at, end.at)
        return calibration.to_fields(checks)
