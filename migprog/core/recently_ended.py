# SPDX-License-Identifier: Apache-2.0
"""Recognize events and jobs of migrations that have just ended.

For a moment libvirt shows the job of one that has ended as active, and its events may be late.
Pure: times are one monotonic clock's seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from migprog.core import job_start
from migprog.core.forecast import job_sample
from migprog.core.forecast.job_sample import JobState
from migprog.core.observation import JobCompleted, Lifecycle, Observation, Reading

# For so long after an end, libvirt's events and jobs of the server may still belong to it.
_LINGER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Ended:
    """When it ended, and when that was reported."""

    at: float
    reported_at: float


class RecentlyEnded:
    """The latest ended migration of each server."""

    def __init__(self) -> None:
        self._ended: dict[str, _Ended] = {}

    def ended(self, server_uuid: str, at: float, reported_at: float) -> None:
        """Record that a server's migration has ended ``at``, when that is reported."""
        since = reported_at - _LINGER_SECONDS
        self._ended = {uuid: each for uuid, each in self._ended.items() if each.reported_at > since}
        self._ended[server_uuid] = _Ended(at, reported_at)

    def is_of(self, seen: Observation) -> bool:
        """Return whether what was seen belongs to a migration that has ended.

        It does if it is older, or its job's statistics show that the job began before that end, as
        a server has one job at a time. Their ``at`` should be before libvirt was called: the job
        began no later than that.
        """
        ended = self._ended.get(seen.server_uuid)
        if ended is None or seen.at >= ended.reported_at + _LINGER_SECONDS:
            return False
        match seen:
            case Reading(stats=stats) if job_sample.outgoing_job(stats or {}) is JobState.ACTIVE:
                is_older = _is_older(stats or {}, seen.at, ended)
            case JobCompleted(stats=stats):
                is_older = _is_older(stats, seen.at, ended)
            case Reading() | Lifecycle():
                # libvirt has forgotten when a job began, and shows it for a moment after its end.
                return True
            case _:
                is_older = False
        return is_older or seen.at <= ended.reported_at


def _is_older(stats: Mapping[str, Any], at: float, ended: _Ended) -> bool:
    began_at = job_start.began_at(stats, at)
    return began_at is not None and job_start.is_no_later(began_at, ended.at)
