# SPDX-License-Identifier: Apache-2.0
"""Migrations off a host, as far as the plan of its drain needs them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from migprog.core import newer_words
from migprog.core.forecast.verdict import Verdict
from migprog.core.instant import with_zones
from migprog.core.status import Status
from migprog.db import engine as db
from migprog.objects.query import MigrationQuery

_INSTANTS = ("started_at", "sampled_at", "ended_at", "last_reported_at")
_COLUMNS = (
    *("id", "uuid", "server_uuid", "status", "verdict", "percent", "memory_total_bytes"),
    *("eta_seconds", "eta_low_seconds", "eta_high_seconds", *_INSTANTS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepartureRow(MigrationQuery):
    """A migration off a host. Instants are UTC with their zone."""

    COLUMNS: ClassVar = _COLUMNS

    id: int
    uuid: str
    server_uuid: str
    status: Status
    verdict: Verdict | None
    percent: int | None
    memory_total_bytes: int | None
    eta_seconds: float | None
    eta_low_seconds: float | None
    eta_high_seconds: float | None
    started_at: datetime
    sampled_at: datetime
    ended_at: datetime | None
    last_reported_at: datetime

    @classmethod
    def _from_row(cls, row: dict[str, Any]) -> Self:
        has_ended = row["ended_at"] is not None
        values = row | {
            "status": newer_words.status(row["status"], has_ended),
            "verdict": newer_words.verdict(row["verdict"]),
        }
        return cls(**with_zones(values, _INSTANTS))


def departures(store: db.Store, host: str, limit: int) -> Sequence[DepartureRow]:
    """Return the migrations off a host: those in progress, and the newest that have ended, at most
    ``limit`` of each. Raises :class:`db.Unavailable`."""
    return [
        each
        for in_progress in (True, False)
        for each in DepartureRow.list(
            store, source_compute=host, in_progress=in_progress, limit=limit
        )
    ]
