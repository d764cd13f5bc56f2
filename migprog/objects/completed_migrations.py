# SPDX-License-Identifier: Apache-2.0
"""Completed migrations, as far as later ones learn from them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from migprog.core.instant import with_zones
from migprog.core.learned import Completed
from migprog.core.status import Status
from migprog.db import engine as db
from migprog.objects.query import MigrationQuery

# The newest of a source, and of all hosts; more than count.
MOST = 100
_COLUMNS = (
    *("id", "uuid", "server_uuid", "source_compute", "dest_compute", "ended_at", "total_seconds"),
    *("memory_processed_bytes", "disk_processed_bytes", "throughput_bytes_per_second"),
    *("status", "last_reported_at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion(MigrationQuery):
    """A completed migration. Instants are UTC with their zone."""

    COLUMNS: ClassVar = _COLUMNS

    id: int
    uuid: str
    server_uuid: str
    source_compute: str | None
    dest_compute: str | None
    ended_at: datetime | None
    total_seconds: float | None
    memory_processed_bytes: int | None
    disk_processed_bytes: int | None
    throughput_bytes_per_second: int | None
    status: Status
    last_reported_at: datetime

    @classmethod
    def _from_row(cls, row: dict[str, Any]) -> Self:
        values = row | {"status": Status(row["status"])}
        return cls(**with_zones(values, ("ended_at", "last_reported_at")))

    def completed(self) -> Completed | None:
        """Return what others learn from it; None if it shows nothing.

        The time that the bytes on the wire do not take at the transfer rate went into setup,
        switchover and completion.
        """
        rate, seconds = self.throughput_bytes_per_second, self.total_seconds
        moved = (self.memory_processed_bytes or 0) + (self.disk_processed_bytes or 0)
        if self.ended_at is None or not rate or not seconds or not moved:
            return None
        return Completed(
            source=self.source_compute or "",
            dest=self.dest_compute or "",
            ended_at=self.ended_at.timestamp(),
            transfer_bytes_per_second=float(rate),
            total_seconds=seconds,
            overhead_seconds=max(0.0, seconds - moved / rate),
            server_uuid=self.server_uuid,
        )


def completed(store: db.Store, source: str | None, most: int = MOST) -> list[Completed]:
    """Return the newest completed migrations from ``source``, at most ``most``, and of all hosts.

    Raises :class:`db.Unavailable`.
    """
    found = {each.id: each for each in Completion.list(store, status=Status.COMPLETED, limit=MOST)}
    if source is not None:
        of_source = Completion.list(
            store, status=Status.COMPLETED, source_compute=source, limit=most
        )
        found |= {each.id: each for each in of_source}
    return [row for each in found.values() if (row := each.completed()) is not None]
