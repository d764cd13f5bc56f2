# SPDX-License-Identifier: Apache-2.0
"""Decide when to read the copies of a server's disks by block job, and of which disks.

libvirt has no call for all of them. So their number and the share of the time that the calls take
are limited, and a failure ends the round: the job's statistics have the sums.
"""

from collections.abc import Callable, Mapping
from typing import Any

from migprog.core.fields import MAX_DISKS
from migprog.core.forecast.job_sample import Disk, copies_disks, disk_of_block_job

# The least time between rounds, absolute and as a multiple of the time that the last one took.
_LEAST_SECONDS = 0.9
_TIMES = 20.0
# A round that takes longer ends with the disks that were read.
_ROUND_SECONDS = 1.0


class BlockJobs:
    """The copies of one server's disks; ``clock`` is monotonic. One thread uses it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._targets: tuple[str, ...] = ()
        self._next_at: float | None = None
        self._ends = False
        self._latest: tuple[Disk, ...] | None = None

    def take(self, stats: Mapping[str, Any]) -> None:
        """Use job statistics: there is something to read only while disks are copied, and once
        after that."""
        self._ends = not copies_disks(stats)
        if self._next_at is None and not self._ends:
            self._next_at = self._clock()

    def read(
        self,
        targets: Callable[[], tuple[str, ...]],
        block_job: Callable[[str], Mapping[str, Any] | None],
    ) -> tuple[Disk, ...] | None:
        """Return the copies now, or those of the last round if none is due; None without any.

        ``targets`` reads the names of the server's disks; ``block_job`` libvirt's information about
        the copy of one, empty where there is none, None where the call failed.
        """
        began = self._clock()
        if self._next_at is None or (began < self._next_at and not self._ends):
            return self._latest
        self._targets = self._targets or targets()[:MAX_DISKS]
        known = {disk.name: disk for disk in self._latest or ()}
        for name in self._targets:
            info = block_job(name)
            if info is None:
                break
            disk = disk_of_block_job(name, info)
            if disk is not None:
                known[name] = disk
            if self._clock() - began >= _ROUND_SECONDS:
                break
        took = self._clock() - began
        self._next_at = None if self._ends else began + max(_LEAST_SECONDS, _TIMES * took)
        self._latest = tuple(known[name] for name in self._targets if name in known) or None
        return self._latest
