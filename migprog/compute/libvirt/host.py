# SPDX-License-Identifier: Apache-2.0
"""One libvirt: turns its calls and events into messages for an inbox.

Kinds of real threads that run here, whatever the concurrency backend: one runs libvirt's event
loop. One for each libvirt connects, starts each search for migrations, and connects again; it makes
no call that waits for a single server. A search queries the servers in threads of its own (see
:mod:`migprog.compute.libvirt.job_queries`). One for each migration reads its statistics, so that a
call that hangs delays its own server alone. One carries out an action, an operator's or steering's.
None of them logs, locks or decides: they send messages. A call that may wait for a server uses a
connection of its own (:mod:`migprog.compute.libvirt.connection`); events come by one that waits for
none.
"""

import contextlib
import functools
import queue
import time
from collections.abc import Collection
from typing import Any

import libvirt

from migprog.compute.libvirt import claim, domain_actions, domain_reader, steering_actions
from migprog.compute.libvirt.block_jobs import BlockJobs
from migprog.compute.libvirt.callbacks import ALL, Callbacks
from migprog.compute.libvirt.connection import KEEPALIVE, ThreadConnection, run_event_loop
from migprog.compute.libvirt.events import (
    ArrivalStats,
    ArrivedServers,
    Connected,
    Disconnected,
    HostInventory,
    OtherAgent,
)
from migprog.compute.libvirt.job_queries import Connection, JobQueries, Lock
from migprog.compute.libvirt.opening import Opening
from migprog.compute.libvirt.sampler import Sampler
from migprog.concurrency import Inbox, native_queue, native_thread
from migprog.core.actions import Action
from migprog.core.observation import Reading
from migprog.core.steering.advice import Advice

_ARRIVED = (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_MIGRATED)
# Between two searches that events asked for: a block job changes its state in bursts.
_SEARCH_PAUSE_SECONDS = 0.1
# Between two attempts to take the claim of another agent.
_CLAIM_SECONDS = 0.5


class _OtherAgentError(Exception):
    """Another agent watches this hypervisor."""


