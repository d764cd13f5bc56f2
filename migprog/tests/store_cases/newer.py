# SPDX-License-Identifier: Apache-2.0
"""Rows that a newer conductor has written, in words of its own, while conductors are upgraded."""

import dataclasses

import pytest
import sqlalchemy as sa

from migprog import objects
from migprog.core.messages import ArrivalState, Batch
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.stores import START, arrival, later, migration, report


def _reworded(store, first, **words):
    """The stored row with words that this version does not know."""
    columns = ", ".join(f"{name} = :{name}" for name in words)
    with store.engine.begin() as connection:
        connection.execute(
            sa.text(f"UPDATE migrations SET {columns} WHERE uuid = :uuid"),
            words | {"uuid": first.uuid},
        )


def _came(first, came_at=START + 5):
    came = arrival(first.server_uuid, came_at, ArrivalState.RESUMED)
    return dataclasses.replace(came, complete=True, total_seconds=5.0)


NEWER = {"status": "running (newer)", "phase": "newer-phase", "verdict": "newer-verdict"}
NEWER |= {"verdict_reason": "newer-reason"}


class Newer:
    """A word of a newer version stops no batch."""

    @pytest.mark.parametrize("status", [Status.RUNNING, Status.COMPLETED, Status.UNKNOWN])
    def test_a_report_follows_a_status_of_a_newer_conductor(self, store, status):
        first = report(percent=1)
        stores.store(store, first)
        _reworded(store, first, **NEWER)
        stores.store(store, later(first, 2, status, percent=2, ended_at=None))
        stored = migration(store, first)
        assert (stored.status, stored.sequence, stored.percent) == (status, 2, 2)

    def test_progress_does_not_follow_an_end_of_a_newer_conductor(self, store):
        first = report(2, Status.COMPLETED, ended_at=START + 2, percent=100)
        stores.store(store, first)
        _reworded(store, first, status="ended (newer)")
        stores.store(store, later(first, 3, Status.RUNNING, ended_at=None))
        assert migration(store, first).sequence == 2

    @pytest.mark.parametrize("last_reported_at", [START + 6, START + 900])
    def test_an_arrival_finds_a_migration_in_words_of_a_newer_conductor(
        self, store, last_reported_at
    ):
        first = report(percent=1)
        stores.store(store, first, last_reported_at=START + 4)
        _reworded(store, first, **NEWER)
        batch = Batch("dest", "dest", arrivals=(_came(first),))
        ends = objects.store_batch(store, batch, last_reported_at).ends
        stored = migration(store, first)
        assert stored.dest_compute == "dest"
        assert [end.uuid for end in ends] == [first.uuid] * (last_reported_at > START + 6)
        expected = Status.COMPLETED if ends else Status.POST_MIGRATING
        assert stored.status is expected

    def test_a_second_agent_finds_a_record_in_words_of_a_newer_conductor(self, store):
        first = report(percent=1)
        stores.store(store, first, last_reported_at=START + 2)
        _reworded(store, first, **NEWER)
        twin = report(
            9, Status.COMPLETED, server_uuid=first.server_uuid, phase=Phase.DONE, ended_at=START + 9
        )
        stores.store(store, twin)
        (record,) = objects.Migration.list(store, server_uuid=first.server_uuid)
        assert (record.uuid, record.status) == (first.uuid, Status.COMPLETED)
