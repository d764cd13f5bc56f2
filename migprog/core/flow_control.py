# SPDX-License-Identifier: Apache-2.0
"""How often a host may tell of progress, by how the conductors keep up.

Slow answers halve the rate, quick ones raise it bit by bit: so many hosts find together what their
conductors can bear, as TCP's flows do (Chiu and Jain, 1989).
"""

from dataclasses import dataclass, replace

from migprog.core.schedule import STEP_SECONDS, Rules

# A conductor that keeps up answers in hundredths of a second. Slow is what takes half an interval,
# but not less than the first of these and not more than the second.
_SLOW_SHARE = 0.5
_SLOW_SECONDS = (0.5, 1.0)
_STRETCH = 2.0
# Of the rate asked for, so much is won back by a quick answer.
_RAISE = 0.125


@dataclass(frozen=True, slots=True)
class FlowControl:
    """Seconds between two reports of progress: as asked for, but for ``extra_seconds``.

    All slow answers before ``deaf_until`` (a monotonic clock's seconds, as every ``now`` here) tell
    of one and the same jam, which has been answered.
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
        """Seconds at least between two messages with progress: stretched by as much."""
        return min(STEP_SECONDS, self.asked_seconds) + self.interval_seconds - self.asked_seconds

    @property
    def is_stretched(self) -> bool:
        return self.extra_seconds > 0

    def rules(self, rules: Rules) -> Rules:
        """Return the rules that are in force, of those asked for."""
        return replace(
            rules,
            report_interval_seconds=self.interval_seconds,
            step_seconds=self.step_seconds,
        )

    def asked(self, asked_seconds: float, most_seconds: float) -> "FlowControl":
        """The pacing after somebody has asked for another interval."""
        if (asked_seconds, most_seconds) == (self.asked_seconds, self.most_seconds):
            return self
        return replace(self, asked_seconds=asked_seconds, most_seconds=most_seconds)

    def answered(self, took_seconds: float, now: float) -> "FlowControl":
        """The pacing after a conductor's answer."""
        least, most = _SLOW_SECONDS
        if took_seconds > max(least, min(most, _SLOW_SHARE * self.asked_seconds)):
            return self.unanswered(now)
        if not self.is_stretched:
            return self
        rate = 1 / self.interval_seconds + _RAISE / self.asked_seconds
        return replace(self, extra_seconds=max(0.0, 1 / rate - self.asked_seconds))

    def unanswered(self, now: float) -> "FlowControl":
        """The pacing after no conductor answered in time."""
        if now < self.deaf_until:
            return self
        most = max(self.asked_seconds, self.most_seconds)
        interval = min(_STRETCH * self.interval_seconds, most)
        return replace(self, extra_seconds=interval - self.asked_seconds, deaf_until=now + interval)
