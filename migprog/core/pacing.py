# SPDX-License-Identifier: Apache-2.0
"""How often a host may tell of progress, by how the conductors keep up.

Slow answers stretch the interval by a factor, quick ones shorten it bit by bit: so many hosts find
together what their conductors can bear, as TCP's flows do (Chiu and Jain, 1989).
"""

from dataclasses import dataclass, replace

# A conductor that keeps up answers in hundredths of a second.
_SLOW_SECONDS = 0.5
_STRETCH = 2.0
# Of the interval asked for, so much is taken back by a quick answer.
_SHORTEN = 0.25


@dataclass(frozen=True, slots=True)
class Pacing:
    """Seconds between two reports of progress: as asked for, but for ``extra_seconds``."""

    asked_seconds: float
    most_seconds: float
    extra_seconds: float = 0.0

    @property
    def interval_seconds(self) -> float:
        return max(
            self.asked_seconds, min(self.asked_seconds + self.extra_seconds, self.most_seconds)
        )

    @property
    def is_stretched(self) -> bool:
        return self.extra_seconds > 0

    def asked(self, asked_seconds: float, most_seconds: float) -> "Pacing":
        """The pacing after somebody has asked for another interval."""
        if (asked_seconds, most_seconds) == (self.asked_seconds, self.most_seconds):
            return self
        return replace(self, asked_seconds=asked_seconds, most_seconds=most_seconds)

    def answered(self, took_seconds: float) -> "Pacing":
        """The pacing after a conductor's answer."""
        if took_seconds > _SLOW_SECONDS:
            return self.unanswered()
        if not self.is_stretched:
            return self
        extra = self.interval_seconds - (1 + _SHORTEN) * self.asked_seconds
        return replace(self, extra_seconds=max(0.0, extra))

    def unanswered(self) -> "Pacing":
        """The pacing after no conductor answered in time."""
        extra = _STRETCH * self.interval_seconds - self.asked_seconds
        most = max(0.0, self.most_seconds - self.asked_seconds)
        return replace(self, extra_seconds=min(extra, most))
