# SPDX-License-Identifier: Apache-2.0
"""Rows of migrations that are read for writing, with values that this version knows. Pure.

During an upgrade a newer conductor may have stored statuses, phases or verdicts that this one does
not know.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from migprog.core import newer_words
from migprog.core.status import Status

Row = dict[str, Any]

_STATUSES = frozenset(each.value for each in Status)


def with_unknown_status(rows: Mapping[str, Row]) -> set[str]:
    """Return the UUIDs of the rows with an unknown status; to read it needs the whole row."""
    return {uuid for uuid, row in rows.items() if row["status"] not in _STATUSES}


def with_known_values(rows: Iterable[Row]) -> list[Row]:
    """Return the rows with known values; one with an unknown status should be whole, since
    ``ended_at`` says whether it has ended."""
    return [_with_known_values(row) for row in rows]


def _with_known_values(row: Row) -> Row:
    status = newer_words.status(row["status"], row.get("ended_at") is not None)
    known: Row = {"status": status.value}
    if "phase" in row:
        verdict = newer_words.verdict(row["verdict"])
        known["phase"] = newer_words.phase(row["phase"], status).value
        known["verdict"] = None if verdict is None else verdict.value
        reason = newer_words.verdict_reason(row["verdict_reason"])
        known["verdict_reason"] = None if reason is None else reason.value
    return row | known
