# SPDX-License-Identifier: Apache-2.0
"""Recognize events and jobs of migrations that have just ended.

For a moment libvirt shows the job of one that has ended as active, and its events may be late.
Pure: times are one monotonic clock's seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from migprog.core import job_start

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

    def may_be(self, server_uuid: str, at: float) -> bool:
        """Return whether what was seen at ``at`` may belong to a migration that has ended."""
        ended = self._ended.get(server_uuid)
        return ended is not None and at < ended.reported_at + _LINGER_SECONDS

    def is_of(self, server_uuid: str, at: float, stats: Mapping[str, Any] | None = None) -> bool:
        """Return whether what was seen at ``at`` belongs to a migration that has ended.

        It does if it is older, or its job's statistics ``stats`` show that it began before that
        end, as a server has one job at a time. ``at`` should be before libvirt was called: the job
        began no later than that.
        """
        ended = self._ended.get(server_uuid)
        if ended is None or not self.may_be(server_uuid, at):
            return False
        began_at = None if stats is None else job_start.began_at(stats, at)
        is_older = began_at is not None and job_start.is_no_later(began_at, ended.at)
        return at <= ended.reported_at or is_older
