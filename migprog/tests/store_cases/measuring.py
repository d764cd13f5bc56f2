# SPDX-License-Identifier: Apache-2.0
"""What hosts have measured of their servers: the newest few stay, each host's own."""

import uuid

from migprog import objects
from migprog.core.measurement import Failure, Measured, Window
from migprog.core.messages import Batch
from migprog.objects import measurements
from migprog.tests import stores
from migprog.tests.stores import START

MIB = 2**20


def measured(server_uuid, at=START, **values):
    known = {
        "windows": ((1.0, 22), (4.0, 18)),
        "memory_bytes": 512 * MIB,
        "resident_bytes": 300 * MIB,
        "disk_bytes": 0,
        "downtime_limit_seconds": 0.3,
        "has_host_devices": False,
        "server_name": "wéb 🐎",
        "project_id": "p",
        "user_id": "u",
    }
    return Measured(
        uuid=str(uuid.uuid4()), server_uuid=server_uuid, measured_at=at, **(known | values)
    )


def put(store, *entries, host="source", received_at=START + 100):
    """Store measurements as they come over the wire."""
    sent = Batch(host=host, node=host, measurements=entries).to_wire()
    batch, refused = Batch.from_wire(sent)
    assert refused == {}
    return objects.store_batch(store, batch, received_at)


class Measuring:
    def test_measurement_is_stored_as_it_was_reported(self, store):
        server = str(uuid.uuid4())
        entry = measured(server)
        put(store, entry)
        (found,) = objects.Measurement.of_server(store, server)
        assert found.windows == (Window(1.0, 22), Window(4.0, 18))
        assert (found.host, found.failure) == ("source", None)
        assert found.measured_at == stores.at(START)
        for name in ("memory_bytes", "resident_bytes", "disk_bytes", "downtime_limit_seconds"):
            assert getattr(found, name) == getattr(entry, name), name
        assert (found.server_name, found.project_id, found.user_id) == ("wéb 🐎", "p", "u")
        assert found.for_forecast().memory_bytes == 512 * MIB

    def test_repeated_measurement_is_stored_once(self, store):
        server = str(uuid.uuid4())
        entry = measured(server)
        put(store, entry)
        put(store, entry)
        assert len(objects.Measurement.of_server(store, server)) == 1

    def test_newest_few_measurements_of_a_server_stay(self, store):
        server, other = str(uuid.uuid4()), str(uuid.uuid4())
        put(store, measured(other))
        for number in range(measurements.KEPT + 3):
            put(store, measured(server, START + number))
        found = objects.Measurement.of_server(store, server)
        newest = [START + number for number in range(3, measurements.KEPT + 3)]
        assert [each.measured_at for each in found] == [stores.at(at) for at in newest[::-1]]
        assert len(objects.Measurement.of_server(store, other)) == 1

    def test_failures_to_measure_replace_no_measurement(self, store):
        server = str(uuid.uuid4())
        put(store, measured(server))
        for number in range(5):
            put(
                store,
                measured(server, START + 1 + number, windows=None, failure=Failure.TIMED_OUT.value),
            )
        failed, good = objects.Measurement.of_server(store, server)
        assert (failed.failure, failed.windows) == (Failure.TIMED_OUT, ())
        assert failed.for_forecast() is None
        assert good.windows

    def test_host_replaces_no_measurement_of_another_host(self, store):
        server = str(uuid.uuid4())
        put(store, measured(server), host="a")
        for number in range(measurements.KEPT + 1):
            put(store, measured(server, START + 10 + number), host="b")
        hosts = [each.host for each in objects.Measurement.of_server(store, server)]
        assert sorted(hosts) == ["a", *["b"] * measurements.KEPT]

    def test_measurement_of_a_wrong_clock_is_not_stored(self, store):
        server = str(uuid.uuid4())
        put(store, measured(server, START + 10_000))
        put(store, measured(server, START - 366 * 86_400))
        assert objects.Measurement.of_server(store, server) == []

    def test_purge_deletes_old_measurements(self, store):
        old, new = str(uuid.uuid4()), str(uuid.uuid4())
        put(store, measured(old), received_at=START)
        put(store, measured(new, START + 9_000), received_at=START + 9_000)
        when = {"now": stores.at(START + 9_001)}
        before = stores.at(START + 5_000)
        dry = objects.purge(store, before, dry_run=True, **when)
        assert objects.Measurement.of_server(store, old)
        assert objects.purge(store, before, **when).measurements == dry.measurements >= 1
        assert objects.Measurement.of_server(store, old) == []
        assert objects.Measurement.of_server(store, new)
