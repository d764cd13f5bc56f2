# SPDX-License-Identifier: Apache-2.0
"""What becomes of migrations whose end their source's agent could not see."""

import dataclasses
import itertools

import pytest

from migprog import objects
from migprog.core.forecast.verdict import Verdict
from migprog.core.messages import ArrivalState, Batch
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.stores import START, at, lasting, later, migration, report

FIGURES = {
    "total_seconds": 4.5,
    "downtime_seconds": 0.25,
    "memory_total_bytes": 4000,
    "memory_processed_bytes": 3000,
    "memory_remaining_bytes": 0,
    "disk_total_bytes": 0,
    "disk_processed_bytes": 0,
    "disk_remaining_bytes": 0,
    "memory_iteration": 7,
}
ON_ITS_WAY = {"percent": 40, "memory_total_bytes": 4000, "memory_processed_bytes": 900}


def came(server_uuid, **values):
    """It arrived 5 s after START, its job having taken 4.5 s."""
    came = stores.arrival(server_uuid, START + 5, ArrivalState.RESUMED)
    return dataclasses.replace(came, **({"complete": True} | FIGURES | values))


def gone(server_uuid, **values):
    """It began to arrive 1 s after START, and was gone 3 s later; no source has reported it."""
    came = stores.arrival(server_uuid, START + 1)
    return dataclasses.replace(
        came, **({"gone_after_seconds": 3.0, "unmatched_seconds": 60.0} | values)
    )


def lost(first, sequence=9):
    """What an agent reports that found the job gone, an hour later."""
    reported = report(
        sequence,
        Status.UNKNOWN,
        uuid=first.uuid,
        server_uuid=first.server_uuid,
        phase=Phase.DONE,
        sampled_at=first.sampled_at,
        ended_at=START + 3600,
        error="no agent saw the end",
    )
    return dataclasses.replace(reported, percent=first.percent)


def arrives(store, arrival, last_reported_at=START + 100):
    """Return whether the arrival is resolved."""
    return bool(
        stores.store(store, arrival, host="dest", last_reported_at=last_reported_at).arrived
    )


def assert_completed(store, first):
    stored = migration(store, first)
    assert {name: getattr(stored, name) for name in FIGURES} == FIGURES
    assert (stored.status, stored.phase, stored.percent) == (Status.COMPLETED, Phase.DONE, 100)
    assert (stored.verdict, stored.error, stored.eta_seconds) == (Verdict.ENDED, None, None)
    assert stored.ended_at == stored.arrived_at == at(START + 5)
    server = objects.Server.get(store, first.server_uuid)
    assert (server.host, server.progress) == ("dest", 100)
    assert server.sampled_at == stored.sampled_at == at(START + 5)


