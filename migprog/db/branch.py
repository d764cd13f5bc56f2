# SPDX-License-Identifier: Apache-2.0
"""A part of a list that one index serves, and how each database is made to use that index.

Both databases assume evenly distributed values. So for a page of failed migrations they would scan
all migrations in the order of the list until they have found enough: the whole table where the
failures are old. For MariaDB and MySQL a hint names the index. PostgreSQL takes no hints; there a
branch states status and order as a range of rows (``(status, id) <= ('failed', ...)``) and orders
by all columns of the index: no other index has that order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from migprog.core.status import ENDED
from migprog.db.models import MIGRATIONS

# By their columns.
_INDEXES = {tuple(index.columns.keys()): str(index.name) for index in MIGRATIONS.indexes}
_FIRST, _LAST = datetime(1, 1, 1), datetime(9999, 12, 31)  # noqa: DTZ001
# The least and the greatest value.
_ENDS: dict[str, tuple[Any, Any]] = {
    "id": (0, 2**31 - 1),
    "started_at": (_FIRST, _LAST),
    "ended_at": (_FIRST, _LAST),
}

Condition = sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The order by ``sort_key`` and id, after the row with the values ``after`` of both."""

    sort_key: str
    descending: bool
    after: tuple[Any, int] | None

    @property
    def keys(self) -> list[str]:
        return list(dict.fromkeys((self.sort_key, "id")))

    def directed(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return column.desc() if self.descending else column.asc()

    def by(self, columns: Any) -> list[sa.ColumnElement[Any]]:
        """Return the ORDER BY of ``columns``, which have the keys."""
        return [self.directed(columns[key]) for key in self.keys]

    def behind(self) -> list[Condition]:
        """Return the conditions of the rows after the marker. A single bound on the key lets an
        index scan start there."""
        key, number = MIGRATIONS.c[self.sort_key], MIGRATIONS.c.id
        conditions: list[Condition] = []
        if self.sort_key == "ended_at":
            conditions.append(key.is_not(None))
        if self.after is None:
            return conditions
        value, after_id = self.after
        if self.sort_key == "id":
            return [number < after_id if self.descending else number > after_id]
        if self.descending:
            return [*conditions, key <= value, sa.or_(key < value, number < after_id)]
        return [*conditions, key >= value, sa.or_(key > value, number > after_id)]


@dataclass(frozen=True, slots=True)
class Change:
    """A range of the time of change in this column, both ends included; None: unbounded."""

    column: str
    since: datetime | None
    before: datetime | None

    def conditions(self, columns: Any) -> list[Condition]:
        column = columns[self.column]
        since = [] if self.since is None else [column >= self.since]
        return since if self.before is None else [*since, column <= self.before]


@dataclass(frozen=True, slots=True)
class Branch:
    """The rows with these column values, changed in this range, that meet further conditions."""

    values: dict[str, Any]
    further: Sequence[Condition]
    change: Change | None = None

    def select(
        self, names: Sequence[str], order: Order, dialect: str, most: int | None = None
    ) -> sa.Select[Any]:
        """Return the query of these columns in the order of the list.

        ``most``: an upper bound of the rows that have changed, if known.
        """
        wanted = sa.select(*(MIGRATIONS.c[name] for name in names))
        if not self.values:
            conditions = [*self.further, *order.behind()]
            return wanted.where(*conditions).order_by(*order.by(MIGRATIONS.c))
        exact = None if self.change else _INDEXES.get((*self.values, *order.keys))
        if dialect == "postgresql" and most is not None and self._is_ended:
            found = self._by_change().where(*order.behind()).limit(most).subquery()
            return sa.select(found.c.id).order_by(*order.by(found.c))
        if exact is None:
            # Few rows match, or those that changed: in the order of the list the database would
            # scan all others. An expression keeps it from using an index for the order.
            by = {key: sa.func.coalesce(MIGRATIONS.c[key], MIGRATIONS.c[key]) for key in order.keys}
            return self._hinted(wanted.where(*order.behind())).order_by(*order.by(by))
        if dialect == "postgresql":
            return self._by_rows(wanted, order)
        hinted = wanted.with_hint(MIGRATIONS, f"FORCE INDEX ({exact})", "mysql")
        return hinted.where(*self._conditions(), *order.behind()).order_by(*order.by(MIGRATIONS.c))

    def count(self, most: int, dialect: str) -> sa.Select[Any]:
        """Return the query that counts changed rows, up to ``most``, as ``rows``."""
        if dialect == "postgresql":
            some = self._by_change().limit(most).subquery()
        else:
            some = self._hinted(sa.select(MIGRATIONS.c.id)).limit(most).subquery()
        return sa.select(sa.func.count().label("rows")).select_from(some)

    @property
    def _is_ended(self) -> bool:
        return self.change is not None and self.values.get("status") in ENDED

    def _conditions(self) -> list[Condition]:
        change = [] if self.change is None else self.change.conditions(MIGRATIONS.c)
        equal = (MIGRATIONS.c[name] == value for name, value in self.values.items())
        return [*equal, *change, *self.further]

    def _hinted(self, wanted: sa.Select[Any]) -> sa.Select[Any]:
        """Use an index that finds few rows, or has all columns that the query needs."""
        if "server_uuid" in self.values:
            columns = ["server_uuid", "id"]
        else:
            columns = [name for name in ("project_id", "status") if name in self.values]
            columns += ["ended_updated_at", "id"] if self._is_ended else ["id"]
        hint = f"FORCE INDEX ({_INDEXES[tuple(columns)]})"
        return wanted.with_hint(MIGRATIONS, hint, "mysql").where(*self._conditions())

    def _by_rows(self, wanted: sa.Select[Any], order: Order) -> sa.Select[Any]:
        conditions, columns, status = self._values_of_rows()
        if status is None:
            conditions += order.behind()
        else:
            conditions += _between(status, order)
        by = [*map(order.directed, columns), *order.by(MIGRATIONS.c)]
        return wanted.where(*conditions).order_by(*by)

    def _by_change(self) -> sa.Select[Any]:
        """Return the query of the ids of ended migrations in the order of their change."""
        assert self.change is not None
        conditions, columns, status = self._values_of_rows()
        names = ["status", self.change.column]
        low = _literals(names, [status, self.change.since or _FIRST])
        high = _literals(names, [status, self.change.before or _LAST])
        conditions += [_row(names) >= low, _row(names) <= high]
        by = [*columns, MIGRATIONS.c[self.change.column], MIGRATIONS.c.id]
        return sa.select(MIGRATIONS.c.id).where(*conditions).order_by(*by)

    def _values_of_rows(self) -> tuple[list[Condition], list[sa.ColumnElement[Any]], str | None]:
        """Return the conditions on the values except the status, the columns to order by first, and
        the status."""
        values = dict(self.values)
        status = values.pop("status", None)
        conditions = list(self.further)
        columns: list[sa.ColumnElement[Any]] = []
        for name, value in values.items():
            if columns:
                conditions.append(MIGRATIONS.c[name] == value)
            else:
                # Equality, but one that the planner does not drop from the order as a constant.
                conditions.append(MIGRATIONS.c[name] == sa.any_(postgresql.array([value])))
                columns.append(MIGRATIONS.c[name])
        return conditions, columns + ([] if status is None else [MIGRATIONS.c.status]), status


def _between(status: str, order: Order) -> list[Condition]:
    """Return the range of a status's rows, from the marker if there is one."""
    columns = ["status", order.sort_key]
    lowest, highest = _ENDS[order.sort_key]
    low = _row(columns) >= _literals(columns, [status, lowest])
    high = _row(columns) <= _literals(columns, [status, highest])
    if order.after is not None:
        columns = ["status", *order.keys]
        *before, number = (status, *order.after[-len(order.keys) :])
        # For < PostgreSQL estimates by the first column alone, and expects no rows.
        if order.descending:
            high = _row(columns) <= _literals(columns, [*before, number - 1])
        else:
            low = _row(columns) >= _literals(columns, [*before, number + 1])
    return [low, high]


def _row(names: Sequence[str]) -> Any:
    return sa.tuple_(*(MIGRATIONS.c[name] for name in names))


def _literals(names: Sequence[str], values: Sequence[Any]) -> Any:
    pairs = zip(names, values, strict=True)
    return sa.tuple_(*(sa.literal(value, MIGRATIONS.c[name].type) for name, value in pairs))
