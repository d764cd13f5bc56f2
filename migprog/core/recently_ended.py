# SPDX-License-Identifier: Apache-2.0
"""Migrations that have just ended: what libvirt goes on to tell of them is no news.

For a moment libvirt shows the job of one that has ended as active, and its events may be late.
Pure: times are one monotonic clock's seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from migprog.core import job_start

# Within so long of an end, what libvirt tells of the server may still belong to it.
_ECHO_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Ended:
    """When it ended, and when that was told."""

    at: float
    told_at: float


class RecentlyEnded:
    """The latest of each server."""

    def __init__(self) -> None:
        self._ended: dict[str, _Ended] = {}

    def ended(self, server_uuid: str, at: float, told_at: float) -> None:
        """A server's migration has ended ``at``, and is forgotten as that is told."""
        since = told_at - _ECHO_SECONDS
        self._ended = {uuid: each for uuid, each in self._ended.items() if each.told_at > since}
        self._ended[server_uuid] = _Ended(at, told_at)

    def may_be(self, server_uuid: str, at: float) -> bool:
        """Whether what was seen at ``at`` may be of a migration that has ended."""
        ended = self._ended.get(server_uuid)
        return ended is not None and at < ended.told_at + _ECHO_SECONDS

    def is_of(self, server_uuid: str, at: float, stats: Mapping[str, Any] | None = None) -> bool:
        """Whether what was seen at ``at`` is of a migration that has ended: it is older, or its
        job's statistics ``stats`` say that it began before that end. A server has one at a time.

        ``at`` should be before libvirt was asked: the job began no later than it tells then.
        """
        ended = self._ended.get(server_uuid)
        if ended is None or not self.may_be(server_uuid, at):
            return False
        began_at = None if stats is None else job_start.began_at(stats, at)
        is_older = began_at is not None and job_start.is_no_later(began_at, ended.at)
        return at <= ended.told_at or is_older
