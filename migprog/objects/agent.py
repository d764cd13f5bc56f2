# SPDX-License-Identifier: Apache-2.0
"""An agent, by its last heartbeat."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self

from migprog.core import liveness
from migprog.core.instant import from_store, with_zones, zoneless
from migprog.db import engine as db
from migprog.db.reader import Reader

_PAGE = 1000
# Of columns that are named otherwise.
_FIELD_OF = {
    "interval_seconds": "report_interval_seconds",
    "heartbeat_seconds": "heartbeat_interval_seconds",
}


class Heartbeat(NamedTuple):
    """When an agent last reported, by the conductors' clock, and whether it is silent."""

    host: str
    is_silent: bool
    last_reported_at: datetime


@dataclass(frozen=True, slots=True)
class Heartbeats:
    """``count``: of all agents, ``silent`` of these. ``each``: of all, or of silent ones alone."""

    count: int
    silent: int
    each: Sequence[Heartbeat]

    @classmethod
    def read(cls, store: db.Store, now: datetime, most: int) -> Self:
        """Return the heartbeats of all agents in the order of their hosts' names; of silent ones
        alone where there are more than ``most`` agents, and no other's row leaves the database.

        Raises :class:`db.Unavailable`.
        """
        count, found = store.read(lambda reader: _heartbeats(reader, zoneless(now), most))
        each = [
            Heartbeat(host, _is_silent(at, now, heartbeat_seconds, loop_age_seconds), at)
            for host, zoneless_at, heartbeat_seconds, loop_age_seconds in found
            for at in (from_store(zoneless_at),)
        ]
        silent = [heartbeat for heartbeat in each if heartbeat.is_silent]
        return cls(count, len(silent), each if count <= most else silent)


def _heartbeats(
    reader: Reader, now: datetime, most: int
) -> tuple[int, list[tuple[str, datetime, float, float | None]]]:
    """Return the number of agents, and the rows of those that may be silent at least."""
    count, least_seconds = reader.count_agents()
    if count <= most:
        return count, reader.heartbeats()
    soonest = liveness.silent_after(least_seconds)
    return count, reader.heartbeats(
        before=now - soonest,
        or_after=now + soonest,
        or_loop_age_seconds=liveness.LOOP_LATE_SECONDS,
    )


def _is_silent(
    last_reported_at: datetime,
    now: datetime,
    heartbeat_seconds: float,
    loop_age_seconds: float | None,
) -> bool:
    is_late = liveness.is_silent(last_reported_at, now, heartbeat_seconds)
    return is_late or liveness.hangs(loop_age_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """The agent of a compute host; see :class:`migprog.core.messages.Agent`.

    Instants are UTC with their zone: ``last_reported_at`` is by the conductor's clock.
    """

    host: str
    node: str
    version: str
    started_at: datetime
    report_interval_seconds: float
    heartbeat_interval_seconds: float
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
        interval_seconds = self.heartbeat_interval_seconds
        return _is_silent(self.last_reported_at, now, interval_seconds, self.loop_age_seconds)

    @classmethod
    def _from_row(cls, row: dict[str, Any]) -> Self:
        values = {_FIELD_OF.get(n, n): value for n, value in row.items() if n != "key_digest"}
        return cls(**with_zones(values, ("started_at", "last_reported_at")))
