# SPDX-License-Identifier: Apache-2.0
"""Many at once."""

import dataclasses
import functools
import random
from collections.abc import Callable
from concurrent import futures

import pytest

from migprog import objects
from migprog.core.messages import ArrivalState, Report
from migprog.core.status import Status
from migprog.tests import stores
from migprog.tests.stores import START, arrival, lasting, later, migration, report


def at_once(*works: Callable[[], object]) -> None:
    """Each in a thread of its own; what one of them raises."""
    with futures.ThreadPoolExecutor(len(works)) as threads:
        for done in [threads.submit(work) for work in works]:
            done.result()


class Together:
    """Two conductors at once."""

    @pytest.mark.timeout(120)
    def test_interleaved_batches(self, store, other_store):
        """Each report reaches one of them or both, in any order and company."""
        chance = random.Random(42)
        firsts = [report(percent=0) for _ in range(12)]
        told = [
            later(first, sequence=number, percent=number, status=status)
            for first in firsts
            for number, status in [
                *((n, Status.RUNNING) for n in range(1, 9)),
                (9, Status.COMPLETED),
            ]
        ]
        arrivals = [arrival(first.server_uuid) for first in firsts]
        stores_and_seeds = [(to, chance.random()) for to in (store, other_store, store)]

        def conduct(to, seed: float) -> None:
            entries = [*told, *arrivals]
            random.Random(seed).shuffle(entries)
            while entries:
                size = random.Random(len(entries)).randint(1, 20)
                batch, entries = entries[:size], entries[size:]
                stores.store(to, *(e for e in batch if isinstance(e, Report)))
                stores.store(to, *(e for e in batch if e in arrivals), host="dest")

        at_once(*(functools.partial(conduct, *each) for each in stores_and_seeds))
        stores.store(store, *arrivals, host="dest")
        for first in firsts:
            stored = migration(store, first)
            assert (stored.sequence, stored.percent, stored.status) == (9, 9, Status.COMPLETED)
            server = objects.Server.get(store, first.server_uuid)
            assert (server.sampled_at, server.progress) == (stored.sampled_at, 9)
            assert (stored.dest_compute, server.host) == ("dest", "dest")

    @pytest.mark.timeout(120)
    def test_source_reports_while_the_arrival_creates_a_record(self, store, other_store):
        """Of each migration one record comes of it, that names both hosts."""
        ends = [
            later(report(server_uuid=server), 2, Status.COMPLETED, ended_at=START + 5)
            for server in [report().server_uuid for _ in range(30)]
        ]
        arrivals = [
            dataclasses.replace(
                arrival(end.server_uuid, START + 5, ArrivalState.RESUMED),
                complete=True,
                total_seconds=4.5,
                unmatched_seconds=60.0,
            )
            for end in ends
        ]

        def arrive() -> None:
            for each in arrivals:
                # Agents repeat it until a conductor acknowledges it.
                while each.server_uuid not in stores.store(other_store, each, host="dest").arrived:
                    pass

        def tell() -> None:
            for each in ends:
                stores.store(store, each)

        at_once(arrive, tell, tell)
        for end in ends:
            (record,) = objects.Migration.list(store, server_uuid=end.server_uuid)
            assert (record.uuid, record.status) == (end.uuid, Status.COMPLETED)
            assert (record.source_compute, record.dest_compute) == ("source", "dest")

    def test_statements_do_not_grow_with_the_batch(self, store):
        """Of new migrations, and of known ones with as many arrivals."""
        counts = {}
        for size in (1, 20, 200):
            firsts = [report() for _ in range(size)]
            with stores.statements(store) as created:
                stores.store(store, *firsts)
            with stores.statements(store) as updated:
                stores.store(store, *(later(first) for first in firsts))
            came = [arrival(first.server_uuid, at=START) for first in firsts]
            with stores.statements(store) as arrived:
                assert len(stores.store(store, *came, host="dest").arrived) == size
            counts[size] = tuple(len(sent) for sent in (created, updated, arrived))
            assert all(lasting(migration(store, first)) for first in firsts[:3])
        begin = 1 if store.engine.dialect.name == "sqlite" else 0
        assert set(counts.values()) == {(5 + begin, 5 + begin, 5 + begin)}, counts
