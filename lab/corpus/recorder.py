# SPDX-License-Identifier: Apache-2.0
"""Watches one migration in a lab, acts on it when it is time, and keeps all there is to see.

Samples, events and actions come from a thread each, and every row bears the time at which it really
came: a reading that hangs delays neither an event nor an action.
"""

import contextlib
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Self

import libvirt

from lab.corpus.files import Row
from lab.corpus.scenario import Scenario
from lab.hosts import Guest, Lab, LabError, Migration, Server
from lab.hosts.migration import COMPLETED
from migprog.compute.libvirt.domain_reader import vcpu_time_seconds
from migprog.compute.libvirt.vcpu_time import VcpuTimes

SAMPLE_EVERY_S = 0.5
TIMEOUT_S = 120.0
# A bandwidth that varies does so after such a time.
WOBBLE_EVERY_S = (0.6, 1.6)
SWITCHED_OVER = (
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED,
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED,
)
LINGER_S = 0.6  # after a success: the last events, and what a reading says once the domain is gone


def start(lab: Lab, scenario: Scenario) -> Server:
    """Start the guest that is to be migrated."""
    guest = Guest(
        name=scenario.name,
        memory_mib=scenario.memory_mib,
        fill_mib=scenario.filled_mib,
        working_set_mib=scenario.working_set_mib,
        segments=scenario.segments,
        disk_mib=scenario.disk_mib,
        timer_hz=scenario.timer_hz,
        words_per_page=scenario.words_per_page,
    )
    return lab.start_guest(lab.hosts[0], guest)


def record(lab: Lab, scenario: Scenario, server: Server) -> list[Row]:
    """Migrate `server` from the lab's first host to its second; the rows of the recording."""
    if scenario.cancelled_after_s is not None:
        _cancelled_attempt(lab, scenario, server)
    with _Recorder(lab, scenario, server) as recorder:
        return recorder.run()


def _migrate(lab: Lab, scenario: Scenario, server: Server) -> Migration:
    source, destination = lab.hosts
    return lab.migrate(
        server,
        source,
        destination,
        bandwidth_mib_s=scenario.bandwidth_mib_s,
        post_copy=scenario.post_copy,
        auto_converge=scenario.auto_converge,
        downtime_ms=scenario.downtime_ms,
    )


def _cancelled_attempt(lab: Lab, scenario: Scenario, server: Server) -> None:
    assert scenario.cancelled_after_s is not None
    attempt = _migrate(lab, scenario, server)
    time.sleep(scenario.cancelled_after_s)
    attempt.abort()
    if attempt.wait(TIMEOUT_S).completed:
        raise LabError("the attempt that was to be cancelled completed")


