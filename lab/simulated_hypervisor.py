# SPDX-License-Identifier: Apache-2.0
"""A fake hypervisor whose servers migrate all the time, by arithmetic, at no cost.

All that it answers was made beforehand.
"""

import bisect
import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any

from lab import fake_libvirt as libvirt
from lab.simulated import Guest, precopy
from migprog.concurrency import native_sleep

_VIR_ERR_OPERATION_DENIED = 29
_MEMORY_MIB = 4096
_POLL_SECONDS = 0.5
_BANDWIDTH_MIB_S = 40.0
# Those that were found later began so much earlier: no two do the same at the same time.
_APART_SECONDS = 0.37
# What libvirt reports as well: not used, but it costs.
_MORE = {
    "setup_time": 1,
    "data_total": 1,
    "data_processed": 1,
    "data_remaining": 1,
    "memory_bps": 41943040,
    "memory_normal_bytes": 1,
    "memory_postcopy_requests": 0,
}


class IdleDomain(libvirt.Domain):
    """A running server without a job."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"00000000-0000-4000-8000-{number:012x}", f"server {number}", _MEMORY_MIB * 2**20
        )

    def migrateGetMaxDowntime(self) -> int | None:
        raise libvirt.libvirtError("read-only access prevents it", _VIR_ERR_OPERATION_DENIED)


class MigratingDomain(IdleDomain):
    """One that migrates all the time. ``largest_gap_seconds``: between two readings, so far."""

    def __init__(self, number: int, course: "RecordedCourse", began_at: float) -> None:
        super().__init__(number)
        self._course = course
        self._began_at = began_at
        self.readings = 0
        self.largest_gap_seconds = 0.0
        self._read_at: float | None = None

    def forget(self) -> None:
        """Count readings and gaps from now on."""
        self.readings, self.largest_gap_seconds, self._read_at = 0, 0.0, None

    def jobStats(self, _flags: int = 0) -> dict[str, Any]:
        now = time.monotonic()
        if self._read_at is not None and now - self._read_at > self.largest_gap_seconds:
            self.largest_gap_seconds = now - self._read_at
        self._read_at = now
        self.readings += 1
        return self._course.samples[int((now - self._began_at) / _POLL_SECONDS)]

    def vcpus(self) -> tuple[list[tuple[int, int, int, int]], list[tuple[bool, ...]]]:
        nanoseconds = int((time.monotonic() - self._began_at) * 1e9)
        return [(0, 1, nanoseconds, 0)], [(True, True)]

    def iterations(self, now: float) -> Iterator[tuple[float, "MigratingDomain", int]]:
        """When which iteration of its begins, after ``now``."""
        first = bisect.bisect(self._course.iterations, now - self._began_at)
        for number, at in enumerate(self._course.iterations[first:], first + 1):
            yield self._began_at + at, self, number


class RecordedCourse:
    """How a guest's migration goes: job statistics at each poll, and when its iterations begin."""

    def __init__(self, guest: Guest, seconds: float) -> None:
        rows = list(precopy(guest, _POLL_SECONDS, give_up_seconds=seconds))
        self.samples: Sequence[dict[str, Any]] = [
            row["stats"] | _MORE for row in rows if row["kind"] == "sample"
        ]
        self.iterations = [row["t"] for row in rows if row.get("event") == "iteration"]


class SimulatedHypervisor(libvirt.Hypervisor):
    """``migrating`` servers that migrate for ``seconds`` from now on, and ``idle`` ones.

    Of the migrating every other one is in its long first iteration, so that there is progress
    to be reported; the rest never converge, so that there are many iterations to be judged.
    """

    def __init__(self, migrating: int, idle: int, seconds: float) -> None:
        super().__init__()
        seconds += migrating * _APART_SECONDS + 1
        long_mib = int(2 * seconds * _BANDWIDTH_MIB_S)
        long = RecordedCourse(Guest(memory_mib=long_mib, bandwidth_mib_s=_BANDWIDTH_MIB_S), seconds)
        stuck = RecordedCourse(
            Guest(dirty_mib_s=80, working_set_mib=80, bandwidth_mib_s=_BANDWIDTH_MIB_S), seconds
        )
        now = time.monotonic()
        self.migrating = [
            MigratingDomain(number, (long, stuck)[number % 2], now - number * _APART_SECONDS)
            for number in range(migrating)
        ]
        domains = [*self.migrating, *(IdleDomain(migrating + number) for number in range(idle))]
        self.domains = {domain.UUIDString(): domain for domain in domains}
        self._states = [(domain, domain.stats()) for domain in domains]
        self.searches = 0
        each = (domain.iterations(now) for domain in self.migrating)
        self.events = iter(sorted(itertools.chain.from_iterable(each), key=lambda event: event[0]))

    def all_stats(self) -> list[tuple[Any, dict[str, Any]]]:
        self.searches += 1
        return self._states

    def run_events(self) -> None:
        event = next(self.events, None)
        if event is None:
            native_sleep(3600.0)
            return
        at, domain, number = event
        native_sleep(at - time.monotonic())
        self.call_back(libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, domain, number)
