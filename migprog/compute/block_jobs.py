# SPDX-License-Identifier: Apache-2.0
"""Reads how far the copy of each disk of a server is, as long as its disks are copied.

libvirt has no call for all of them. So there is a bound on their number and on the share of the
time that the calls take, and what fails ends the round: the sums are in the job's statistics.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import libvirt

from migprog.compute import domain_xml
from migprog.core.field import MAX_DISKS
from migprog.core.sample import Disk, copies_disks, disk_of_block_job

# A round comes no sooner, and no sooner than so many times what the last one took.
_LEAST_SECONDS = 0.9
_TIMES = 20.0
# A round that takes longer ends with the disks that were read.
_ROUND_SECONDS = 1.0


class BlockJobs:
    """The copies of one server's disks; ``clock`` is monotonic. One thread uses it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._targets: tuple[str, ...] | None = None
        self._next_at: float | None = None
        self._latest: tuple[Disk, ...] | None = None

    def take(self, stats: Mapping[str, Any]) -> None:
        """Take up job statistics: only while disks are copied is there something to read."""
        if not copies_disks(stats):
            self._next_at = None
        elif self._next_at is None:
            self._next_at = self._clock()

    def read(self, domain: Any) -> tuple[Disk, ...] | None:
        """The copies by now, or those of the last round where none is due; None without any."""
        began = self._clock()
        if self._next_at is None or began < self._next_at:
            return self._latest
        try:
            self._latest = self._round(domain, began)
        finally:
            took = self._clock() - began
            self._next_at = began + max(_LEAST_SECONDS, _TIMES * took)
        return self._latest

    def _round(self, domain: Any, began: float) -> tuple[Disk, ...] | None:
        disks = []
        with contextlib.suppress(libvirt.libvirtError):
            if self._targets is None:
                self._targets = domain_xml.disk_targets(domain.XMLDesc())[:MAX_DISKS]
            for name in self._targets:
                info = domain.blockJobInfo(name, libvirt.VIR_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES)
                if info and info.get("type") == libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_COPY:
                    disk = disk_of_block_job(name, info)
                    disks += [disk] if disk is not None else []
                if self._clock() - began >= _ROUND_SECONDS:
                    break
        # Those that were not reached are as they were.
        read = {disk.name for disk in disks}
        disks += [disk for disk in self._latest or () if disk.name not in read]
        order = {name: number for number, name in enumerate(self._targets or ())}
        return tuple(sorted(disks, key=lambda disk: order.get(disk.name, 0))) or None
