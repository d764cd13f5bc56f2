# SPDX-License-Identifier: Apache-2.0
"""One live migration that the lab started, and the ways to act on it."""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import libvirt

from lab.hosts.errors import LabError
from lab.hosts.host import Host

START_TIMEOUT_S = 60.0
EVENT_TIMEOUT_S = 1.0
POLL_S = 0.02
COMPLETED = libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED

# As Nova migrates; unsafe, since a lab's disk is cached, which does no harm here.
FLAGS = (
    libvirt.VIR_MIGRATE_LIVE
    | libvirt.VIR_MIGRATE_PEER2PEER
    | libvirt.VIR_MIGRATE_PERSIST_DEST
    | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
    | libvirt.VIR_MIGRATE_UNSAFE
)

Stats = dict[str, Any]  # libvirt's own keys and units: bytes, ms, pages/s


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a migration ended.

    `completed_stats` come from the source's JOB_COMPLETED event, or were read at the destination
    when that event did not come; None when there were none, as after a failure. `error` is
    libvirt's, and `was_aborted` whether it says that the client did it.
    """

    completed: bool
    error: str | None
    completed_stats: Stats | None
    was_aborted: bool = False


class Migration:
    """A migration in progress, in a native thread of its own; made by `Lab.migrate`."""

    def __init__(
        self,
        domain_uuid: str,
        source: Host,
        destination: Host,
        flags: int,
        parameters: Stats,
        downtime_ms: int | None,
    ):
        self.domain_uuid = domain_uuid
        self.source = source
        self.destination = destination
        self._outcome: Outcome | None = None
        self._event_stats: Stats | None = None
        self._event_came = threading.Event()
        self._connection = source.connect()
        # Another connection than the migrate call's: there, a call of another thread may be sent
        # seconds late, as libvirt's client can miss that it is to wake up.
        self._domain = source.connect().lookupByUUIDString(domain_uuid)
        if downtime_ms is not None:
            self._domain.migrateSetMaxDowntime(downtime_ms, 0)
        self._thread = threading.Thread(
            target=self._run, args=(flags, parameters), name="lab-migration", daemon=True
        )
        self._thread.start()

    # -- looking -----------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Return whether the migrate call has not returned yet."""
        return self._thread.is_alive()

    def stats(self) -> Stats | None:
        """libvirt's statistics of the job at the source now; None when there is no job."""
        try:
            stats = self._domain.jobStats()
        except libvirt.libvirtError:
            return None
        return stats if stats["type"] != libvirt.VIR_DOMAIN_JOB_NONE else None

    def wait_for(
        self, condition: Callable[[Stats], Any], timeout: float = START_TIMEOUT_S
    ) -> Stats:
        """Wait until the job's statistics fulfil `condition`, and return them.

        Raises LabError when the migration ends before that, or after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            over = not self.running
            stats = self.stats()
            if stats and condition(stats):
                return stats
            if over:
                raise LabError(f"the migration ended before that: {self._outcome}")
            if time.monotonic() > deadline:
                raise LabError(f"not within {timeout} s; the job is at {stats}")
            time.sleep(POLL_S)

    def wait(self, timeout: float = 60) -> Outcome:
        """Wait for the end, `timeout` seconds at most; LabError after that."""
        self._thread.join(timeout)
        if self._outcome is None:
            raise LabError(f"no end within {timeout} s; the job is at {self.stats()}")
        return self._outcome

    # -- meddling: each waits until data flow, as some of it has no lasting effect before ------

    def abort(self) -> None:
        """Cancel it, as `virsh domjobabort` does; libvirt refuses in post-copy."""
        self.wait_for(_data_flow)
        self._domain.abortJob()

    def start_post_copy(self) -> None:
        """Switch to post-copy, which must have been allowed; waits until memory is copied."""
        self.wait_for(lambda stats: stats.get("memory_total"))
        self._domain.migrateStartPostCopy(0)

    def set_bandwidth(self, mib_s: int) -> None:
        """Change the bandwidth limit, in MiB/s; libvirt does so for memory, not for disks."""
        self.wait_for(_data_flow)
        self._domain.migrateSetMaxSpeed(mib_s, 0)

    def set_downtime(self, ms: int) -> None:
        """Change the downtime limit, in ms."""
        self.wait_for(_data_flow)
        self._domain.migrateSetMaxDowntime(ms, 0)

    # -- the thread ----------------------------------------------------------------------------

    def _run(self, flags: int, parameters: Stats) -> None:
        domain = self._connection.lookupByUUIDString(self.domain_uuid)
        callback = self._connection.domainEventRegisterAny(
            domain, libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, self._on_completed, None
        )
        try:
            domain.migrateToURI3(self.destination.uri, parameters, flags)
        except libvirt.libvirtError as error:
            was_aborted = error.get_error_code() == libvirt.VIR_ERR_OPERATION_ABORTED
            said = error.get_error_message()
            self._outcome = Outcome(False, said, self._event_stats, was_aborted)
        else:
            self._event_came.wait(EVENT_TIMEOUT_S)
            stats = self._event_stats or self._stats_at_destination()
            self._outcome = Outcome(True, None, stats)
        with contextlib.suppress(libvirt.libvirtError):  # libvirtd may have been killed
            self._connection.domainEventDeregisterAny(callback)

    def _on_completed(
        self, _connection: libvirt.virConnect, _domain: libvirt.virDomain, stats: Stats, _: None
    ) -> None:
        self._event_stats = stats
        self._event_came.set()

    def _stats_at_destination(self) -> Stats | None:
        with contextlib.suppress(libvirt.libvirtError), self.destination.connect() as connection:
            return connection.lookupByUUIDString(self.domain_uuid).jobStats(COMPLETED)
        return None


def _data_flow(stats: Stats) -> bool:
    return stats.get("data_total", 0) > 0
