# SPDX-License-Identifier: Apache-2.0
"""An agent, by its last heartbeat."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from migprog.core import liveness
from migprog.core.instant import with_zones
from migprog.db import engine as db

_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """The agent of a compute host; see :class:`migprog.core.messages.Agent`.

    Instants are UTC with their zone: ``last_reported_at`` is by the conductor's clock.
    """

    host: str
    node: str
    version: str
    started_at: datetime
    interval_seconds: float
    heartbeat_seconds: float
    migrations: int
    servers: int | None
    servers_memory_bytes: int | None
    actions_enabled: bool | None
    measurements_enabled: bool | None
    last_reported_at: datetime
    loop_age_seconds: float | None

    @classmethod
    def get(cls, store: db.Store, host: str) -> Self | None:
        """Return the agent of a host; None if it never reported. Raises :class:`db.Unavailable`."""
        row = store.read(lambda reader: reader.agent(host))
        return None if row is None else cls._from_row(row)

    @classmethod
    def list(cls, store: db.Store, *, limit: int = 1000, marker: str | None = None) -> list[Self]:
        """Return agents in the order of their hosts' names, those after ``marker``.

        Raises :class:`db.Unavailable`.
        """
        rows = store.read(lambda reader: reader.agents(limit=limit, after_host=marker))
        return [cls._from_row(row) for row in rows]

    @classmethod
    def every(cls, store: db.Store) -> Iterator[Self]:
        """Yield all agents in the order of their hosts' names. Raises :class:`db.Unavailable`."""
        marker = None
        while page := cls.list(store, limit=_PAGE, marker=marker):
            yield from page
            marker = page[-1].host

    def is_silent(self, now: datetime) -> bool:
        """Return whether the agent has missed its heartbeats, or sees nothing any more."""
        is_silent = liveness.is_silent(self.last_reported_at, now, self.heartbeat_seconds)
        return is_silent or liveness.hangs(self.loop_age_seconds)

    @classmethod
    def _from_row(cls, row: dict[str, Any]) -> Self:
        values = {name: value for name, value in row.items() if name != "key_digest"}
        return cls(**with_zones(values, ("started_at", "last_reported_at")))