class Host:
    """A libvirt that is watched; it sends :data:`events.Message` to ``inbox``.

    ``reads_limits``: read the bandwidth limits of migrations too, by read-write connections.
    """

    def __init__(
        self,
        uri: str,
        inbox: Inbox,
        scan_interval_seconds: float,
        qemu_events: bool,
        open_seconds: float = 30.0,
        reads_limits: bool = False,
    ) -> None:
        self.uri = uri
        self._opening = Opening(open_seconds)
        self._scan_interval_seconds = scan_interval_seconds
        self._inbox = inbox
        self._claim = claim.Claim()
        self._connection: libvirt.virConnect | None = None
        self._qemu_events = qemu_events
        self._reads_limits = reads_limits
        self._qemu_connection: libvirt.virConnect | None = None
        self._reader = domain_reader.Reader(reads_limits)
        self._asking = JobQueries(inbox, lambda: ThreadConnection(uri), self._ask, self._lock)
        self._searched = False
        # Samplers whose threads run; one that hangs stays until its call returns.
        self._samplers: set[Sampler] = set()
        # Wakes the searching thread: a server to look at now, or ALL; None to stop.
        self._wakes: queue.SimpleQueue[str | None] = native_queue()
        self._callbacks = Callbacks(inbox, self._reader, self._wakes.put)
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

    def sampler(self, server_uuid: str, left: bool = False) -> Sampler:
        """Start a thread of its own that reads the statistics of one server on request.

        ``left``: an earlier agent has left it migrating; look where it is now.
        """
        self._reader.begin(server_uuid, left)
        connection = ThreadConnection(self.uri, self._reads_limits)
        read = functools.partial(self._read, connection, server_uuid, BlockJobs(time.monotonic))

        def ended(sampler: Sampler) -> None:
            self._samplers.discard(sampler)
            connection.close()

        sampler = Sampler(server_uuid, read, self._inbox, ended)
        self._samplers.add(sampler)
        # From now on the sampler checks whether it answers.
        self._asking.drop([server_uuid])
        sampler.start()
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
                self._search(named)
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

    def _is_alive(self) -> bool:
        connections = (self._connection, self._qemu_connection)
        return all(each is None or each.isAlive() for each in connections)

    def _connect(self) -> None:
        connection = self._opening.open(lambda: libvirt.openReadOnly(self.uri))
        connection.setKeepAlive(*KEEPALIVE)
        self._take_claim(connection)
        self._callbacks.register(connection)
        self._connection = connection
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

    def _search(self, named: Collection[str]) -> None:
        """Search servers once, and send a reading of each that is migrating away.

        Those with a sampler are left to it. No call here waits for a single server.
        """
        connection = self._asking.connection.get()
        everything = ALL in named
        sampled = self._sampled()
        present, found, asked = set(), [], {}
        for domain, state in self._states(connection, None if everything else named):
            server_uuid = domain.UUIDString()
            present.add(server_uuid)
            domain_state = (state.get("state.state"), state.get("state.reason"))
            if domain_state == _ARRIVED:
                found.append(server_uuid)
            if domain_reader.arrives(connection, domain, domain_state):
                continue
            try:
                self._reader.learn(domain, server_uuid)
            except libvirt.libvirtError:
                continue
            if server_uuid not in sampled:
                asked[server_uuid] = (connection, domain, domain_state)
        self._asking.ask_all(asked)
        # A sampler may have begun while its server was queried.
        self._asking.drop(self._sampled())
        if everything:
            self._count(present, found)

    def _sampled(self) -> set[str]:
        return {sampler.server_uuid for sampler in list(self._samplers)}

    def _states(self, connection: Any, named: Collection[str] | None) -> Any:
        """Read the states of all running servers, or of the named ones."""
        nowait = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        if named is None:
            active = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE
            return connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, active | nowait)
        domains = []
        for server_uuid in named:
            with contextlib.suppress(libvirt.libvirtError):
                domains.append(connection.lookupByUUIDString(server_uuid))
        if not domains:
            return []
        return connection.domainListGetStats(domains, libvirt.VIR_DOMAIN_STATS_STATE, nowait)

    def _count(self, present: Collection[str], found: Collection[str]) -> None:
        """Send the host's inventory, and at first the servers that a migration has brought."""
        facts = self._reader.facts
        for server_uuid in facts.keys() - present:
            self._reader.forget(server_uuid)
        self._asking.forget(present)
        if not self._searched and found:
            self._inbox.put(ArrivedServers(tuple(found)))
        self._searched = True
        memory_bytes = sum(each.memory_size_bytes or 0 for each in list(facts.values()))
        self._inbox.put(HostInventory(len(present), memory_bytes))

    # A search's threads call these.

    def _ask(self, own: Connection, server_uuid: str, asked: Any) -> bool:
        try:
            connection = own.get()
            domain, domain_state = _asked(connection, server_uuid, asked)
            reading = self._reader.find(connection, domain, server_uuid, domain_state)
        except libvirt.libvirtError as error:
            return error.get_error_code() != libvirt.VIR_ERR_OPERATION_TIMEOUT
        if reading is not None:
            self._inbox.put(reading)
        return True

    def _lock(self, own: Connection, server_uuid: str, asked: Any) -> Lock:
        try:
            domain, _ = _asked(own.get(), server_uuid, asked)
        except libvirt.libvirtError:
            # If something is wrong with the server, the next call fails at once.
            return Lock.FREE
        return self._reader.lock(domain)

    # A sampler's thread calls this.

    def _read(self, own: Connection, server_uuid: str, block_jobs: BlockJobs) -> Reading:
        """Read a server's statistics."""
        error = "not connected"
        # Without the connection for events nothing is read either.
        if self._connection is not None:
            try:
                return self._reader.read(own.get(), server_uuid, block_jobs)
            except libvirt.libvirtError as refused:
                error = str(refused)
        return Reading(server_uuid=server_uuid, at=time.monotonic(), error=error)

    def _lost(self, error: str) -> None:
        self._close()
        self._inbox.put(Disconnected(error=error))

    def _close(self) -> None:
        self._asking.reset()
        connections = (self._connection, self._qemu_connection)
        self._connection = self._qemu_connection = None
        for connection in connections:
            if connection is not None:
                with contextlib.suppress(libvirt.libvirtError):
                    connection.close()


def _asked(connection: Any, server_uuid: str, asked: Any) -> tuple[Any, tuple[int, int] | None]:
    """Return the server on ``connection``, and its state where it is known."""
    found_by, domain, domain_state = asked or (None, None, None)
    if found_by is not connection:
        domain = connection.lookupByUUIDString(server_uuid)
    return domain, domain_state
