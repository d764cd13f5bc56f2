# SPDX-License-Identifier: Apache-2.0
"""What is asked of the API for the options of a list, and the order of what it answers. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from migprog.cli import fleet, record
from migprog.cli.record import Record

# The API sorts by these, on all its pages.
API_SORT_KEYS = ("created_at", "started_at", "ended_at")
_DIRECTIONS = ("asc", "desc")


def _words(key: str) -> Callable[[Record], Any]:
    return lambda each: each.get(key)


# What is in progress is few: it is read wholly, and sorted here.
SORT_KEYS: Mapping[str, Callable[[Record], Any]] = {
    "trouble": fleet.urgency,
    **{
        key: _words(key)
        for key in (
            *("server_name", "status", "phase", "percent", "ends_at", "verdict"),
            *("source_compute", "dest_compute", "project_id"),
            *("throughput_bytes_per_second", "dirty_bytes_per_second"),
        )
    },
}


def parse_sort(given: str) -> tuple[str, str | None]:
    """Return key and direction of ``KEY[:DIRECTION]``. Raises :class:`ValueError`."""
    key, _, direction = given.partition(":")
    if key not in SORT_KEYS and key not in API_SORT_KEYS:
        known = ", ".join((*SORT_KEYS, *API_SORT_KEYS))
        raise ValueError(f"{key!r} must be one of: {known}")
    if direction and direction not in _DIRECTIONS:
        raise ValueError(f"{direction!r} must be asc or desc")
    return key, direction or None


def in_order(records: Iterable[Record], key: str, direction: str | None) -> list[Record]:
    """Return migrations sorted by one of :data:`SORT_KEYS`; those without a value come last."""
    value = SORT_KEYS[key]
    known: list[Record] = []
    unknown: list[Record] = []
    for each in sorted(records, key=fleet.urgency):
        (unknown if value(each) is None else known).append(each)
    return sorted(known, key=value, reverse=direction == "desc") + unknown


def describe(scope: Mapping[str, Any]) -> str:
    """Return in words which migrations a query selects."""
    names = {"host": "host", "project_id": "project", "server_uuid": "server"}
    parts = [f"{names[key]} {scope[key]}" for key in names if key in scope]
    return ", ".join(parts) or "all hosts"


def with_advice(records: Iterable[Record]) -> list[Record]:
    """Return an entry for each advice of the migrations, with its server; of the worst first."""
    return [
        {**entry, "server_uuid": each["server_uuid"], "server_name": record.name(each)}
        for each in sorted(records, key=fleet.urgency)
        for entry in each.get("advice") or ()
    ]
