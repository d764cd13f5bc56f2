# SPDX-License-Identifier: Apache-2.0
"""What reports and arrivals make of servers and destinations."""

import pytest

from migprog import objects
from migprog.core.messages import ArrivalState, Report
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.stores import START, arrival, at, later, migration, report


def _destination(store, reported: Report) -> tuple[str | None, ...]:
    stored = migration(store, reported)
    return stored.dest_compute, stored.dest_node, stored.dest_host


class ReportSummary:
    """A server's newest migration speaks for it."""

    def test_an_older_migration_is_silent(self, store):
        new = report(started_at=START + 50, percent=1)
        old = report(server_uuid=new.server_uuid, percent=90, status=Status.FAILED)
        stores.store(store, new)
        stores.store(store, old)
        server = objects.Server.get(store, new.server_uuid)
        assert (server.migration_uuid, server.progress) == (new.uuid, 1)
        assert server.sampled_at == migration(store, new).sampled_at

    def test_server_follows_its_migration_whatever_start_it_reports(self, store):
        first = report(percent=1)
        stores.store(store, first)
        stores.store(store, later(first, started_at=first.started_at - 0.001, percent=2))
        assert objects.Server.get(store, first.server_uuid).progress == 2

    def test_newer_migration_replaces_the_servers_progress(self, store):
        old = report(percent=100, status=Status.COMPLETED, server_name="web")
        stores.store(store, old)
        new = report(started_at=START + 50, server_uuid=old.server_uuid)
        stores.store(store, new, host="elsewhere")
        server = objects.Server.get(store, new.server_uuid)
        assert (server.progress, server.host, server.name) == (None, "elsewhere", "web")

    @pytest.mark.parametrize("arrival_first", [True, False])
    def test_completed_is_at_the_destination(self, store, arrival_first):
        first = report()
        stores.store(store, first)
        ended = later(first, status=Status.COMPLETED)

        def tell(end: bool) -> None:
            if end:
                stores.store(store, ended)
            else:
                told = arrival(first.server_uuid, state=ArrivalState.RESUMED)
                stores.store(store, told, host="dest")

        tell(end=not arrival_first)
        tell(end=arrival_first)
        assert objects.Server.get(store, first.server_uuid).host == "dest"

    def test_failed_is_at_the_source(self, store):
        first = report()
        stores.store(store, first)
        stores.store(store, arrival(first.server_uuid), host="dest")
        stores.store(store, later(first, status=Status.FAILED))
        assert objects.Server.get(store, first.server_uuid).host == "source"


