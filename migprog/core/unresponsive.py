# SPDX-License-Identifier: Apache-2.0
"""Does libvirt answer? What is not answered tells nothing about the migration itself."""

from typing import NamedTuple

# QEMU's main loop may be busy for seconds; a longer silence is reported.
SILENT_SECONDS = 8.0
# Where readings come seldom, one that is late by so many intervals is missing.
_MISSED_READINGS = 3


class Answers(NamedTuple):
    """When libvirt last gave word of a migration, ``at``, by a reading or an event.

    ``read_at`` is when it last answered a reading; ``intervals`` are the seconds between the last
    three.
    """

    at: float
    read_at: float | None = None
    intervals: tuple[float, ...] = ()

    def reading(self, at: float) -> "Answers":
        """The answers after one more reading."""
        intervals = self.intervals
        if self.read_at is not None:
            intervals = (*intervals, max(0.0, at - self.read_at))[-2:]
        return Answers(max(at, self.at), at, intervals)

    def event(self, at: float) -> "Answers":
        """The answers after an event, which comes whether libvirt is asked or not."""
        return self._replace(at=max(at, self.at))

    def silent_seconds(self, now: float, poll_interval_seconds: float) -> float | None:
        """Seconds since libvirt last gave word; None while a next one need not have come yet.

        It is read each ``poll_interval_seconds`` or so; on a busy host more seldom.
        """
        expected = max(poll_interval_seconds, min(self.intervals, default=0.0))
        silent = now - self.at
        return silent if silent >= max(SILENT_SECONDS, _MISSED_READINGS * expected) else None
