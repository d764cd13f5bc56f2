# SPDX-License-Identifier: Apache-2.0
"""Writes many rows by one statement, in the way that is fastest on each database.

SQLAlchemy compiles its own multi-row upserts again on each run, which costs more than the rest of
the transaction; these statements are compiled once.
"""

import datetime
import functools
import json
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    """Set the columns ``changed`` of rows that exist and are locked; ``key`` identifies them."""
    if not rows:
        return
    dialect = connection.dialect.name
    names = (key, *changed)
    if dialect == "mysql":
        _update_mysql(connection, table, names, rows)
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
    """Insert whole rows, or replace those with the same ``keys``.

    Rows should be in the order of their keys, so that two transactions do not deadlock.
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
    """Delete the rows whose ``key``, the first column of the primary key, is one of ``values``;
    return their number."""
    if not values:
        return 0
    return connection.execute(
        _deleting(table, key, connection.dialect.name), {"values": list(values)}
    ).rowcount


# A statement must fit into a packet, which may be configured as low as 1 MiB.
_MOST_ROWS = 500
_MOST_CHARACTERS = 128 * 1024
# Values of these exact types are safe as literals; the driver takes four times as long to escape
# them. A subclass might format itself in any way.
_LITERALS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "NULL",
    int: int.__repr__,
    float: float.__repr__,
    datetime.datetime: lambda at: f"'{at.isoformat(' ')}'",
}
# For NOT NULL columns of INSERTs that only ever update.
_FILLERS = {str: "''", int: "0", float: "0", datetime.datetime: "'2000-01-01'"}


def in_packets(
    rows: Sequence[Row], names: tuple[str, ...], fillers: str = ""
) -> Iterator[tuple[list[str], list[Any]]]:
    """Return the rows as text with marks, and the values of these, in parts that fit into a packet
    each, by their number and their text. ``fillers`` end the text of each row."""
    values_of = operator.itemgetter(*names)
    written: list[str] = []
    bound: list[Any] = []
    characters = 0
    for row in rows:
        marks: list[str] = []
        strings: list[Any] = []
        for value in values_of(row):
            write = _LITERALS.get(type(value))
            if write is None:
                strings.append(value)
                marks.append("%s")
            else:
                marks.append(write(value))
        more = sum([len(each) for each in strings if isinstance(each, str)])
        if written and (len(written) == _MOST_ROWS or characters + more > _MOST_CHARACTERS):
            yield written, bound
            written, bound, characters = [], [], 0
        written.append(f"({', '.join(marks)}{fillers})")
        bound += strings
        characters += more
    yield written, bound


def _update_mysql(
    connection: sa.Connection, table: sa.Table, names: tuple[str, ...], rows: Sequence[Row]
) -> None:
    """INSERT existing rows, which updates them: an UPDATE cannot set many rows' own values."""
    into, fillers, news = _mysql(table, names)
    for written, bound in in_packets(rows, names, fillers):
        # Not by SQLAlchemy's parameters, which double the cost of the driver's.
        connection.exec_driver_sql(into + ", ".join(written) + news, tuple(bound))


@functools.cache
def _mysql(table: sa.Table, names: tuple[str, ...]) -> tuple[str, str, str]:
    """Return the statement's beginning, the literals after each row's values, and its end."""
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
    """Return an UPDATE whose rows are one bound JSON value: the driver has no multi-row form.

    The keys are bound once more for the planner, which cannot see into that value and would scan
    the whole table.
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
    """Return the FROM item of the rows bound as ``rows``, one JSON value, with these columns."""
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
    """Return an UPDATE of one row: SQLite needs no round trip for each."""
    news: dict[str, Any] = {name: sa.bindparam(f"_{name}") for name in changed}
    return sa.update(table).where(table.c[key] == sa.bindparam(f"_{key}")).values(news)


@functools.cache
def _deleting(table: sa.Table, key: str, dialect: str) -> sa.TextClause:
    # In a small table MySQL would read, and wait for, every row; it takes hints only in a DELETE
    # for several tables. Quoted, since DELETE HISTORY is another statement in MariaDB.
    what = f"`{table.name}` FROM {table.name} FORCE INDEX (PRIMARY)"
    if dialect != "mysql":
        what = f"FROM {table.name}"
    return sa.text(f"DELETE {what} WHERE {key} IN :values").bindparams(
        sa.bindparam("values", expanding=True)
    )


def _json(value: Any) -> str:
    assert isinstance(value, datetime.datetime)
    return value.isoformat()