class Arriving:
    """An arrival names the destination of the migration that brought it."""

    def test_names_the_destination(self, store):
        first = report()
        stores.store(store, first)
        before = migration(store, first)
        ack = stores.store(
            store, arrival(first.server_uuid), host="dest", last_reported_at=START + 200
        )
        assert ack.arrived == (first.server_uuid,)
        assert _destination(store, first) == ("dest", "dest.example.org", "192.0.2.7")
        stores.store(store, later(first))
        after = migration(store, first)
        assert _destination(store, first) == ("dest", "dest.example.org", "192.0.2.7")
        assert after.arrived_at == at(START + 5)
        assert (after.status, after.created_at) == (before.status, before.created_at)

    def test_arrival_without_a_migration_is_to_be_sent_again(self, store):
        unknown, known = report(), report()
        stores.store(store, known)
        both = (arrival(unknown.server_uuid), arrival(known.server_uuid))
        assert stores.store(store, *both, host="dest").arrived == (known.server_uuid,)
        stores.store(store, unknown)
        assert stores.store(store, *both, host="dest").arrived == (
            unknown.server_uuid,
            known.server_uuid,
        )

    def test_ack_has_the_destination_once_it_is_known(self, store):
        first = report()
        assert stores.store(store, first).destinations == {}
        stores.store(store, arrival(first.server_uuid, state=ArrivalState.INCOMING), host="dest")
        answer = stores.store(store, later(first, phase=Phase.MEMORY_ITERATIONS))
        assert answer.destinations == {first.uuid: "dest"}

    def test_at_its_own_source_is_none(self, store):
        first = report()
        stores.store(store, first)
        assert stores.store(store, arrival(first.server_uuid), host="source").arrived == ()

    @pytest.mark.parametrize(
        ("status", "ended", "state", "arrived", "found"),
        [
            (Status.RUNNING, None, ArrivalState.INCOMING, 100_000, True),
            (Status.RUNNING, None, ArrivalState.RESUMED, -59, True),
            (Status.RUNNING, None, ArrivalState.RESUMED, -61, False),
            (Status.COMPLETED, 10, ArrivalState.RESUMED, 10 + 299, True),
            (Status.COMPLETED, 10, ArrivalState.RESUMED, 10 + 301, False),
            (Status.COMPLETED, None, ArrivalState.RESUMED, 1 + 299, True),
            (Status.UNKNOWN, 10, ArrivalState.RESUMED, 12, True),
            (Status.FAILED, 10, ArrivalState.RESUMED, 9, False),
            (Status.CANCELLED, 10, ArrivalState.RESUMED, 9, False),
            # A failed attempt had a destination, too; what begins after it is another attempt.
            (Status.FAILED, 10, ArrivalState.INCOMING, 9, True),
            (Status.CANCELLED, 10, ArrivalState.INCOMING, 11, False),
            (Status.COMPLETED, 10, ArrivalState.INCOMING, 11, False),
        ],
    )
    def test_in_time(self, store, status, ended, state, arrived, found):
        ended_at = None if ended is None else START + ended
        one = report(status=status, ended_at=ended_at)
        stores.store(store, one)
        told = arrival(one.server_uuid, START + arrived, state)
        answer = stores.store(store, told, host="dest", last_reported_at=START + max(100, arrived))
        assert bool(answer.arrived) is found
        assert migration(store, one).status is status

    def test_on_its_way_on_is_not_taken_for_the_way_there(self, store):
        """It came from "source" to "there" and moves on; its next source has not reported yet."""
        one = report(status=Status.COMPLETED, ended_at=START + 10)
        stores.store(store, one)
        resumed = ArrivalState.RESUMED
        stores.store(store, arrival(one.server_uuid, START + 9, resumed), host="there")
        on = arrival(one.server_uuid, START + 12, resumed)
        assert stores.store(store, on, host="further").arrived == ()
        assert _destination(store, one)[0] == "there"

    def test_the_newest_of_several(self, store):
        old = report(status=Status.COMPLETED, ended_at=START + 10)
        new = report(server_uuid=old.server_uuid, started_at=START + 20)
        stores.store(store, old, host="first")
        stores.store(store, new, host="second")
        stores.store(store, arrival(old.server_uuid, at=START + 25), host="third")
        assert _destination(store, old)[0] is None
        assert _destination(store, new)[0] == "third"
        # There and back again: where the newest started, the one before arrived.
        stores.store(store, arrival(old.server_uuid, at=START + 9), host="second")
        assert _destination(store, old)[0] == "second"

    @pytest.mark.parametrize("order", [(1, 2), (2, 1)])
    def test_the_later_destination_stays(self, store, order):
        first = report()
        stores.store(store, first)
        for number in order:
            told = arrival(first.server_uuid, at=START + number)
            assert stores.store(store, told, host=f"dest{number}").arrived
        assert _destination(store, first)[0] == "dest2"
        assert migration(store, first).arrived_at == at(START + 2)

    def test_incoming_and_resumed_in_one_batch(self, store):
        first = report()
        stores.store(store, first)
        states = [
            arrival(first.server_uuid, START + 6, ArrivalState.RESUMED),
            arrival(first.server_uuid, START + 5),
        ]
        assert stores.store(store, *states, host="dest").arrived == (first.server_uuid,)
        assert migration(store, first).arrived_at == at(START + 6)
        assert migration(store, first).status is Status.RUNNING
