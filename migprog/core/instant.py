# SPDX-License-Identifier: Apache-2.0
"""Convert instants: seconds since the epoch in reports, UTC without a zone in records and in the
database, UTC with its zone everywhere else."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, overload


@overload
def to_store(seconds: float) -> datetime: ...
@overload
def to_store(seconds: None) -> None: ...
def to_store(seconds: float | None) -> datetime | None:
    """Return an instant of a report (epoch seconds) in the database's form."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


@overload
def from_store(instant: datetime) -> datetime: ...
@overload
def from_store(instant: None) -> None: ...
def from_store(instant: datetime | None) -> datetime | None:
    """Return an instant of the database with its zone, UTC."""
    return None if instant is None else instant.replace(tzinfo=UTC)


def with_zones(row: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the row, changed: its instants ``names`` have their zone."""
    for name in names:
        if (at := row[name]) is not None:
            row[name] = at.replace(tzinfo=UTC)
    return row


def from_epoch(seconds: float) -> datetime:
    """Return an instant of a report (epoch seconds) with its zone, UTC."""
    return datetime.fromtimestamp(seconds, UTC)


@overload
def zoneless(instant: datetime) -> datetime: ...
@overload
def zoneless(instant: None) -> None: ...
def zoneless(instant: datetime | None) -> datetime | None:
    """Return an instant with a zone in the database's form, for a query."""
    return None if instant is None else instant.astimezone(UTC).replace(tzinfo=None)


def rfc3339(instant: datetime) -> str:
    """Return an instant such as ``2016-01-29T13:42:02.000000Z``; one without a zone is in UTC."""
    if instant.tzinfo is UTC:
        return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")
    utc = instant.astimezone(UTC) if instant.tzinfo else instant
    return utc.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
