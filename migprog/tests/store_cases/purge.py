# SPDX-License-Identifier: Apache-2.0
"""Deleting what is old. Each case has a store of its own: what is in it is counted."""

import itertools
import threading

import pytest

from migprog import exception, objects
from migprog.core.messages import Batch
from migprog.core.status import ENDED, Status
from migprog.objects.purge import PURGE_BATCH
from migprog.tests import stores
from migprog.tests.store_cases.agents import AGENT
from migprog.tests.stores import START, at, later, migration, report

_DAY = 86_400.0
OLD = START - 365 * _DAY


def _course(count, ended=Status.COMPLETED):
    """A migration's reports, one a second, each with a point of its history but for the first."""
    first = report(started_at=OLD)
    told = [later(first, sequence=n) for n in range(1, count)]
    return [*told, later(first, sequence=count, status=ended)]


def _gone(store, *reports):
    for each in reports:
        with pytest.raises(exception.NotFound):
            migration(store, each)
    return True


def _purge(store, **how):
    return objects.purge(store, at(OLD + _DAY), **({"now": at(START + _DAY)} | how))


class _Meanwhile:
    """A store where something happens between what a purge reads and what it deletes."""

    def __init__(self, store, happens):
        self._store, self._happens = store, happens
        self.read = store.read

    def write(self, work):
        self._happens()
        return self._store.write(work)


