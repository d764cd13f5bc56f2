# SPDX-License-Identifier: Apache-2.0
"""Nova's own names of migrations."""

import dataclasses
import uuid

import pytest

from migprog import exception, objects
from migprog.core.nova import NovaMigration
from migprog.core.status import Status
from migprog.tests import stores
from migprog.tests.stores import START, arrival, later, migration, report


def _name(store, which, number, nova_uuid=None):
    record = NovaMigration(
        id=number,
        uuid=nova_uuid or str(uuid.uuid4()),
        migration_type="live-migration",
        status="running",
        source_compute="source",
        source_node=None,
        dest_compute=None,
        created_at=stores.at(START),
        updated_at=None,
    )
    named = objects.name(store, migration(store, which), record, START + 200)
    return record.uuid if named else None


class Naming:
    """Nova's own names of migrations."""

    def test_a_name_is_kept_whatever_is_told_later(self, store):
        first = report()
        stores.store(store, first)
        old = migration(store, first)
        assert (old.nova_id, old.nova_uuid) == (None, None)
        theirs = _name(store, first, 17)
        named = migration(store, first)
        assert named == dataclasses.replace(
            old, nova_id=17, nova_uuid=theirs, updated_at=stores.at(START + 200)
        )
        stores.store(store, later(first))
        stores.store(store, arrival(first.server_uuid), host="dest")
        stores.store(store, later(first, sequence=9, status=Status.COMPLETED))
        named = migration(store, first)
        assert (named.nova_id, named.nova_uuid) == (17, theirs)
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
        marks = objects.Mark.list(store, project_id=project, named_in_nova=True)
        assert [mark.id for mark in marks] == [migration(store, e).id for e in (last, first)]
