# SPDX-License-Identifier: Apache-2.0
"""What reports make of migrations."""

import dataclasses

import pytest
import sqlalchemy as sa

from migprog import exception, objects
from migprog.core.fields import MAX_COUNT, MAX_INSTANT
from migprog.core.forecast.verdict import Verdict
from migprog.core.forecast.verdict_reason import VerdictReason
from migprog.core.messages import Ack, Batch, Report
from migprog.core.status import Phase, Status
from migprog.db import models
from migprog.tests import stores
from migprog.tests.store_cases.advice import ACTION, ADVICE
from migprog.tests.stores import START, at, later, migration, report


class Keeping:
    """What is stored is what is read."""

    def test_every_field(self, store):
        full = report(
            sequence=MAX_COUNT,
            server_name="Ωmega 🐎 '; DROP TABLE migrations; --",
            project_id="p" * 255,
            user_id="u",
            percent=42,
            eta_seconds=1.1,
            eta_low_seconds=0.1 + 0.2,
            eta_high_seconds=MAX_INSTANT,
            verdict=Verdict.NOT_CONVERGING,
            verdict_reason=max(VerdictReason, key=len),
            verdict_message="x" * 255,
            memory_total_bytes=MAX_COUNT,
            memory_processed_bytes=1,
            memory_remaining_bytes=0,
            disk_total_bytes=2,
            disk_processed_bytes=3,
            disk_remaining_bytes=4,
            memory_iteration=5,
            throughput_bytes_per_second=6,
            dirty_bytes_per_second=7,
            iteration_start_remaining_bytes=8,
            downtime_needed_seconds=9.5,
            bandwidth_needed_bytes_per_second=123_000_000,
            downtime_limit_seconds=10.5,
            expected_downtime_seconds=10.75,
            cpu_throttle_percent=99,
            vfio_transferred_bytes=2**40,
            disks=(("vda", 2**40, 2**39), ("vdb", 4096, 0)),
            advice=(ADVICE,),
            actions=(ACTION,),
            total_seconds=11.25,
            downtime_seconds=0.000123,
            error="12",
            eta_at_25_seconds=13.5,
            eta_error_at_25_seconds=-14.25,
            eta_in_range_at_25=False,
            eta_at_50_seconds=0.0,
            eta_error_at_50_seconds=-MAX_INSTANT,
            eta_in_range_at_50=True,
            eta_at_75_seconds=MAX_INSTANT,
            eta_error_at_75_seconds=MAX_INSTANT,
            eta_in_range_at_75=False,
            status=Status.FAILED,
            sampled_at=START + 1,
            ended_at=START + 2,
        )
        stores.store(store, full, last_reported_at=START + 3)
        stored = migration(store, full)
        instants = {"started_at", "sampled_at", "ended_at"}
        for field in dataclasses.fields(Report):
            expected = getattr(full, field.name)
            if field.name in instants:
                expected = at(expected)
            assert getattr(stored, field.name) == expected, field.name
            assert type(getattr(stored, field.name)) is type(expected), field.name
        assert isinstance(stored.status, Status)
        assert isinstance(stored.phase, Phase)
        assert isinstance(stored.verdict, Verdict)
        assert isinstance(stored.verdict_reason, VerdictReason)
        assert (stored.source_compute, stored.source_node) == ("source", "source.example.org")
        assert stored.last_reported_at == stored.created_at == stored.updated_at == at(START + 3)

    @pytest.mark.parametrize("seconds", [5e-324, 2.3e-308, -0.0, 1e-7, MAX_INSTANT])
    def test_a_number_as_small_as_can_be(self, store, seconds):
        """A new one and a changed one go to the database by different ways."""
        one = report(eta_seconds=seconds)
        stores.store(store, one)
        assert migration(store, one).eta_seconds == seconds
        stores.store(store, later(one, eta_low_seconds=seconds))
        assert migration(store, one).eta_low_seconds == seconds

    def test_unknown_fields_are_none(self, store):
        bare = report()
        stores.store(store, bare)
        stored = migration(store, bare)
        known = {
            *("id", "uuid", "server_uuid", "source_compute", "source_node", "sequence", "status"),
            *("phase", "started_at", "sampled_at", "last_reported_at", "created_at", "updated_at"),
        }
        assert {k for k, v in dataclasses.asdict(stored).items() if v is not None} == known

    def test_server_has_the_progress_of_the_same_sample(self, store):
        first = report(percent=3, server_name="web", project_id="p", user_id="u")
        stores.store(store, first)
        server = objects.Server.get(store, first.server_uuid.upper())
        assert (server.name, server.project_id, server.user_id) == ("web", "p", "u")
        assert (server.host, server.progress) == ("source", 3)
        assert server.sampled_at == migration(store, first).sampled_at == at(first.sampled_at)
        assert server.migration_uuid == first.uuid

    def test_names_outlast_a_report_without_them(self, store):
        first = report(server_name="web", project_id="p", user_id="u", verdict_message="slow")
        stores.store(store, first)
        nameless = {"server_name": None, "project_id": None, "user_id": None}
        stores.store(store, later(first, verdict_message=None, **nameless))
        stored = migration(store, first)
        assert (stored.server_name, stored.project_id, stored.user_id) == ("web", "p", "u")
        assert stored.verdict_message is None
        assert objects.Server.get(store, first.server_uuid).name == "web"

    def test_text_is_compared_exactly(self, store):
        mine, other = report(project_id="Straße"), report(project_id="strasse")
        stores.store(store, mine, other)
        for each in (mine, other):
            listed = objects.Migration.list(store, project_id=each.project_id)
            assert [m.uuid for m in listed if m.uuid in (mine.uuid, other.uuid)] == [each.uuid]

    def test_a_word_of_a_later_version_is_read_as_the_nearest_that_is_known(self, store):
        """A newer conductor beside us, or one that was there before us, has stored it."""
        running, ended = report(), report(status=Status.FAILED, ended_at=START + 2)
        stores.store(store, running, ended)
        stores.store(store, later(running, 5))
        later_words = {"status": "frozen", "phase": "device-state", "verdict": "slow-network"}
        later_words["verdict_reason"] = "cable-unplugged"
        for one in (running, ended):
            changed = sa.update(models.Migration).where(models.Migration.uuid == one.uuid)
            with store.writing() as connection:
                connection.execute(changed.values(later_words))
        found = [migration(store, one) for one in (running, ended)]
        assert [(each.status, each.phase, each.verdict) for each in found] == [
            (Status.RUNNING, Phase.MEMORY_ITERATIONS, None),
            (Status.UNKNOWN, Phase.DONE, None),
        ]
        assert {each.verdict_reason for each in found} == {None}
        assert objects.Point.list(store, found[0])[-1].phase is Phase.MEMORY_ITERATIONS
        assert objects.ServerNow.get(store, running.server_uuid).migrates


