# SPDX-License-Identifier: Apache-2.0
"""Arrival-only records: of migrations that no source has reported."""

import dataclasses

import pytest

from migprog import objects
from migprog.core.messages import Batch
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.store_cases.resolve_arrivals import (
    FIGURES,
    ON_ITS_WAY,
    arrives,
    came,
    gone,
)
from migprog.tests.stores import START, at, later, report


class ArrivalOnly:
    """A migration of which only the destination knows has a record all the same."""

    def test_complete_arrival_without_source_makes_an_arrival_only_record(self, store):
        arrival = came(report().server_uuid, unmatched_seconds=60.0)
        for short in ({"unmatched_seconds": 59.9}, {"total_seconds": None}, {"complete": None}):
            assert not arrives(store, dataclasses.replace(arrival, **short))
        assert objects.Migration.list(store, server_uuid=arrival.server_uuid) == []

        batch = Batch(host="dest", node="dest.example.org", arrivals=(arrival,))
        stored = objects.store_batch(store, batch, START + 66)
        assert stored.ack.arrived == (arrival.server_uuid,)
        (end,) = stored.ends
        assert (end.status, end.total_seconds) == (Status.COMPLETED, 4.5)
        (made,) = objects.Migration.list(store, server_uuid=arrival.server_uuid)
        assert {name: getattr(made, name) for name in FIGURES} == FIGURES
        assert (made.status, made.percent, made.dest_compute) == (Status.COMPLETED, 100, "dest")
        assert made.source_compute is made.source_node is made.error is None
        assert (made.started_at, made.ended_at) == (at(START + 0.5), at(START + 5))
        server = objects.Server.get(store, arrival.server_uuid)
        assert (server.host, server.progress) == ("dest", 100)

        assert arrives(store, arrival)
        assert objects.Migration.list(store, server_uuid=arrival.server_uuid) == [made]

    @pytest.mark.parametrize("status", [Status.COMPLETED, Status.UNKNOWN])
    def test_late_source_is_merged_into_the_arrival_only_record(self, store, status):
        arrival = came(report().server_uuid, unmatched_seconds=60.0)
        assert arrives(store, arrival)
        (made,) = objects.Migration.list(store, server_uuid=arrival.server_uuid)

        # What it told on its way comes late, and changes nothing.
        first = report(server_uuid=arrival.server_uuid, server_name="a-server", memory_iteration=7)
        assert stores.store(store, first).refused == {}
        assert objects.Migration.list(store, server_uuid=arrival.server_uuid) == [made]

        end = later(first, 2, status, ended_at=START + 6, downtime_seconds=0.5)
        for _ in range(2):
            batch = Batch(host="src", node="src.example.org", reports=(end,))
            stored = objects.store_batch(store, batch, START + 70)
            assert (stored.refused, stored.ends) == ((), ())
        (known,) = objects.Migration.list(store, server_uuid=arrival.server_uuid)
        assert (known.id, known.uuid, known.created_at) == (made.id, first.uuid, made.created_at)
        assert (known.status, known.percent) == (Status.COMPLETED, 100)
        assert (known.source_compute, known.source_node) == ("src", "src.example.org")
        assert (known.dest_compute, known.arrived_at) == ("dest", made.arrived_at)
        assert known.started_at == at(first.started_at)
        assert known.updated_at == at(START + 70)
        told = status is Status.COMPLETED
        assert known.server_name == "a-server"
        assert known.downtime_seconds == (0.5 if told else made.downtime_seconds)
        assert known.ended_at == (at(START + 6) if told else made.ended_at)
        # What the source cannot tell stays as the destination told it.
        assert known.total_seconds == made.total_seconds
        server = objects.Server.get(store, arrival.server_uuid)
        assert (server.host, server.migration_uuid) == ("dest", first.uuid)
        # The arrival told again is the same one's.
        assert arrives(store, arrival)
        assert objects.Migration.list(store, server_uuid=arrival.server_uuid) == [known]

    def test_arrival_and_late_source_in_one_transaction_make_one_record(self, store):
        arrival = came(report().server_uuid, unmatched_seconds=60.0)
        first = report(server_uuid=arrival.server_uuid)
        end = later(first, 2, Status.COMPLETED, ended_at=START + 6)
        batches = [
            Batch(host="dest", node="dest", arrivals=(arrival,)),
            Batch(host="src", node="src", reports=(first,)),
            Batch(host="src", node="src", reports=(end,)),
        ]
        stored = objects.store_batches(
            store, [objects.ReceivedBatch(batch, START + 70) for batch in batches]
        )
        assert [len(each.ends) for each in stored] == [1, 0, 0]
        (made,) = objects.Migration.list(store, server_uuid=arrival.server_uuid)
        assert (made.uuid, made.source_compute, made.dest_compute) == (first.uuid, "src", "dest")
        assert made.total_seconds == arrival.total_seconds

    def test_report_of_another_migration_is_not_merged_into_it(self, store):
        arrival = came(report().server_uuid, unmatched_seconds=60.0)
        assert arrives(store, arrival)
        first = report(2, server_uuid=arrival.server_uuid)
        others = (
            later(
                report(server_uuid=arrival.server_uuid, started_at=START + 100), 2, Status.COMPLETED
            ),
            # One that came to nothing, a moment before.
            later(report(server_uuid=arrival.server_uuid), 2, Status.FAILED, ended_at=START + 0.4),
        )
        for other in others:
            stores.store(store, other)
        # It has left again from where it arrived.
        stores.store(store, later(first, 3, Status.COMPLETED, ended_at=START + 20), host="dest")
        records = objects.Migration.list(store, server_uuid=arrival.server_uuid)
        assert len(records) == 4
        assert [each.uuid for each in records if each.source_compute is None] == [records[-1].uuid]

    @pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED, Status.UNKNOWN])
    def test_failed_arrival_without_source_makes_an_arrival_only_record(self, store, status):
        arrival = gone(report().server_uuid)
        assert not arrives(store, dataclasses.replace(arrival, unmatched_seconds=59.9))
        assert objects.Migration.list(store, server_uuid=arrival.server_uuid) == []
        for _ in range(2):
            assert arrives(store, arrival)
        (made,) = objects.Migration.list(store, server_uuid=arrival.server_uuid)
        assert (made.status, made.percent, made.phase) == (Status.UNKNOWN, None, Phase.DONE)
        assert (made.source_compute, made.dest_compute) == (None, "dest")
        assert (made.started_at, made.ended_at) == (at(START + 1), at(START + 4))
        assert made.total_seconds == 3.0
        assert "nothing" in made.error
        assert objects.Server.get(store, arrival.server_uuid).host is None

        first = report(server_uuid=arrival.server_uuid, percent=30)
        end = later(first, 2, status, ended_at=START + 4.5, error="why", percent=30)
        stores.store(store, first, end)
        (known,) = objects.Migration.list(store, server_uuid=arrival.server_uuid)
        assert (known.id, known.uuid, known.status) == (made.id, first.uuid, status)
        assert (known.source_compute, known.dest_compute) == ("source", "dest")
        assert (known.error, known.percent, known.ended_at) == ("why", 30, at(START + 4.5))
        assert objects.Server.get(store, arrival.server_uuid).host == "source"

    @pytest.mark.parametrize("wrong_by", [-50, 0, 50])
    def test_failed_arrival_that_a_source_reported_makes_no_record(self, store, wrong_by):
        """Whether or not its arrival was reported while it was in progress, by another clock."""
        firsts = [report(**ON_ITS_WAY) for _ in range(2)]
        stores.store(store, *firsts, last_reported_at=START + 2)
        seen = stores.arrival(firsts[0].server_uuid, START + 1 + wrong_by)
        assert arrives(store, seen, last_reported_at=START + 2)
        ends = [later(first, 3, Status.FAILED, ended_at=START + 4) for first in firsts]
        stores.store(store, *ends, last_reported_at=START + 4)
        for first in firsts:
            assert arrives(store, gone(first.server_uuid, at=seen.at))
            (record,) = objects.Migration.list(store, server_uuid=first.server_uuid)
            assert (record.uuid, record.status) == (first.uuid, Status.FAILED)

    def test_failed_arrival_just_before_is_another_migration(self, store):
        first = report(2, Status.CANCELLED, ended_at=START + 3)
        stores.store(store, first, last_reported_at=START + 3)
        assert arrives(store, gone(first.server_uuid))
        again = gone(first.server_uuid, at=START + 20)
        assert arrives(store, again)
        made, told = objects.Migration.list(store, server_uuid=first.server_uuid)
        assert (told.uuid, made.source_compute) == (first.uuid, None)
        # Nobody knows whether the arrival of one that never named its destination was this one.
        other = report(2, Status.CANCELLED, ended_at=START + 3)
        stores.store(store, other, last_reported_at=START + 3)
        assert arrives(store, gone(other.server_uuid, at=START + 20))
        assert len(objects.Migration.list(store, server_uuid=other.server_uuid)) == 1

    def test_failed_arrival_leaves_the_server_at_its_host(self, store):
        first = report(2, Status.COMPLETED, started_at=START - 500, ended_at=START - 490)
        stores.store(store, first, last_reported_at=START - 490)
        before = objects.Server.get(store, first.server_uuid)
        assert arrives(store, gone(first.server_uuid))
        assert objects.Server.get(store, first.server_uuid) == before
        assert len(objects.Migration.list(store, server_uuid=first.server_uuid)) == 2

    def test_arrival_that_a_source_may_have_reported_makes_no_record(self, store):
        # By a clock so wrong that the arrival does not find it, of an agent that tells no time.
        first = report(2, Status.COMPLETED, started_at=START - 3600)
        first = dataclasses.replace(first, sampled_at=START - 3596, ended_at=START - 3596)
        stores.store(store, first, last_reported_at=START + 4)
        assert not arrives(store, came(first.server_uuid, unmatched_seconds=70.0))
        assert len(objects.Migration.list(store, server_uuid=first.server_uuid)) == 1
