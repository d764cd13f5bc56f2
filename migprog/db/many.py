# SPDX-License-Identifier: Apache-2.0
"""Changing many rows, each to values of its own, by one statement: as each database does it best.

SQLAlchemy's own multi-row upserts are compiled anew each time they run, which costs more than all
the rest of a transaction; these statements are made once.
"""

import datetime
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql


def update(
    connection: sa.Connection,
    table: sa.Table,
    key: str,
    changed: tuple[str, ...],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Set the columns ``changed`` of rows that exist and are locked; ``key`` says which."""
    if not rows:
        return
    dialect = connection.dialect.name
    names = (key, *changed)
    if dialect == "mysql":
        insert, fillers = _mysql(table, names)
        connection.execute(insert, [fillers | {n: row[n] for n in names} for row in rows])
    elif dialect == "postgresql":
        values = [{name: row[name] for name in names} for row in rows]
        connection.execute(
            _postgresql(table, key, changed),
            {"rows": json.dumps(values, default=_json), "keys": [row[key] for row in rows]},
        )
    else:
        connection.execute(
            _sqlite(table, key, changed),
            [{f"_{name}": row[name] for name in names} for row in rows],
        )


# For columns that must have a value in a row to insert that is never inserted.
_FILLERS = {str: "", int: 0, float: 0.0, datetime.datetime: "2000-01-01"}


@functools.cache
def _mysql(table: sa.Table, names: tuple[str, ...]) -> tuple[sa.TextClause, dict[str, Any]]:
    """The drivers fold an INSERT of many rows into one, and nothing else: the rows are there, so
    that it updates. Gives the values too that are the same for all rows."""
    fillers = {
        c.name: _FILLERS[c.type.python_type]
        for c in table.c
        if not c.nullable and c.name not in names
    }
    all_names = (*names, *fillers)
    columns, marks = ", ".join(all_names), ", ".join(f":{name}" for name in all_names)
    news = ", ".join(f"{name} = VALUES({name})" for name in names[1:])
    return sa.text(
        f"INSERT INTO {table.name} ({columns}) VALUES ({marks}) "  # noqa: S608 names of ours
        f"ON DUPLICATE KEY UPDATE {news}"
    ), fillers


@functools.cache
def _postgresql(table: sa.Table, key: str, changed: tuple[str, ...]) -> sa.TextClause:
    """Its driver folds nothing: all rows are one value.

    The keys stand there once more for its planner, which knows nothing of what is in that value and
    would rather read the whole table.
    """
    dialect = postgresql.dialect()
    columns = ", ".join(f"{name} {table.c[name].type.compile(dialect)}" for name in (key, *changed))
    news = ", ".join(f"{name} = new.{name}" for name in changed)
    return sa.text(
        f"UPDATE {table.name} SET {news} "  # noqa: S608 names of ours
        f"FROM json_to_recordset(:rows) AS new({columns}) "
        f"WHERE {table.name}.{key} = new.{key} AND {table.name}.{key} = ANY(:keys)"
    )


@functools.cache
def _sqlite(table: sa.Table, key: str, changed: tuple[str, ...]) -> sa.Update:
    """No round trip: one row after the other will do."""
    news: dict[str, Any] = {name: sa.bindparam(f"_{name}") for name in changed}
    return sa.update(table).where(table.c[key] == sa.bindparam(f"_{key}")).values(news)


def _json(value: Any) -> str:
    assert isinstance(value, datetime.datetime)
    return value.isoformat()
