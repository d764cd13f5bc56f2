# SPDX-License-Identifier: Apache-2.0
"""Decide whether libvirt answers. A missing answer says nothing about the migration itself."""

from typing import NamedTuple

# QEMU's main loop may be busy for seconds; a longer silence is reported.
SILENT_SECONDS = 8.0
# Where readings are rare, one that is late by so many intervals is missing.
_MISSED_READINGS = 3


class AnswerTimes(NamedTuple):
    """When libvirt last answered or sent an event about a migration, ``at``.

    ``read_at`` is when it last answered a reading; ``intervals`` are the seconds between the last
    three.
    """

    at: float
    read_at: float | None = None
    intervals: tuple[float, ...] = ()

    def reading(self, at: float) -> "AnswerTimes":
        """Return the state after one more reading."""
        intervals = self.intervals
        if self.read_at is not None:
            intervals = (*intervals, max(0.0, at - self.read_at))[-2:]
        return AnswerTimes(max(at, self.at), at, intervals)

    def event(self, at: float) -> "AnswerTimes":
        """Return the state after an event, which comes whether libvirt is called or not."""
        return self._replace(at=max(at, self.at))

    def silent_seconds(self, now: float, poll_interval_seconds: float) -> float | None:
        """Return the seconds since the last answer; None while the next one is not late.

        It is read each ``poll_interval_seconds`` or so; less often on a busy host.
        """
        expected = max(poll_interval_seconds, min(self.intervals, default=0.0))
        silent = now - self.at
        return silent if silent >= max(SILENT_SECONDS, _MISSED_READINGS * expected) else None
