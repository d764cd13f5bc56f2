# SPDX-License-Identifier: Apache-2.0
"""What is stored of a server. Instants are UTC without a zone (:mod:`migprog.core.instant`)."""

from dataclasses import dataclass
from datetime import datetime

from migprog.core.record import NO_SOURCE


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRecord:
    """A server, as its newest migration shows it.

    The fields from ``host`` on are written only; ``created_at`` is written once.
    """

    uuid: str
    name: str | None = None
    project_id: str | None = None
    user_id: str | None = None
    migration_uuid: str
    migration_started_at: datetime
    host: str = NO_SOURCE
    progress: int | None = None
    sampled_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def is_stored(self) -> bool:
        """Whether it is in the database already."""
        return self.created_at is None
