# SPDX-License-Identifier: Apache-2.0
"""When is there something worth telling?

Three clocks are kept apart: a migration is sampled every poll interval, told of at most every
report interval, and at least every heartbeat interval. What changes its meaning does not wait.
"""

import enum
import math
from dataclasses import dataclass

from migprog.core.status import ENDED, Phase, Status
from migprog.core.verdict import Verdict


class Reason(enum.StrEnum):
    """Why a report leaves."""

    FIRST = "first"
    STATUS = "status"
    PHASE = "phase"
    VERDICT = "verdict"
    NUMBER = "number"
    STEP = "step"
    HEARTBEAT = "heartbeat"


# A lost one of these is not healed soon enough by the next: they are repeated until acknowledged.
ACKNOWLEDGED: frozenset[Reason] = frozenset({Reason.FIRST, Reason.STATUS, Reason.HEARTBEAT})


@dataclass(frozen=True, slots=True)
class Rules:
    """Seconds at least between two reports of progress, and at most between any two."""

    report_interval_seconds: float
    heartbeat_interval_seconds: float


@dataclass(frozen=True, slots=True)
class Beat:
    """A host's clock for what can wait: all its migrations are told of in one message.

    It beats at ``next_at``. What was told of less than half an interval before waits for the next
    beat; what changes its meaning waits for none.
    """

    next_at: float

    def rules(self, rules: Rules, now: float) -> Rules:
        """The rules for each migration now, from those for one alone."""
        interval, heartbeat = rules.report_interval_seconds, rules.heartbeat_interval_seconds
        if now < self.next_at:
            return Rules(math.inf, heartbeat)
        return Rules(interval / 2, max(interval / 2, heartbeat - interval))

    def after(self, now: float, interval_seconds: float, chance: float) -> "Beat":
        """The clock after ``now``. ``chance`` is from 0 to 1: so hosts do not beat as one.

        It keeps its pace, whatever the polls that it falls between. Where none asked for longer
        than an interval it does not catch up, but begins anew; so it does when the interval has
        become shorter than what is left to the next beat.
        """
        if now < self.next_at <= now + interval_seconds:
            return self
        if self.next_at <= now < self.next_at + interval_seconds:
            return Beat(self.next_at + interval_seconds)
        return Beat(now + interval_seconds * (0.5 + 0.5 * chance))


@dataclass(frozen=True, slots=True)
class Telling:
    """What a report would say, as far as it matters here; ``at`` is a monotonic clock's seconds."""

    at: float
    status: Status
    phase: Phase
    verdict: Verdict | None
    percent: int | None
    has_eta: bool = False


def reason_to_report(new: Telling, last: Telling | None, rules: Rules) -> Reason | None:
    """Why ``new`` should be told now that ``last`` was what was told before; None to wait.

    What has ended and was told has nothing more to say.
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
    differs = (new.percent, new.has_eta) != (last.percent, last.has_eta)
    if differs and waited_seconds >= rules.report_interval_seconds:
        return Reason.STEP
    if waited_seconds >= rules.heartbeat_interval_seconds:
        return Reason.HEARTBEAT
    return None
