# SPDX-License-Identifier: Apache-2.0
"""What the API asks."""

import datetime

import pytest
import sqlalchemy as sa

from migprog import exception, objects
from migprog.core.messages import Agent, Batch
from migprog.core.status import Status
from migprog.tests import stores
from migprog.tests.stores import START, arrival, migration, report


class MigrationQuery:
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
            with pytest.raises(exception.NotFound, match="is recorded"):
                objects.Server.get(store, server)

    def test_lists(self, store):
        name = report().uuid
        running = report(project_id=name)
        ended = report(
            project_id=name,
            status=Status.FAILED,
            server_uuid=running.server_uuid,
            started_at=START + 10,
        )
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

    def test_list_by_user_and_source(self, store):
        name = report().uuid
        mine = report(project_id=name, user_id=f"{name}-me")
        other = report(project_id=name, user_id=f"{name}-other")
        stores.store(store, mine, host=f"{name}-a")
        stores.store(store, other, host=f"{name}-b")
        stores.store(store, arrival(other.server_uuid), host=f"{name}-a")

        def found(**asked):
            return [m.uuid for m in objects.Migration.list(store, **asked)]

        assert found(user_id=f"{name}-me") == [mine.uuid]
        assert found(user_id=f"{name}-other", project_id=name) == [other.uuid]
        assert found(user_id="", project_id=name) == []
        assert found(source_compute=f"{name}-a") == [mine.uuid]
        assert found(source_compute=f"{name}-b") == [other.uuid]

    def test_names_that_differ_in_blanks_case_or_accents_are_different(self, store):
        name = report().uuid
        others = [f"{name} ", f"{name}\u00a0", name.upper(), f" {name}", f"{name}\u0301"]
        mine = report(project_id=name, user_id=name, server_name=name)
        theirs = [
            report(project_id=other, user_id=other, server_name=other)
            for other in dict.fromkeys(others)
        ]
        stores.store(store, mine, host=name)
        for number, each in enumerate(theirs):
            stores.store(store, each, host=others[number])

        def found(**asked):
            return [m.uuid for m in objects.Migration.list(store, **asked)]

        for asked in ("project_id", "user_id", "source_compute", "host"):
            assert found(**{asked: name}) == [mine.uuid], asked
            assert found(**{asked: others[0]}) == [theirs[0].uuid], asked
        servers = objects.ServerNow.list(store, limit=10, name=name)
        assert [now.server.uuid for now in servers] == [mine.server_uuid]
        assert objects.Server.get(store, mine.server_uuid, project_id=name)
        with pytest.raises(exception.NotFound):
            objects.Server.get(store, mine.server_uuid, project_id=f"{name} ")
        with pytest.raises(exception.NotFound):
            objects.Migration.get(store, mine.server_uuid, mine.uuid, project_id=f"{name} ")

    def test_a_host_of_another_name_has_an_agent_of_its_own(self, store):
        name = report().uuid
        agent = Agent(
            version="1",
            started_at=1.0,
            report_interval_seconds=5,
            heartbeat_interval_seconds=30,
            migrations=0,
        )
        for host in (name, f"{name} "):
            objects.store_batch(store, Batch(host=host, node=host, agent=agent), START)
        assert objects.Agent.get(store, name).node == name
        assert objects.Agent.get(store, f"{name} ").node == f"{name} "

    def test_list_by_instant_of_change(self, store):
        """To the microsecond, whatever the zone in which is asked."""
        name = report().uuid
        early, late = report(project_id=name), report(project_id=name)
        stores.store(store, early, last_reported_at=START + 100)
        stores.store(store, late, last_reported_at=START + 200)
        zone = datetime.timezone(datetime.timedelta(hours=2))
        first, second = (stores.at(START + after).astimezone(zone) for after in (100, 200))
        moment = datetime.timedelta(microseconds=1)

        def found(since=None, before=None):
            listed = objects.Migration.list(
                store, project_id=name, changed_since=since, changed_before=before
            )
            return [m.uuid for m in listed]

        assert found(since=first) == [late.uuid, early.uuid]
        assert found(since=first + moment) == [late.uuid]
        assert found(since=second + moment) == []
        assert found(before=second) == [late.uuid, early.uuid]
        assert found(before=second - moment) == [early.uuid]
        assert found(before=first - moment) == []
        assert found(since=first, before=first) == [early.uuid]

    def test_servers(self, store):
        """In the order of their UUIDs, each with the status of its newest migration."""
        name = report().uuid
        moved = report(server_name=name, status=Status.COMPLETED)
        again = report(server_name=name, server_uuid=moved.server_uuid, started_at=START + 50)
        failed = report(server_name=name, status=Status.FAILED)
        other = report(server_name=f"{name}'; --")
        for each in (again, moved, failed, other):
            stores.store(store, each)
        wanted = sorted([(moved.server_uuid, Status.RUNNING), (failed.server_uuid, Status.FAILED)])

        def found(**asked):
            return [
                (now.server.uuid, now.status)
                for now in objects.ServerNow.list(store, **({"limit": 10, "name": name} | asked))
            ]

        with stores.statements(store) as sent:
            assert found() == wanted
        assert len([each for each in sent if each.startswith("SELECT")]) == 1
        assert found(limit=1) == wanted[:1]
        assert found(marker=wanted[0][0]) == wanted[1:]
        assert found(marker=wanted[1][0]) == []
        assert found(name=name.upper()) == found(name=name[:8]) == found(name="") == []
        assert found(name=f"{name}'; --") == [(other.server_uuid, Status.RUNNING)]
        for uuid, status in wanted:
            now = objects.ServerNow.get(store, uuid)
            assert (now.server, now.status) == (objects.Server.get(store, uuid), status)
            assert now.migrates is (status is Status.RUNNING)
        with pytest.raises(exception.NotFound):
            objects.ServerNow.get(store, moved.uuid)
        with pytest.raises(exception.BadRequest, match="marker"):
            found(marker=moved.uuid)

    def test_a_server_whose_migration_was_purged(self, store):
        one = report()
        stores.store(store, one)
        with store.writing() as connection:
            connection.execute(sa.text(f"DELETE FROM migrations WHERE uuid = '{one.uuid}'"))
        now = objects.ServerNow.get(store, one.server_uuid)
        assert (now.server.uuid, now.status, now.migrates) == (one.server_uuid, None, False)

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

    def test_list_of_one_project(self, store):
        """What is another's is not found, by whatever it is asked for."""
        name = report().uuid
        mine, theirs, nobodys = (
            report(server_name=name, project_id=project)
            for project in (f"{name}-me", f"{name}-them", None)
        )
        stores.store(store, mine, theirs, nobodys)

        def found(**asked):
            servers = objects.ServerNow.list(store, limit=10, name=name, **asked)
            return {now.server.uuid for now in servers}

        assert found() == {each.server_uuid for each in (mine, theirs, nobodys)}
        only = {"project_id": mine.project_id}
        assert found(**only) == {mine.server_uuid}
        assert [m.uuid for m in objects.Migration.list(store, **only)] == [mine.uuid]
        assert objects.Migration.get(store, mine.server_uuid, mine.uuid, **only).uuid == mine.uuid
        for get in (objects.Server.get, objects.ServerNow.get):
            get(store, mine.server_uuid, **only)
        for other in (theirs, nobodys):
            with pytest.raises(exception.NotFound):
                objects.Migration.get(store, other.server_uuid, other.uuid, **only)
            for get in (objects.Server.get, objects.ServerNow.get):
                with pytest.raises(exception.NotFound):
                    get(store, other.server_uuid, **only)
            with pytest.raises(exception.BadRequest, match="marker"):
                objects.Migration.list(store, marker=other.uuid, **only)
            with pytest.raises(exception.BadRequest, match="marker"):
                found(marker=other.server_uuid, **only)
