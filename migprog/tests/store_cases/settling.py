# SPDX-License-Identifier: Apache-2.0
"""What becomes of migrations whose end their source's agent could not see."""

import dataclasses
import itertools

import pytest

from migprog import objects
from migprog.core.forecast.verdict import Verdict
from migprog.core.report import ArrivalState, Batch
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
    """It came for good 5 s after START, its job having taken 4.5 s."""
    came = stores.arrival(server_uuid, START + 5, ArrivalState.RESUMED)
    return dataclasses.replace(came, **({"complete": True} | FIGURES | values))


def gone(server_uuid, **values):
    """It began to arrive 1 s after START, and was gone 3 s later; nobody has told of it since."""
    came = stores.arrival(server_uuid, START + 1)
    return dataclasses.replace(
        came, **({"gone_after_seconds": 3.0, "unmatched_seconds": 60.0} | values)
    )


def lost(first, sequence=9):
    """What an agent tells that found it gone, an hour later."""
    told = report(
        sequence,
        Status.UNKNOWN,
        uuid=first.uuid,
        server_uuid=first.server_uuid,
        phase=Phase.DONE,
        sampled_at=first.sampled_at,
        ended_at=START + 3600,
        error="nobody watched",
    )
    return dataclasses.replace(told, percent=first.percent)


def arrives(store, arrival, last_reported_at=START + 100):
    """Whether it need not be told again."""
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


