# SPDX-License-Identifier: Apache-2.0
"""What an agent stores of a migration, so that the next agent continues the same record.

It is written rarely: sequences are reserved in blocks, and an agent that resumes a migration
continues above its block. ``clock`` times are those of a clock that is never set and that counts
from the host's boot, so that they mean nothing after the next boot; ``boot_id`` says which boot it
was.
"""

from dataclasses import dataclass

from migprog.core import advice_entry, fields, job_start, operator_actions
from migprog.core.advice_entry import AdviceEntry
from migprog.core.fields import needed, optional
from migprog.core.messages import Report
from migprog.core.operator_actions import OperatorAction
from migprog.core.status import Phase, Status

# The number of sequences reserved at a time: an hour or so of reports.
_BLOCK = 256
# A checkpoint is renewed, with a report that is sent anyway, when the migration has lasted twice as
# long as it had by the last one; at the least and at the most after so many seconds.
_RENEW_SECONDS = (5.0, 60.0)
# Reading the clock takes time, and clocks are slewed.
_SAME_START_SECONDS = 2.0

LEFT_RUNNING = "ended while no agent watched it; the server still runs at its source"
LEFT_GONE = "ended while no agent watched it; the server is gone from its source"
LEFT_BEHIND = "ended while no agent watched it; another migration of the server has begun since"
LEFT_UNREAD = (
    "the agent was restarted and could not read its checkpoint in time; another record continues it"
)
LEFT_BY_REBOOT = "ended while no agent watched it; its source host was rebooted since"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A migration that was under way. No report of it has a greater sequence than this.

    ``started_clock`` is when libvirt's job began, ``seen_clock`` when it was last known to run.
    ``advice`` is what was decided about it until then, ``actions`` what operators asked for: the
    next agent's reports go on with both.
    """

    uuid: str = needed(fields.uuid_text)
    server_uuid: str = needed(fields.uuid_text)
    sequence: int = needed(fields.count)
    phase: Phase = needed(fields.one_of(Phase))
    started_at: float = needed(fields.seconds)
    sampled_at: float = needed(fields.seconds)
    boot_id: str = needed(fields.text)
    started_clock: float = needed(fields.signed_seconds)
    seen_clock: float = needed(fields.signed_seconds)
    percent: int | None = optional(fields.percent)
    server_name: str | None = optional(fields.text)
    project_id: str | None = optional(fields.text)
    user_id: str | None = optional(fields.text)
    advice: tuple[AdviceEntry, ...] | None = optional(advice_entry.rule)
    actions: tuple[OperatorAction, ...] | None = optional(operator_actions.rule)


def make(report: Report, boot_id: str, started_clock: float, now: float) -> Checkpoint:
    """Return the checkpoint to store when ``report`` is sent."""
    return Checkpoint(
        uuid=report.uuid,
        server_uuid=report.server_uuid,
        sequence=report.sequence + _BLOCK,
        phase=report.phase,
        started_at=report.started_at,
        sampled_at=report.sampled_at,
        boot_id=boot_id,
        started_clock=started_clock,
        seen_clock=now,
        percent=report.percent,
        server_name=report.server_name,
        project_id=report.project_id,
        user_id=report.user_id,
        advice=report.advice,
        actions=report.actions,
    )


def is_due(report: Report, checkpoint: Checkpoint | None, now: float) -> bool:
    """Return whether a checkpoint must be stored before a report in progress is sent."""
    if checkpoint is None or report.sequence > checkpoint.sequence:
        return True
    if (report.advice, report.actions) != (checkpoint.advice, checkpoint.actions):
        return True
    # A server in post-copy cannot return to its source, and libvirt's statistics do not show it.
    turned = (report.phase is Phase.POST_COPY) != (checkpoint.phase is Phase.POST_COPY)
    least, most = _RENEW_SECONDS
    renewed_after = min(most, max(least, checkpoint.seen_clock - checkpoint.started_clock))
    return turned or now - checkpoint.seen_clock >= renewed_after


def is_same_job(checkpoint: Checkpoint, started_clock: float, started_at: float) -> bool:
    """Return whether a job of the server, which began then by either clock, is the stored one.

    ``started_clock`` should be the earliest possible start. A server has one job at a time, so a
    job that began before the stored one was last seen is that one. libvirt counts by the wall
    clock: if that was set, both starts differ, and only the one by the wall clock is the same.
    """
    if job_start.is_no_later(started_clock, checkpoint.seen_clock):
        return True
    set_by = (started_at - started_clock) - (checkpoint.started_at - checkpoint.started_clock)
    is_set = abs(set_by) > _SAME_START_SECONDS
    return is_set and abs(started_at - checkpoint.started_at) <= _SAME_START_SECONDS


def unknown_end(checkpoint: Checkpoint, why: str, at: float) -> Report:
    """Return the report of a migration whose end was not seen, found at ``at``, since the epoch.

    It has no counters: the last reported ones remain.
    """
    return Report(
        uuid=checkpoint.uuid,
        server_uuid=checkpoint.server_uuid,
        sequence=checkpoint.sequence + 1,
        status=Status.UNKNOWN,
        phase=Phase.DONE,
        started_at=checkpoint.started_at,
        sampled_at=checkpoint.sampled_at,
        ended_at=max(at, checkpoint.started_at),
        server_name=checkpoint.server_name,
        project_id=checkpoint.project_id,
        user_id=checkpoint.user_id,
        percent=checkpoint.percent,
        error=why,
    )
