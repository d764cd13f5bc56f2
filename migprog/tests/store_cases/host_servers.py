# SPDX-License-Identifier: Apache-2.0
"""Which servers are on a host, by migrations and measurements."""

import uuid

from migprog import objects
from migprog.core.measurement import Failure
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.store_cases.measuring import measured, put
from migprog.tests.stores import START, arrival, later, report


def _hosts(store, host, limit=100, also=()):
    found = objects.host_servers(store, host, limit, also)
    return {each.uuid: each for each in found}


def _moves(store, source, dest, started_at=START):
    """Store a migration that has completed; give its server."""
    first = report(started_at=started_at, server_name="moved")
    stores.store(store, first, host=source)
    stores.store(store, arrival(first.server_uuid, started_at + 5), host=dest)
    end = {"phase": Phase.DONE, "ended_at": started_at + 9, "total_seconds": 9.0}
    stores.store(store, later(first, 9, Status.COMPLETED, **end), host=source)
    return first.server_uuid


class HostServers:
    def test_server_that_was_only_measured_is_on_the_host_that_did_it(self, store):
        host, server, other = f"h-{uuid.uuid4()}", str(uuid.uuid4()), str(uuid.uuid4())
        put(store, measured(server), host=host)
        put(store, measured(other), host=f"{host}-other")
        (found,) = _hosts(store, host).values()
        assert (found.uuid, found.name, found.host) == (server, "wéb 🐎", host)
        assert found.measurement.windows
        assert (found.failure, found.arrived_at) == (None, None)
        assert found.seen_at == stores.at(START)

    def test_server_that_has_arrived_is_there_with_what_its_source_measured(self, store):
        source, host = f"s-{uuid.uuid4()}", f"h-{uuid.uuid4()}"
        server = _moves(store, source, host)
        put(store, measured(server, START - 60), host=source)
        (found,) = _hosts(store, host).values()
        assert (found.uuid, found.name, found.host) == (server, "moved", host)
        assert found.arrived_at == stores.at(START)
        assert found.measurement.host == source
        # The source measured it, too: it is known there as a server of the other host.
        (left,) = _hosts(store, source).values()
        assert left == found

    def test_server_that_failed_to_migrate_is_where_it_was(self, store):
        host = f"h-{uuid.uuid4()}"
        first = report()
        stores.store(store, first, host=host)
        stores.store(store, later(first, 9, Status.FAILED, phase=Phase.DONE), host=host)
        found = _hosts(store, host)[first.server_uuid]
        assert (found.host, found.measurement, found.arrived_at) == (host, None, None)

    def test_failure_to_measure_makes_a_server_known(self, store):
        host, server = f"h-{uuid.uuid4()}", str(uuid.uuid4())
        failed = measured(server, windows=None, failure=Failure.NOT_RUNNING.value)
        put(store, failed, host=host)
        found = _hosts(store, host)[server]
        assert found.failure.failure is Failure.NOT_RUNNING
        assert found.measurement is None

    def test_number_of_servers_is_bounded_and_further_ones_are_found_anywhere(self, store):
        host, elsewhere = f"h-{uuid.uuid4()}", str(uuid.uuid4())
        for _ in range(4):
            put(store, measured(str(uuid.uuid4())), host=host)
        put(store, measured(elsewhere), host=f"{host}-other")
        assert len(_hosts(store, host, limit=3)) == 3
        assert elsewhere in _hosts(store, host, also={elsewhere})
        nobody = str(uuid.uuid4())
        assert _hosts(store, f"{host}-none", also={nobody})[nobody].host is None
