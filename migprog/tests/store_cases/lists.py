# SPDX-License-Identifier: Apache-2.0
"""What the API asks."""

import pytest

from migprog import exception, objects
from migprog.core.status import Status
from migprog.tests import stores
from migprog.tests.stores import arrival, migration, report


class Finding:
    """What the API asks."""

    def test_one(self, store):
        one, other = report(), report()
        stores.store(store, one, other)
        stored = migration(store, one)
        same = [str(stored.id), one.uuid, one.uuid.upper(), one.uuid.replace("-", "")]
        assert all(objects.Migration.get(store, one.server_uuid, which) == stored for which in same)
        absent = [other.uuid, str(2**31), str(10**40), "", "-1", "²", "x" * 9999, "0", "a'b"]
        for which in absent:
            with pytest.raises(exception.NotFound, match="has no migration") as raised:
                objects.Migration.get(store, one.server_uuid, which)
            assert len(str(raised.value)) < 300
        with pytest.raises(exception.NotFound):
            objects.Migration.get(store, "no uuid", one.uuid)
        for server in (one.uuid, "no uuid"):
            with pytest.raises(exception.NotFound, match="is known"):
                objects.Server.get(store, server)

    def test_lists(self, store):
        name = report().uuid
        running = report(project_id=name)
        ended = report(project_id=name, status=Status.FAILED, server_uuid=running.server_uuid)
        moved = report(project_id=name)
        for each in (running, ended):
            stores.store(store, each, host=f"{name}-a")
        stores.store(store, moved, host=f"{name}-b")
        stores.store(store, arrival(moved.server_uuid), host=f"{name}-a")

        def found(**asked):
            return [m.uuid for m in objects.Migration.list(store, project_id=name, **asked)]

        assert found() == [moved.uuid, ended.uuid, running.uuid]
        assert found(server_uuid=running.server_uuid) == [ended.uuid, running.uuid]
        assert found(server_uuid="no uuid") == []
        assert found(host=f"{name}-a") == [moved.uuid, ended.uuid, running.uuid]
        assert found(host=f"{name}-b") == [moved.uuid]
        assert found(in_progress=True) == [moved.uuid, running.uuid]
        assert found(in_progress=False) == [ended.uuid]
        assert found(status=Status.RUNNING) == [moved.uuid, running.uuid]
        assert found(status=Status.RUNNING, in_progress=False) == []

    def test_pages(self, store):
        name = report().uuid
        uuids: list[str] = []
        for _ in range(5):
            one = report(project_id=name)
            stores.store(store, one)
            uuids.insert(0, one.uuid)
        pages, marker = [], None
        while page := objects.Migration.list(store, project_id=name, limit=2, marker=marker):
            pages.append([m.uuid for m in page])
            marker = pages[-1][-1]
        assert pages == [uuids[:2], uuids[2:4], uuids[4:]]
        for bad in (report().uuid, "no uuid"):
            with pytest.raises(exception.BadRequest, match="marker"):
                objects.Migration.list(store, marker=bad)
