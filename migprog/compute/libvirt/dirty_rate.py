# SPDX-License-Identifier: Apache-2.0
"""Measure how fast a server dirties its memory, in a native thread, on a connection of its own.

It is the one thing that an agent has QEMU do to a server that does not migrate: QEMU hashes a
sample of its pages twice a window. libvirt starts that on read-write connections alone. During a
migration the call would wait for libvirt's lock, up to half a minute, and then fail; so the job is
looked at before each call, and nothing is called any more once a job runs.
"""

import contextlib
import queue
import time
from collections.abc import Callable, Sequence
from typing import Any

import libvirt

from migprog.compute.libvirt import domain_reader, domain_xml
from migprog.compute.libvirt.loop_messages import MeasuringBegan, MeasuringEnded
from migprog.concurrency import Inbox, native_queue, native_sleep, native_thread
from migprog.core.forecast import job_sample
from migprog.core.measurement import Failure, Window
from migprog.core.server_facts import ServerFacts

# Between two looks at a server's job while a window lasts.
_LOOK_SECONDS = 1.0
# QEMU has its result soon after the window; a busy host takes longer.
_RESULT_SECONDS, _POLL_SECONDS = 10.0, 0.05
# Another call may hold the server's lock for a moment.
_ATTEMPTS, _PAUSE_SECONDS = 5, 0.05


class _Failed(Exception):
    """There is no measurement."""

    def __init__(self, why: Failure, error: str | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.error = error


class DirtyRateMeasurement:
    """Measures a server's windows, one after the other; ``open`` opens a read-write connection.

    It sends :class:`MeasuringBegan` when the first has begun, and :class:`MeasuringEnded`.
    """

    def __init__(
        self, open: Callable[[], Any], server_uuid: str, windows: Sequence[int], inbox: Inbox
    ) -> None:
        self._open = open
        self._server_uuid = server_uuid
        self._windows = windows
        self._inbox = inbox
        self._cancelled = native_queue()

    def start(self) -> None:
        native_thread(self._run, f"measure {self._server_uuid}")

    def cancel(self) -> None:
        """Give it up at once: nothing more is called. QEMU ends the window that it is in."""
        self._cancelled.put(True)

    def _run(self) -> None:
        result: dict[str, Any]
        try:
            with contextlib.closing(self._open()) as connection:
                result = self._measure(connection)
        except _Failed as failed:
            result = {"failure": failed.why, "error": failed.error}
        except libvirt.libvirtError as error:
            result = {"failure": _why(error), "error": str(error)}
        except Exception as error:
            result = {"failure": Failure.LIBVIRT_FAILED, "error": repr(error)}
        self._inbox.put(
            MeasuringEnded(server_uuid=self._server_uuid, at=time.monotonic(), **result)
        )

    def _measure(self, connection: Any) -> dict[str, Any]:
        domain = connection.lookupByUUIDString(self._server_uuid)
        _check(domain)
        found = _facts(connection, domain)
        windows: list[Window] = []
        for seconds in self._windows:
            if windows:
                self._pause(0.0)
                _check(domain, Failure.MIGRATION_BEGAN)
            domain.startDirtyRateCalc(seconds)
            if not windows:
                self._inbox.put(MeasuringBegan(server_uuid=self._server_uuid, at=time.monotonic()))
            windows.append(Window(seconds, self._result(connection, domain, seconds)))
        return found | {"windows": tuple(windows)}

    def _result(self, connection: Any, domain: Any, seconds: int) -> int:
        """Wait for a window's end; return the MiB/s."""
        ends_at = time.monotonic() + seconds
        while (left_seconds := ends_at - time.monotonic()) > 0:
            self._pause(min(left_seconds, _LOOK_SECONDS))
            _check(domain, Failure.MIGRATION_BEGAN)
        late_at = ends_at + _RESULT_SECONDS
        while time.monotonic() < late_at:
            stats = _stats(connection, domain, libvirt.VIR_DOMAIN_STATS_DIRTYRATE)
            if (
                stats.get("dirtyrate.calc_status") == libvirt.VIR_DOMAIN_DIRTYRATE_MEASURED
                and stats.get("dirtyrate.calc_period") == seconds
            ):
                return int(stats["dirtyrate.megabytes_per_second"])
            self._pause(_POLL_SECONDS)
            _check(domain, Failure.MIGRATION_BEGAN)
        raise _Failed(Failure.TIMED_OUT)

    def _pause(self, seconds: float) -> None:
        """Wait; raise as soon as it is cancelled."""
        with contextlib.suppress(queue.Empty):
            if self._cancelled.get(timeout=max(0.001, seconds)):
                raise _Failed(Failure.MIGRATION_BEGAN)


def _check(domain: Any, if_migrating: Failure = Failure.MIGRATES) -> None:
    """Raise :class:`_Failed` unless a server runs without any job."""
    state, reason = domain.state()
    if state != libvirt.VIR_DOMAIN_RUNNING or domain_reader.arrives(domain, (state, reason)):
        raise _Failed(Failure.NOT_RUNNING)
    for _ in range(_ATTEMPTS):
        # This never waits; the next call would, for whoever holds the lock.
        if domain.controlInfo()[0] == libvirt.VIR_DOMAIN_CONTROL_OK:
            break
        native_sleep(_PAUSE_SECONDS)
    else:
        raise _Failed(Failure.JOB_RUNS)
    stats = domain.jobStats()
    if stats.get("type", libvirt.VIR_DOMAIN_JOB_NONE) == libvirt.VIR_DOMAIN_JOB_NONE:
        return
    raise _Failed(if_migrating if job_sample.is_outgoing(stats) else Failure.JOB_RUNS)


def _facts(connection: Any, domain: Any) -> dict[str, Any]:
    """Return what a forecast needs besides the windows."""
    xml = domain.XMLDesc()
    facts: ServerFacts = domain_xml.read(xml)
    kinds = libvirt.VIR_DOMAIN_STATS_BALLOON | libvirt.VIR_DOMAIN_STATS_BLOCK
    stats = _stats(connection, domain, kinds)
    resident = stats.get("balloon.rss")
    capacities = {
        stats.get(f"block.{number}.name"): stats.get(f"block.{number}.capacity")
        for number in range(stats.get("block.count", 0))
    }
    disks = [capacities.get(name) for name in domain_xml.copied_disks(xml)]
    return {
        "facts": facts,
        "resident_bytes": None if resident is None or facts.huge_pages else resident * 1024,
        "disk_bytes": None if None in disks else sum(disks),
        "downtime_limit_seconds": domain_reader.downtime_limit_seconds(domain),
    }


def _stats(connection: Any, domain: Any, kinds: int) -> dict[str, Any]:
    """Return a server's statistics, without those for which libvirt would wait."""
    nowait = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
    found = connection.domainListGetStats([domain], kinds, nowait)
    return dict(found[0][1]) if found else {}


def _why(error: libvirt.libvirtError) -> Failure:
    code = error.get_error_code()
    if code == libvirt.VIR_ERR_NO_DOMAIN:
        return Failure.NOT_ON_HOST
    if code == libvirt.VIR_ERR_OPERATION_TIMEOUT:
        return Failure.JOB_RUNS
    return Failure.LIBVIRT_FAILED
