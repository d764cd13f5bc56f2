# SPDX-License-Identifier: Apache-2.0
"""Hosts whose clocks are set wrong: everything is stored by the conductor's."""

import dataclasses

import pytest

from migprog import objects
from migprog.core.messages import ArrivalState, Batch
from migprog.core.status import Status
from migprog.tests import stores
from migprog.tests.stores import START, arrival, at, migration, report

HOUR = 3600
_INSTANTS = ("started_at", "sampled_at", "ended_at")


class Timing:
    """What comes first and what comes last does not depend on any host's clock."""

    @staticmethod
    def _tell(store, host, wrong_by, received_at, *entries, tells_time=True):
        """Entries by the true time, as a host whose clock is wrong by so much reports them."""
        told = []
        for each in entries:
            names = ("at",) if hasattr(each, "at") else _INSTANTS
            moved = {n: v + wrong_by for n in names if (v := getattr(each, n)) is not None}
            told.append(dataclasses.replace(each, **moved))
        batch = Batch(
            host=host,
            node=f"{host}.lab",
            reports=tuple(each for each in told if not hasattr(each, "at")),
            arrivals=tuple(each for each in told if hasattr(each, "at")),
            sent_at=received_at + wrong_by if tells_time else None,
        )
        return objects.store_batch(store, batch, received_at)

    @pytest.mark.parametrize("wrong_by", [-HOUR, -59, -3, 3, 59, HOUR, 400 * 86_400])
    def test_a_records_instants_are_by_the_conductors_clock(self, store, wrong_by):
        end = report(5, Status.COMPLETED, ended_at=START + 5, percent=100)
        self._tell(store, "a", wrong_by, START + 6, end)
        stored = migration(store, end)
        assert (stored.started_at, stored.sampled_at) == (at(START), at(START + 5))
        assert stored.ended_at == at(START + 5)
        points = objects.Point.list(store, stored)
        assert points[-1].sampled_at == at(START + 5)

    @pytest.mark.parametrize("wrong_by", [-2, 0, 2])
    def test_a_clock_that_is_right_but_for_a_message_s_way_is_left_alone(self, store, wrong_by):
        one = report()
        self._tell(store, "a", wrong_by, START + 6, one)
        assert migration(store, one).sampled_at == at(START + 1 + wrong_by)

    @pytest.mark.parametrize(
        ("wrong_by", "tells_time"), [(HOUR, True), (-HOUR, True), (HOUR, False)]
    )
    @pytest.mark.parametrize("wrong_host", [0, 1])
    def test_the_next_migration_speaks_for_its_server(
        self, store, wrong_by, tells_time, wrong_host
    ):
        """There and back again, one host's clock being wrong; one of before sends no time."""
        off = [wrong_by if host == wrong_host else 0 for host in range(2)]
        there = report(5, Status.COMPLETED, ended_at=START + 5, percent=100)
        back = report(
            server_uuid=there.server_uuid, started_at=START + 60, sampled_at=START + 61, percent=7
        )
        for host, (each, received_at) in enumerate(((there, START + 6), (back, START + 62))):
            self._tell(store, f"host-{host}", off[host], received_at, each, tells_time=tells_time)
        now = objects.ServerNow.get(store, there.server_uuid)
        assert (now.server.migration_uuid, now.server.progress) == (back.uuid, 7)
        assert now.migrates

    @pytest.mark.parametrize("first", [0, 1])
    def test_reports_by_different_clocks_in_any_order(self, store, first):
        old = report(5, Status.COMPLETED, ended_at=START + 5, percent=100)
        new = report(server_uuid=old.server_uuid, started_at=START + 60, percent=7)
        told = [("a", HOUR, old), ("b", -HOUR, new)]
        for host, wrong_by, each in (told[first], told[1 - first]):
            self._tell(store, host, wrong_by, START + 70, each)
        assert objects.Server.get(store, old.server_uuid).migration_uuid == new.uuid

    @pytest.mark.parametrize("wrong_by", [(HOUR, 0), (0, HOUR), (-HOUR, HOUR)])
    def test_an_arrival_finds_its_migration(self, store, wrong_by):
        source, destination = wrong_by
        one = report()
        self._tell(store, "a", source, START + 2, one)
        came = arrival(one.server_uuid, START + 5, ArrivalState.RESUMED)
        came = dataclasses.replace(came, complete=True, total_seconds=5.0)
        end = stores.later(one, 5, Status.COMPLETED, ended_at=START + 5)
        self._tell(store, "a", source, START + 6, end)
        assert self._tell(store, "b", destination, START + 7, came).ack.arrived
        stored = migration(store, one)
        assert (stored.dest_compute, stored.arrived_at) == ("b", at(START + 5))

    def test_a_server_of_which_a_wrong_start_is_stored_is_freed(self, store):
        """By a conductor of before, from a host whose clock was ahead."""
        old = report(5, Status.COMPLETED, ended_at=START + 5)
        ahead = dataclasses.replace(
            old, started_at=START + HOUR, sampled_at=START + HOUR + 5, ended_at=START + HOUR + 5
        )
        stores.store(store, ahead)
        new = report(server_uuid=old.server_uuid, started_at=START + 60, percent=7)
        self._tell(store, "b", 0, START + 62, new)
        assert objects.Server.get(store, old.server_uuid).migration_uuid == new.uuid

    def test_nothing_that_is_stored_is_still_to_come(self, store):
        """Of an agent that was started again after its host's clock was set right."""
        kept = report(9, Status.UNKNOWN, started_at=START + HOUR)
        kept = dataclasses.replace(kept, sampled_at=START + HOUR + 1, ended_at=START + HOUR + 1)
        batch = Batch("a", "a", reports=(kept,), sent_at=START + 10)
        assert not objects.store_batch(store, batch, START + 10).refused
        stored = migration(store, kept)
        assert stored.started_at == stored.sampled_at == stored.ended_at == at(START + 10)
