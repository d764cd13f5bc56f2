# SPDX-License-Identifier: Apache-2.0
"""Where a record of migprog's differs from Nova's row of the same migration, and which of these
differences the documents know. Pure, but for reading the documents' table.

The table is ``doc/source/nova-differences.csv``, whose ``rule`` column says what it allows:

=====================  =============================================================
``any``                every difference
``ours null``          migprog's value is null
``nova null``          Nova's value is null
``within N s``         two instants, no further apart than that
``A -> B``             Nova has A and migprog B; words, without quotes; ``*`` is all
``missing``            the key is there in Nova's document alone
=====================  =============================================================
"""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

MISSING = "(missing)"
_EVERYWHERE = "*"


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of a document of both, and their values; ``case`` is what was done meanwhile."""

    case: str
    document: str
    field: str
    nova: Any
    ours: Any

    def __str__(self) -> str:
        return (
            f"{self.case}: {self.document} {self.field}: Nova {self.nova!r}, migprog {self.ours!r}"
        )


@dataclass(frozen=True, slots=True)
class Allowed:
    """A row of the documents' table."""

    document: str
    field: str
    case: str
    rule: str
    reason: str

    def covers(self, difference: Difference) -> bool:
        """Return whether the row is about this difference, and permits it."""
        return (
            _fits(self.document, difference.document)
            and _fits(self.field, difference.field)
            and any(_fits(case, difference.case) for case in self.case.split())
            and _permits(self.rule, difference)
        )


def read(table: Path) -> list[Allowed]:
    """The rows of the documents' table. Raises ``ValueError`` for a rule that there is not."""
    with table.open(newline="") as file:
        rows = [Allowed(**{name: row[name] for name in _COLUMNS}) for row in csv.DictReader(file)]
    for row in rows:
        _permits(row.rule, Difference("", "", row.field, None, None))
    return rows


_COLUMNS = ("document", "field", "case", "rule", "reason")


def between(
    case: str, document: str, nova: Mapping[str, Any], ours: Mapping[str, Any]
) -> list[Difference]:
    """All differences of two documents, field by field."""
    fields = sorted(nova.keys() | ours.keys())
    return [
        Difference(case, document, field, nova.get(field, MISSING), ours.get(field, MISSING))
        for field in fields
        if nova.get(field, MISSING) != ours.get(field, MISSING)
    ]


def undocumented(found: Iterable[Difference], table: Iterable[Allowed]) -> list[Difference]:
    """Those that no row of the table allows."""
    rows = list(table)
    return [each for each in found if not any(row.covers(each) for row in rows)]


def _fits(pattern: str, value: str) -> bool:
    return pattern in (_EVERYWHERE, value)


def _permits(rule: str, difference: Difference) -> bool:
    if rule == "any":
        return True
    if rule == "ours null":
        return difference.ours is None
    if rule == "nova null":
        return difference.nova is None
    if rule == "missing":
        return difference.ours == MISSING
    if seconds := re.fullmatch(r"within (\d+) s", rule):
        return _is_within(int(seconds[1]), difference)
    if pair := re.fullmatch(r"(.+) -> (.+)", rule):
        return all(
            word in ("*", str(value))
            for word, value in zip(pair.groups(), (difference.nova, difference.ours), strict=True)
        )
    raise ValueError(f"{difference.field}: {rule!r} is no rule of the table")


def _is_within(seconds: int, difference: Difference) -> bool:
    try:
        nova, ours = (
            datetime.fromisoformat(str(value)) for value in (difference.nova, difference.ours)
        )
    except ValueError:
        return False
    return abs((nova - ours).total_seconds()) <= seconds
