# SPDX-License-Identifier: Apache-2.0
"""What is removed when it is old."""

import pytest
import sqlalchemy as sa

from migprog import exception, objects
from migprog.core.status import Status
from migprog.db import models
from migprog.objects import purge
from migprog.tests import stores
from migprog.tests.store_cases.agents import AGENT, known, tell
from migprog.tests.stores import at, later, migration, report

# Long before what other cases store.
OLD = 1_000_000_000.0
CUT = at(OLD + 1000)


def remove(store):
    *_, last = purge.remove(store, CUT)
    return last


def rows(store, table):
    with store.engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table.__table__))


class Purging:
    def test_what_was_not_told_of_for_long(self, store):
        ended, running, fresh = (report(started_at=OLD) for _ in range(3))
        for each, heard_at in ((ended, OLD), (running, OLD + 999.9), (fresh, OLD + 1000.1)):
            stores.store(store, each, heard_at=heard_at - 50)
            stores.store(store, later(each, sequence=20), heard_at=heard_at)
        stores.store(store, later(ended, 30, Status.COMPLETED), heard_at=OLD + 1)
        tell(store, "old", AGENT, OLD)
        tell(store, "fresh", AGENT, OLD + 2000)
        history = rows(store, models.History)
        assert purge.count(store, CUT) == purge.Old(2, 2, 1)
        assert remove(store) == purge.Old(2, 2, 1)
        assert purge.count(store, CUT) == purge.Old(0, 0, 0)
        for gone in (ended, running):
            with pytest.raises(exception.NotFound):
                migration(store, gone)
            with pytest.raises(exception.NotFound):
                objects.Server.get(store, gone.server_uuid)
        assert rows(store, models.History) == history - 3
        assert len(objects.Point.list(store, migration(store, fresh))) == 1
        assert objects.Server.get(store, fresh.server_uuid).migration_uuid == fresh.uuid
        assert known(store, "old") is None
        assert known(store, "fresh")
        assert remove(store) == purge.Old(0, 0, 0)

    def test_a_server_that_has_migrated_since_stays(self, store):
        old = report(started_at=OLD)
        new = report(started_at=OLD + 5000, server_uuid=old.server_uuid)
        stores.store(store, old, heard_at=OLD)
        stores.store(store, new, heard_at=OLD + 5000)
        assert remove(store) == purge.Old(1, 0, 0)
        assert objects.Server.get(store, old.server_uuid).migration_uuid == new.uuid
        assert migration(store, new)

    def test_many_in_short_transactions(self, store, monkeypatch):
        monkeypatch.setattr(purge, "_BATCH", 10)
        stores.store(store, *(report(started_at=OLD) for _ in range(25)), heard_at=OLD)
        so_far = [old.migrations for old in purge.remove(store, CUT)]
        assert so_far == [10, 20, 25]

    def test_what_is_told_of_meanwhile_stays(self, store, monkeypatch):
        monkeypatch.setattr(purge, "_BATCH", 1)
        one, two = (report(started_at=OLD) for _ in range(2))
        stores.store(store, one, heard_at=OLD)
        stores.store(store, two, heard_at=OLD)
        removing = purge.remove(store, CUT)
        assert next(removing).migrations == 1
        stores.store(store, later(two), heard_at=OLD + 5000)
        assert [old.migrations for old in removing][-1] == 1
        with pytest.raises(exception.NotFound):
            migration(store, one)
        assert migration(store, two).sequence == 2
