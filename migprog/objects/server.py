# SPDX-License-Identifier: Apache-2.0
"""A server as its newest migration told of it."""

import uuid as uuid_module
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from migprog import exception
from migprog.db import api as db
from migprog.objects.instant import from_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that has migrated at least once.

    ``progress`` and ``sampled_at`` are those of the migration ``migration_uuid``, its newest, from
    the same sample. ``host`` is the compute host it is on. Instants are UTC with their zone.
    """

    uuid: str
    name: str | None
    project_id: str | None
    user_id: str | None
    host: str
    progress: int | None
    sampled_at: datetime
    migration_uuid: str
    migration_started_at: datetime
    created_at: datetime
    updated_at: datetime

    @classmethod
    def get(cls, store: db.Store, uuid: str) -> Self:
        """Raises :class:`exception.NotFound`, :class:`db.Unavailable`."""
        try:
            wanted = str(uuid_module.UUID(uuid))
        except ValueError:
            wanted = None
        row = store.read(lambda reader: reader.server(wanted)) if wanted else None
        if row is None:
            raise exception.NotFound(f"no migration of a server {uuid[:64]!r} is known")
        for name in _INSTANTS:
            row[name] = from_store(row[name])
        return cls(**row)


_INSTANTS = ("sampled_at", "migration_started_at", "created_at", "updated_at")
