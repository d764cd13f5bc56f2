# SPDX-License-Identifier: Apache-2.0
"""Decides when a migration is reported.

1. A change of status, phase or verdict is reported at once, and so is the first percentage.
2. The percentage is reported as it moves by two points, the counters once they are as old as the
   report interval.
3. A host sends one message a second of these at most; each carries all its migrations that moved.
"""

import enum
import math
from dataclasses import dataclass, replace

from migprog.core.status import ENDED, Phase, Status
from migprog.core.verdict import Verdict

# A message with progress takes along what has moved by so many points.
_ALONG_POINTS = 1
STEP_POINTS = 2
# A report interval counts as over this share of it early: a reading comes each poll interval or so,
# and the next one would be late.
_EARLY = 0.02


class Reason(enum.StrEnum):
    """Why a report leaves."""

    FIRST = "first"
    STATUS = "status"
    PHASE = "phase"
    VERDICT = "verdict"
    NUMBER = "number"
    STEP = "step"
    FIGURES = "figures"
    HEARTBEAT = "heartbeat"


# A lost one of these is not healed soon enough by the next: they are repeated until acknowledged.
# The answer to a change of phase tells the destination, too.
ACKNOWLEDGED: frozenset[Reason] = frozenset(
    {Reason.FIRST, Reason.STATUS, Reason.PHASE, Reason.HEARTBEAT}
)


@dataclass(frozen=True, slots=True)
class Rules:
    """How old what is displayed may get.

    ``step_points``: so many points of the percentage are worth a report, if the last one was
    ``step_seconds`` ago. ``report_interval_seconds`` is the age at which counters are reported
    again, ``heartbeat_interval_seconds`` the longest time between any two reports.
    """

    report_interval_seconds: float
    heartbeat_interval_seconds: float
    step_seconds: float = 1.0
    step_points: int = STEP_POINTS


@dataclass(frozen=True, slots=True)
class HostRules:
    """The rules of all migrations of a host, of which the last message with progress was sent at
    ``sent_at`` (a monotonic clock's seconds)."""

    rules: Rules
    sent_at: float = -math.inf

    def may_send(self, now: float) -> bool:
        """Return whether a message with progress may be sent."""
        return now - self.sent_at >= self.rules.step_seconds

    def at(self, now: float) -> Rules:
        """Return the rules for each migration by itself."""
        if self.may_send(now):
            return self.rules
        return replace(self.rules, report_interval_seconds=math.inf, step_seconds=math.inf)

    @property
    def along(self) -> Rules:
        """Return the rules for the other migrations of a host that sends a message."""
        return replace(
            self.rules,
            report_interval_seconds=self.rules.report_interval_seconds / 2,
            step_seconds=0.0,
            step_points=min(_ALONG_POINTS, self.rules.step_points),
        )


@dataclass(frozen=True, slots=True)
class Telling:
    """What a report would say, as far as it matters here. ``at`` and ``sampled_at`` are a monotonic
    clock's seconds; the latter is when the counters were read, None if they never were."""

    at: float
    status: Status
    phase: Phase
    verdict: Verdict | None
    percent: int | None
    has_eta: bool = False
    sampled_at: float | None = None


def reason_to_report(new: Telling, last: Telling | None, rules: Rules) -> Reason | None:
    """Return why ``new`` is reported now that ``last`` was reported before; None to wait.

    What has ended and was reported is not reported again.
    """
    if last is None:
        return Reason.FIRST
    if new.status is not last.status:
        return Reason.STATUS
    if last.status in ENDED:
        return None
    if new.phase is not last.phase:
        return Reason.PHASE
    if new.verdict is not last.verdict:
        return Reason.VERDICT
    if last.percent is None and new.percent is not None:
        # The first percentage; it is never lost again, so this is one report a migration.
        return Reason.NUMBER
    waited_seconds = new.at - last.at
    if _has_moved(new, last, rules.step_points) and waited_seconds >= rules.step_seconds:
        return Reason.STEP
    age_seconds = new.at - (last.at if last.sampled_at is None else last.sampled_at)
    is_newer = new.sampled_at is not None and new.sampled_at != last.sampled_at
    if is_newer and age_seconds >= (1 - _EARLY) * rules.report_interval_seconds:
        return Reason.FIGURES
    if waited_seconds >= rules.heartbeat_interval_seconds:
        return Reason.HEARTBEAT
    return None


def _has_moved(new: Telling, last: Telling, points: int) -> bool:
    """Return whether the percentage has moved by so much, or the time left was lost or found."""
    if new.has_eta != last.has_eta:
        return True
    return (new.percent or 0) - (last.percent or 0) >= points