class Guarding:
    """Late, repeated and impossible reports change nothing, and are settled."""

    def test_newer_replaces(self, store):
        first = report()
        stores.store(store, first, last_reported_at=START)
        newer = later(first, sequence=5, memory_iteration=7)
        stores.store(store, newer, last_reported_at=START + 9)
        stored = migration(store, first)
        assert (stored.sequence, stored.memory_iteration) == (5, 7)
        assert (stored.created_at, stored.last_reported_at) == (at(START), at(START + 9))

    @pytest.mark.parametrize("sequence", [4, 5])
    def test_late_and_repeated_change_nothing(self, store, sequence):
        stored_one = report(sequence=5, percent=50)
        stores.store(store, stored_one)
        before = migration(store, stored_one), objects.Server.get(store, stored_one.server_uuid)
        late = later(stored_one, sequence=sequence, percent=60, verdict_message="late")
        assert stores.store(store, late, last_reported_at=START + 999).refused == {}
        assert (migration(store, late), objects.Server.get(store, late.server_uuid)) == before

    def test_an_end_is_final(self, store):
        ended = report(sequence=5, status=Status.CANCELLED)
        stores.store(store, ended)
        ack = stores.store(store, later(ended, sequence=6, status=Status.COMPLETED))
        assert ack.refused == {}, "repeated it would change nothing either"
        assert migration(store, ended).status is Status.CANCELLED
        assert migration(store, ended).sequence == 5

    def test_how_good_the_forecasts_were_is_there_with_the_end_and_stays(self, store):
        running = report(eta_seconds=5.0)
        compared = {
            "eta_at_25_seconds": 3.0,
            "eta_error_at_25_seconds": -1.5,
            "eta_in_range_at_25": False,
            "eta_at_75_seconds": 1.0,
            "eta_error_at_75_seconds": 0.25,
            "eta_in_range_at_75": True,
        }
        ended = later(running, sequence=5, status=Status.COMPLETED, **compared)
        # An agent of before says nothing of it, and neither does a report that comes too late.
        late = (later(running, sequence=4), later(running, sequence=6, status=Status.COMPLETED))
        for told in ((running,), (ended,), late, (ended, running)):
            stores.store(store, *told)
        stored = migration(store, running)
        assert {name: getattr(stored, name) for name in compared} == compared
        assert stored.eta_at_50_seconds is stored.eta_in_range_at_50 is None

    def test_store_returns_what_a_batch_changed(self, store):
        first, other = report(), report(status=Status.FAILED)
        completed = later(first, sequence=9, status=Status.COMPLETED)

        def told(*reports):
            stored = objects.store_batch(store, Batch(host="h", node="h", reports=reports), START)
            return stored.reports, stored.ends

        assert told(first, other) == (2, (other,))
        assert told(later(first), first) == (1, ())
        assert told(later(first, sequence=3), completed) == (2, (completed,))
        assert told(completed, later(completed), later(first), other) == (0, ())

    def test_unknown_end_is_resolved_later(self, store):
        lost = report(status=Status.UNKNOWN)
        stores.store(store, lost)
        stores.store(store, later(lost, status=Status.COMPLETED))
        assert migration(store, lost).status is Status.COMPLETED

    def test_another_server_is_not_taken_over(self, store):
        mine, other = report(), report()
        stores.store(store, mine)
        stores.store(store, later(mine, server_uuid=other.server_uuid))
        with pytest.raises(exception.NotFound):
            objects.Server.get(store, other.server_uuid)
        assert migration(store, mine).sequence == 1

    def test_one_batch_with_several_of_one_migration(self, store):
        first = report(percent=7)
        ended = later(first, sequence=3, status=Status.COMPLETED, percent=None)
        ack = stores.store(store, ended, later(first, percent=5), first)
        assert ack.refused == {}
        stored = migration(store, first)
        assert (stored.sequence, stored.status, stored.percent) == (3, Status.COMPLETED, 7)

    def test_percent_never_goes_back(self, store):
        one = report(percent=10)
        seen = []
        for sequence, percent in enumerate([10, None, 5, 12, None], start=1):
            stores.store(store, later(one, sequence=sequence, percent=percent))
            seen.append(migration(store, one).percent)
            assert objects.Server.get(store, one.server_uuid).progress == seen[-1]
        assert seen == [10, 10, 10, 12, 12]

    def test_an_empty_batch(self, store):
        assert stores.store(store) == Ack()
