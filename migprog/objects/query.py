# SPDX-License-Identifier: Apache-2.0
"""The migration query: which columns are read is up to the class that queries."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, Self

from migprog import exception
from migprog.core import status as core_status
from migprog.core.forecast.verdict import Verdict
from migprog.core.instant import zoneless
from migprog.core.status import Status
from migprog.db import engine as db
from migprog.db import migration_list
from migprog.db.reader import Reader, Row

MAX_ID = 2**31 - 1


class MigrationQuery:
    """An object made of some columns of a migration: of :attr:`COLUMNS`."""

    __slots__ = ()
    COLUMNS: ClassVar[tuple[str, ...]]
    status: Status
    last_reported_at: datetime

    @property
    def in_progress(self) -> bool:
        return self.status in core_status.IN_PROGRESS

    @classmethod
    def _from_row(cls, row: dict[str, Any]) -> Self:
        raise NotImplementedError

    @classmethod
    def get(
        cls,
        store: db.Store,
        server_uuid: str,
        id_or_uuid: str,
        *,
        project_id: str | None = None,
        named_in_nova: bool = False,
    ) -> Self:
        """Return one of a server's migrations, by its id or UUID; with a ``project_id``, only if
        it is that project's. ``named_in_nova``: the id or UUID is Nova's.

        Raises :class:`exception.NotFound`, :class:`db.Unavailable`.
        """
        server, which = _uuid(server_uuid), _id_or_uuid(id_or_uuid)
        row = None
        if which and named_in_nova:
            which = {f"nova_{name}": value for name, value in which.items()}
        if which and project_id is not None:
            which["project_id"] = project_id
        if server and which:
            row = store.read(
                lambda reader: reader.migration(cls.COLUMNS, server_uuid=server, **which)
            )
        if row is None:
            raise exception.MigrationNotFound(
                f"server {server_uuid[:64]!r} has no migration {id_or_uuid[:64]!r}"
            )
        return cls._from_row(row)

    @classmethod
    def of_ids(cls, store: db.Store, ids: Collection[int]) -> "Sequence[Self]":
        """Return those of these migrations that exist, in any order. Raises
        :class:`db.Unavailable`."""
        rows = store.read(lambda reader: reader.migrations_of_ids(cls.COLUMNS, ids))
        return [cls._from_row(row) for row in rows]

    @classmethod
    def list(
        cls,
        store: db.Store,
        *,
        server_uuid: str | None = None,
        host: str | None = None,
        status: Status | Collection[Status] | None = None,
        in_progress: bool | None = None,
        project_id: str | None = None,
        user_id: str | None = None,
        nova_user_id: str | None = None,
        nova_project_id: str | None = None,
        source_compute: str | None = None,
        changed_since: datetime | None = None,
        changed_before: datetime | None = None,
        verdict: Verdict | None = None,
        sort_key: str = "id",
        descending: bool = True,
        limit: int = 1000,
        marker: str | None = None,
        named_in_nova: bool = False,
    ) -> list[Self]:
        """Return migrations, newest first or by :data:`migprog.db.migration_list.SORT_KEYS`; by
        ``ended_at`` only those that have one. A filter that is None does not apply.

        ``status`` is one or several; ``host`` is a compute host at either end; ``marker`` the UUID
        of the last migration of the page before, of the same project. The row was last changed at
        or after ``changed_since``, at or before ``changed_before`` (with their zones). A verdict is
        one on what is in progress, or ``ended``. ``named_in_nova``: only those whose Nova id is
        known, and the marker is Nova's UUID; ``nova_user_id``, ``nova_project_id``: of who
        requested the migration.
        Raises :class:`exception.BadRequest`, :class:`db.Unavailable`.
        """
        if server_uuid is not None and (server_uuid := _uuid(server_uuid)) is None:
            return []

        def marked(reader: Reader, marker: str) -> tuple[Any, int]:
            name = "nova_uuid" if named_in_nova else "uuid"
            return _marked(reader, name, marker, project_id, sort_key)

        asked = migration_list.ListFilter(
            sort_key=sort_key,
            descending=descending,
            host=host,
            # The status, which has indexes, says whether it has ended.
            verdict=None if verdict == Verdict.ENDED else verdict,
            statuses=_statuses(status, in_progress, verdict),
            server_uuid=server_uuid,
            project_id=project_id,
            user_id=user_id,
            nova_user_id=nova_user_id,
            nova_project_id=nova_project_id,
            named_in_nova=named_in_nova,
            source_compute=source_compute,
            changed_since=zoneless(changed_since),
            changed_before=zoneless(changed_before),
        )
        if (pair := migration_list.conflict(asked)) is not None:
            raise exception.NotTogether(*pair)

        def work(reader: Reader) -> list[Row]:
            after = None if marker is None else marked(reader, marker)
            return reader.migrations(cls.COLUMNS, replace(asked, after=after), limit)

        return [cls._from_row(row) for row in store.read(work)]


def _statuses(
    status: Status | Collection[Status] | None, in_progress: bool | None, verdict: Verdict | None
) -> frozenset[Status] | None:
    if status is None and in_progress is None and verdict is None:
        return None
    if isinstance(status, str):
        # A Status, or its word.
        status = {Status(status)}
    asked = frozenset(Status if status is None else status)
    if in_progress is not None:
        asked &= core_status.IN_PROGRESS if in_progress else core_status.ENDED
    if verdict is not None:
        # Verdicts, which change on the way, have no index: those in progress are few.
        asked &= core_status.ENDED if verdict == Verdict.ENDED else core_status.IN_PROGRESS
    return asked


def _marked(
    reader: Reader, name: str, marker: str, project_id: str | None, sort_key: str
) -> tuple[Any, int]:
    """Return the sort key's value and the id of the migration whose ``name`` is this UUID."""
    wanted = _uuid(marker)
    of_project = {} if project_id is None else {"project_id": project_id}
    columns = tuple(dict.fromkeys(("id", sort_key)))
    row = reader.migration(columns, **{name: wanted}, **of_project) if wanted else None
    if row is None:
        raise exception.BadRequest("marker", f"{marker[:64]!r} must be the UUID of a migration")
    if row[sort_key] is None:
        raise exception.BadRequest(
            "marker", f"{marker[:64]!r} must be the UUID of a migration that has its {sort_key}"
        )
    return row[sort_key], row["id"]


def _uuid(text: str) -> str | None:
    """Return a UUID in its usual form; None for any other text."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None


def _id_or_uuid(text: str) -> dict[str, Any] | None:
    if text.isascii() and text.isdigit():
        return {"id": int(text)} if len(text) <= 10 and int(text) <= MAX_ID else None
    wanted = _uuid(text)
    return {"uuid": wanted} if wanted else None