class ResolveArrivals:
    """An arrival decides what the source does not know of the end, and nothing else."""

    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
    def test_unknown_end_becomes_completed_in_any_order_of_receipt(self, store, order):
        first = report(**ON_ITS_WAY, eta_seconds=9.0)
        stores.store(store, first)
        incoming = stores.arrival(first.server_uuid, START + 1)
        tell = [
            lambda: stores.store(store, lost(first)),
            lambda: arrives(store, came(first.server_uuid)),
            lambda: arrives(store, incoming),
        ]
        for number in order:
            tell[number]()
        assert arrives(store, came(first.server_uuid))
        assert_completed(store, first)
        before = lasting(migration(store, first))
        for again in tell:
            again()
        assert lasting(migration(store, first)) == before

    def test_report_and_arrival_in_one_batch_complete_the_migration(self, store):
        first = report(**ON_ITS_WAY)
        stores.store(store, later(first, 2), lost(first))
        heard = [
            objects.ReceivedBatch(
                Batch(host="source", node="s", reports=(later(first, 3),)), START + 9
            ),
            objects.ReceivedBatch(
                Batch(host="dest", node="d", arrivals=(came(first.server_uuid),)), START + 9
            ),
        ]
        assert objects.store_batches(store, heard)[1].ack.arrived == (first.server_uuid,)
        assert_completed(store, first)

    def test_stored_end_is_the_one_that_the_arrival_decided(self, store):
        first = report(**ON_ITS_WAY)
        stores.store(store, first)
        assert not arrives(store, came(first.server_uuid))
        batch = Batch(host="source", node="source", reports=(lost(first),))
        (end,) = objects.store_batch(store, batch, START + 9).ends
        assert end.status is Status.COMPLETED

    def test_end_that_an_arrival_decided_is_returned_once(self, store):
        first = report(**ON_ITS_WAY)
        stores.store(store, first, lost(first))
        batch = Batch(host="dest", node="dest", arrivals=(came(first.server_uuid),))
        (end,) = objects.store_batch(store, batch, START + 9).ends
        assert (end.uuid, end.status, end.total_seconds) == (first.uuid, Status.COMPLETED, 4.5)
        assert (end.ended_at, end.started_at) == pytest.approx((START + 5, START))
        assert objects.store_batch(store, batch, START + 10).ends == ()

    def test_end_that_an_arrival_decided_has_the_disks(self, store):
        disks = (("vda", 4000, 900),)
        first = report(**ON_ITS_WAY, disks=disks)
        stores.store(store, first, lost(first))
        batch = Batch(host="dest", node="dest", arrivals=(came(first.server_uuid),))
        (end,) = objects.store_batch(store, batch, START + 9).ends
        assert end.disks == disks

    @pytest.mark.parametrize("off", [-0.9, -0.003, 0.003, 0.9])
    def test_repeated_arrival_after_a_clock_correction_is_the_same(self, store, off):
        first = report(**ON_ITS_WAY)
        stores.store(store, first, last_reported_at=START + 4)
        arrival = came(first.server_uuid)
        again = dataclasses.replace(arrival, at=arrival.at + off)
        assert not arrives(store, arrival, last_reported_at=START + 6)
        assert arrives(store, again, last_reported_at=START + 200)
        arrives(
            store,
            dataclasses.replace(arrival, at=arrival.at + abs(off)),
            last_reported_at=START + 201,
        )
        stored = migration(store, first)
        assert stored.status is Status.COMPLETED
        assert stored.ended_at == stored.arrived_at == at(START + 5 + abs(off))
        # The source's own end takes the place of the arrival's.
        end = later(first, 9, Status.COMPLETED, ended_at=START + 5.25, total_seconds=4.75)
        stores.store(store, end, last_reported_at=START + 202)
        stored = migration(store, first)
        assert (stored.ended_at, stored.total_seconds) == (at(START + 5.25), 4.75)

    def test_migration_is_post_migrating_while_its_source_may_report(self, store):
        first = report(**ON_ITS_WAY)
        stores.store(store, first, last_reported_at=START + 4)
        assert not arrives(store, came(first.server_uuid), last_reported_at=START + 5)
        stored = migration(store, first)
        assert (stored.status, stored.dest_compute) == (Status.POST_MIGRATING, "dest")
        assert stored.in_progress and stored.ended_at is None
        # What it told on the way comes too late.
        stores.store(store, later(first, 2, percent=60))
        assert migration(store, first).status is Status.POST_MIGRATING

        told = {"total_seconds": 4.75, "downtime_seconds": 0.5, "memory_processed_bytes": 3001}
        ended = later(first, 3, Status.COMPLETED, ended_at=START + 6, percent=100, **told)
        stores.store(store, ended)
        assert arrives(store, came(first.server_uuid), last_reported_at=START + 900)
        stored = migration(store, first)
        assert {name: getattr(stored, name) for name in told} == told
        assert (stored.status, stored.ended_at) == (Status.COMPLETED, at(START + 6))

    def test_migration_is_completed_once_its_source_is_silent(self, store):
        first = report(**ON_ITS_WAY)
        stores.store(store, first, last_reported_at=START)
        assert not arrives(store, came(first.server_uuid), last_reported_at=START + 150)
        assert arrives(store, came(first.server_uuid), last_reported_at=START + 151)
        assert_completed(store, first)

    @pytest.mark.parametrize("wrong_by", [-3600, 3600, -59])
    def test_destination_with_a_wrong_clock_is_recorded(self, store, wrong_by):
        first = report(**ON_ITS_WAY)
        stores.store(store, first, lost(first))
        arrival = came(first.server_uuid)
        batch = Batch(
            host="dest",
            node="dest",
            arrivals=(dataclasses.replace(arrival, at=arrival.at + wrong_by),),
            sent_at=START + 8 + wrong_by,
        )
        answer = objects.store_batch(store, batch, START + 8).ack
        assert answer.arrived == (first.server_uuid,)
        stored = migration(store, first)
        assert (stored.status, stored.dest_compute) == (Status.COMPLETED, "dest")
        assert stored.ended_at == at(START + 5)

    def test_arrival_matches_the_migration_of_a_source_with_a_wrong_clock(self, store):
        hour = 3600
        first = report(2, started_at=START - hour, **ON_ITS_WAY)
        stores.store(store, first)
        # It began to arrive: that names the destination while it is under way.
        stores.store(store, stores.arrival(first.server_uuid, START + 1), host="dest")
        stores.store(store, later(first, 3, Status.COMPLETED, ended_at=START + 5 - hour))
        assert arrives(store, came(first.server_uuid))
        assert migration(store, first).arrived_at == at(START + 5)

    def test_arrival_decides_the_end_for_a_source_with_a_wrong_clock(self, store):
        first = report(2, started_at=START - 3600, **ON_ITS_WAY)
        stores.store(store, first)
        stores.store(store, stores.arrival(first.server_uuid, START + 1), host="dest")
        stores.store(store, lost(first))
        assert arrives(store, came(first.server_uuid))
        assert_completed(store, first)

    def test_arrival_does_not_match_an_earlier_migration(self, store):
        """To and fro: what brings it here again is not reported yet."""
        first = report(2, Status.COMPLETED, ended_at=START + 5.5)
        stores.store(store, first)
        assert arrives(store, came(first.server_uuid))
        before = lasting(migration(store, first))
        incoming = stores.arrival(first.server_uuid, START + 12)
        again = dataclasses.replace(came(first.server_uuid), at=START + 16)
        unmeasured = dataclasses.replace(again, total_seconds=None)
        for arrival in (incoming, again, unmeasured):
            assert not arrives(store, arrival, last_reported_at=START + 17)
        assert lasting(migration(store, first)) == before

        second = report(2, Status.COMPLETED, server_uuid=first.server_uuid, started_at=START + 11.5)
        second = dataclasses.replace(second, sampled_at=START + 16, ended_at=START + 16.5)
        stores.store(store, second)
        assert arrives(store, again)
        stored = migration(store, second)
        assert (stored.dest_compute, stored.arrived_at) == ("dest", at(START + 16))
        assert lasting(migration(store, first)) == before

    def test_failed_arrival_sets_the_destination_of_a_running_migration(self, store):
        first = report(**ON_ITS_WAY)
        stores.store(store, first)
        assert arrives(store, dataclasses.replace(gone(first.server_uuid), unmatched_seconds=None))
        stored = migration(store, first)
        assert (stored.status, stored.dest_compute) == (Status.RUNNING, "dest")

    def test_failure_that_the_source_reports_is_not_changed(self, store):
        first = report(**ON_ITS_WAY)
        stores.store(store, first)
        assert not arrives(store, came(first.server_uuid))
        stores.store(store, later(first, 3, Status.FAILED, ended_at=START + 6))
        arrives(store, came(first.server_uuid))
        assert migration(store, first).status is Status.FAILED

    def test_arrival_adds_missing_figures_to_a_reported_end(self, store):
        first = report(
            2, Status.COMPLETED, ended_at=START + 6, downtime_seconds=0.5, memory_total_bytes=1
        )
        stores.store(store, first)
        assert arrives(store, came(first.server_uuid))
        stored = migration(store, first)
        assert (stored.downtime_seconds, stored.memory_total_bytes) == (0.5, 1)
        assert (stored.total_seconds, stored.memory_processed_bytes) == (4.5, 3000)
        assert stored.ended_at == at(START + 6)

    def test_arrival_without_figures_keeps_the_last_reported_ones(self, store):
        first = report(**ON_ITS_WAY)
        stores.store(store, first)
        stores.store(store, lost(first))
        assert arrives(store, came(first.server_uuid, **dict.fromkeys(FIGURES)))
        stored = migration(store, first)
        assert (stored.status, stored.memory_processed_bytes) == (Status.COMPLETED, 900)
        assert stored.sampled_at == at(first.sampled_at)
        assert stored.total_seconds is stored.downtime_seconds is None

    @pytest.mark.parametrize(
        "not_it",
        [
            # Post-copy has begun; or an agent of before, which does not tell them apart.
            {"complete": None},
            # The job that brought it began a minute and more before, or after.
            {"total_seconds": 67.0},
            {"at": START + 70},
        ],
    )
    def test_arrival_that_does_not_prove_the_end_decides_nothing(self, store, not_it):
        first = report(**ON_ITS_WAY)
        stores.store(store, first)
        arrives(store, came(first.server_uuid, **not_it))
        assert migration(store, first).status is Status.RUNNING
        stores.store(store, lost(first))
        arrives(store, came(first.server_uuid, **not_it))
        stored = migration(store, first)
        assert (stored.status, stored.error) == (Status.UNKNOWN, "no agent saw the end")

    @pytest.mark.parametrize("status", [Status.RUNNING, Status.COMPLETED, Status.UNKNOWN])
    def test_server_found_later_sets_an_unknown_destination(self, store, status):
        seen, unseen = (report(2, status, ended_at=START + 6) for _ in range(2))
        stores.store(store, seen, unseen)
        stores.store(store, stores.arrival(seen.server_uuid), host="dest")
        found = [
            dataclasses.replace(stores.arrival(one.server_uuid, START + 60), found=True)
            for one in (seen, unseen)
        ]
        found = [dataclasses.replace(each, state=ArrivalState.RESUMED) for each in found]
        assert len(stores.store(store, *found, host="dest").arrived) == 2
        for one, arrived in ((seen, 5), (unseen, 60)):
            stored = migration(store, one)
            assert (stored.dest_compute, stored.arrived_at) == ("dest", at(START + arrived))
            assert stored.status is status

    def test_unknown_end_keeps_the_last_figures(self, store):
        first = report(**ON_ITS_WAY, verdict_message="as it was", throughput_bytes_per_second=5)
        stores.store(store, first)
        newer = later(first, 5, memory_processed_bytes=950)
        stores.store(store, newer)
        stores.store(store, lost(first))
        stored = migration(store, first)
        assert (stored.status, stored.sequence) == (Status.UNKNOWN, 9)
        assert (stored.memory_processed_bytes, stored.throughput_bytes_per_second) == (950, 5)
        assert stored.sampled_at == at(newer.sampled_at)
        assert stored.ended_at == at(START + 3600)

    def test_arrival_of_the_next_migration_does_not_end_this_one(self, store):
        first = report(**ON_ITS_WAY)
        stores.store(store, first)
        assert not arrives(store, came(first.server_uuid))
        on = came(first.server_uuid, at=START + 9)
        assert stores.store(store, on, host="further").arrived == ()
        assert migration(store, first).dest_compute == "dest"
