# SPDX-License-Identifier: Apache-2.0
"""Measure a running guest of the lab with the agent's own code."""

import time
from collections.abc import Sequence

from lab.hosts import Host, LabError
from migprog.compute.libvirt.dirty_rate import DirtyRateMeasurement
from migprog.compute.libvirt.loop_messages import MeasuringEnded
from migprog.concurrency import Inbox
from migprog.core.measurement import WINDOWS_SECONDS, Measurement

_LATE_SECONDS = 30.0


def measure(
    host: Host,
    server_uuid: str,
    memory_bytes: int,
    downtime_ms: int | None = None,
    windows_seconds: Sequence[int] = WINDOWS_SECONDS,
) -> Measurement:
    """Measure all windows; raises LabError where there is no result in time.

    ``downtime_ms`` is what the migration will begin with; None: what is in force.
    """
    inbox = Inbox()
    try:
        DirtyRateMeasurement(host.connect, server_uuid, windows_seconds, inbox).start()
        ended = _ended(inbox, time.monotonic() + sum(windows_seconds) + _LATE_SECONDS)
    finally:
        inbox.close()
    if ended is None or ended.failure is not None:
        why = ended and (ended.error or ended.failure)
        raise LabError(f"server {server_uuid} was not measured: {why}")
    limit_seconds = ended.downtime_limit_seconds
    return Measurement(
        measured_at=time.time(),
        windows=tuple(sorted(ended.windows, key=lambda window: window.seconds)),
        memory_bytes=ended.facts.memory_size_bytes or memory_bytes,
        resident_bytes=ended.resident_bytes,
        disk_bytes=ended.disk_bytes,
        downtime_limit_seconds=downtime_ms / 1000 if downtime_ms else limit_seconds,
        has_host_devices=ended.facts.has_host_devices,
    )


def _ended(inbox: Inbox, deadline: float) -> MeasuringEnded | None:
    while (left_seconds := deadline - time.monotonic()) > 0:
        for each in inbox.get_all(left_seconds):
            if isinstance(each, MeasuringEnded):
                return each
    return None
