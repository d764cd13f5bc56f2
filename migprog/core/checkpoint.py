# SPDX-License-Identifier: Apache-2.0
"""What an agent keeps of a migration, so that the next agent goes on with the same record.

It is written seldom: sequences are set aside in blocks, and an agent that takes up a migration
goes on above its block. ``clock`` times are those of a clock that no one sets and that counts from
the host's start, so that they tell nothing after the next start; which start it was, ``boot_id``
says.
"""

from dataclasses import dataclass

from migprog.core import fields, job_start
from migprog.core.fields import needed, optional
from migprog.core.report import Report
from migprog.core.status import Phase, Status

# Set aside at a time: an hour or so of reports.
_BLOCK = 256
# What is kept of a migration is renewed, with a report that leaves anyway, when it is twice as old
# as it was, or so much older: at the least and at the most.
_RENEW_SECONDS = (5.0, 60.0)
# An answer takes its time, and clocks are slewed.
_SAME_START_SECONDS = 2.0

LEFT_RUNNING = "ended while nobody watched; the server still runs at its source"
LEFT_GONE = "ended while nobody watched; the server is gone from its source"
LEFT_BEHIND = "ended while nobody watched; another migration of the server has begun since"
LEFT_UNREAD = (
    "its agent was started anew and could not read what it had kept; another record goes on"
)
LEFT_BY_REBOOT = "ended while nobody watched; its source was started anew since"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A migration that was under way. No report of it has a greater sequence than this.

    ``started_clock`` is when libvirt's job began, ``seen_clock`` when it was last known to run.
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


def keep(report: Report, boot_id: str, started_clock: float, now: float) -> Checkpoint:
    """What is to be kept when ``report`` leaves."""
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
    )


def is_due(report: Report, kept: Checkpoint | None, now: float) -> bool:
    """Whether something must be kept before the report leaves. An end is another matter."""
    if kept is None or report.sequence > kept.sequence:
        return True
    # Once in post-copy a server cannot be called back, and libvirt's statistics do not tell of it.
    turned = (report.phase is Phase.POST_COPY) != (kept.phase is Phase.POST_COPY)
    least, most = _RENEW_SECONDS
    renewed_after = min(most, max(least, kept.seen_clock - kept.started_clock))
    return turned or now - kept.seen_clock >= renewed_after


def is_same_job(kept: Checkpoint, started_clock: float, started_at: float) -> bool:
    """Whether a job of its server, which began then by either clock, is the one that was watched.

    ``started_clock`` should be the earliest that may be. A server has one job at a time, so what
    began before that one was last seen is that one. libvirt counts by the wall clock: where
    somebody has set that, both tell another time, and only the start by the wall clock is the same.
    """
    if job_start.is_no_later(started_clock, kept.seen_clock):
        return True
    set_by = (started_at - started_clock) - (kept.started_at - kept.started_clock)
    is_set = abs(set_by) > _SAME_START_SECONDS
    return is_set and abs(started_at - kept.started_at) <= _SAME_START_SECONDS


def settled(kept: Checkpoint, why: str, at: float) -> Report:
    """The report of a migration whose end nobody saw, found at ``at``, since the epoch.

    It tells no figures: the last that were told stay.
    """
    return Report(
        uuid=kept.uuid,
        server_uuid=kept.server_uuid,
        sequence=kept.sequence + 1,
        status=Status.UNKNOWN,
        phase=Phase.DONE,
        started_at=kept.started_at,
        sampled_at=kept.sampled_at,
        ended_at=max(at, kept.started_at),
        server_name=kept.server_name,
        project_id=kept.project_id,
        user_id=kept.user_id,
        percent=kept.percent,
        error=why,
    )