class Purging:
    def test_purge_deletes_ended_migrations_with_their_history(self, store):
        course = _course(5)
        for each in course:
            stores.store(store, each, last_reported_at=OLD)
        recent = report(started_at=OLD)
        stores.store(store, later(recent, status=Status.FAILED), last_reported_at=OLD + _DAY)
        id_ = migration(store, course[0]).id
        would = _purge(store, dry_run=True)
        assert len(store.read(lambda reader: reader.history(id_))) == 4
        assert _purge(store) == would == objects.Purged(migrations=1, points=4, servers=1)
        assert _gone(store, course[0])
        assert store.read(lambda reader: reader.history(id_)) == []
        with pytest.raises(exception.NotFound):
            objects.Server.get(store, course[0].server_uuid)
        assert migration(store, recent)
        assert objects.Server.get(store, recent.server_uuid)
        assert _purge(store) == objects.Purged()

    def test_of_every_end(self, store):
        ends = [report(started_at=OLD, status=status) for status in sorted(ENDED)]
        stores.store(store, *ends, last_reported_at=OLD)
        assert _purge(store).migrations == len(ends)
        assert _gone(store, *ends)

    def test_a_server_that_moved_again_stays(self, store):
        first = report(started_at=OLD, status=Status.COMPLETED)
        again = report(started_at=OLD + _DAY, server_uuid=first.server_uuid)
        stores.store(store, first, last_reported_at=OLD)
        stores.store(store, again, last_reported_at=OLD + _DAY)
        assert _purge(store) == objects.Purged(migrations=1)
        assert objects.Server.get(store, first.server_uuid).migration_uuid == again.uuid

    def test_by_the_conductors_clock(self, store):
        """A hypervisor's may be wrong, and an end be reported long after."""
        late = report(started_at=OLD, status=Status.COMPLETED, ended_at=OLD + 1)
        ahead = report(started_at=OLD + 6 * _DAY, status=Status.COMPLETED, ended_at=OLD + 6 * _DAY)
        stores.store(store, late, last_reported_at=OLD + _DAY)
        stores.store(store, ahead, last_reported_at=OLD)
        assert _purge(store).migrations == 1
        assert _gone(store, ahead)
        assert migration(store, late)

    def test_purge_keeps_and_counts_migrations_in_progress_unless_requested(self, store):
        lost = report(started_at=OLD)
        stores.store(store, lost, last_reported_at=OLD)
        assert _purge(store) == objects.Purged(silent=1)
        assert _purge(store, dry_run=True) == objects.Purged(silent=1)
        assert migration(store, lost).status is Status.RUNNING
        alive = report(started_at=OLD)
        stores.store(store, alive, last_reported_at=OLD)
        stores.store(store, later(alive), last_reported_at=OLD + _DAY)
        would = _purge(store, in_progress_too=True, dry_run=True)
        assert _purge(store, in_progress_too=True) == would
        assert would == objects.Purged(migrations=1, servers=1)
        assert _gone(store, lost)
        assert migration(store, alive)

    def test_agents(self, store):
        silent, alive = f"silent-{OLD}", f"alive-{OLD}"
        for host, last_reported_at in ((silent, OLD), (alive, OLD + _DAY)):
            objects.store_batch(store, Batch(host=host, node="n", agent=AGENT), last_reported_at)
        assert _purge(store, dry_run=True) == objects.Purged(agents=1)
        assert _purge(store) == objects.Purged(agents=1)
        hosts = {agent.host for agent in objects.Agent.list(store)}
        assert (silent in hosts, alive in hosts) == (False, True)

    def test_in_many_short_transactions(self, store):
        count = 2 * PURGE_BATCH + 1
        ends = [report(started_at=OLD, status=Status.COMPLETED) for _ in range(count)]
        stores.store(store, *ends, last_reported_at=OLD)
        told: list[objects.Purged] = []
        assert _purge(store, progress=told.append).migrations == count
        steps = [after.migrations - before.migrations for before, after in itertools.pairwise(told)]
        assert max(told[0].migrations, *steps) <= PURGE_BATCH
        assert sum(step > 0 for step in [told[0].migrations, *steps]) >= 3

    def test_purge_continues_after_records_that_it_keeps(self, store):
        lost = [report(started_at=OLD) for _ in range(PURGE_BATCH)]
        stores.store(store, *lost, last_reported_at=OLD)
        ended = report(started_at=OLD, status=Status.COMPLETED)
        stores.store(store, ended, last_reported_at=OLD)
        assert _purge(store) == objects.Purged(migrations=1, servers=1, silent=len(lost))

    def test_purge_continues_after_records_of_a_conductor_whose_clock_was_ahead(self, store):
        ahead = [report(status=Status.COMPLETED) for _ in range(PURGE_BATCH)]
        stores.store(store, *ahead, last_reported_at=START + 700 * _DAY)
        ended = report(started_at=OLD, status=Status.COMPLETED)
        stores.store(store, ended, last_reported_at=OLD)
        assert _purge(store).migrations == 1
        assert _gone(store, ended)

    def test_purge_does_not_read_young_records(self, store):
        stores.store(store, report(started_at=OLD, status=Status.COMPLETED), last_reported_at=OLD)
        for _ in range(4):
            young = [report(status=Status.COMPLETED) for _ in range(PURGE_BATCH)]
            stores.store(store, *young)
        with stores.statements(store) as sent:
            assert _purge(store).migrations == 1
        # The page with the old one, and the next.
        assert sum("created_at" in s and "FOR UPDATE" not in s for s in sent) <= 3

    def test_purge_keeps_records_that_are_reported_meanwhile(self, store):
        lost = report(started_at=OLD, status=Status.UNKNOWN)
        stores.store(store, lost, last_reported_at=OLD)

        def is_settled():
            stores.store(store, later(lost, status=Status.COMPLETED), last_reported_at=OLD + _DAY)

        assert _purge(_Meanwhile(store, is_settled)) == objects.Purged()
        assert migration(store, lost).status is Status.COMPLETED
        assert objects.Server.get(store, lost.server_uuid).migration_uuid == lost.uuid

    def test_an_agent_that_is_back_meanwhile_stays(self, store):
        told = Batch(host="back", node="n", agent=AGENT)
        objects.store_batch(store, told, OLD)
        back = _Meanwhile(store, lambda: objects.store_batch(store, told, OLD + _DAY))
        assert _purge(back) == objects.Purged()
        assert [agent.host for agent in objects.Agent.list(store)] == ["back"]

    @pytest.mark.timeout(120)
    def test_beside_conductors(self, store, other_store):
        """What is reported meanwhile stays, whole; nothing fails."""
        ended = [report(started_at=OLD, status=Status.UNKNOWN) for _ in range(300)]
        running = [report(started_at=OLD) for _ in range(100)]
        stores.store(store, *ended, *running, last_reported_at=OLD)
        settled = [later(each, status=Status.COMPLETED) for each in ended[::2]]
        alive = [later(each, sequence=n) for n in range(2, 6) for each in running]
        errors: list[BaseException] = []

        def conduct(entries) -> None:
            try:
                while entries:
                    some, entries = entries[:25], entries[25:]
                    stores.store(other_store, *some, last_reported_at=OLD + 2 * _DAY)
            except BaseException as error:
                errors.append(error)

        def purge() -> None:
            try:
                for _ in range(3):
                    _purge(store, in_progress_too=True)
            except BaseException as error:
                errors.append(error)

        jobs = [(conduct, (settled,)), (conduct, (alive,)), (purge, ()), (purge, ())]
        threads = [threading.Thread(target=job, args=arguments) for job, arguments in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        for each in (*settled, *running):
            stored, server = migration(store, each), objects.Server.get(store, each.server_uuid)
            assert stored.last_reported_at == at(OLD + 2 * _DAY)
            assert (server.migration_uuid, server.sampled_at) == (stored.uuid, stored.sampled_at)
        assert _gone(store, *ended[1::2])
