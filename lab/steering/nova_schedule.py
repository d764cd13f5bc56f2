# SPDX-License-Identifier: Apache-2.0
"""Nova's downtime steps, set by a second client of libvirt as nova-compute sets them.

After ``update_downtime`` in nova/virt/libvirt/migration.py: Nova compares with what it set itself
and never asks libvirt, so its next step lowers a limit that another party raised.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import libvirt

from lab.hosts import Host
from migprog.core.steering import nova_schedule
from migprog.core.steering.nova_schedule import NovaOptions

NOVA_DEFAULTS = NovaOptions()
# nova-compute looks twice a second.
_LOOP_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Step:
    """A limit that was set, and the one that was in force before."""

    at_seconds: float
    downtime_ms: int
    before_ms: int


@dataclass(frozen=True, slots=True)
class NovaSchedule:
    """``data_gib``: of memory and local disks.

    ``loop_seconds``: how often it looks. ``delay_scale`` shortens all delays: a lab has no hours.
    """

    options: NovaOptions = NOVA_DEFAULTS
    data_gib: int = 2
    delay_scale: float = 1.0
    loop_seconds: float = _LOOP_SECONDS

    def steps(self) -> list[tuple[float, int]]:
        """Return (seconds since the begin, limit in ms) of each step."""
        gib = nova_schedule.data_gib(self.data_gib * 2**30)
        found = nova_schedule.downtime_steps(self.options, gib)
        return [(each.after_seconds * self.delay_scale, each.downtime_ms) for each in found]

    @contextlib.contextmanager
    def beside(self, host: Host, server_uuid: str) -> Iterator[list[Step]]:
        """Set the steps of a server's migrations while the block lasts; gives those that were set,
        seconds since the job's begin."""
        done: list[Step] = []
        ending = threading.Event()
        thread = threading.Thread(
            target=self._run, args=(host, server_uuid, done, ending), name="nova", daemon=True
        )
        thread.start()
        try:
            yield done
        finally:
            ending.set()
            thread.join()

    def _run(self, host: Host, server_uuid: str, done: list[Step], ending: threading.Event) -> None:
        steps = self.steps()
        current_ms: int | None = None
        began_at: float | None = None
        with contextlib.closing(host.connect()) as connection:
            domain = connection.lookupByUUIDString(server_uuid)
            while not ending.wait(self.loop_seconds):
                # The domain may be at its destination by now.
                with contextlib.suppress(libvirt.libvirtError):
                    if domain.jobStats()["type"] == libvirt.VIR_DOMAIN_JOB_NONE:
                        continue
                    began_at = began_at or time.monotonic()
                    elapsed_seconds = time.monotonic() - began_at
                    new_ms = update_downtime(current_ms, steps, elapsed_seconds)
                    if new_ms != current_ms:
                        before_ms = domain.migrateGetMaxDowntime()
                        domain.migrateSetMaxDowntime(new_ms, 0)
                        done.append(Step(elapsed_seconds, new_ms, before_ms))
                        current_ms = new_ms


def update_downtime(
    current_ms: int | None, steps: list[tuple[float, int]], elapsed_seconds: float
) -> int | None:
    """Return the limit that Nova sets now; ``current_ms`` is what it set last, not what is in
    force."""
    this_ms: int | None = None
    for at_seconds, limit_ms in steps:
        if elapsed_seconds > at_seconds:
            this_ms = limit_ms
    return current_ms if this_ms is None else this_ms
