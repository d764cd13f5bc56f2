# SPDX-License-Identifier: Apache-2.0
"""Changing many rows, each to values of its own, by one statement: as each database does it best.

SQLAlchemy's own multi-row upserts are compiled anew each time they run, which costs more than all
the rest of a transaction; these statements are made once.
"""

import datetime
import functools
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

Row = Mapping[str, Any]


def update(
    connection: sa.Connection,
    table: sa.Table,
    key: str,
    changed: tuple[str, ...],
    rows: Sequence[Row],
) -> None:
    """Set the columns ``changed`` of rows that exist and are locked; ``key`` says which."""
    if not rows:
        return
    dialect = connection.dialect.name
    names = (key, *changed)
    if dialect == "mysql":
        for start in range(0, len(rows), _MOST_ROWS):
            _update_mysql(connection, table, names, rows[start : start + _MOST_ROWS])
    elif dialect == "postgresql":
        objects = [{name: row[name] for name in names} for row in rows]
        connection.execute(
            _postgresql(table, key, changed),
            {"rows": json.dumps(objects, default=_json), "keys": [row[key] for row in rows]},
        )
    else:
        connection.execute(
            _sqlite(table, key, changed),
            [{f"_{name}": row[name] for name in names} for row in rows],
        )


def put(
    connection: sa.Connection, table: sa.Table, keys: tuple[str, ...], rows: Sequence[Row]
) -> None:
    """Insert whole rows; where one with the same ``keys`` is there, it takes its place.

    They come in the order of their keys: so that two who put the same rows do not deadlock.
    """
    if not rows:
        return
    names = tuple(c.name for c in table.c)
    if connection.dialect.name == "mysql":
        update(connection, table, keys[0], (*keys[1:], *(n for n in names if n not in keys)), rows)
    elif connection.dialect.name == "postgresql":
        connection.execute(
            _putting_postgresql(table, keys), {"rows": json.dumps(list(rows), default=_json)}
        )
    else:
        connection.execute(_putting_sqlite(table, keys), list(rows))


def delete(
    connection: sa.Connection, table: sa.Table, key: str, values: Sequence[int] | Sequence[str]
) -> int:
    """Delete the rows whose ``key``, the first column of their primary key, is one of ``values``;
    how many there were."""
    if not values:
        return 0
    return connection.execute(
        _deleting(table, key, connection.dialect.name), {"values": list(values)}
    ).rowcount


# A statement must fit into a packet, of 1 MiB where somebody has set it low.
_MOST_ROWS = 500
# What cannot be anything but a value is written as it is: the driver takes four times as long to
# escape it. By the exact type, since a subclass might say anything.
_LITERALS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "NULL",
    int: int.__repr__,
    float: float.__repr__,
    datetime.datetime: lambda at: f"'{at.isoformat(' ')}'",
}
# For columns that must have a value in a row to insert that is never inserted.
_FILLERS = {str: "''", int: "0", float: "0", datetime.datetime: "'2000-01-01'"}


def _update_mysql(
    connection: sa.Connection, table: sa.Table, names: tuple[str, ...], rows: Sequence[Row]
) -> None:
    """An INSERT of rows that are there, so that it updates: no UPDATE takes many."""
    into, fillers, news = _mysql(table, names)
    values_of = operator.itemgetter(*names)
    bound: list[Any] = []
    written = []
    for row in rows:
        marks = []
        for value in values_of(row):
            write = _LITERALS.get(type(value))
            if write is None:
                bound.append(value)
            marks.append("%s" if write is None else write(value))
        written.append(f"({', '.join(marks)}{fillers})")
    # Not through SQLAlchemy's parameters: they cost as much again as the driver's.
    connection.exec_driver_sql(into + ", ".join(written) + news, tuple(bound))


@functools.cache
def _mysql(table: sa.Table, names: tuple[str, ...]) -> tuple[str, str, str]:
    """The statement's beginning, what each row has after its values, and the statement's end."""
    fillers = {
        c.name: _FILLERS[c.type.python_type]
        for c in table.c
        if not c.nullable and c.name not in names
    }
    news = ", ".join(f"{name} = VALUES({name})" for name in names[1:])
    return (
        f"INSERT INTO {table.name} ({', '.join([*names, *fillers])}) VALUES ",  # noqa: S608 ours
        "".join(f", {filler}" for filler in fillers.values()),
        f" ON DUPLICATE KEY UPDATE {news}",
    )


@functools.cache
def _postgresql(table: sa.Table, key: str, changed: tuple[str, ...]) -> sa.TextClause:
    """Its driver folds nothing: all rows are one value.

    The keys stand there once more for its planner, which knows nothing of what is in that value and
    would rather read the whole table.
    """
    news = ", ".join(f"{name} = new.{name}" for name in changed)
    return sa.text(
        f"UPDATE {table.name} SET {news} "  # noqa: S608 names of ours
        f"FROM {_recordset(table, (key, *changed))} "
        f"WHERE {table.name}.{key} = new.{key} AND {table.name}.{key} = ANY(:keys)"
    )


@functools.cache
def _putting_postgresql(table: sa.Table, keys: tuple[str, ...]) -> sa.TextClause:
    names = ", ".join(table.c.keys())
    return sa.text(
        f"INSERT INTO {table.name} ({names}) "  # noqa: S608 names of ours
        f"SELECT {names} FROM {_recordset(table, tuple(table.c.keys()))} "
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {_excluded(table, keys)}"
    )


def _recordset(table: sa.Table, names: tuple[str, ...]) -> str:
    """The rows that are bound as ``rows``, one JSON value, with these columns of a table."""
    dialect = postgresql.dialect()
    columns = ", ".join(f"{name} {table.c[name].type.compile(dialect)}" for name in names)
    return f"json_to_recordset(:rows) AS new({columns})"


@functools.cache
def _putting_sqlite(table: sa.Table, keys: tuple[str, ...]) -> sa.Insert:
    insert = sqlite.insert(table)
    news = {c.name: insert.excluded[c.name] for c in table.c if c.name not in keys}
    return insert.on_conflict_do_update(index_elements=keys, set_=news)


def _excluded(table: sa.Table, keys: tuple[str, ...]) -> str:
    return ", ".join(f"{c.name} = excluded.{c.name}" for c in table.c if c.name not in keys)


@functools.cache
def _sqlite(table: sa.Table, key: str, changed: tuple[str, ...]) -> sa.Update:
    """No round trip: one row after the other will do."""
    news: dict[str, Any] = {name: sa.bindparam(f"_{name}") for name in changed}
    return sa.update(table).where(table.c[key] == sa.bindparam(f"_{key}")).values(news)


@functools.cache
def _deleting(table: sa.Table, key: str, dialect: str) -> sa.TextClause:
    # In a small table MySQL would rather read, and wait for, every row; a hint may stand only in
    # its DELETE for several tables. Quoted, since DELETE HISTORY is something else in MariaDB.
    what = f"`{table.name}` FROM {table.name} FORCE INDEX (PRIMARY)"
    if dialect != "mysql":
        what = f"FROM {table.name}"
    return sa.text(f"DELETE {what} WHERE {key} IN :values").bindparams(
        sa.bindparam("values", expanding=True)
    )


def _json(value: Any) -> str:
    assert isinstance(value, datetime.datetime)
    return value.isoformat()
