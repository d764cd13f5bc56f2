# SPDX-License-Identifier: Apache-2.0
"""What documents of the API must be like to be shown. Pure.

An address may lead to another service, or to an API with an error; what is not as it should be is
then said by field, value and rule, instead of failing where it is used. Keys that a newer API has
may have any value; null is as good as no value.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from migprog.core.fields import shown

# Far more than any figure, and yet a float.
_MOST = 1e30
# What can be shown in every time zone, and subtracted.
_EARLIEST, _LATEST = datetime(1971, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


class NotAsDocumented(ValueError):
    """A value is not as the API documents it: the field, its value and the rule."""


class _Rule(NamedTuple):
    holds: Callable[[Any], bool]
    text: str


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and _is_number(value)


def _is_instant(value: Any) -> bool:
    try:
        return _EARLIEST <= datetime.fromisoformat(value) <= _LATEST
    except (TypeError, ValueError):
        # A text of another form, or without a time zone.
        return False


_NUMBER = _Rule(_is_number, "a number")
_WHOLE = _Rule(_is_whole, "a whole number")
_INSTANT = _Rule(_is_instant, "an instant such as 2026-09-01T12:00:00Z")
_TEXT = _Rule(lambda value: isinstance(value, str), "a text")
_TRUTH = _Rule(lambda value: isinstance(value, bool), "true or false")
_LIST = _Rule(lambda value: isinstance(value, list), "a list")
_OBJECT = _Rule(lambda value: isinstance(value, dict), "an object")

_BY_KEY: Mapping[str, _Rule] = {
    **dict.fromkeys(("id", "memory_iteration", "nova_id", "beside", "servers"), _WHOLE),
    **dict.fromkeys(("in_progress", "stale", "silent", "whole", "block_migration"), _TRUTH),
    **dict.fromkeys(("advice", "actions", "disks", "links", "calibration", "helps"), _LIST),
    **dict.fromkeys(("figures", "measurement", "transfer_rate", "sentences", "failure"), _OBJECT),
    **dict.fromkeys(("ends_at_earliest", "ends_at_latest", "works_by", "at"), _INSTANT),
    **dict.fromkeys(
        (
            *("uuid", "server_uuid", "server_name", "project_id", "status", "phase", "verdict"),
            *("verdict_reason", "verdict_message", "source_compute", "dest_compute", "error"),
            *("action", "reason", "message", "state", "cursor", "host", "rel", "href"),
        ),
        _TEXT,
    ),
}
_BY_ENDING: Sequence[tuple[str, _Rule]] = (
    ("_bytes", _NUMBER),
    ("_seconds", _NUMBER),
    ("_bytes_per_second", _NUMBER),
    ("percent", _NUMBER),
    ("_at", _INSTANT),
)


@functools.lru_cache(1024)
def _rule(key: str) -> _Rule | None:
    known = _BY_KEY.get(key)
    return known or next((rule for end, rule in _BY_ENDING if key.endswith(end)), None)


def _must(value: Any, rule: _Rule, where: str) -> None:
    if not rule.holds(value):
        raise NotAsDocumented(f"{where}: {shown(value)} must be {rule.text}")


def _object(value: Any, where: str, needed: Sequence[str] = ()) -> None:
    """Check an object's values, each by the rule of its key; what is ``needed`` must be there."""
    _must(value, _OBJECT, where)
    for key, each in value.items():
        if each is not None and (rule := _rule(key)) is not None and not rule.holds(each):
            _must(each, rule, f"{where}.{key}")
    for key in needed:
        if value.get(key) is None:
            raise NotAsDocumented(f"{where}: it has no {key!r}")


_NEEDED = ("id", "uuid", "server_uuid", "status", "in_progress", "started_at", "last_reported_at")


def _migration(value: Any, where: str) -> None:
    _object(value, where, _NEEDED)
    for number, entry in enumerate(value.get("advice") or ()):
        _object(entry, f"{where}.advice[{number}]", ("at",))
        _figures(entry.get("figures") or {}, f"{where}.advice[{number}].figures")


def _figures(figures: Mapping[str, Any], where: str) -> None:
    for key, each in figures.items():
        _must(each, _NUMBER, f"{where}.{shown(key)}")


def _migrations(value: Any, where: str) -> None:
    _must(value, _LIST, where)
    for number, each in enumerate(value):
        _migration(each, f"{where}[{number}]")


def _page(document: Mapping[str, Any]) -> None:
    """Check a page of migrations, or news of them."""
    _migrations(document["migrations"], "migrations")
    if "ended" in document:
        _migrations(document["ended"], "ended")
        _must(document.get("left"), _LIST, "left")
        for number, each in enumerate(document["left"]):
            _must(each, _WHOLE, f"left[{number}]")
        _must(document.get("whole"), _TRUTH, "whole")
        _must(document.get("cursor"), _TEXT, "cursor")
    links = document.get("migrations_links") or []
    _must(links, _LIST, "migrations_links")
    for number, link in enumerate(links):
        where = f"migrations_links[{number}]"
        _object(link, where)
        _must(link.get("href"), _TEXT, f"{where}.href")


def _history(points: Any) -> None:
    _must(points, _LIST, "history")
    for number, each in enumerate(points):
        _object(each, f"history[{number}]")


def _forecast(forecast: Any) -> None:
    _object(forecast, "forecast", ("measurement", "transfer_rate"))
    _object(forecast["measurement"], "forecast.measurement", ("measured_at",))
    _object(forecast["transfer_rate"], "forecast.transfer_rate", ("migrations", "source"))
    if forecast.get("failure") is not None:
        _object(forecast["failure"], "forecast.failure", ("message",))


_MOVE = ("server_uuid", "state", "message", "beside")
_NOT_MOVED = ("server_uuid", "message")


def _drain_plan(plan: Any) -> None:
    _object(
        plan, "drain_plan", ("host", "state", "message", "moves", "stays", "unplanned", "links")
    )
    for key, needed in (
        ("moves", _MOVE),
        ("stays", (*_NOT_MOVED, "state")),
        ("unplanned", (*_NOT_MOVED, "reason")),
        ("links", ("rel", "href")),
    ):
        _must(plan[key], _LIST, f"drain_plan.{key}")
        for number, each in enumerate(plan[key]):
            _object(each, f"drain_plan.{key}[{number}]", needed)


_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
    "migrations": _page,
    "migration": lambda document: _migration(document["migration"], "migration"),
    "history": lambda document: _history(document["history"]),
    "summary": lambda document: _object(document["summary"], "summary"),
    "forecast": lambda document: _forecast(document["forecast"]),
    "drain_plan": lambda document: _drain_plan(document["drain_plan"]),
    "drain": lambda document: _object(document["drain"], "drain", ("silent",)),
}


def check(document: Mapping[str, Any], key: str) -> None:
    """Check a document that has ``key``. Raises :class:`NotAsDocumented`."""
    _CHECKS[key](document)
