# SPDX-License-Identifier: Apache-2.0
"""A migration as the store holds it."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from migprog import exception
from migprog.core import status as core_status
from migprog.core.status import Phase, Status
from migprog.core.verdict import Verdict
from migprog.db import api as db
from migprog.db import queries
from migprog.objects.instant import from_store, zoneless

MAX_ID = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One live migration, in progress or ended.

    Every instant is a datetime in UTC with its zone. ``heard_at``, ``created_at`` and
    ``updated_at`` are by the conductor's clock, the others by the hypervisors'. ``arrived_at`` is
    the instant of the arrival that named the destination. ``percent`` never goes back. How the
    forecasts at 25, 50 and 75 % turned out is in :mod:`migprog.core.calibration`'s fields.
    None: not known.
    """

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

    sequence: int
    status: Status
    phase: Phase
    percent: int | None
    eta_seconds: float | None
    eta_low_seconds: float | None
    eta_high_seconds: float | None
    verdict: Verdict | None
    reason: str | None

    memory_total_bytes: int | None
    memory_processed_bytes: int | None
    memory_remaining_bytes: int | None
    disk_total_bytes: int | None
    disk_processed_bytes: int | None
    disk_remaining_bytes: int | None
    memory_iteration: int | None
    throughput_bytes_per_second: int | None
    dirty_bytes_per_second: int | None
    boundary_remaining_bytes: int | None
    pause_needed_seconds: float | None
    bandwidth_needed_bytes_per_second: int | None
    pause_limit_seconds: float | None
    auto_converge_percent: int | None

    total_seconds: float | None
    downtime_seconds: float | None
    error: str | None

    eta_at_25_seconds: float | None
    eta_off_at_25_seconds: float | None
    eta_in_range_at_25: bool | None
    eta_at_50_seconds: float | None
    eta_off_at_50_seconds: float | None
    eta_in_range_at_50: bool | None
    eta_at_75_seconds: float | None
    eta_off_at_75_seconds: float | None
    eta_in_range_at_75: bool | None

    started_at: datetime
    sampled_at: datetime
    ended_at: datetime | None
    arrived_at: datetime | None
    heard_at: datetime
    created_at: datetime
    updated_at: datetime

    @property
    def in_progress(self) -> bool:
        return self.status in core_status.IN_PROGRESS

    @classmethod
    def get(
        cls,
        store: db.Store,
        server_uuid: str,
        id_or_uuid: str,
        *,
        project_id: str | None = None,
    ) -> Self:
        """One of a server's migrations, by its number or its UUID; with a ``project_id``, only if
        it is that project's.

        Raises :class:`exception.NotFound`, :class:`db.Unavailable`.
        """
        server, which = _uuid(server_uuid), _id_or_uuid(id_or_uuid)
        row = None
        if which and project_id is not None:
            which["project_id"] = project_id
        if server and which:
            row = store.read(lambda reader: reader.migration(server_uuid=server, **which))
        if row is None:
            raise exception.NotFound(
                f"server {server_uuid[:64]!r} has no migration {id_or_uuid[:64]!r}"
            )
        return cls._from_row(row)

    @classmethod
    def list(
        cls,
        store: db.Store,
        *,
        server_uuid: str | None = None,
        host: str | None = None,
        status: Status | None = None,
        in_progress: bool | None = None,
        project_id: str | None = None,
        user_id: str | None = None,
        source_compute: str | None = None,
        changed_since: datetime | None = None,
        changed_before: datetime | None = None,
        limit: int = 1000,
        marker: str | None = None,
    ) -> list[Self]:
        """Newest first; what is None is not asked for.

        ``host`` is a compute host at either end; ``marker`` the UUID of the last migration of the
        page before, of the same project. The row was last changed at or after ``changed_since``,
        at or before ``changed_before`` (with their zones).
        Raises :class:`exception.BadRequest`, :class:`db.Unavailable`.
        """
        if server_uuid is not None and (server_uuid := _uuid(server_uuid)) is None:
            return []

        def work(reader: queries.Reader) -> list[queries.Row]:
            return reader.migrations(
                limit=limit,
                below_id=None if marker is None else _marked_id(reader, marker, project_id),
                host=host,
                statuses=_statuses(status, in_progress),
                server_uuid=server_uuid,
                project_id=project_id,
                user_id=user_id,
                source_compute=source_compute,
                changed_since=zoneless(changed_since),
                changed_before=zoneless(changed_before),
            )

        return [cls._from_row(row) for row in store.read(work)]

    @classmethod
    def _from_row(cls, row: dict[str, Any]) -> Self:
        for name in ("source_compute", "source_node"):
            row[name] = row[name] or None
        row["status"] = Status(row["status"])
        row["phase"] = Phase(row["phase"])
        row["verdict"] = row["verdict"] and Verdict(row["verdict"])
        for name in INSTANTS:
            row[name] = from_store(row[name])
        return cls(**row)


INSTANTS = (
    *("started_at", "sampled_at", "ended_at", "arrived_at"),
    *("heard_at", "created_at", "updated_at"),
)


def _statuses(status: Status | None, in_progress: bool | None) -> frozenset[Status] | None:
    if status is None and in_progress is None:
        return None
    asked = frozenset(Status) if status is None else frozenset({status})
    if in_progress is None:
        return asked
    return asked & (core_status.IN_PROGRESS if in_progress else core_status.ENDED)


def _marked_id(reader: queries.Reader, marker: str, project_id: str | None) -> int:
    wanted = _uuid(marker)
    of_project = {} if project_id is None else {"project_id": project_id}
    row = reader.migration(uuid=wanted, **of_project) if wanted else None
    if row is None:
        raise exception.BadRequest("marker", f"{marker[:64]!r} must be the UUID of a migration")
    marked: int = row["id"]
    return marked


def _uuid(text: str) -> str | None:
    """In its usual form; None for what is no UUID, and so is nobody's."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None


def _id_or_uuid(text: str) -> dict[str, Any] | None:
    if text.isascii() and text.isdigit():
        return {"id": int(text)} if len(text) <= 10 and int(text) <= MAX_ID else None
    wanted = _uuid(text)
    return {"uuid": wanted} if wanted else None
