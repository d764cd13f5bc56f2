# SPDX-License-Identifier: Apache-2.0
"""The statement of a list of migrations, so that it reads as many rows as it gives, and few more.

No database follows the order of a list through ``OR`` or ``IN``: it reads, and sorts, all that
these find. So a list that asks for several values of a column is made of branches, each of one
value and of at most a page, and each served by an index of :class:`migprog.db.models.Migration` in
the list's order. Those in progress have no index of their changes, which would move with each
report: they are few, and are looked at one by one.
"""

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from migprog.core.status import ENDED, IN_PROGRESS
from migprog.db import models

_TABLE: sa.Table = models.Migration.__table__  # type: ignore[assignment]
# What is held of a migration, without what the database makes of it.
COLUMNS = tuple(column.name for column in _TABLE.c if column.computed is None)
# What a list may be sorted by, with the number beside it: none of them changes with progress.
SORT_KEYS = ("id", "started_at", "ended_at")

_Condition = sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of a list; None: not asked for.

    ``host``: at either end. Changed: at that instant, too (UTC without a zone). ``after``: behind
    the row with these values of ``sort_key`` and id. ``named_in_nova``: only what Nova's name is
    known of. By ``ended_at`` only those that have one are
    listed.
    """

    server_uuid: str | None = None
    project_id: str | None = None
    user_id: str | None = None
    source_compute: str | None = None
    verdict: str | None = None
    named_in_nova: bool = False
    host: str | None = None
    statuses: Collection[str] | None = None
    changed_since: datetime | None = None
    changed_before: datetime | None = None
    sort_key: str = "id"
    descending: bool = True
    after: tuple[Any, int] | None = None


_EQUAL = ("server_uuid", "project_id", "user_id", "source_compute", "verdict")


def select(names: Sequence[str]) -> sa.Select[Any]:
    """Migrations with these columns."""
    return sa.select(*(_TABLE.c[name] for name in names))


def statement(names: Sequence[str], asked: Asked, limit: int) -> sa.Select[Any]:
    """At most ``limit`` rows of the columns ``names``, in the order that is asked for."""
    all_branches = _branches(asked)
    equal = ((_TABLE.c[name], getattr(asked, name)) for name in _EQUAL)
    always = [column == value for column, value in equal if value is not None] + _behind(asked)
    if asked.named_in_nova:
        always.append(_TABLE.c.nova_uuid.is_not(None))
    order = [_direction(asked, _TABLE.c[name]) for name in dict.fromkeys((asked.sort_key, "id"))]
    if len(all_branches) == 1:
        return select(names).where(*always, *all_branches[0]).order_by(*order).limit(limit)
    pages = (
        sa.select(_TABLE.c.id).where(*always, *branch).order_by(*order).limit(limit).subquery()
        for branch in all_branches
    )
    # SQLite wants each with its order as a table of its own.
    found = sa.union(*(sa.select(page.c.id) for page in pages)).subquery("found")
    joined = sa.join(found, _TABLE, found.c.id == _TABLE.c.id)
    return select(names).select_from(joined).order_by(*order).limit(limit)


def _branches(asked: Asked) -> list[tuple[_Condition, ...]]:
    """Conditions whose union is what is asked for."""
    table = _TABLE.c
    hosts: list[tuple[_Condition, ...]] = [()]
    if asked.host is not None:
        hosts = [(table.source_compute == asked.host,), (table.dest_compute == asked.host,)]
    return [host + time for host, time in itertools.product(hosts, _by_status(asked))]


def _by_status(asked: Asked) -> list[tuple[_Condition, ...]]:
    table = _TABLE.c
    changed = asked.changed_since is not None or asked.changed_before is not None
    if asked.statuses is None and not changed:
        return [()]
    statuses = sorted(frozenset(asked.statuses) if asked.statuses is not None else _ALL)
    if not changed:
        return [(table.status == status,) for status in statuses] or [(sa.false(),)]
    under_way = [
        (table.status == status, *_within(asked, table.updated_at))
        for status in statuses
        if status in IN_PROGRESS
    ]
    ended = [status for status in statuses if status in ENDED]
    which = () if len(ended) == len(ENDED) else (table.status.in_(ended),)
    over = [(*_within(asked, table.ended_updated_at), *which)] if ended else []
    return under_way + over or [(sa.false(),)]


_ALL = ENDED | IN_PROGRESS


def _within(asked: Asked, column: sa.ColumnElement[Any]) -> tuple[_Condition, ...]:
    since, before = asked.changed_since, asked.changed_before
    conditions = []
    if since is not None:
        conditions.append(column >= since)
    if before is not None:
        conditions.append(column <= before)
    return tuple(conditions)


def _behind(asked: Asked) -> list[_Condition]:
    """Behind the marker. One bound that alone says where to begin: an index is entered there."""
    key, number = _TABLE.c[asked.sort_key], _TABLE.c.id
    conditions: list[_Condition] = []
    if asked.sort_key == "ended_at":
        conditions.append(key.is_not(None))
    if asked.after is None:
        return conditions
    value, after_id = asked.after
    if asked.sort_key == "id":
        return [number < after_id if asked.descending else number > after_id]
    if asked.descending:
        return [*conditions, key <= value, sa.or_(key < value, number < after_id)]
    return [*conditions, key >= value, sa.or_(key > value, number > after_id)]


def _direction(asked: Asked, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    return column.desc() if asked.descending else column.asc()
