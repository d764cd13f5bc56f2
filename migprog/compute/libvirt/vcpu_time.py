# SPDX-License-Identifier: Apache-2.0
"""Decide when to read the processor time of a server's vCPUs.

It matters until the second iteration begins, and as a mean over the time since the job began. So it
is read less and less often, and no more after a failure: the forecast does without it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from migprog.core.forecast.job_sample import JobState, outgoing_job

# The least time between two calls: absolute, as a share of the time since the first one, and as a
# multiple of the time that the last one took.
_LEAST_SECONDS = 0.9
_SHARE = 0.05
_TIMES = 20.0


class VcpuTimes:
    """The vCPUs of one server; ``clock`` is monotonic. One thread uses it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._first_at: float | None = None
        self._next_at = 0.0
        self._first_iteration: int | None = None
        self._over = False

    def read(self, stats: Mapping[str, Any], vcpu_time: Callable[[], float | None]) -> float | None:
        """Return the processor time in seconds if it is due by the job's statistics; else None.

        ``vcpu_time`` reads it; it returns None where that failed.
        """
        began = self._clock()
        if self._over or not self._matters(stats):
            return None
        if self._first_at is None:
            self._first_at = began
        elif began < self._next_at:
            return None
        seconds = vcpu_time()
        self._over = seconds is None
        took = self._clock() - began
        pause_seconds = max(_LEAST_SECONDS, _SHARE * (began - self._first_at), _TIMES * took)
        self._next_at = began + pause_seconds
        return seconds

    def _matters(self, stats: Mapping[str, Any]) -> bool:
        """Return whether it is the job of a migration whose second iteration has not begun."""
        if outgoing_job(stats) is not JobState.ACTIVE:
            return False
        iteration = stats.get("memory_iteration") or None
        if self._first_iteration is None:
            # QEMU may go on counting from a migration that was cancelled.
            self._first_iteration = iteration
        self._over = iteration != self._first_iteration
        return not self._over
