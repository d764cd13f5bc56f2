# SPDX-License-Identifier: Apache-2.0
"""Hosts with migrations, as a store knows them: for measuring."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from migprog import objects
from migprog.core.forecast.verdict import Verdict
from migprog.core.forecast.verdict_reason import VerdictReason
from migprog.core.messages import Batch, Report
from migprog.core.status import Phase, Status
from migprog.tests import stores

# Migrations on each host: what it tells of in one message.
BATCH = 20


@dataclass
class Fleet:
    """Hosts with :data:`BATCH` migrations each, ``count`` in all; ``under_way`` of them.

    Those that are under way are spread evenly among those that have ended.
    """

    store: objects.Store
    count: int
    under_way: int
    reports: list[Report] = field(default_factory=list)
    reported: int = 0

    def fill(self) -> None:
        """Store the first report of each."""
        each = self.count // self.under_way
        self.reports = [
            _report(number, Status.COMPLETED if number % each else Status.RUNNING)
            for number in range(self.count)
        ]
        for host in range(self.count // BATCH):
            self._store(host, self.reports[host * BATCH : (host + 1) * BATCH])
        # As the databases do by themselves after a minute.
        with self.store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as to:
            if to.dialect.name == "mysql":
                to.execute(sa.text("ANALYZE TABLE migrations, servers"))
            else:
                to.execute(sa.text("ANALYZE"))

    def tell(self) -> None:
        """Store the next report of each migration of the next host."""
        host = self.reported % (self.count // BATCH)
        self.reported += 1
        mine = slice(host * BATCH, (host + 1) * BATCH)
        self.reports[mine] = [
            stores.later(
                report,
                percent=min(99, 1 + self.reported * 99 // 10_000),
                memory_processed_bytes=2**20 * self.reported,
                memory_remaining_bytes=2**40 - 2**20 * self.reported,
            )
            for report in self.reports[mine]
        ]
        self._store(host, self.reports[mine])

    def _store(self, host: int, reports: Sequence[Report]) -> None:
        batch = Batch(f"host-{host}", f"host-{host}.example.org", None, tuple(reports))
        stored = objects.store_batch(self.store, batch, stores.START + 100 + self.reported)
        assert stored.reports == len(reports)


def _report(number: int, status: Status) -> Report:
    return stores.report(
        status=status,
        uuid=str(uuid.uuid4()),
        server_uuid=str(uuid.uuid4()),
        server_name=f"server {number}",
        project_id=uuid.uuid4().hex,
        user_id=uuid.uuid4().hex,
        phase=Phase.DONE if status is Status.COMPLETED else Phase.MEMORY_FIRST_ITERATION,
        percent=0,
        eta_seconds=123.4,
        eta_low_seconds=100.1,
        eta_high_seconds=150.2,
        verdict=Verdict.CONVERGING,
        verdict_reason=VerdictReason.REMAINING_MEMORY_SHRINKS,
        verdict_message="its first memory iteration is under way",
        memory_total_bytes=2**40,
        throughput_bytes_per_second=123_456_789,
    )
