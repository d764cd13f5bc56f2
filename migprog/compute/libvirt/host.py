# SPDX-License-Identifier: Apache-2.0
"""One libvirt: its connections, and the threads that make its calls and events messages.

Kinds of real threads that run here, whatever the concurrency backend: one runs libvirt's event
loop. One for each libvirt connects, starts each search for migrations, and connects again; it makes
no call that waits for a single server. A search (:mod:`migprog.compute.libvirt.search`) queries the
servers in threads of its own. One for each migration reads its statistics, so that a
call that hangs delays its own server alone. One carries out an action, an operator's or steering's.
One measures a server that does not migrate, where that is permitted.
None of them logs, locks or decides: they send messages. A call that may wait for a server uses a
connection of its own (:mod:`migprog.compute.libvirt.connection`); events come by one that waits for
none.
"""

import contextlib
import functools
import queue
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import libvirt

from migprog.compute.libvirt import claim, domain_actions, domain_reader, steering_actions
from migprog.compute.libvirt.block_jobs import BlockJobs
from migprog.compute.libvirt.callbacks import ALL, Callbacks
from migprog.compute.libvirt.connection import KEEPALIVE, ThreadConnection, run_event_loop
from migprog.compute.libvirt.dirty_rate import DirtyRateMeasurement
from migprog.compute.libvirt.gathering import Gathering
from migprog.compute.libvirt.job_queries import Connection
from migprog.compute.libvirt.loop_messages import (
    ArrivalStats,
    Connected,
    Disconnected,
    OtherAgent,
)
from migprog.compute.libvirt.opening import Opening
from migprog.compute.libvirt.sampler import Sampler
from migprog.compute.libvirt.search import Search
from migprog.compute.libvirt.vcpu_time import VcpuTimes
from migprog.concurrency import Inbox, native_queue, native_thread
from migprog.core.actions import Action
from migprog.core.observation import Reading
from migprog.core.steering.advice import Advice

# Between two searches that events asked for: a block job changes its state in bursts.
_SEARCH_PAUSE_SECONDS = 0.1
# Between two attempts to take the claim of another agent.
_CLAIM_SECONDS = 0.5


class _OtherAgentError(Exception):
    """Another agent watches this hypervisor."""


