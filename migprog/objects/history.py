# SPDX-License-Identifier: Apache-2.0
"""A migration's history: a bounded number of its reports (:mod:`migprog.core.downsampling`)."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from migprog.core import newer_words
from migprog.core.forecast.verdict import Verdict
from migprog.core.instant import from_epoch
from migprog.core.messages import Report
from migprog.core.status import Phase, Status
from migprog.db import engine as db
from migprog.objects.migration import Migration


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What was reported of a migration at one instant: fields of its record then.

    A point is stored as the list of its values in this order: a new field goes to the end.
    """

    sampled_at: datetime
    status: Status
    phase: Phase
    percent: int | None = None
    eta_seconds: float | None = None
    eta_low_seconds: float | None = None
    eta_high_seconds: float | None = None
    verdict: Verdict | None = None
    memory_processed_bytes: int | None = None
    memory_remaining_bytes: int | None = None
    disk_processed_bytes: int | None = None
    disk_remaining_bytes: int | None = None
    memory_iteration: int | None = None
    iteration_start_remaining_bytes: int | None = None
    throughput_bytes_per_second: int | None = None
    dirty_bytes_per_second: int | None = None
    cpu_throttle_percent: int | None = None

    @classmethod
    def list(cls, store: db.Store, migration: Migration) -> list[Self]:
        """Return the points of a migration in order; the last is its record as it is now.

        Raises :class:`db.Unavailable`.
        """
        texts = store.read(lambda reader: reader.history(migration.id))
        points = [cls._read(text) for text in texts]
        latest = cls(**{name: getattr(migration, name) for name in FIELDS})
        earlier = (each for each in points if each.sampled_at < latest.sampled_at)
        return [*sorted(earlier, key=lambda each: each.sampled_at), latest]

    @classmethod
    def _read(cls, text: str) -> Self:
        # A later version may have written more fields; those of an earlier one are None.
        values: dict[str, Any] = dict(zip(FIELDS, json.loads(text), strict=False))
        values["sampled_at"] = from_epoch(values["sampled_at"])
        values["status"] = newer_words.status(values["status"], has_ended=False)
        values["phase"] = newer_words.phase(values["phase"], values["status"])
        values["verdict"] = newer_words.verdict(values["verdict"])
        return cls(**values)


FIELDS = tuple(Point.__slots__)


def written(report: Report) -> str:
    """Return the point of a report in its stored form."""
    return json.dumps([getattr(report, name) for name in FIELDS], separators=(",", ":"))