class _Recorder:
    def __init__(self, lab: Lab, scenario: Scenario, server: Server) -> None:
        self._lab = lab
        self._scenario = scenario
        self._server = server
        self._rows: list[Row] = []
        self._began = 0.0
        self._over = threading.Event()
        self._switched_over = threading.Event()
        self._failure: BaseException | None = None
        self._vcpu_times = VcpuTimes(time.monotonic)

    def __enter__(self) -> Self:
        self._connection = self._lab.hosts[0].connect()
        self._domain = self._connection.lookupByUUIDString(self._server.uuid)
        events = {
            libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION: self._on_iteration,
            libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE: self._on_lifecycle,
            libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED: self._on_job_completed,
        }
        self._callbacks = [
            self._connection.domainEventRegisterAny(self._domain, event, callback, None)
            for event, callback in events.items()
        ]
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with contextlib.suppress(libvirt.libvirtError):
            for callback in self._callbacks:
                self._connection.domainEventDeregisterAny(callback)
        self._connection.close()

    def run(self) -> list[Row]:
        header = self._header()
        if self._scenario.post_copy_mib_s:
            # Without that, libvirt caps no post-copy, and this machine has it over in a moment.
            cap = libvirt.VIR_DOMAIN_MIGRATE_MAX_SPEED_POSTCOPY
            self._domain.migrateSetMaxSpeed(self._scenario.post_copy_mib_s, cap)
        self._began = time.monotonic()
        migration = _migrate(self._lab, self._scenario, self._server)
        threads = [
            threading.Thread(target=self._caught, args=work, daemon=True)
            for work in self._work(migration)
        ]
        for thread in threads:
            thread.start()
        outcome = migration.wait(TIMEOUT_S)
        if outcome.completed:
            time.sleep(LINGER_S)
        end = self._row("end", outcome="completed" if outcome.completed else "failed")
        self._over.set()
        for thread in threads:
            thread.join()
        if self._failure:
            raise self._failure
        end |= {"error": outcome.error, "completed_stats": self._completed_stats()}
        # A reading that hung until after the end has no data.
        rows = [row for row in self._rows if row is not end and row["t"] <= end["t"]]
        return [header, *sorted(rows, key=lambda row: row["t"]), end]

    def _work(self, migration: Migration) -> list[tuple[Any, ...]]:
        """What is done meanwhile, each in a thread of its own."""
        scenario, work = self._scenario, [(self._sample,), (self._act, migration)]
        if scenario.wobble:
            work.append((self._vary_bandwidth, migration))
        if scenario.held_up_s:
            work.append((self._hold_up,))
        return work

    def _header(self) -> Row:
        ((_, stats),) = self._connection.domainListGetStats(
            [self._domain], libvirt.VIR_DOMAIN_STATS_BALLOON
        )
        facts = {
            "resident_mib": round(stats["balloon.rss"] / 1024, 1),
            "uuid": self._server.uuid,
            "libvirt": self._connection.getLibVersion(),
            "hypervisor": self._connection.getVersion(),
        }
        return {"kind": "header"} | self._scenario.header() | facts

    def _row(self, kind: str, **values: Any) -> Row:
        """Keep a row of now."""
        row = {"t": round(time.monotonic() - self._began, 3), "kind": kind, **values}
        self._rows.append(row)
        return row

    def _caught(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except (LabError, libvirt.libvirtError, OSError) as error:
            self._failure = error

    # -- samples -------------------------------------------------------------------------------

    def _sample(self) -> None:
        due = 0.0
        while not self._over.wait(max(0.0, self._began + due - time.monotonic())):
            self._sample_once()
            elapsed = time.monotonic() - self._began
            due = (elapsed // SAMPLE_EVERY_S + 1) * SAMPLE_EVERY_S

    def _sample_once(self) -> None:
        try:
            stats = self._domain.jobStats()
        except libvirt.libvirtError as error:
            self._row("sample", error=error.get_error_message(), code=error.get_error_code())
            return
        row = self._row("sample", stats=stats)
        with contextlib.suppress(libvirt.libvirtError):  # the domain may be gone by now
            row["downtime_limit_ms"] = self._domain.migrateGetMaxDowntime()
        seconds = self._vcpu_times.read(stats, lambda: vcpu_time_seconds(self._domain))
        if seconds is not None:
            row["vcpu_time_seconds"] = seconds

    # -- events --------------------------------------------------------------------------------

    def _on_iteration(self, _connection: Any, _domain: Any, iteration: int, _: None) -> None:
        self._row("event", event="iteration", iteration=iteration)

    def _on_lifecycle(
        self, _connection: Any, _domain: Any, code: int, detail: int, _: None
    ) -> None:
        self._row("event", event="lifecycle", code=code, detail=detail)
        if (code, detail) == SWITCHED_OVER:
            self._switched_over.set()

    def _on_job_completed(self, _connection: Any, _domain: Any, stats: Row, _: None) -> None:
        self._row("event", event="job_completed", stats=stats)

    # -- actions -------------------------------------------------------------------------------

    def _act(self, migration: Migration) -> None:
        for at, action, argument in self._scenario.actions:
            self._over.wait(max(0.0, self._began + at - time.monotonic()))
            if not migration.running:
                return  # as when the first of several steps was enough
            migration.wait_for(lambda stats: stats["data_total"])
            self._row("action", action=action, arg=argument)
            self._act_once(migration, action, argument)

    def _act_once(self, migration: Migration, action: str, argument: Any) -> None:
        match action:
            case "bandwidth":
                migration.set_bandwidth(argument)
            case "downtime":
                migration.set_downtime(argument)
            case "postcopy":
                migration.start_post_copy()
            case "abort":
                migration.abort()
            case "network":
                # The destination reads nothing more: the same to the source as a dead network.
                number = {"stop": signal.SIGSTOP, "cont": signal.SIGCONT}[argument]
                self._lab.hosts[1].signal_guest(self._server.name, number)

    def _vary_bandwidth(self, migration: Migration) -> None:
        """Vary the bandwidth without informing the agent."""
        rng = random.Random(self._scenario.name)
        usual, share = self._scenario.bandwidth_mib_s, self._scenario.wobble
        with contextlib.suppress(LabError, libvirt.libvirtError):  # it may end at any time
            while not self._over.wait(rng.uniform(*WOBBLE_EVERY_S)) and migration.running:
                limit = max(1, round(usual * (1 + rng.uniform(-share, share))))
                migration.set_bandwidth(limit)
                self._row("wobble", mib_s=limit)

    def _hold_up(self) -> None:
        """Stop the destination's libvirtd for a while, so that the completion takes longer."""
        while not self._switched_over.wait(0.1):
            if self._over.is_set():
                return
        destination = self._lab.hosts[1]
        destination.signal_libvirtd(signal.SIGSTOP)
        time.sleep(self._scenario.held_up_s)
        destination.signal_libvirtd(signal.SIGCONT)

    # -- the end -------------------------------------------------------------------------------

    def _completed_stats(self) -> dict[str, Row]:
        """What each side says of a job that is over."""
        return dict(zip(("source", "dest"), map(self._stats_at, self._lab.hosts), strict=True))

    def _stats_at(self, host: Any) -> Row:
        try:
            with host.connect() as connection:
                domain = connection.lookupByUUIDString(self._server.uuid)
                return domain.jobStats(COMPLETED)
        except libvirt.libvirtError as error:
            return {"error": error.get_error_message()}
