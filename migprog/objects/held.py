# SPDX-License-Identifier: Apache-2.0
"""Rows of migrations that are read for writing, in words that this version knows. Pure.

While conductors are upgraded a newer one may have stored words that this one does not know.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from migprog.core import newer_words
from migprog.core.status import Status

Row = dict[str, Any]

_STATUSES = frozenset(each.value for each in Status)


def with_unknown_status(rows: Mapping[str, Row]) -> set[str]:
    """Of rows by their UUIDs, those of which it takes the whole row to know what is meant."""
    return {uuid for uuid, row in rows.items() if row["status"] not in _STATUSES}


def in_known_words(rows: Iterable[Row]) -> list[Row]:
    """The rows; one with an unknown status should be whole, as what has ended tells when."""
    return [_in_known_words(row) for row in rows]


def _in_known_words(row: Row) -> Row:
    status = newer_words.status(row["status"], row.get("ended_at") is not None)
    told: Row = {"status": status.value}
    if "phase" in row:
        verdict = newer_words.verdict(row["verdict"])
        told["phase"] = newer_words.phase(row["phase"], status).value
        told["verdict"] = None if verdict is None else verdict.value
        reason = newer_words.verdict_reason(row["verdict_reason"])
        told["verdict_reason"] = None if reason is None else reason.value
    return row | told
