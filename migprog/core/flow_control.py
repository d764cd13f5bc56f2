# SPDX-License-Identifier: Apache-2.0
"""Decide how often a host may report progress, by how fast the conductors answer.

Slow answers halve the rate, quick ones raise it step by step: so many hosts together find what
their conductors can bear, as TCP's flows do (Chiu and Jain, 1989).
"""

from dataclasses import dataclass, replace

from migprog.core.schedule import STEP_SECONDS, Rules

# A conductor that keeps up answers in hundredths of a second. An answer is slow if it takes half an
# interval, but not less than the first of these and not more than the second.
_SLOW_SHARE = 0.5
_SLOW_SECONDS = (0.5, 1.0)
_STRETCH = 2.0
# A quick answer raises the rate by this share of the rate asked for.
_RAISE = 0.125


@dataclass(frozen=True, slots=True)
class FlowControl:
    """Seconds between two progress reports: those asked for plus ``extra_seconds``.

    All slow answers before ``deaf_until`` (a monotonic clock's seconds, as every ``now`` here)
    belong to one congestion, to which the interval has been adapted already.
    """

    asked_seconds: float
    most_seconds: float
    extra_seconds: float = 0.0
    deaf_until: float = 0.0

    @property
    def interval_seconds(self) -> float:
        return max(
            self.asked_seconds, min(self.asked_seconds + self.extra_seconds, self.most_seconds)
        )

    @property
    def step_seconds(self) -> float:
        """Seconds at least between two messages with progress, extended by as much."""
        return min(STEP_SECONDS, self.asked_seconds) + self.interval_seconds - self.asked_seconds

    @property
    def is_stretched(self) -> bool:
        return self.extra_seconds > 0

    def rules(self, rules: Rules) -> Rules:
        """Return the rules in force, from those asked for."""
        interval, step = self.interval_seconds, self.step_seconds
        if (interval, step) == (rules.report_interval_seconds, rules.step_seconds):
            return rules
        return replace(rules, report_interval_seconds=interval, step_seconds=step)

    def asked(self, asked_seconds: float, most_seconds: float) -> "FlowControl":
        """Return the state after another interval was asked for."""
        if (asked_seconds, most_seconds) == (self.asked_seconds, self.most_seconds):
            return self
        return replace(self, asked_seconds=asked_seconds, most_seconds=most_seconds)

    def answered(self, took_seconds: float, now: float) -> "FlowControl":
        """Return the state after a conductor's answer."""
        least, most = _SLOW_SECONDS
        if took_seconds > max(least, min(most, _SLOW_SHARE * self.asked_seconds)):
            return self.unanswered(now)
        if not self.is_stretched:
            return self
        rate = 1 / self.interval_seconds + _RAISE / self.asked_seconds
        return replace(self, extra_seconds=max(0.0, 1 / rate - self.asked_seconds))

    def unanswered(self, now: float) -> "FlowControl":
        """Return the state after no conductor answered in time."""
        if now < self.deaf_until:
            return self
        most = max(self.asked_seconds, self.most_seconds)
        interval = min(_STRETCH * self.interval_seconds, most)
        return replace(self, extra_seconds=interval - self.asked_seconds, deaf_until=now + interval)
