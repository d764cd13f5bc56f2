# SPDX-License-Identifier: Apache-2.0
"""The statement of a list of migrations, which reads hardly more rows than it returns.

No database follows the order of a list through ``OR`` or ``IN``: it reads, and sorts, all that
these find. So a list is a union of branches, each of one status and one end, of at most a page, and
served by one index of :class:`migprog.db.models.Migration`: filter, status, order. Filters that
need two indexes are refused (:func:`conflict`), except for migrations in progress and those of one
server, which are few enough to scan.
"""

import functools
import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from migprog.core.status import ENDED, IN_PROGRESS
from migprog.db.branch import Branch, Change, Condition, Order
from migprog.db.models import MIGRATIONS

# All columns of a migration except computed ones.
COLUMNS = tuple(column.name for column in MIGRATIONS.c if column.computed is None)
# Sort keys of lists, each followed by the id: none of them changes with progress.
SORT_KEYS = ("id", "started_at", "ended_at")
# Up to so many changed migrations are sorted. If more changed, the first of the list are scanned.
MAX_SORTED = 20_000

_ALL = ENDED | IN_PROGRESS


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFilter:
    """Filters and order of a list; a filter that is None does not apply.

    ``host``: at either end. ``changed_since``, ``changed_before``: inclusive, UTC without a zone.
    ``after``: after the row with these values of ``sort_key`` and id. ``named_in_nova``: only those
    whose Nova id is known; ``nova_user_id``, ``nova_project_id``: of who requested the migration.
    By ``ended_at`` only those that have ended are listed.
    """

    server_uuid: str | None = None
    project_id: str | None = None
    user_id: str | None = None
    nova_user_id: str | None = None
    nova_project_id: str | None = None
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

    @property
    def is_few(self) -> bool:
        """Return whether the list has only migrations of one server, or in progress."""
        in_progress = self.statuses is not None and set(self.statuses) <= IN_PROGRESS
        return self.server_uuid is not None or in_progress

    @property
    def is_by_change(self) -> bool:
        return self.changed_since is not None or self.changed_before is not None


_EQUAL = (
    *("server_uuid", "project_id", "user_id", "source_compute"),
    *("nova_user_id", "nova_project_id"),
)
# Each has indexes of its own, with project and status; no index has two of them.
_ONE_OF = (
    *("host", "source_compute", "user_id", "nova_user_id", "nova_project_id"),
    *("changed_since", "changed_before"),
)
# Pairs of these that have an index.
_TOGETHER = ({"nova_user_id", "nova_project_id"}, {"nova_project_id", "changed_since"})


def conflict(asked: ListFilter) -> tuple[str, str] | None:
    """Return two filters that no index serves together, or None."""
    if asked.is_few:
        return None
    given = [name for name in _ONE_OF if getattr(asked, name) is not None]
    if "changed_since" in given and "changed_before" in given:
        given.remove("changed_before")
    if {name.replace("_before", "_since") for name in given} in _TOGETHER:
        given = given[:1]
    if asked.project_id is not None and any(name.startswith("nova_") for name in given):
        given.append("project_id")
    if asked.sort_key != "id":
        given.append("sort_key")
    return (given[0], given[1]) if len(given) > 1 else None


def select(names: Sequence[str]) -> sa.Select[Any]:
    """Return the query of these columns of migrations."""
    return _select(tuple(names))


@functools.lru_cache
def _select(names: tuple[str, ...]) -> sa.Select[Any]:
    return sa.select(*(MIGRATIONS.c[name] for name in names))


@functools.lru_cache
def one(names: tuple[str, ...], known: tuple[str, ...]) -> sa.Select[Any]:
    """Return the query of the columns ``names`` where those ``known`` have the parameters of their
    names. It is made once: to make one of many columns takes as long as to run it."""
    return _select(names).where(*(MIGRATIONS.c[name] == sa.bindparam(name) for name in known))


def statement(
    names: Sequence[str], asked: ListFilter, limit: int, dialect: str = "", most: int | None = None
) -> sa.Select[Any]:
    """Return the query of at most ``limit`` rows of the columns ``names``.

    ``most``: an upper bound of the changed migrations of one status; None: not known.
    """
    order = _order(asked)
    branches = list(_branches(asked))
    if len(branches) == 1 and not asked.is_by_change:
        return branches[0].select(names, order, dialect).limit(limit)
    pages = (
        branch.select(order.keys, order, dialect, most).limit(limit).subquery()
        for branch in branches
    )
    # SQLite needs each ordered SELECT of a union to be a subquery.
    found = sa.union(*(sa.select(*page.c) for page in pages)).subquery("found")
    return _whole(names, order, found, limit, dialect)


