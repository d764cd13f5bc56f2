# SPDX-License-Identifier: Apache-2.0
"""Nova's own names of migrations."""

import dataclasses
import uuid

import pytest

from migprog import exception, objects
from migprog.core.status import Status
from migprog.tests import stores
from migprog.tests.stores import START, arrival, later, migration, report


def _name(store, which, number, nova_uuid=None, **values):
    record = stores.nova_record(which, number, uuid=nova_uuid or str(uuid.uuid4()), **values)
    named = objects.name(store, migration(store, which), record, START + 200)
    return record.uuid if named else None


class NovaIdLookup:
    """Nova's own names of migrations."""

    def test_a_name_is_kept_whatever_is_told_later(self, store):
        first = report()
        stores.store(store, first)
        old = migration(store, first)
        assert (old.nova_id, old.nova_uuid) == (None, None)
        theirs = _name(store, first, 17)
        named = migration(store, first)
        assert named == dataclasses.replace(
            old,
            nova_id=17,
            nova_uuid=theirs,
            nova_user_id="admin",
            nova_project_id="admins",
            nova_record=objects.NovaRecord.of(
                stores.nova_record(first, 17, uuid=theirs), is_alone=True
            ),
            updated_at=stores.at(START + 200),
        )
        stores.store(store, later(first))
        stores.store(store, arrival(first.server_uuid), host="dest")
        stores.store(store, later(first, sequence=9, status=Status.COMPLETED))
        named = migration(store, first)
        assert (named.nova_id, named.nova_uuid) == (17, theirs)
        assert (named.nova_user_id, named.nova_record.dest_compute) == ("admin", "dest")
        assert (named.status, named.dest_compute) == (Status.COMPLETED, "dest")

    def test_it_is_one_migrations_alone(self, store, other_store):
        one, other = report(), report()
        stores.store(store, one, other)
        theirs = _name(store, one, 17)
        assert _name(other_store, other, 17, theirs) is None
        assert migration(store, other).nova_uuid is None
        # To learn it again changes nothing.
        assert _name(other_store, one, 17, theirs) == theirs

    def test_found_by_novas_names(self, store):
        project = str(uuid.uuid4())
        first, unnamed, last = (report(project_id=project) for _ in range(3))
        for each in (first, unnamed, last):
            stores.store(store, each)
        # A number that is also our own, of another.
        number = migration(store, unnamed).id
        names = [_name(store, first, number), _name(store, last, number + 1)]

        def get(which, **more):
            return objects.Migration.get(
                store, first.server_uuid, which, named_in_nova=True, **more
            ).uuid

        assert get(str(number)) == get(names[0]) == first.uuid
        assert get(str(number), project_id=project) == first.uuid
        for absent in (str(number + 1), first.uuid, names[1], str(migration(store, first).id)):
            if absent != str(number):
                with pytest.raises(exception.NotFound):
                    get(absent)
        with pytest.raises(exception.NotFound):
            get(str(number), project_id="another")

        def found(**asked):
            listed = objects.Migration.list(store, project_id=project, named_in_nova=True, **asked)
            return [each.uuid for each in listed]

        assert found() == found(in_progress=True) == [last.uuid, first.uuid]
        assert found(limit=1) == [last.uuid]
        assert found(marker=names[1]) == [first.uuid]
        assert found(changed_since=stores.at(START)) == [last.uuid, first.uuid]
        assert found(host="source") == [last.uuid, first.uuid]
        with pytest.raises(exception.BadRequest):
            found(marker=last.uuid)
        marks = objects.ResourceVersion.list(store, project_id=project, named_in_nova=True)
        assert [mark.id for mark in marks] == [migration(store, e).id for e in (last, first)]

    def test_found_by_who_asked_nova_for_it(self, store):
        owner, admins, user = (str(uuid.uuid4()) for _ in range(3))
        one, other, last = (report(project_id=owner, user_id=owner) for _ in range(3))
        for each in (one, other, last):
            stores.store(store, each)
        _name(store, one, 1, project_id=admins, user_id=user)
        _name(store, other, 2, project_id=admins, user_id=None)
        _name(store, last, 3, project_id=None, user_id=user)
        stores.store(store, later(other, status=Status.COMPLETED))

        def found(**asked):
            return [each.uuid for each in objects.Migration.list(store, **asked)]

        assert found(nova_project_id=admins) == [other.uuid, one.uuid]
        assert found(nova_user_id=user) == [last.uuid, one.uuid]
        assert found(nova_user_id=user, nova_project_id=admins) == [one.uuid]
        assert found(nova_project_id=admins, status=Status.COMPLETED) == [other.uuid]
        assert found(nova_project_id=admins, in_progress=True) == [one.uuid]
        since = stores.at(START)
        assert found(nova_project_id=admins, changed_since=since) == [other.uuid, one.uuid]
        assert found(nova_project_id=admins, host="source", in_progress=True) == [one.uuid]
        assert found(nova_project_id=owner) == found(nova_user_id=owner) == []
        for more in ({"host": "source"}, {"sort_key": "ended_at"}):
            with pytest.raises(exception.NotTogether):
                found(nova_project_id=admins, **more)

    def test_unnamed_returns_those_in_progress_or_ended_lately_without_a_record(self, store):
        named, unnamed, over, failed = report(), report(), report(), report()
        for each in (named, unnamed, over, failed):
            stores.store(store, each)
        _name(store, named, 1)
        stores.store(store, later(over, status=Status.FAILED, ended_at=over.sampled_at + 5))
        ended = later(failed, status=Status.FAILED, ended_at=failed.sampled_at + 5)
        stores.store(store, ended)
        _name(store, failed, 2)

        def found(since, limit=10_000):
            return {each for _server, each in objects.unnamed(store, since, limit)}

        ours = {each.uuid for each in (named, unnamed, over, failed)}
        assert found(ended.ended_at) & ours == {unnamed.uuid, over.uuid}
        assert found(ended.ended_at + 1) & ours == {unnamed.uuid}
        assert len(objects.unnamed(store, ended.ended_at + 1e9, 1)) == 1
