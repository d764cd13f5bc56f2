# SPDX-License-Identifier: Apache-2.0
"""A server, as its newest migration shows it."""

import uuid as uuid_module
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from migprog import exception
from migprog.core import newer_words
from migprog.core import status as core_status
from migprog.core.instant import with_zones
from migprog.core.status import Status
from migprog.db import engine as db
from migprog.db.reader import Reader, Row

_INSTANTS = ("sampled_at", "migration_started_at", "created_at", "updated_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that has migrated at least once.

    ``progress`` and ``sampled_at`` are those of the migration ``migration_uuid``, its newest, from
    the same sample. ``host`` is the compute host it is on, None where no source has reported.
    Instants are UTC with their zone.
    """

    uuid: str
    name: str | None
    project_id: str | None
    user_id: str | None
    host: str | None
    progress: int | None
    sampled_at: datetime
    migration_uuid: str
    migration_started_at: datetime
    created_at: datetime
    updated_at: datetime

    @classmethod
    def get(cls, store: db.Store, uuid: str, *, project_id: str | None = None) -> Self:
        """Return a server; with a ``project_id``, only if it is that project's.

        Raises :class:`exception.NotFound`, :class:`db.Unavailable`.
        """
        try:
            wanted = str(uuid_module.UUID(uuid))
        except ValueError:
            wanted = None
        row = store.read(lambda reader: reader.server(wanted, project_id)) if wanted else None
        if row is None:
            raise exception.ServerNotFound(f"no migration of server {uuid[:64]!r} is recorded")
        return cls.from_row(row)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        return cls(**with_zones(row | {"host": row["host"] or None}, _INSTANTS))


@dataclass(frozen=True, slots=True)
class ServerNow:
    """A server and the status of its newest migration, read at one instant.

    The status is None when that migration has been purged.
    """

    server: Server
    status: Status | None

    @property
    def migrates(self) -> bool:
        return self.status in core_status.IN_PROGRESS

    @classmethod
    def get(cls, store: db.Store, uuid: str, *, project_id: str | None = None) -> Self:
        """Return the server of a UUID in its usual form; with a ``project_id``, only if it is
        that project's.

        Raises :class:`exception.NotFound`, :class:`db.Unavailable`.
        """
        rows = store.read(lambda reader: reader.servers_now(uuid=uuid, project_id=project_id))
        if not rows:
            raise exception.ServerNotFound(f"no migration of server {uuid[:64]!r} is recorded")
        return cls._from_row(rows[0])

    @classmethod
    def list(
        cls,
        store: db.Store,
        *,
        limit: int,
        marker: str | None = None,
        name: str | None = None,
        project_id: str | None = None,
    ) -> list[Self]:
        """Return servers in the order of their UUIDs. A filter that is None does not apply.

        ``marker`` is the UUID of the last server of the page before, of the same project.
        Raises :class:`exception.BadRequest`, :class:`db.Unavailable`.
        """

        def work(reader: Reader) -> list[Row]:
            if marker is not None and reader.server(marker, project_id) is None:
                raise exception.BadRequest("marker", f"{marker[:64]!r} must be a server's UUID")
            return reader.servers_now(
                limit=limit, after_uuid=marker, name=name, project_id=project_id
            )

        return [cls._from_row(row) for row in store.read(work)]

    @classmethod
    def _from_row(cls, row: dict[str, Any]) -> Self:
        status = row.pop("migration_status")
        return cls(Server.from_row(row), status and newer_words.status(status, has_ended=False))