def among_the_first(
    names: Sequence[str], asked: ListFilter, limit: int, dialect: str = ""
) -> sa.Select[Any]:
    """Return a query as :func:`statement`, which scans only the first :data:`MAX_SORTED` of the
    list, of any status and time of change. If the page is full, it is correct."""
    anything = replace(asked, changed_since=None, changed_before=None, statuses=None)
    first = statement(["id", "status", "updated_at"], anything, MAX_SORTED, dialect).subquery()
    change = Change("updated_at", asked.changed_since, asked.changed_before)
    conditions = change.conditions(first.c)
    if asked.statuses is not None:
        conditions.append(first.c.status.in_(sorted(asked.statuses)))
    found = sa.select(first.c.id).where(*conditions).subquery("found")
    return _whole(names, _order(asked), found, limit, dialect)


def changed(asked: ListFilter, dialect: str = "") -> sa.Select[Any]:
    """Return the query that counts ended migrations that changed in the list's range, of each
    status at most :data:`MAX_SORTED` + 1."""
    # Those in progress are few, and no index has the time of their change.
    statuses = ENDED & frozenset(_ALL if asked.statuses is None else asked.statuses)
    branches = _branches(replace(asked, statuses=statuses))
    counts = sa.union_all(*(branch.count(MAX_SORTED + 1, dialect) for branch in branches))
    return sa.select(sa.func.sum(counts.subquery("counts").c.rows))


def _whole(
    names: Sequence[str], order: Order, found: sa.Subquery, limit: int, dialect: str
) -> sa.Select[Any]:
    """Return the query of the first rows of ``found``, which has ids and sort keys."""
    # The limit comes before the join: the database would join in the order of the whole table.
    page = sa.select(found.c.id).order_by(*order.by(found.c)).limit(limit)
    if dialect == "postgresql":
        # As an array: PostgreSQL joins a small table before it applies the limit.
        numbers = sa.any_(sa.func.array(page.scalar_subquery()))
        return select(names).where(MIGRATIONS.c.id == numbers).order_by(*order.by(MIGRATIONS.c))
    ids = page.subquery("page")
    joined = sa.join(ids, MIGRATIONS, ids.c.id == MIGRATIONS.c.id)
    return select(names).select_from(joined).order_by(*order.by(MIGRATIONS.c))


def _order(asked: ListFilter) -> Order:
    return Order(sort_key=asked.sort_key, descending=asked.descending, after=asked.after)


def _branches(asked: ListFilter) -> Iterator[Branch]:
    """Yield the branches whose union is the list."""
    table = MIGRATIONS.c
    further: list[Condition] = [table.nova_uuid.is_not(None)] if asked.named_in_nova else []
    if asked.verdict is not None:
        further.append(table.verdict == asked.verdict)
    equal = {name: value for name in _EQUAL if (value := getattr(asked, name)) is not None}
    ends = [] if asked.host is None else ["source_compute", "dest_compute"]
    if ends and "source_compute" in equal:
        further.append(table.source_compute == equal.pop("source_compute"))
    if asked.server_uuid is not None:
        # A server's migrations are few: all are scanned.
        if ends:
            further.append(sa.or_(*(table[end] == asked.host for end in ends)))
        if asked.statuses is not None:
            further.append(table.status.in_(sorted(asked.statuses)))
        yield Branch(equal, further, _change(asked, "updated_at"))
        return
    hosts = [{end: asked.host} for end in ends] or [{}]
    for host, status in itertools.product(hosts, _statuses(asked)):
        if status is None:
            yield Branch(equal | host, further)
            continue
        change = _change(asked, "ended_updated_at" if status in ENDED else "updated_at")
        yield Branch(equal | host | {"status": status}, further, change)
    if asked.statuses is not None and not _statuses(asked):
        yield Branch({}, [sa.false()])


def _statuses(asked: ListFilter) -> Sequence[str | None]:
    """Return the status of each branch; None: one branch for all, by an index without status."""
    others = (
        *(asked.host, asked.source_compute, asked.user_id),
        *(asked.nova_user_id, asked.nova_project_id),
    )
    is_plain = asked.sort_key == "id" and not asked.is_by_change
    if asked.statuses is None and is_plain and all(other is None for other in others):
        return [None]
    statuses = frozenset(_ALL if asked.statuses is None else asked.statuses)
    return sorted(statuses & ENDED if asked.sort_key == "ended_at" else statuses)


def _change(asked: ListFilter, column: str) -> Change | None:
    if not asked.is_by_change:
        return None
    return Change(column, asked.changed_since, asked.changed_before)
