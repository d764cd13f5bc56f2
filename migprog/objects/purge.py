# SPDX-License-Identifier: Apache-2.0
"""Deletes old records, while conductors go on storing."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from migprog.core import status as core_status
from migprog.core.instant import zoneless
from migprog.db import engine as db
from migprog.db import measurements as measurement_statements
from migprog.db import purge as statements
from migprog.db.reader import Row
from migprog.db.writer import Writer

# In one transaction, with at most core.history.MOST_POINTS of history each.
PURGE_BATCH = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """How many records were deleted, or would be.

    ``points``: of the migrations' histories. ``silent``: old migrations in progress, which stay.
    """

    migrations: int = 0
    points: int = 0
    servers: int = 0
    agents: int = 0
    measurements: int = 0
    silent: int = 0


@dataclass(frozen=True, slots=True)
class _Rule:
    """What to delete: records last reported before an instant (UTC without a zone)."""

    before: datetime
    in_progress_too: bool

    def is_old(self, row: Row) -> bool:
        return bool(row["last_reported_at"] < self.before)

    def goes(self, row: Row) -> bool:
        ended = row["status"] in core_status.ENDED
        return self.is_old(row) and (ended or self.in_progress_too)


def purge(
    store: db.Store,
    before: datetime,
    *,
    now: datetime,
    in_progress_too: bool = False,
    dry_run: bool = False,
    progress: Callable[[Purged], None] = lambda _purged: None,
) -> Purged:
    """Delete what was last reported before an instant (with its zone): migrations that have ended,
    their histories, the servers whose newest migration is deleted, agents, and measurements.

    The instant is by the conductors' clock: a hypervisor's may be wrong, and an end may be reported
    long after it happened. Records created after ``now``, by a conductor whose clock was wrong, do
    not stop the purge. ``progress`` is called after each batch. Raises :class:`db.Unavailable`;
    what was deleted until then stays deleted.
    """
    rule = _Rule(zoneless(before), in_progress_too)
    purged = Purged()
    after_id = 0
    while rows := _page(store, after_id):
        # Ids grow with the time of creation: from here on all are newer.
        if all(rule.before <= row["created_at"] <= zoneless(now) for row in rows):
            break
        after_id = rows[-1]["id"]
        purged = _batch(store, rule, rows, purged, dry_run)
        progress(purged)
    return replace(
        purged,
        agents=_agents(store, rule.before, dry_run),
        measurements=_measurements(store, rule.before, dry_run),
    )


def _page(store: db.Store, after_id: int) -> list[Row]:
    return store.read(lambda reader: statements.page(reader, after_id, PURGE_BATCH))


def _batch(
    store: db.Store, rule: _Rule, rows: Sequence[Row], before: Purged, dry_run: bool
) -> Purged:
    old = [row for row in rows if rule.goes(row)]
    silent = sum(rule.is_old(row) and not rule.goes(row) for row in rows)

    def delete(writer: Writer) -> tuple[int, statements.WithThem]:
        # One that was reported meanwhile stays.
        held = statements.lock(writer, {row["uuid"] for row in old})
        going = [row for row in held if rule.goes(row)]
        return len(going), statements.delete(writer, going)

    if dry_run:
        gone, more = len(old), store.read(lambda reader: statements.count(reader, old))
    elif old:
        gone, more = store.write(delete)
    else:
        gone, more = 0, statements.WithThem(0, 0)
    return replace(
        before,
        migrations=before.migrations + gone,
        points=before.points + more.points,
        servers=before.servers + more.servers,
        silent=before.silent + silent,
    )


def _agents(store: db.Store, before: datetime, dry_run: bool) -> int:
    hosts = store.read(lambda reader: statements.silent_agents(reader, before))
    if dry_run:
        return len(hosts)
    gone = 0
    for start in range(0, len(hosts), PURGE_BATCH):
        some = hosts[start : start + PURGE_BATCH]
        gone += store.write(functools.partial(statements.delete_agents, hosts=some, before=before))
    return gone


def _measurements(store: db.Store, before: datetime, dry_run: bool) -> int:
    """Delete measurements by their ids, the oldest first; return how many."""
    gone = after_id = 0
    old, delete = measurement_statements.old, measurement_statements.delete
    while ids := store.read(
        functools.partial(old, before=before, after_id=after_id, limit=PURGE_BATCH)
    ):
        after_id = ids[-1]
        gone += len(ids) if dry_run else store.write(functools.partial(delete, ids=ids))
    return gone
