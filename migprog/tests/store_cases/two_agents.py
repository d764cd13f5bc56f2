# SPDX-License-Identifier: Apache-2.0
"""Two agents of one hypervisor, which do not see each other, report the same jobs."""

import dataclasses
import itertools

import pytest

from migprog import objects
from migprog.core.messages import Agent, Batch
from migprog.core.status import ENDED, Status
from migprog.tests.store_cases.many_at_once import at_once
from migprog.tests.stores import START, later, migration, report


def twin(first, **values):
    """The same job as another agent reports it."""
    other = report(server_uuid=first.server_uuid, started_at=first.started_at + 0.05)
    return dataclasses.replace(other, **values)


def records(store, first):
    return objects.Migration.list(store, server_uuid=first.server_uuid)


def tell(store, report, last_reported_at=START + 10, host="source"):
    return objects.store_batch(store, Batch(host, host, reports=(report,)), last_reported_at)


class Doubling:
    """One job has one record: that of the agent that reported it first."""

    def test_second_agents_report_makes_no_record_and_is_acknowledged(self, store):
        mine = report(percent=10)
        other = twin(mine, percent=20)
        tell(store, mine)
        for sequence in (1, 2, 3):
            stored = tell(store, later(other, sequence))
            assert stored.ack.refused == {}
            assert (stored.reports, stored.appeared) == (0, ())
            assert [each.reason for each in stored.refused] == ["duplicate"]
        (record,) = records(store, mine)
        assert (record.uuid, record.sequence, record.percent) == (mine.uuid, 1, 10)
        assert tell(store, later(mine, 2, percent=11)).reports == 1

    def test_both_in_one_transaction(self, store):
        mine = report()
        heard = [
            objects.ReceivedBatch(Batch("h", "h", reports=(each,)), START + 9)
            for each in (mine, twin(mine), later(mine, 2), later(twin(mine), 2))
        ]
        objects.store_batches(store, heard)
        assert [each.uuid for each in records(store, mine)] == [mine.uuid]
        assert migration(store, mine).sequence == 2

    @pytest.mark.timeout(120)
    def test_two_conductors_at_once_make_one_record(self, store, other_store):
        firsts = [report() for _ in range(30)]
        twins = [twin(each) for each in firsts]

        def conduct(to, reports):
            for each in reports:
                tell(to, each)

        at_once(lambda: conduct(store, firsts), lambda: conduct(other_store, twins))
        assert [len(records(store, each)) for each in firsts] == [1] * 30

    @pytest.mark.parametrize("status", sorted(ENDED))
    @pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
    def test_end_of_either_agent_ends_the_record(self, store, status, order):
        mine = report(percent=10)
        other = twin(mine)
        tell(store, mine)
        ends = [
            later(each, 5 + number, status, ended_at=START + 8, total_seconds=8.0)
            for number, each in enumerate((mine, other))
        ]
        told = [tell(store, ends[number]).ends for number in order]
        assert [len(each) for each in told] == [1, 0]
        (record,) = records(store, mine)
        assert (record.uuid, record.status, record.total_seconds) == (mine.uuid, status, 8.0)

    def test_where_the_first_has_died_the_second_goes_on(self, store):
        agent = Agent(
            version="1",
            started_at=START,
            report_interval_seconds=5.0,
            heartbeat_interval_seconds=10.0,
            migrations=1,
        )
        objects.store_batch(store, Batch("lone", "lone", agent=agent), START)
        mine = report(percent=10)
        other = twin(mine)
        tell(store, mine, START + 1, "lone")
        told = [
            tell(store, later(other, sequence, percent=20 + sequence), START + after, "lone")
            for sequence, after in ((2, 21), (3, 22), (4, 42), (5, 43))
        ]
        # Two heartbeats after each report that was taken.
        assert [each.reports for each in told] == [0, 1, 0, 1]
        (record,) = records(store, mine)
        assert (record.percent, record.sequence) == (25, 3)
        tell(store, later(other, 6, Status.FAILED, ended_at=START + 45), START + 46, "lone")
        assert [each.status for each in records(store, mine)] == [Status.FAILED]
        # The first is back, and has not seen the end.
        tell(store, later(mine, 257, Status.UNKNOWN), START + 50, "lone")
        assert [each.status for each in records(store, mine)] == [Status.FAILED]

    @pytest.mark.parametrize(
        ("started_after", "host"), [(1.1, "source"), (-1.1, "source"), (0.05, "another")]
    )
    def test_another_job_has_a_record_of_its_own(self, store, started_after, host):
        mine = report()
        tell(store, mine)
        other = report(server_uuid=mine.server_uuid, started_at=START + started_after)
        assert tell(store, other, host=host).appeared == (other,)
        assert len(records(store, mine)) == 2

    def test_one_begun_again_at_once_has_a_record_of_its_own(self, store):
        """Its first report and the end of the one before leave in one message."""
        mine = report()
        tell(store, mine)
        end = later(mine, 4, Status.CANCELLED, ended_at=START + 0.6)
        again = report(server_uuid=mine.server_uuid, started_at=START + 0.7)
        batch = Batch("source", "source", reports=(again, end))
        assert objects.store_batch(store, batch, START + 2).appeared == (again,)
        assert {each.status for each in records(store, mine)} == {Status.CANCELLED, Status.RUNNING}

    def test_agent_that_lost_its_checkpoint_continues_in_another_record(self, store):
        """It could not read what it had kept, says so, and has found the job again before."""
        mine = report()
        tell(store, mine)
        again = twin(mine)
        assert tell(store, again).reports == 0
        tell(store, later(mine, 257, Status.UNKNOWN, ended_at=START + 4))
        assert tell(store, later(again, 2, percent=50)).reports == 1
        assert {each.status for each in records(store, mine)} == {Status.UNKNOWN, Status.RUNNING}