class Settling:
    """The destination's word settles what the source does not know, and nothing else."""

    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
    def test_unknown_becomes_completed_in_whatever_order_it_is_told(self, store, order):
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

    def test_all_in_one_batch(self, store):
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

    def test_who_is_to_be_told_of_its_end_is_told_the_true_one(self, store):
        first = report(**ON_ITS_WAY)
        stores.store(store, first)
        assert not arrives(store, came(first.server_uuid))
        batch = Batch(host="source", node="source", reports=(lost(first),))
        (end,) = objects.store_batch(store, batch, START + 9).ends
        assert end.status is Status.COMPLETED

    def test_an_end_that_the_destination_settles_is_told_of_once(self, store):
        first = report(**ON_ITS_WAY)
        stores.store(store, first, lost(first))
        batch = Batch(host="dest", node="dest", arrivals=(came(first.server_uuid),))
        (end,) = objects.store_batch(store, batch, START + 9).ends
        assert (end.uuid, end.status, end.total_seconds) == (first.uuid, Status.COMPLETED, 4.5)
        assert (end.ended_at, end.started_at) == pytest.approx((START + 5, START))
        assert objects.store_batch(store, batch, START + 10).ends == ()

    def test_an_end_that_the_destination_settles_has_the_copies_of_the_disks(self, store):
        disks = (("vda", 4000, 900),)
        first = report(**ON_ITS_WAY, disks=disks)
        stores.store(store, first, lost(first))
        batch = Batch(host="dest", node="dest", arrivals=(came(first.server_uuid),))
        (end,) = objects.store_batch(store, batch, START + 9).ends
        assert end.disks == disks

    @pytest.mark.parametrize("off", [-0.9, -0.003, 0.003, 0.9])
    def test_an_arrival_told_again_by_a_clock_corrected_otherwise_is_the_same(self, store, off):
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

    def test_a_source_that_may_tell_yet_is_waited_for(self, store):
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

    def test_a_source_that_is_silent_is_not_waited_for_for_ever(self, store):
        first = report(**ON_ITS_WAY)
        stores.store(store, first, last_reported_at=START)
        assert not arrives(store, came(first.server_uuid), last_reported_at=START + 150)
        assert arrives(store, came(first.server_uuid), last_reported_at=START + 151)
        assert_completed(store, first)

    @pytest.mark.parametrize("wrong_by", [-3600, 3600, -59])
    def test_a_destination_whose_clock_is_set_wrong_is_named_all_the_same(self, store, wrong_by):
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

    def test_a_source_whose_clock_is_set_wrong_is_found_all_the_same(self, store):
        hour = 3600
        first = report(2, started_at=START - hour, **ON_ITS_WAY)
        stores.store(store, first)
        # It began to arrive: that names the destination while it is under way.
        stores.store(store, stores.arrival(first.server_uuid, START + 1), host="dest")
        stores.store(store, later(first, 3, Status.COMPLETED, ended_at=START + 5 - hour))
        assert arrives(store, came(first.server_uuid))
        assert migration(store, first).arrived_at == at(START + 5)

    def test_and_what_it_does_not_know_is_settled(self, store):
        first = report(2, started_at=START - 3600, **ON_ITS_WAY)
        stores.store(store, first)
        stores.store(store, stores.arrival(first.server_uuid, START + 1), host="dest")
        stores.store(store, lost(first))
        assert arrives(store, came(first.server_uuid))
        assert_completed(store, first)

    def test_an_arrival_is_not_taken_for_that_of_a_migration_before(self, store):
        """To and fro: nobody has reported yet what brings it here again."""
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

    def test_what_no_source_tells_of_is_told_by_its_arrival(self, store):
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
    def test_and_by_its_source_after_all(self, store, status):
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

    def test_all_of_it_in_one_transaction(self, store):
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

    def test_what_a_source_tells_of_another_is_not_its(self, store):
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
    def test_what_came_to_nothing_unseen_by_its_source(self, store, status):
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
    def test_what_its_source_saw_come_to_nothing_is_not_made_again(self, store, wrong_by):
        """Whether or not its arrival was told while it was under way, by another clock."""
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

    def test_another_that_came_to_nothing_just_before_is_not_it(self, store):
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

    def test_it_names_the_destination_while_it_is_under_way(self, store):
        first = report(**ON_ITS_WAY)
        stores.store(store, first)
        assert arrives(store, dataclasses.replace(gone(first.server_uuid), unmatched_seconds=None))
        stored = migration(store, first)
        assert (stored.status, stored.dest_compute) == (Status.RUNNING, "dest")

    def test_a_server_that_is_known_stays_where_it_was(self, store):
        first = report(2, Status.COMPLETED, started_at=START - 500, ended_at=START - 490)
        stores.store(store, first, last_reported_at=START - 490)
        before = objects.Server.get(store, first.server_uuid)
        assert arrives(store, gone(first.server_uuid))
        assert objects.Server.get(store, first.server_uuid) == before
        assert len(objects.Migration.list(store, server_uuid=first.server_uuid)) == 2

    def test_a_migration_that_its_source_has_told_of_is_not_made_again(self, store):
        # By a clock so wrong that the arrival does not find it, of an agent that tells no time.
        first = report(2, Status.COMPLETED, started_at=START - 3600)
        first = dataclasses.replace(first, sampled_at=START - 3596, ended_at=START - 3596)
        stores.store(store, first, last_reported_at=START + 4)
        assert not arrives(store, came(first.server_uuid, unmatched_seconds=70.0))
        assert len(objects.Migration.list(store, server_uuid=first.server_uuid)) == 1

    def test_a_failure_that_the_source_saw_stands(self, store):
        first = report(**ON_ITS_WAY)
        stores.store(store, first)
        assert not arrives(store, came(first.server_uuid))
        stores.store(store, later(first, 3, Status.FAILED, ended_at=START + 6))
        arrives(store, came(first.server_uuid))
        assert migration(store, first).status is Status.FAILED

    def test_what_the_source_told_of_its_end_is_filled_up_and_not_overruled(self, store):
        first = report(
            2, Status.COMPLETED, ended_at=START + 6, downtime_seconds=0.5, memory_total_bytes=1
        )
        stores.store(store, first)
        assert arrives(store, came(first.server_uuid))
        stored = migration(store, first)
        assert (stored.downtime_seconds, stored.memory_total_bytes) == (0.5, 1)
        assert (stored.total_seconds, stored.memory_processed_bytes) == (4.5, 3000)
        assert stored.ended_at == at(START + 6)

    def test_without_figures_the_last_that_were_told_stay(self, store):
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
    def test_what_does_not_prove_its_end_does_not_settle_it(self, store, not_it):
        first = report(**ON_ITS_WAY)
        stores.store(store, first)
        arrives(store, came(first.server_uuid, **not_it))
        assert migration(store, first).status is Status.RUNNING
        stores.store(store, lost(first))
        arrives(store, came(first.server_uuid, **not_it))
        stored = migration(store, first)
        assert (stored.status, stored.error) == (Status.UNKNOWN, "nobody watched")

    @pytest.mark.parametrize("status", [Status.RUNNING, Status.COMPLETED, Status.UNKNOWN])
    def test_what_was_found_later_names_the_destination_where_none_was_seen(self, store, status):
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

    def test_an_end_that_nobody_saw_wipes_nothing_out(self, store):
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

    def test_where_it_went_on_to_is_another_migrations_end(self, store):
        first = report(**ON_ITS_WAY)
        stores.store(store, first)
        assert not arrives(store, came(first.server_uuid))
        on = came(first.server_uuid, at=START + 9)
        assert stores.store(store, on, host="further").arrived == ()
        assert migration(store, first).dest_compute == "dest"
