# SPDX-License-Identifier: Apache-2.0
"""A source that was silent, and reports its end after all."""

import dataclasses

import pytest

from migprog import objects
from migprog.core.forecast.verdict import Verdict
from migprog.core.forecast.verdict_reason import VerdictReason
from migprog.core.messages import Agent, ArrivalState, Batch
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.stores import START, at, lasting, later, migration, report

# What only the source knows, and what both know.
OF_SOURCE = {
    "downtime_seconds": 0.125,
    "verdict_reason": VerdictReason.TOO_FEW_ITERATIONS,
    "verdict_message": "the last verdict",
    "throughput_bytes_per_second": 5_000,
    "downtime_needed_seconds": 0.5,
    "eta_at_25_seconds": 7.0,
    "eta_error_at_25_seconds": -0.5,
    "eta_in_range_at_25": True,
    "server_name": "web",
}
OF_BOTH = {"total_seconds": 5.25, "memory_processed_bytes": 3001}


def came(first, **values):
    """It came for good 5 s after START."""
    came = stores.arrival(first.server_uuid, START + 5, ArrivalState.RESUMED)
    figures = {"complete": True, "total_seconds": 5.0, "memory_processed_bytes": 3000}
    return dataclasses.replace(came, **(figures | values))


def ended(first, sequence=2, status=Status.COMPLETED, **values):
    told = OF_SOURCE | OF_BOTH | {"percent": 100, "phase": Phase.DONE, "verdict": Verdict.ENDED}
    return later(first, sequence, status, ended_at=START + 5.5, **(told | values))


def settle(store, first, heartbeat_seconds, quiet_seconds):
    """Have its arrival reported when its source has been silent for so long; return whether that
    was taken for the end."""
    if heartbeat_seconds is not None:
        agent = Agent(
            version="1",
            started_at=START,
            report_interval_seconds=1.0,
            heartbeat_interval_seconds=heartbeat_seconds,
            migrations=1,
        )
        objects.store_batch(store, Batch(f"of-{first.uuid}", "n", agent=agent), START)
    host = f"of-{first.uuid}"
    stores.store(store, first, host=host, last_reported_at=START + 1)
    stores.store(store, came(first), host="dest", last_reported_at=START + 1 + quiet_seconds)
    return host, migration(store, first).status is Status.COMPLETED


class Late:
    """The end that its arrival settled is completed further by its source, never contradicted."""

    @pytest.mark.parametrize(
        ("heartbeat_seconds", "quiet_seconds", "is_settled"),
        [
            *((30.0, 60, False), (30.0, 61, True)),
            *((1.0, 5, True), (5.0, 9, False)),
            *((3600.0, 200, False), (3600.0, 7200, False), (3600.0, 7201, True)),
            *((None, 150, False), (None, 151, True)),
        ],
    )
    def test_a_source_is_silent_by_its_own_heartbeat(
        self, store, heartbeat_seconds, quiet_seconds, is_settled
    ):
        _host, settled = settle(store, report(), heartbeat_seconds, quiet_seconds)
        assert settled is is_settled

    @pytest.mark.parametrize("quiet_seconds", [100, 200])
    def test_late_source_completes_an_arrival_only_record(self, store, quiet_seconds):
        """The same whether it was waited for or not."""
        first = report(percent=40, memory_processed_bytes=900)
        host, _settled = settle(store, first, None, quiet_seconds)
        end = ended(first)
        before = migration(store, first)
        stored = objects.store_batch(
            store, Batch(host, "n", reports=(end,)), START + 2 + quiet_seconds
        )
        assert len(stored.ends) == (quiet_seconds < 150), "an end is counted once"
        after = migration(store, first)
        told = OF_SOURCE | OF_BOTH
        assert {name: getattr(after, name) for name in told} == told
        assert (after.status, after.phase, after.percent) == (Status.COMPLETED, Phase.DONE, 100)
        assert (after.sequence, after.ended_at) == (2, at(START + 5.5))
        assert (after.dest_compute, after.arrived_at) == ("dest", at(START + 5))
        assert after.updated_at > before.updated_at
        assert objects.Server.get(store, first.server_uuid).name == "web"

    def test_late_source_keeps_the_destinations_values_that_it_does_not_report(self, store):
        first = report()
        host, _ = settle(store, first, None, 200)
        nothing = dict.fromkeys(OF_SOURCE | OF_BOTH)
        end = ended(first, **nothing | {"downtime_seconds": 0.25})
        stores.store(store, end, host=host, last_reported_at=START + 300)
        after = migration(store, first)
        assert (after.total_seconds, after.memory_processed_bytes) == (5.0, 3000)
        assert after.downtime_seconds == 0.25

    @pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED, Status.RUNNING])
    def test_late_source_does_not_change_the_end_by_the_arrival(self, store, status):
        first = report()
        host, _ = settle(store, first, None, 200)
        before = lasting(migration(store, first))
        stores.store(store, ended(first, status=status), host=host, last_reported_at=START + 300)
        assert lasting(migration(store, first)) == before

    def test_another_host_does_not_complete_it(self, store):
        first = report()
        settle(store, first, None, 200)
        before = lasting(migration(store, first))
        assert stores.store(store, ended(first), host="evil", last_reported_at=START + 300).refused
        assert lasting(migration(store, first)) == before

    def test_late_source_fills_null_fields_of_its_end_only(self, store):
        first = report()
        stores.store(store, first, ended(first, verdict_message=None))
        stores.store(store, ended(first, 3, verdict_message="why", downtime_seconds=9.0))
        after = migration(store, first)
        assert (after.verdict_message, after.downtime_seconds, after.sequence) == ("why", 0.125, 3)
        before = lasting(after)
        stores.store(store, ended(first, 4, verdict_message="else"))
        assert lasting(migration(store, first)) == before
