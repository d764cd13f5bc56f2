# SPDX-License-Identifier: Apache-2.0
"""Entries on their way: a table, ``{"fields": [NAME, ...], "rows": [[VALUE, ...], ...]}``.

Each name is sent once, whatever the number of entries, and none that no entry has a value for. A
reader goes by the names: it ignores those that it does not know, and what is not there is None.
That is how agents and conductors of neighbouring versions understand each other.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from migprog.core.field import Rule, shown

# More than any version has; each costs something even where it is not known.
MAX_FIELDS = 256

_E = TypeVar("_E")


class Malformed(ValueError):
    """Something cannot be read; the text names the field, the value and the rule."""


class _Field(NamedTuple):
    name: str
    rule: Rule
    needed: bool


def _fields(kind: Any) -> tuple[_Field, ...]:
    return tuple(
        _Field(field.name, field.metadata["rule"], field.default is dataclasses.MISSING)
        for field in dataclasses.fields(kind)
    )


@functools.cache
def _values_of(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    return operator.attrgetter(*names)


def write(entries: Sequence[Any], without: Collection[str] = ()) -> dict[str, Any]:
    """The table of entries, dataclasses of one kind whose fields have rules (:mod:`.field`).

    The fields named in ``without`` are left out.
    """
    if not entries:
        return {"fields": [], "rows": []}
    names = tuple(field.name for field in _fields(type(entries[0])))
    columns = zip(*map(_values_of(names), entries), strict=True)
    told = {
        name: column
        for name, column in zip(names, columns, strict=True)
        if name not in without and any(value is not None for value in column)
    }
    return {
        "fields": list(told),
        "rows": [list(row) for row in zip(*told.values(), strict=True)],
    }


def read(kind: type[_E], table: Any, max_rows: int) -> tuple[list[_E], dict[int, str]]:
    """The entries of a table that can be read, and by row why the others cannot.

    Raises :class:`Malformed` when the table itself cannot be read.
    """
    names, rows = _parts(table, max_rows)
    place = {name: index for index, name in enumerate(names)}
    known = [(field, place.get(field.name)) for field in _fields(kind)]
    entries: list[_E] = []
    refused: dict[int, str] = {}
    for number, row in enumerate(rows):
        if not isinstance(row, list | tuple) or len(row) != len(names):
            refused[number] = f"must be a list of {len(names)} values"
            continue
        try:
            entries.append(kind(**dict(_checked(known, row))))
        except Malformed as error:
            refused[number] = str(error)
    return entries, refused


def _parts(table: Any, max_rows: int) -> tuple[Sequence[str], Sequence[Any]]:
    if not isinstance(table, Mapping):
        raise Malformed("must be a dictionary of fields and rows")
    names, rows = table.get("fields"), table.get("rows")
    if (
        not isinstance(names, list | tuple)
        or len(names) > MAX_FIELDS
        or not all(isinstance(name, str) for name in names)
        or len(set(names)) < len(names)
    ):
        raise Malformed(f"fields: must be a list of at most {MAX_FIELDS} different names")
    if not isinstance(rows, list | tuple) or len(rows) > max_rows:
        raise Malformed(f"rows: must be a list of at most {max_rows} entries")
    return names, rows


def _checked(
    known: Sequence[tuple[_Field, int | None]], row: Sequence[Any]
) -> Iterator[tuple[str, Any]]:
    for (name, rule, needed), index in known:
        value = None if index is None else row[index]
        if value is None:
            if needed:
                raise Malformed(f"{name}: is missing")
            continue
        try:
            yield name, rule(value)
        except ValueError as error:
            raise Malformed(f"{name}: {shown(value)} {error}") from None
