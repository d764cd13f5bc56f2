# SPDX-License-Identifier: Apache-2.0
"""Many at once."""

import random
import threading

import pytest

from migprog import objects
from migprog.core.report import Report
from migprog.core.status import Status
from migprog.tests import stores
from migprog.tests.stores import START, arrival, lasting, later, migration, report


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
        errors: list[BaseException] = []

        def conduct(to, seed: int) -> None:
            entries = [*told, *arrivals]
            random.Random(seed).shuffle(entries)
            try:
                while entries:
                    size = random.Random(len(entries)).randint(1, 20)
                    batch, entries = entries[:size], entries[size:]
                    stores.store(to, *(e for e in batch if isinstance(e, Report)))
                    stores.store(to, *(e for e in batch if e in arrivals), host="dest")
            except BaseException as error:
                errors.append(error)

        threads = [
            threading.Thread(target=conduct, args=(to, chance.random()))
            for to in (store, other_store, store)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        stores.store(store, *arrivals, host="dest")
        for first in firsts:
            stored = migration(store, first)
            assert (stored.sequence, stored.percent, stored.status) == (9, 9, Status.COMPLETED)
            server = objects.Server.get(store, first.server_uuid)
            assert (server.sampled_at, server.progress) == (stored.sampled_at, 9)
            assert (stored.dest_compute, server.host) == ("dest", "dest")

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
