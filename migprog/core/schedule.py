# SPDX-License-Identifier: Apache-2.0
"""Decide when a migration is reported.

1. A change of status, phase or verdict is reported at once, and so are new advice,
   an operator's action, the first percentage and the first one above 0.
2. The percentage is reported as it moves by four points, the counters once they are as old as the
   report interval.
3. A host sends at most one such message a second, with all its migrations that have changed.
"""

import enum
import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

from migprog.core.forecast.verdict import Verdict
from migprog.core.status import ENDED, Phase, Status

# A change of the percentage by so much is worth a report; and the least seconds between two
# progress messages of one host.
STEP_POINTS = 4
STEP_SECONDS = 1.0
# An interval counts as over this share of it, and so many seconds, early: readings come each poll
# interval or so, and the next one would be late.
_EARLY, _EARLY_SECONDS = 0.05, 0.25
# Counters that were reported so recently wait for the next message.
_FRESH_SECONDS = 0.5


class ReportReason(enum.StrEnum):
    """Why a report is sent."""

    FIRST = "first"
    STATUS = "status"
    PHASE = "phase"
    VERDICT = "verdict"
    ADVICE = "advice"
    ACTION = "action"
    NUMBER = "number"
    STEP = "step"
    FIGURES = "figures"
    HEARTBEAT = "heartbeat"


# The next report does not replace a lost one of these soon enough: repeat until acknowledged.
_ACKNOWLEDGED: frozenset[ReportReason] = frozenset(
    {ReportReason.FIRST, ReportReason.STATUS, ReportReason.HEARTBEAT}
)


@dataclass(frozen=True, slots=True)
class Rules:
    """How old the displayed values may become.

    ``step_points``: so many points of the percentage are worth a report, if the last one was
    ``step_seconds`` ago. ``report_interval_seconds`` is the age at which counters are reported
    again, ``heartbeat_interval_seconds`` the longest time between any two reports.
    """

    report_interval_seconds: float
    heartbeat_interval_seconds: float
    step_seconds: float = STEP_SECONDS
    step_points: int = STEP_POINTS


@dataclass(frozen=True, slots=True)
class HostClock:
    """When a host may send messages with progress; a monotonic clock's seconds.

    The last one was sent at ``sent_at``. Of its migrations that have newer counters than those that
    were reported, ``oldest_at`` is when the oldest ones reported were read; None without any.
    """

    sent_at: float = -math.inf
    oldest_at: float | None = None

    def may_send(self, rules: Rules, now: float) -> bool:
        """Return whether a message with progress may be sent."""
        return now - self.sent_at >= rules.step_seconds

    def figures_are_due(self, rules: Rules, now: float) -> bool:
        """Return whether it is time for the counters of all migrations."""
        return self.oldest_at is not None and now - self.oldest_at >= _interval_seconds(rules)

    def rules(self, rules: Rules, now: float) -> Rules:
        """Return the rules for each migration now, by those for one alone."""
        if self.may_send(rules, now) and self.figures_are_due(rules, now):
            fresh_seconds = min(_FRESH_SECONDS, rules.report_interval_seconds / 2)
            return _changed(rules, fresh_seconds, 0.0, rules.step_points)
        # What will be reported within a second waits for that message.
        is_soon = self.figures_are_due(rules, now + rules.step_seconds)
        if not self.may_send(rules, now) or is_soon:
            return _changed(rules, math.inf, math.inf, rules.step_points)
        return _changed(rules, math.inf, rules.step_seconds, rules.step_points)

    def along(self, rules: Rules, now: float) -> Rules | None:
        """Return the rules for the other migrations when one is reported now; None if they do not
        add to its message."""
        of_now = self.rules(rules, now)
        if math.isinf(of_now.step_seconds):
            return None
        # Migrations that have moved by half a step are reported, too.
        points = max(1, rules.step_points // 2)
        return _changed(of_now, of_now.report_interval_seconds, 0.0, points)


@functools.lru_cache(maxsize=16)
def _changed(
    rules: Rules, report_interval_seconds: float, step_seconds: float, step_points: int
) -> Rules:
    """Return rules with other figures: the same few, each time that the host looks."""
    return Rules(
        report_interval_seconds, rules.heartbeat_interval_seconds, step_seconds, step_points
    )


class ReportSummary(NamedTuple):
    """The part of a report that decides when it is sent. ``at`` and ``sampled_at`` are a monotonic
    clock's seconds; the latter is when the counters were read, None if they never were.
    ``latest_advice`` is when the newest advice was given, by the same clock, and its state; None
    without any. ``latest_action``: how many actions operators asked for, and the last one's
    state."""

    at: float
    status: Status
    phase: Phase
    verdict: Verdict | None
    percent: int | None
    has_eta: bool = False
    sampled_at: float | None = None
    latest_advice: tuple[float, str] | None = None
    latest_action: tuple[int, str] | None = None

    @property
    def read_at(self) -> float:
        """When its counters were read, or were found to be missing."""
        return self.at if self.sampled_at is None else self.sampled_at


def reason_to_report(
    new: ReportSummary, last: ReportSummary | None, rules: Rules
) -> ReportReason | None:
    """Return why ``new`` is reported after ``last``; None to wait.

    An end that was reported is not reported again.
    """
    if last is None:
        return ReportReason.FIRST
    if new.status is not last.status:
        return ReportReason.STATUS
    if last.status in ENDED:
        return None
    change = _change(new, last)
    if change is not None:
        return change
    waited_seconds = new.at - last.at
    if _has_moved(new, last, rules.step_points) and waited_seconds >= rules.step_seconds:
        return ReportReason.STEP
    is_newer = new.sampled_at is not None and new.sampled_at != last.sampled_at
    age_seconds = new.at - last.read_at
    if is_newer and age_seconds >= _interval_seconds(rules):
        return ReportReason.FIGURES
    if waited_seconds >= rules.heartbeat_interval_seconds:
        return ReportReason.HEARTBEAT
    return None


def _change(new: ReportSummary, last: ReportSummary) -> ReportReason | None:
    """Return what has changed that is reported at once, but for the status."""
    if new.phase is not last.phase:
        return ReportReason.PHASE
    if new.verdict is not last.verdict:
        return ReportReason.VERDICT
    if new.latest_advice is not None and new.latest_advice != last.latest_advice:
        return ReportReason.ADVICE
    if new.latest_action is not None and new.latest_action != last.latest_action:
        return ReportReason.ACTION
    if new.percent is not None and not last.percent and new.percent != last.percent:
        # The first percentage, and the first above 0: two reports a migration at most.
        return ReportReason.NUMBER
    return None


def _interval_seconds(rules: Rules) -> float:
    """Return the report interval, a little early."""
    interval = rules.report_interval_seconds
    return interval if math.isinf(interval) else interval - min(_EARLY_SECONDS, _EARLY * interval)


def needs_ack(reason: ReportReason, destination_is_known: bool) -> bool:
    """Return whether a report is repeated until it is acknowledged.

    A conductor's answer also has the destination of a migration: until it is known, a change of
    phase asks for an answer.
    """
    return reason in _ACKNOWLEDGED or (reason is ReportReason.PHASE and not destination_is_known)


def _has_moved(new: ReportSummary, last: ReportSummary, points: int) -> bool:
    """Return whether the percentage has moved by so much, or the ETA became known or unknown."""
    if new.has_eta != last.has_eta:
        return True
    return (new.percent or 0) - (last.percent or 0) >= points
