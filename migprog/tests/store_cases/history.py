# SPDX-License-Identifier: Apache-2.0
"""What is kept of how a migration went."""

import dataclasses

import sqlalchemy as sa

from migprog import objects
from migprog.core import downsampling
from migprog.core.fields import MAX_COUNT, MAX_INSTANT
from migprog.core.forecast.verdict import Verdict
from migprog.core.status import Phase, Status
from migprog.db import models
from migprog.objects.history import FIELDS
from migprog.tests import stores
from migprog.tests.stores import START, at, later, migration, report


def points(store, told):
    return objects.Point.list(store, migration(store, told))


class Remembering:
    def test_every_field_of_a_point(self, store):
        first = report()
        full = later(
            first,
            sequence=2,
            phase=Phase.MEMORY_FIRST_ITERATION,
            percent=42,
            eta_seconds=1.5,
            eta_low_seconds=0.1 + 0.2,
            eta_high_seconds=MAX_INSTANT,
            verdict=Verdict.NOT_CONVERGING,
            memory_processed_bytes=MAX_COUNT,
            memory_remaining_bytes=0,
            disk_processed_bytes=1,
            disk_remaining_bytes=2,
            memory_iteration=3,
            iteration_start_remaining_bytes=4,
            throughput_bytes_per_second=5,
            dirty_bytes_per_second=6,
            cpu_throttle_percent=99,
        )
        for each in (first, full, later(first, sequence=5)):
            stores.store(store, each)
        point, latest = points(store, first)
        told = {name: getattr(full, name) for name in FIELDS}
        assert dataclasses.asdict(point) == told | {"sampled_at": at(full.sampled_at)}
        assert latest.sampled_at == at(START + 5)
        assert latest.percent == 42

    def test_the_longest_point_has_its_place(self, store):
        first = report()
        counts = {name: MAX_COUNT for name in FIELDS if name.endswith(("_bytes", "_per_second"))}
        seconds = {name: 1_234_567_890.123456 for name in FIELDS if name.startswith("eta_")}
        longest = later(
            first,
            status=Status.POST_COPY,
            phase=max(Phase, key=len),
            verdict=max(Verdict, key=len),
            memory_iteration=MAX_COUNT,
            percent=99,
            cpu_throttle_percent=99,
            **counts,
            **seconds,
        )
        stores.store(store, first)
        stores.store(store, longest)
        stores.store(store, later(longest))
        assert points(store, first)[0].memory_processed_bytes == MAX_COUNT

    def test_many_reports_a_second_make_one_point(self, store):
        first = report()
        stores.store(store, first)
        for sequence in range(2, 12):
            told = later(first, sequence=sequence, sampled_at=START + 2 + sequence / 100)
            stores.store(store, told)
        kept, latest = points(store, first)
        assert (kept.sampled_at, latest.sampled_at) == (at(START + 2.02), at(START + 2.11))

    def test_verdict_that_lasts_a_moment_is_a_point_of_its_own(self, store):
        first = report(verdict=Verdict.STARTING)
        stores.store(store, first)
        said = (Verdict.COPYING, Verdict.NOT_CONVERGING, Verdict.CONVERGING, Verdict.CONVERGING)
        for sequence, verdict in enumerate(said, 2):
            age = 2 + sequence / 100
            told = later(first, sequence=sequence, sampled_at=START + age, verdict=verdict)
            stores.store(store, told)
        last = later(
            first,
            sequence=9,
            sampled_at=START + 2.5,
            ended_at=START + 2.5,
            status=Status.CANCELLED,
            phase=Phase.DONE,
            verdict=Verdict.ENDED,
        )
        stores.store(store, last)
        kept = [each.verdict for each in points(store, first)]
        # The first of three changes in one step is of the same kind as the last.
        assert kept == [Verdict.NOT_CONVERGING, Verdict.CONVERGING, Verdict.ENDED]

    def test_verdicts_of_one_transaction_are_points_each(self, store):
        first = report(verdict=Verdict.COPYING)
        stores.store(store, first)
        bad = later(first, sequence=2, sampled_at=START + 1, verdict=Verdict.NOT_CONVERGING)
        good = later(first, sequence=3, sampled_at=START + 1.5, verdict=Verdict.CONVERGING)
        stores.store(store, bad, good, later(good, sequence=4, sampled_at=START + 1.7))
        kept = [each.verdict for each in points(store, first)]
        assert kept == [Verdict.NOT_CONVERGING, Verdict.CONVERGING, Verdict.CONVERGING]

    def test_a_day_is_kept_as_well_as_a_minute(self, store):
        first = report()
        stores.store(store, first)
        seconds = [10.0 * 1.02**n for n in range(500) if 10.0 * 1.02**n < 86_400]
        for sequence, age in enumerate(seconds, 2):
            stores.store(store, later(first, sequence=sequence, sampled_at=START + age))
        kept = points(store, first)
        assert len(kept) <= downsampling.MOST_POINTS + 1
        assert kept[-1].sampled_at == at(START + seconds[-1])
        assert [each.sampled_at for each in kept] == sorted({each.sampled_at for each in kept})
        with store.engine.connect() as connection:
            numbers = sorted(
                connection.scalars(
                    sa.select(models.History.number).where(
                        models.History.migration_id == migration(store, first).id
                    )
                )
            )
        step = downsampling.step_seconds(seconds[-1])
        assert len({number // step for number in numbers}) == len(numbers) > 10

    def test_many_points_are_dropped_at_once(self, store):
        """As when a thousand migrations that began together have outgrown theirs."""
        store.write(lambda writer: writer.drop_history([(1, number) for number in range(15_000)]))

    def test_late_report_makes_no_point_of_the_history(self, store):
        first = report()
        for sequence in (1, 20, 5, 20):
            stores.store(store, later(first, sequence=sequence))
        assert [each.sampled_at for each in points(store, first)] == [at(START + 20)]

    def test_each_has_its_own(self, store):
        one, other = report(), report()
        stores.store(store, one, other)
        stores.store(store, later(one, sequence=3, percent=1), later(other, sequence=4, percent=2))
        stores.store(store, later(one, sequence=7), later(other, sequence=8))
        assert [each.percent for each in points(store, one)] == [1, 1]
        assert [each.percent for each in points(store, other)] == [2, 2]

    def test_a_clock_set_back_does_no_harm(self, store):
        first = report()
        for sequence, age in enumerate((0, 10, 20, -3600, 5, 10, 30), 1):
            told = later(first, sequence=sequence, sampled_at=START + age, percent=sequence)
            stores.store(store, told)
        assert [each.percent for each in points(store, first)] == [5, 6, 3, 7]