class Host:
    """A libvirt that is watched; it sends :data:`loop_messages.Message` to ``inbox``."""

    def __init__(
        self,
        uri: str,
        inbox: Inbox,
        scan_interval_seconds: float,
        qemu_events: bool,
        open_seconds: float = 30.0,
    ) -> None:
        self.uri = uri
        self._open_seconds = open_seconds
        self._opening = Opening(open_seconds)
        self._scan_interval_seconds = scan_interval_seconds
        self._inbox = inbox
        self._claim = claim.Claim()
        self._connection: libvirt.virConnect | None = None
        self._qemu_events = qemu_events
        # Whether samplers use read-write connections.
        self._steers = False
        self._qemu_connection: libvirt.virConnect | None = None
        self._reader = domain_reader.Reader()
        # Attempts of the search that hang must not keep the host from connecting again.
        search_opening = Opening(open_seconds)
        self._search = Search(
            lambda: ThreadConnection(uri, search_opening), inbox, self._reader, self._sampled
        )
        # For the agent's loop: until when the readings are awaited that it has requested.
        self.gathering = Gathering(inbox)
        # Samplers whose threads run; one that hangs stays until its call returns.
        self._samplers: set[Sampler] = set()
        # Wakes the searching thread: a server to look at now, or ALL; None to stop.
        self._wakes: queue.SimpleQueue[str | None] = native_queue()
        self._callbacks = Callbacks(inbox, self._reader, self._wakes.put, self._read_next)
        # When all servers are searched again, however many events come before.
        self._all_at = 0.0

    def start(self) -> None:
        run_event_loop()
        native_thread(self._run, f"libvirt {self.uri}")

    def stop(self) -> None:
        self._wakes.put(None)

    def search_every(self, seconds: float) -> None:
        """Set the search interval. A shorter one takes effect at once, not after the rest of the
        previous one, which may be minutes."""
        is_shorter = seconds < self._scan_interval_seconds
        self._scan_interval_seconds = seconds
        if is_shorter:
            self._wakes.put(ALL)

    def read_for(self, *, steers: bool, bandwidth: bool) -> None:
        """Read from now on what steering has to know: with ``steers`` by read-write connections,
        with ``bandwidth`` the bandwidth limits of migrations, too."""
        self._steers = steers
        self._reader.reads_bandwidth = bandwidth

    def sampler(self, server_uuid: str, left: bool = False) -> Sampler:
        """Start a thread of its own that reads the statistics of one server on request.

        ``left``: an earlier agent has left it migrating; look where it is now.
        """
        # With attempts of its own: many migrations begin at once.
        opening = Opening(self._open_seconds)
        connection = ThreadConnection(self.uri, opening, lambda: self._steers)
        when = (BlockJobs(time.monotonic), VcpuTimes(time.monotonic))
        read = functools.partial(self._read, connection, server_uuid, *when)

        def ended(sampler: Sampler) -> None:
            self._samplers.discard(sampler)
            # A message may have counted on a reading.
            self._inbox.wake()
            connection.close()

        sampler = Sampler(server_uuid, read, self.gathering, ended)
        # First of all: a server whose thread cannot be started is left to the searches.
        sampler.start()
        self._reader.begin(server_uuid, left)
        self._samplers.add(sampler)
        # From now on the sampler checks whether it answers.
        self._search.leave_to_sampler(server_uuid)
        return sampler

    def read_completed(self, server_uuid: str, at: float) -> None:
        """Start reading the final statistics of the job that brought a server here."""

        def read() -> None:
            connection = self._connection
            stats = None if connection is None else domain_reader.completed(connection, server_uuid)
            self._inbox.put(ArrivalStats(server_uuid=server_uuid, at=at, stats=stats))

        native_thread(read, f"arrival {server_uuid}")

    def act(self, action: Action, server_uuid: str, seen_at: float) -> None:
        """Start an action on the migration of a server that was last seen at ``seen_at``; its
        :class:`ActionResult` comes later."""

        def act() -> None:
            self._inbox.put(domain_actions.act(self.uri, KEEPALIVE, action, server_uuid, seen_at))

        native_thread(act, f"{action} {server_uuid}")

    def steer(self, advice: Advice, server_uuid: str, seen_at: float) -> None:
        """Start what steering has decided about the migration of a server that was last seen at
        ``seen_at``; its :class:`SteeringResult` comes later."""

        def act() -> None:
            self._inbox.put(
                steering_actions.steer(self.uri, KEEPALIVE, advice, server_uuid, seen_at)
            )

        native_thread(act, f"steering {server_uuid}")

    def measure(self, server_uuid: str, windows: Sequence[int]) -> Callable[[], None]:
        """Start measuring a server's dirty rate; its :class:`MeasuringEnded` comes later. Return
        what gives it up."""
        measurement = DirtyRateMeasurement(self._open_to_measure, server_uuid, windows, self._inbox)
        measurement.start()
        return measurement.cancel

    def _open_to_measure(self) -> Any:
        connection = libvirt.open(self.uri)
        connection.setKeepAlive(*KEEPALIVE)
        return connection

    def servers(self) -> frozenset[str]:
        """Return the servers that the latest search has seen running here."""
        return frozenset(self._reader.facts)

    def _run(self) -> None:
        named: Collection[str] = (ALL,)
        while True:
            pause_seconds = self._scan_interval_seconds
            try:
                if self._connection is None:
                    named = (ALL,)
                    self._connect()
                elif not self._is_alive():
                    self._lost("the connection was closed")
                    continue
                self._search.run(named)
            except _OtherAgentError:
                pause_seconds = _CLAIM_SECONDS
            except (libvirt.libvirtError, TimeoutError) as error:
                self._lost(str(error))
            except Exception as error:
                # An unexpected error: continue, as searching again is better than stopping.
                self._lost(repr(error))
            if ALL in named or self._connection is None:
                self._all_at = time.monotonic() + pause_seconds
            woken = self._wait()
            if None in woken:
                break
            named = [each for each in woken if each is not None]
        self._close()
        self._claim.release()

    def _wait(self) -> Collection[str | None]:
        """Wait for the next search; return the servers to search, None to stop."""
        woken: set[str | None] = set()
        with contextlib.suppress(queue.Empty):
            woken.add(self._wakes.get(timeout=max(0.0, self._all_at - time.monotonic())))
            time_is_up = time.monotonic() + _SEARCH_PAUSE_SECONDS
            while None not in woken and (left := time_is_up - time.monotonic()) > 0:
                woken.add(self._wakes.get(timeout=left))
        if time.monotonic() >= self._all_at:
            woken.add(ALL)
        return woken

    def _sampled(self) -> set[str]:
        return {sampler.server_uuid for sampler in list(self._samplers)}

    def _is_alive(self) -> bool:
        connections = (self._connection, self._qemu_connection)
        return all(each is None or each.isAlive() for each in connections)

    def _connect(self) -> None:
        connection = self._opening.open(lambda: libvirt.openReadOnly(self.uri))
        connection.setKeepAlive(*KEEPALIVE)
        self._take_claim(connection)
        self._callbacks.register(connection)
        self._connection = connection
        # Else libvirt would be reported as connected before each attempt that hangs.
        self._search.open()
        without = self._connect_qemu() if self._qemu_events else None
        self._inbox.put(
            Connected(
                node=connection.getHostname(),
                libvirt_version=connection.getLibVersion(),
                hypervisor_version=connection.getVersion(),
                without_qemu_events=without,
            )
        )

    def _take_claim(self, connection: Any) -> None:
        """Make sure that no other agent watches the hypervisor."""
        identity = claim.identity(
            connection.getURI(), connection.getType(), connection.getCapabilities()
        )
        who = self._claim.take(identity)
        if who is not None:
            connection.close()
            self._inbox.put(OtherAgent(who))
            raise _OtherAgentError(who)

    def _connect_qemu(self) -> str | None:
        """Subscribe to QEMU's own events; return the reason if that is refused.

        libvirt sends them on read-write connections alone; this one is for nothing else.
        """
        try:
            connection = self._opening.open(lambda: libvirt.open(self.uri))
            connection.setKeepAlive(*KEEPALIVE)
            self._callbacks.register_qemu(connection)
        except (libvirt.libvirtError, TimeoutError) as error:
            return str(error)
        self._qemu_connection = connection
        return None

    # libvirt's event loop calls this.

    def _read_next(self, server_uuid: str) -> bool:
        """Request a reading of a server, if it is watched; return whether one will come soon."""
        # One that is stopped, and whose call hangs, may be here beside the one in use.
        return any(
            sampler.read_next()
            for sampler in list(self._samplers)
            if sampler.server_uuid == server_uuid
        )

    # A sampler's thread calls this.

    def _read(
        self,
        own: Connection,
        server_uuid: str,
        block_jobs: BlockJobs,
        vcpu_times: VcpuTimes,
    ) -> Reading:
        """Read a server's statistics."""
        error = "not connected"
        # Without the connection for events nothing is read either.
        if self._connection is not None:
            try:
                return self._reader.read(own.get(), server_uuid, block_jobs, vcpu_times)
            except (libvirt.libvirtError, TimeoutError) as failed:
                error = str(failed)
        return Reading(server_uuid=server_uuid, at=time.monotonic(), error=error)

    def _lost(self, error: str) -> None:
        self._close()
        self._inbox.put(Disconnected(error=error))

    def _close(self) -> None:
        self._search.reset()
        connections = (self._connection, self._qemu_connection)
        self._connection = self._qemu_connection = None
        for connection in connections:
            if connection is not None:
                with contextlib.suppress(libvirt.libvirtError):
                    connection.close()
