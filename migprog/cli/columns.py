# SPDX-License-Identifier: Apache-2.0
"""The columns of lists, and values as people and as programs read them.

cliff's formatters for programs (json, yaml, value, csv) get the API's own values.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from cliff.columns import FormattableColumn

from migprog.cli import record, text
from migprog.cli.record import Record
from migprog.core.duration import describe


class _Column(FormattableColumn[Any]):
    def human_readable(self) -> str:
        return "" if self._value is None else self._shown()

    def _shown(self) -> str:
        return text.printable(self._value)


class Word(_Column):
    """A text, number or truth value."""


class Percent(_Column):
    def _shown(self) -> str:
        return f"{self._value}%"


class Bytes(_Column):
    def _shown(self) -> str:
        return text.size(self._value)


class Rate(_Column):
    def _shown(self) -> str:
        return f"{text.size(self._value)}/s"


class Seconds(_Column):
    """Seconds that may be few, as downtimes are."""

    def _shown(self) -> str:
        return describe(self._value)


class Left(_Column):
    """Seconds that are left; for people with their range."""

    def __init__(self, left: record.Left | None) -> None:
        super().__init__(None if left is None else round(max(0.0, left.seconds), 1))
        self._left = left

    def _shown(self) -> str:
        return record.left_text(self._left, with_range=True)


class Pairs(_Column):
    """A document; for people its keys and values."""

    def _shown(self) -> str:
        return _pairs(self._value)


class Entries(_Column):
    """A document; for people a line for each of its entries, in their units."""

    def _shown(self) -> str:
        return "\n".join(_entries(self._value))


def _entries(document: Mapping[str, Any]) -> Iterator[str]:
    for key, value in document.items():
        name = text.printable(key)
        if isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
            yield from (f"{name}: {_pairs(each)}" for each in value)
        elif isinstance(value, Mapping):
            yield f"{name}: {_pairs(value)}"
        else:
            yield f"{name}={_field(key, value).human_readable()}"


class Lines(_Column):
    """A list of documents; for people a line for each."""

    def _shown(self) -> str:
        return "\n".join(map(_pairs, self._value))


def _pairs(document: Any) -> str:
    if not isinstance(document, Mapping):
        return text.printable(document)
    return ", ".join(
        f"{text.printable(key)}={text.printable(value)}" for key, value in document.items()
    )


# The value of a cell, of a record and the API's time.
Cell: TypeAlias = Callable[[Record, float], FormattableColumn[Any]]
Table: TypeAlias = tuple[tuple[str, ...], list[tuple[FormattableColumn[Any], ...]]]


def _of(kind: Callable[[Any], FormattableColumn[Any]], key: str) -> Cell:
    return lambda each, _now: kind(each.get(key))


MIGRATIONS: dict[str, Cell] = {
    "Server UUID": _of(Word, "server_uuid"),
    "Server": _of(Word, "server_name"),
    "Status": _of(Word, "status"),
    "Phase": _of(Word, "phase"),
    "Percent": _of(Percent, "percent"),
    "Time Left": lambda each, now: Left(record.left(each, now)),
    "Ends At": _of(Word, "ends_at"),
    "Verdict": _of(Word, "verdict"),
    "Source": _of(Word, "source_compute"),
    "Destination": _of(Word, "dest_compute"),
}
LONG: dict[str, Cell] = {
    "ID": _of(Word, "id"),
    "UUID": _of(Word, "uuid"),
    "Nova ID": _of(Word, "nova_id"),
    "Project ID": _of(Word, "project_id"),
    "Sent": _of(Rate, "throughput_bytes_per_second"),
    "Dirtied": _of(Rate, "dirty_bytes_per_second"),
    "Memory Remaining": _of(Bytes, "memory_remaining_bytes"),
    "Disk Remaining": _of(Bytes, "disk_remaining_bytes"),
    "Iteration": _of(Word, "memory_iteration"),
    "Downtime Needed": _of(Seconds, "downtime_needed_seconds"),
    "Downtime Limit": _of(Seconds, "downtime_limit_seconds"),
    "Started At": _of(Word, "started_at"),
    "Ended At": _of(Word, "ended_at"),
    "Reported At": _of(Word, "last_reported_at"),
    "Stale": _of(Word, "stale"),
    "Reason": _of(Word, "verdict_reason"),
    "Message": _of(Word, "verdict_message"),
    "Advice": _of(Lines, "advice"),
}
POINTS: dict[str, Cell] = {
    "Sampled At": _of(Word, "sampled_at"),
    "Status": _of(Word, "status"),
    "Phase": _of(Word, "phase"),
    "Percent": _of(Percent, "percent"),
    "Time Left": _of(Seconds, "eta_seconds"),
    "Verdict": _of(Word, "verdict"),
    "Sent": _of(Rate, "throughput_bytes_per_second"),
    "Dirtied": _of(Rate, "dirty_bytes_per_second"),
    "Memory Remaining": _of(Bytes, "memory_remaining_bytes"),
    "Disk Remaining": _of(Bytes, "disk_remaining_bytes"),
}
POINTS_LONG: dict[str, Cell] = {
    "Time Left Low": _of(Seconds, "eta_low_seconds"),
    "Time Left High": _of(Seconds, "eta_high_seconds"),
    "Iteration": _of(Word, "memory_iteration"),
    "Iteration Start": _of(Bytes, "iteration_start_remaining_bytes"),
    "Memory Processed": _of(Bytes, "memory_processed_bytes"),
    "Disk Processed": _of(Bytes, "disk_processed_bytes"),
    "CPU Throttle": _of(Percent, "cpu_throttle_percent"),
}
ADVICE: dict[str, Cell] = {
    "At": _of(Word, "at"),
    "Action": _of(Word, "action"),
    "Reason": _of(Word, "reason"),
    "Message": _of(Word, "message"),
    "Figures": _of(Pairs, "figures"),
    "State": _of(Word, "state"),
    "Score": _of(Word, "score"),
}


def table(columns: Mapping[str, Cell], rows: Iterable[Record], now: float) -> Table:
    """Return headings and cells, as cliff's Lister wants them."""
    return tuple(columns), [tuple(cell(row, now) for cell in columns.values()) for row in rows]


_BY_ENDING: Sequence[tuple[str, Callable[[Any], FormattableColumn[Any]]]] = (
    ("_bytes_per_second", Rate),
    ("_bytes", Bytes),
    ("_seconds", Seconds),
    ("percent", Percent),
)


def fields(document: Record) -> tuple[tuple[str, ...], tuple[FormattableColumn[Any], ...]]:
    """Return the keys and values of a migration, as cliff's ShowOne wants them, without links."""
    shown = {key: value for key, value in document.items() if key != "links"}
    return tuple(shown), tuple(_field(key, value) for key, value in shown.items())


def _field(key: str, value: Any) -> FormattableColumn[Any]:
    if isinstance(value, list):
        return Lines(value)
    if isinstance(value, Mapping):
        return Entries(value)
    for ending, kind in _BY_ENDING:
        if key.endswith(ending):
            return kind(value)
    return Word(value)
