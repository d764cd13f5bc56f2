# SPDX-License-Identifier: Apache-2.0
"""What a host can make of another host's records: nothing. A batch's ``host`` is its sender."""

import dataclasses

import pytest

from migprog import objects
from migprog.core.messages import Agent, ArrivalState, Batch
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.stores import START, arrival, at, later, migration, report

NAMES = {"project_id": "red", "user_id": "rosa", "server_name": "web"}
# What whoever knows a migration's UUIDs may say of it.
FORGED = {
    "an end": {"status": Status.COMPLETED, "phase": Phase.DONE, "ended_at": START + 9},
    "a failure": {"status": Status.FAILED, "error": "forged"},
    "an end nobody saw": {"status": Status.UNKNOWN},
    "progress": {"percent": 99, "eta_seconds": 0.1},
    "another tenant": {"project_id": "blue", "user_id": "eve", "server_name": "stolen"},
    "the last sequence": {"sequence": 2**63 - 1},
}


def _told_by(store, host, *reports, last_reported_at=START + 100):
    batch = Batch(host=host, node=host, reports=reports)
    return objects.store_batch(store, batch, last_reported_at)


class Owning:
    """What is stored belongs to the source that is stored with it."""

    @pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
    def test_a_report_of_another_host_is_refused(self, store, forged):
        mine = report(percent=40, **NAMES)
        _told_by(store, "host-b", mine)
        before = migration(store, mine), objects.Server.get(store, mine.server_uuid)
        told = dataclasses.replace(later(mine, 7), **forged)
        stored = _told_by(store, "host-a", told)
        assert set(stored.ack.refused) == {f"reports[{mine.uuid}]"}
        assert [(each.reason, stored.ends) for each in stored.refused] == [("foreign", ())]
        # The answer has nothing that the store holds.
        assert stored.ack.destinations == {}
        assert (migration(store, mine), objects.Server.get(store, mine.server_uuid)) == before
        assert _told_by(store, "host-b", later(mine, 2)).reports == 1

    def test_the_source_goes_on_in_the_transaction_in_which_another_is_refused(self, store):
        mine = report(**NAMES)
        evil = later(mine, 5, Status.FAILED, project_id="blue")
        batches = [
            Batch(host, host, reports=(each,))
            for host, each in (("b", mine), ("a", evil), ("b", later(mine, 3, percent=9)))
        ]
        stored = objects.store_batches(
            store, [objects.ReceivedBatch(batch, START + 9) for batch in batches]
        )
        assert [len(each.refused) for each in stored] == [0, 1, 0]
        after = migration(store, mine)
        assert (after.status, after.sequence, after.percent) == (Status.RUNNING, 3, 9)
        assert (after.project_id, after.source_compute) == ("red", "b")

    def test_project_user_and_start_stay_as_first_reported(self, store):
        mine = report(percent=1, **NAMES)
        _told_by(store, "host-b", mine)
        others = {"project_id": "blue", "user_id": "eve", "server_name": "x"}
        moved = dataclasses.replace(later(mine, percent=2), started_at=START - 500, **others)
        _told_by(store, "host-b", moved)
        stored, server = migration(store, mine), objects.Server.get(store, mine.server_uuid)
        assert {name: getattr(stored, name) for name in NAMES} == NAMES
        assert (server.project_id, server.user_id, server.name) == ("red", "rosa", "web")
        assert (stored.started_at, server.migration_started_at) == (at(START), at(START))
        assert stored.percent == server.progress == 2

    def test_unknown_project_and_user_are_filled_in_later(self, store):
        mine = report()
        _told_by(store, "host-b", mine)
        _told_by(store, "host-b", dataclasses.replace(later(mine), **NAMES))
        stored, server = migration(store, mine), objects.Server.get(store, mine.server_uuid)
        assert (stored.project_id, server.project_id, server.name) == ("red", "red", "web")

    def test_leaping_sequence_is_refused(self, store):
        mine = report()
        _told_by(store, "host-b", mine, last_reported_at=START + 1)
        for sequence in (2**63 - 1, 2**32, 1 + 2**16 + 301):
            leaps = later(mine, sequence, sampled_at=START + 1)
            stored = _told_by(store, "host-b", leaps, last_reported_at=START + 2)
            assert [each.reason for each in stored.refused] == ["sequence"]
        assert migration(store, mine).sequence == 1
        # As far as an agent counts in an hour's outage, in which it is started again and again.
        honest = later(mine, 1 + 20 * 3600 + 256 * 100, sampled_at=START + 3600)
        assert not _told_by(store, "host-b", honest, last_reported_at=START + 3601).refused
        assert migration(store, mine).sequence == honest.sequence

    def test_a_server_is_not_taken_over_for_another_project(self, store):
        first = report(status=Status.COMPLETED, percent=100, **NAMES)
        _told_by(store, "host-b", first)
        before = objects.Server.get(store, first.server_uuid)
        own = report(server_uuid=first.server_uuid, project_id="blue", started_at=START + 50)
        stored = _told_by(store, "host-a", own)
        assert [each.reason for each in stored.refused] == ["project"]
        # The record is its own; it says nothing of the server of the other project.
        assert migration(store, own).project_id == "blue"
        assert objects.Server.get(store, first.server_uuid) == before
        honest = report(server_uuid=first.server_uuid, project_id="red", started_at=START + 60)
        assert not _told_by(store, "host-b", honest).refused
        assert objects.Server.get(store, first.server_uuid).migration_uuid == honest.uuid

    @pytest.mark.parametrize("sent_at", [None, START + 100])
    def test_start_in_the_year_2191_does_not_block_later_reports(self, store, sent_at):
        first = report(percent=1)
        evil = report(server_uuid=first.server_uuid, started_at=7e9, sampled_at=START + 99)
        stored = objects.store_batch(
            store, Batch("host-a", "n", reports=(evil,), sent_at=sent_at), START + 100
        )
        assert [each.reason for each in stored.refused] == ["instant"]
        again = report(server_uuid=first.server_uuid, started_at=START + 150, percent=2)
        _told_by(store, "host-b", again, last_reported_at=START + 160)
        assert objects.Server.get(store, first.server_uuid).migration_uuid == again.uuid

    def test_a_start_more_than_a_year_ago_makes_no_record(self, store):
        evil = report(started_at=START - 366 * 86_400, sampled_at=START)
        stored = _told_by(store, "host-a", evil)
        assert [(each.reason, stored.reports) for each in stored.refused] == [("instant", 0)]
        assert not objects.Migration.list(store, server_uuid=evil.server_uuid)

    def test_arrival_in_the_year_2191_does_not_block_later_arrivals(self, store):
        mine = report()
        _told_by(store, "host-b", mine)
        evil = arrival(mine.server_uuid, 7e9)
        batch = Batch("host-a", "n", arrivals=(evil,))
        stored = objects.store_batch(store, batch, START + 6)
        assert (stored.ack.arrived, [each.reason for each in stored.refused]) == ((), ["instant"])
        honest = arrival(mine.server_uuid, START + 6, ArrivalState.RESUMED)
        assert stores.store(store, honest, host="host-c", last_reported_at=START + 7).arrived
        assert migration(store, mine).dest_compute == "host-c"

    def test_source_that_reports_progress_again_is_believed(self, store):
        """Whoever says that the server has arrived with it, for good."""
        mine = report()
        _told_by(store, "host-b", mine, last_reported_at=START + 1)
        came = arrival(mine.server_uuid, START + 5, ArrivalState.RESUMED)
        came = dataclasses.replace(came, complete=True, total_seconds=5.0)
        stores.store(store, came, host="host-a", last_reported_at=START + 6)
        assert migration(store, mine).status is Status.POST_MIGRATING
        aborted = later(mine, 2, Status.CANCELLED, ended_at=START + 7)
        assert _told_by(store, "host-b", aborted, last_reported_at=START + 8).ends
        assert migration(store, mine).status is Status.CANCELLED

    def _came(self, store, mine, host, came_at, last_reported_at):
        came = arrival(mine.server_uuid, came_at, ArrivalState.RESUMED)
        came = dataclasses.replace(came, complete=True, total_seconds=came_at - START)
        return stores.store(store, came, host=host, last_reported_at=last_reported_at).arrived

    def test_a_source_that_still_runs_undoes_a_forged_arrival(self, store):
        mine = report(percent=10, eta_seconds=50.0, **NAMES)
        _told_by(store, "host-b", mine, last_reported_at=START + 1)
        self._came(store, mine, "rogue", START + 5, START + 6)
        moved = migration(store, mine)
        assert (moved.status, moved.dest_compute) == (Status.POST_MIGRATING, "rogue")
        # Within what both hosts' clocks may be off.
        _told_by(store, "host-b", later(mine, 9), last_reported_at=START + 9)
        assert migration(store, mine).status is Status.POST_MIGRATING
        goes_on = later(mine, 11, percent=20)
        assert _told_by(store, "host-b", goes_on, last_reported_at=START + 11).reports == 1
        undone = migration(store, mine)
        assert (undone.status, undone.percent, undone.sequence) == (Status.RUNNING, 20, 11)
        assert (undone.dest_compute, undone.dest_node, undone.dest_host) == (None,) * 3
        assert (undone.arrived_at, undone.total_seconds) == (None, None)
        # To tell it again is in vain, and the true arrival counts.
        self._came(store, mine, "rogue", START + 5, START + 12)
        assert migration(store, mine) == undone
        self._came(store, mine, "host-c", START + 14, START + 15)
        moved = migration(store, mine)
        assert (moved.status, moved.dest_compute) == (Status.POST_MIGRATING, "host-c")
        end = later(mine, 15, Status.COMPLETED, ended_at=START + 14.1)
        _told_by(store, "host-b", end, last_reported_at=START + 16)
        assert migration(store, mine).dest_compute == "host-c"
        assert objects.Server.get(store, mine.server_uuid).host == "host-c"

    def test_source_that_was_silent_corrects_an_end_by_an_arrival(self, store):
        mine = report(percent=10, **NAMES)
        _told_by(store, "host-b", mine, last_reported_at=START + 1)
        assert self._came(store, mine, "rogue", START + 5, START + 200)
        ended = migration(store, mine), objects.Server.get(store, mine.server_uuid)
        assert (ended[0].status, ended[0].percent) == (Status.COMPLETED, 100)
        assert (ended[1].host, ended[1].progress) == ("rogue", 100)
        _told_by(store, "host-b", later(mine, 201, percent=20), last_reported_at=START + 201)
        undone, server = migration(store, mine), objects.Server.get(store, mine.server_uuid)
        assert (undone.status, undone.percent, undone.ended_at) == (Status.RUNNING, 20, None)
        assert (undone.dest_compute, undone.total_seconds) == (None, None)
        assert (server.host, server.progress) == ("host-b", 20)

    def test_end_that_the_source_reported_is_not_changed(self, store):
        mine = report(percent=10)
        end = later(mine, 5, Status.COMPLETED, ended_at=START + 5.25, percent=100)
        _told_by(store, "host-b", mine, end)
        assert self._came(store, mine, "host-c", START + 5, START + 200)
        before = migration(store, mine)
        for status in (Status.RUNNING, Status.CANCELLED):
            _told_by(store, "host-b", later(mine, 99, status), last_reported_at=START + 201)
        assert migration(store, mine) == before

    @pytest.mark.parametrize(
        ("told", "kept"), [(7e9, 3600.0), (0.0, 1.0), (3600.0, 3600.0), (30.0, 30.0)]
    )
    def test_an_agents_intervals_are_bounded_by_its_options(self, store, told, kept):
        agent = Agent(
            version="6.6.6",
            started_at=7e9,
            report_interval_seconds=told,
            heartbeat_interval_seconds=told,
            migrations=0,
        )
        objects.store_batch(store, Batch("bounded", "n", agent=agent), START)
        known = objects.Agent.get(store, "bounded")
        assert (known.heartbeat_interval_seconds, known.started_at) == (kept, at(START))
        assert known.report_interval_seconds <= 3600.0
        assert known.is_silent(at(START + 7201))
