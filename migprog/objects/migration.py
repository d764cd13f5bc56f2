# SPDX-License-Identifier: Apache-2.0
"""A migration as the store holds it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self, get_type_hints

from migprog.core import newer_words
from migprog.core.advice_entry import AdviceEntry
from migprog.core.forecast.before_check import BeforeCheck
from migprog.core.forecast.verdict import Verdict
from migprog.core.forecast.verdict_reason import VerdictReason
from migprog.core.instant import with_zones
from migprog.core.messages import DiskFigures
from migprog.core.operator_actions import OperatorAction
from migprog.core.status import Phase, Status
from migprog.db import migration_list
from migprog.objects import forecast_before
from migprog.objects.nova_record import NovaRecord
from migprog.objects.query import MigrationQuery
from migprog.objects.rows import known_words


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration(MigrationQuery):
    """One live migration, in progress or ended.

    Every instant is a datetime in UTC with its zone. ``last_reported_at``, ``created_at`` and
    ``updated_at`` are by the conductor's clock, the others by the hypervisors'. ``arrived_at`` is
    the instant of the arrival that set the destination. ``percent`` never decreases. The forecast
    checks at 25, 50 and 75 % are :mod:`migprog.core.forecast.calibration`'s fields. ``nova_id`` and
    ``nova_uuid`` are Nova's ids, ``nova_user_id`` and ``nova_project_id`` those of who requested
    the migration, ``user_id`` and ``project_id`` those of the server's owner. Instants of
    ``advice`` are seconds since the epoch; ``actions`` are what operators asked for. None: not
    known.
    """

    COLUMNS: ClassVar = migration_list.COLUMNS

    id: int
    uuid: str
    server_uuid: str
    server_name: str | None
    project_id: str | None
    user_id: str | None
    source_compute: str | None
    source_node: str | None
    dest_compute: str | None
    dest_node: str | None
    dest_host: str | None

    nova_id: int | None
    nova_uuid: str | None
    nova_user_id: str | None
    nova_project_id: str | None
    nova_record: NovaRecord | None

    sequence: int
    status: Status
    phase: Phase
    percent: int | None
    eta_seconds: float | None
    eta_low_seconds: float | None
    eta_high_seconds: float | None
    verdict: Verdict | None
    verdict_reason: VerdictReason | None
    verdict_message: str | None

    memory_total_bytes: int | None
    memory_processed_bytes: int | None
    memory_remaining_bytes: int | None
    disk_total_bytes: int | None
    disk_processed_bytes: int | None
    disk_remaining_bytes: int | None
    memory_iteration: int | None
    throughput_bytes_per_second: int | None
    dirty_bytes_per_second: int | None
    iteration_start_remaining_bytes: int | None
    downtime_needed_seconds: float | None
    bandwidth_needed_bytes_per_second: int | None
    downtime_limit_seconds: float | None
    expected_downtime_seconds: float | None
    cpu_throttle_percent: int | None
    vfio_transferred_bytes: int | None
    disks: tuple[DiskFigures, ...] | None
    advice: tuple[AdviceEntry, ...] | None
    actions: tuple[OperatorAction, ...] | None
    forecast_before: BeforeCheck | None

    total_seconds: float | None
    downtime_seconds: float | None
    error: str | None

    eta_at_25_seconds: float | None
    eta_error_at_25_seconds: float | None
    eta_in_range_at_25: bool | None
    eta_at_50_seconds: float | None
    eta_error_at_50_seconds: float | None
    eta_in_range_at_50: bool | None
    eta_at_75_seconds: float | None
    eta_error_at_75_seconds: float | None
    eta_in_range_at_75: bool | None

    started_at: datetime
    sampled_at: datetime
    ended_at: datetime | None
    arrived_at: datetime | None
    last_reported_at: datetime
    created_at: datetime
    updated_at: datetime

    @classmethod
    def _from_row(cls, row: dict[str, Any]) -> Self:
        for name in ("source_compute", "source_node"):
            row[name] = row[name] or None
        row["status"] = newer_words.status(row["status"], row["ended_at"] is not None)
        row |= known_words(row, row["status"])
        row["nova_record"] = NovaRecord.from_store(row["nova_record"])
        row["forecast_before"] = forecast_before.from_store(row["forecast_before"])
        return cls(**with_zones(row, INSTANTS))


INSTANTS = tuple(
    name for name, hint in get_type_hints(Migration).items() if hint in (datetime, datetime | None)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceVersion(MigrationQuery):
    """The resource version of a migration's record, and what shows whether it grows stale.

    It is far less to read than the whole record. ``sequence`` grows with each report; every other
    change of a record changes its ``updated_at``.
    """

    COLUMNS: ClassVar = ("id", "sequence", "status", "last_reported_at", "updated_at")

    id: int
    sequence: int
    status: Status
    last_reported_at: datetime
    updated_at: datetime

    @classmethod
    def _from_row(cls, row: dict[str, Any]) -> Self:
        row["status"] = newer_words.status(row["status"], has_ended=False)
        return cls(**with_zones(row, ("last_reported_at", "updated_at")))
