# SPDX-License-Identifier: Apache-2.0
"""Encode entries as a table, ``{"fields": [NAME, ...], "rows": [[VALUE, ...], ...]}``.

Each name is sent once, whatever the number of entries, and not at all if no entry has a value for
it. A reader ignores names that it does not know, and missing values are None. So agents and
conductors of neighbouring versions understand each other. An optional value that breaks its field's
rule is dropped at both ends: one odd counter must not cost the entry. Of a list only the odd part
is dropped, if its rule says so.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from migprog.core.fields import Instead, Partly, Rule, shown

# More than any version has; each costs time even if it is not known.
MAX_FIELDS = 256

_E = TypeVar("_E")


class Malformed(ValueError):
    """A value that cannot be read; the text names the field, the value and the rule."""


@dataclasses.dataclass(slots=True)
class Dropped:
    """How many values were dropped, and the first of them: the field, the value and the rule."""

    count: int = 0
    first: str = ""

    def add(self, name: str, value: Any, error: ValueError) -> None:
        if not self.count:
            self.first = f"{name}: {shown(value)} {error}"
        self.count += 1


class _Field(NamedTuple):
    name: str
    rule: Rule
    needed: bool
    instead: Instead | None


def _fields(kind: Any) -> tuple[_Field, ...]:
    return _fields_once(kind)


@functools.cache
def _fields_once(kind: Any) -> tuple[_Field, ...]:
    return tuple(
        _Field(
            field.name,
            field.metadata["rule"],
            field.default is dataclasses.MISSING,
            field.metadata.get("instead"),
        )
        for field in dataclasses.fields(kind)
    )


@functools.cache
def _values_of(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) == 1:
        # Of one name, attrgetter returns the bare value.
        return lambda entry: (getattr(entry, names[0]),)
    return operator.attrgetter(*names)


def write(
    entries: Sequence[Any], without: Collection[str] = (), dropped: Dropped | None = None
) -> dict[str, Any]:
    """Return the table of entries, dataclasses of one kind whose fields have rules.

    The fields named in ``without`` are left out. ``dropped`` counts the optional values that break
    their rules, and are not written.
    """
    if not entries:
        return {"fields": [], "rows": []}
    fields = _fields(type(entries[0]))
    dropped = Dropped() if dropped is None else dropped
    columns = zip(*map(_values_of(tuple(field.name for field in fields)), entries), strict=True)
    columns_by_name: dict[str, tuple[Any, ...]] = {}
    for field, column in zip(fields, columns, strict=True):
        if field.name not in without and any(value is not None for value in column):
            valid = column if field.needed else _valid(field, column, dropped)
            if valid is column or any(value is not None for value in valid):
                columns_by_name[field.name] = valid
    return {
        "fields": list(columns_by_name),
        "rows": [list(row) for row in zip(*columns_by_name.values(), strict=True)],
    }


def _valid(field: _Field, column: tuple[Any, ...], dropped: Dropped) -> tuple[Any, ...]:
    """Return the column, with None, or the rest, in place of values that break the field's rule."""
    try:
        for value in column:
            if value is not None:
                field.rule(value)
    except ValueError:
        return tuple(_valid_value(field, value, dropped) for value in column)
    return column


def _valid_value(field: _Field, value: Any, dropped: Dropped) -> Any:
    if value is None:
        return None
    try:
        field.rule(value)
    except ValueError as error:
        dropped.add(field.name, value, error)
        return error.rest if isinstance(error, Partly) else None
    return value


def read_one(kind: type[_E], table: Any) -> _E:
    """Return the only entry of a table. Raises :class:`Malformed`."""
    entries, refused = read(kind, table, 1)
    if not entries:
        raise Malformed(refused.get(0, "rows: must be a list of one entry"))
    return entries[0]


def read(
    kind: type[_E], table: Any, max_rows: int, dropped: Dropped | None = None
) -> tuple[list[_E], dict[int, str]]:
    """Return the entries of a table that can be read, and by row why the others cannot.

    ``dropped`` counts the optional values that break their rules, and unknown words: the entry is
    read without them. Raises :class:`Malformed` when the table itself cannot be read.
    """
    names, rows = _parts(table, max_rows)
    place = {name: index for index, name in enumerate(names)}
    known = [(field, place.get(field.name)) for field in _fields(kind)]
    dropped = Dropped() if dropped is None else dropped
    entries: list[_E] = []
    refused: dict[int, str] = {}
    for number, row in enumerate(rows):
        if not isinstance(row, list | tuple) or len(row) != len(names):
            refused[number] = f"must be a list of {len(names)} values"
            continue
        try:
            entries.append(kind(**_checked(known, row, dropped)))
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
    known: Sequence[tuple[_Field, int | None]], row: Sequence[Any], dropped: Dropped
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    later: list[tuple[_Field, str]] = []
    for field, index in known:
        value = None if index is None else row[index]
        if value is None:
            if field.needed:
                raise Malformed(f"{field.name}: is missing")
            continue
        try:
            values[field.name] = field.rule(value)
        except ValueError as error:
            if field.needed and not (field.instead and isinstance(value, str)):
                raise Malformed(f"{field.name}: {shown(value)} {error}") from None
            dropped.add(field.name, value, error)
            if isinstance(error, Partly):
                values[field.name] = error.rest
            if field.instead:
                later.append((field, value))
    for field, word in later:
        assert field.instead is not None
        values[field.name] = field.instead(word, values)
    return values
