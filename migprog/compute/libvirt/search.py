# SPDX-License-Identifier: Apache-2.0
"""Search a libvirt's servers for those that migrate away, and count those that run."""

import contextlib
from collections.abc import Callable, Collection
from typing import Any

import libvirt

from migprog.compute.libvirt import domain_reader
from migprog.compute.libvirt.callbacks import ALL
from migprog.compute.libvirt.job_queries import Connection, JobQueries, Lock
from migprog.compute.libvirt.loop_messages import ArrivedServers, HostInventory
from migprog.concurrency import Inbox

_ARRIVED = (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_MIGRATED)


class Search:
    """The searches of one libvirt, by the thread that is its host's.

    ``connect`` makes a connection, which is not open yet. ``sampled`` returns the servers whose
    statistics a sampler reads: they are left to it.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        inbox: Inbox,
        reader: domain_reader.Reader,
        sampled: Callable[[], set[str]],
    ) -> None:
        self._inbox = inbox
        self._reader = reader
        self._sampled = sampled
        self._queries = JobQueries(inbox, connect, self._ask, self._lock)
        self._has_counted = False

    def leave_to_sampler(self, server_uuid: str) -> None:
        """From now on a sampler notices whether the server answers. Of any thread."""
        self._queries.drop([server_uuid])

    def open(self) -> None:
        """Open the connection, unless it is open. Raises what its ``get`` raises."""
        self._queries.connection.get()

    def reset(self) -> None:
        """Forget the connection, and which servers do not answer."""
        self._queries.reset()

    def run(self, named: Collection[str]) -> None:
        """Search the named servers, or all if :data:`ALL` is among the names, once; send a reading
        of each that is migrating away.

        Those with a sampler are left to it. No call here waits for a single server.
        """
        connection = self._queries.connection.get()
        everything = ALL in named
        sampled = self._sampled()
        present, found, asked = set(), [], {}
        for domain, state in self._states(connection, None if everything else named):
            server_uuid = domain.UUIDString()
            present.add(server_uuid)
            domain_state = (state.get("state.state"), state.get("state.reason"))
            if domain_state == _ARRIVED:
                found.append(server_uuid)
            if domain_reader.arrives(domain, domain_state):
                continue
            try:
                self._reader.learn(domain, server_uuid)
            except libvirt.libvirtError:
                continue
            if server_uuid not in sampled:
                asked[server_uuid] = (connection, domain, domain_state)
        self._queries.ask_all(asked)
        # A sampler may have begun while its server was queried.
        self._queries.drop(self._sampled())
        if everything:
            self._count(present, found)

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
        self._queries.forget(present)
        if not self._has_counted and found:
            self._inbox.put(ArrivedServers(tuple(found)))
        self._has_counted = True
        memory_bytes = sum(each.memory_size_bytes or 0 for each in list(facts.values()))
        self._inbox.put(HostInventory(len(present), memory_bytes))

    # The threads of the queries call these.

    def _ask(self, own: Connection, server_uuid: str, asked: Any) -> bool:
        try:
            connection = own.get()
            domain, domain_state = _asked(connection, server_uuid, asked)
            reading = self._reader.find(connection, domain, server_uuid, domain_state)
        except TimeoutError:
            # The connection could not be opened.
            return False
        except libvirt.libvirtError as error:
            return error.get_error_code() != libvirt.VIR_ERR_OPERATION_TIMEOUT
        if reading is not None:
            self._inbox.put(reading)
        return True

    def _lock(self, own: Connection, server_uuid: str, asked: Any) -> Lock:
        try:
            domain, _ = _asked(own.get(), server_uuid, asked)
        except (libvirt.libvirtError, TimeoutError):
            # If something is wrong with the server, the next call fails at once.
            return Lock.FREE
        return self._reader.lock(domain)


def _asked(connection: Any, server_uuid: str, asked: Any) -> tuple[Any, tuple[int, int] | None]:
    """Return the server on ``connection``, and its state where it is known."""
    found_by, domain, domain_state = asked or (None, None, None)
    if found_by is not connection:
        domain = connection.lookupByUUIDString(server_uuid)
    return domain, domain_state
