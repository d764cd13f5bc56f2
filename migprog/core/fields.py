# SPDX-License-Identifier: Apache-2.0
"""The fields of messages, each with the rule that its values must satisfy.

A rule takes a value as received and returns it as stored, or raises :class:`ValueError` with a text
that states the rule. A value of an optional field that breaks its rule is dropped, and the rest of
its entry is read (:mod:`migprog.core.wire_table`). Of a list, a rule may drop a part
(:class:`Partly`).
"""

import dataclasses
import enum
import math
import uuid
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

MAX_TEXT = 255
MAX_WORD = 32
MAX_SHOWN = 64
# What a signed 64-bit column holds.
MAX_COUNT = 2**63 - 1
MAX_DISKS = 32
_DISK_VALUES = 3
MAX_FIGURES = 8
# The year 2200: a time beyond it is a broken clock, and some databases refuse it.
MAX_INSTANT = 7_258_118_400.0

Rule = Callable[[Any], Any]


class Partly(ValueError):
    """A part of a value breaks its rule; ``rest`` is the value without that part."""

    def __init__(self, text: str, rest: Any) -> None:
        super().__init__(text)
        self.rest = rest


# Takes the word, and what was read of the other fields.
Instead = Callable[[str, Mapping[str, Any]], Any]


def counted(value: float | None) -> int | None:
    """Return a whole number; None if it exceeds :data:`MAX_COUNT`, as a rate over almost no time
    does."""
    return round(value) if value is not None and value < MAX_COUNT else None


def needed(rule: Rule, instead: Instead | None = None) -> Any:
    """Declare a dataclass's field that is in every message.

    ``instead`` gives the value for a text that the rule does not know: a word of a later version.
    """
    return dataclasses.field(metadata={"rule": rule, "instead": instead})


def optional(rule: Rule) -> Any:
    """Declare a dataclass's field that is None when it is not known."""
    return dataclasses.field(default=None, metadata={"rule": rule})


def shown(value: Any) -> str:
    """Quote the beginning of any value, to be named in an error."""
    try:
        return repr(str(value)[:MAX_SHOWN])
    except (ValueError, RecursionError):
        # Thousands of digits, or lists within lists.
        return f"a {type(value).__name__} too large to show"


def uuid_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a UUID")
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise ValueError("must be a UUID") from None


def text(value: Any) -> str:
    """Return a text that tenants may choose, cut to size and without control characters."""
    if not isinstance(value, str):
        raise ValueError("must be text")
    cut: str = value[:MAX_TEXT]
    if cut.isprintable():
        return cut
    return "".join(c if c.isprintable() else "?" for c in cut)


def word(value: Any) -> str:
    """Return a short text of our own, cut as :func:`text` does."""
    return text(value)[:MAX_WORD]


def _whole(most: int) -> Rule:
    def rule(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise ValueError(f"must be a whole number from 0 to {most}")
        return value

    return rule


count = _whole(MAX_COUNT)
small_count = _whole(2**31 - 1)
percent = _whole(100)


def disks(value: Any) -> tuple[tuple[str, int, int], ...]:
    """Return copies of disks, each as its name, bytes in all and bytes copied."""
    if not isinstance(value, list | tuple) or len(value) > MAX_DISKS:
        raise ValueError(f"must be a list of at most {MAX_DISKS} disks")
    return tuple(_disk(each) for each in value)


def _disk(value: Any) -> tuple[str, int, int]:
    if not isinstance(value, list | tuple) or len(value) != _DISK_VALUES:
        raise ValueError("must be a list of disks, of each its name and two counts")
    name, total_bytes, processed_bytes = value
    return word(name), count(total_bytes), count(processed_bytes)


def _seconds_from(least: float) -> Rule:
    def rule(value: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError("must be a number of seconds")
        # A whole number may be too large to be a float at all.
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("must be a number of seconds")
        if not least <= value <= MAX_INSTANT:
            raise ValueError(f"must be from {least:.0f} to {MAX_INSTANT:.0f} seconds")
        return float(value)

    return rule


seconds = _seconds_from(0.0)
# A distance between two instants.
signed_seconds = _seconds_from(-MAX_INSTANT)


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("must be a number")
    # False for NaN, too.
    if not -MAX_COUNT <= value <= MAX_COUNT:
        raise ValueError(f"must be from {-MAX_COUNT} to {MAX_COUNT}")
    return value


def figures(value: Any) -> dict[str, float]:
    """Return numbers by name."""
    if not isinstance(value, Mapping) or len(value) > MAX_FIGURES:
        raise ValueError(f"must be at most {MAX_FIGURES} numbers by name")
    return {word(name): _number(each) for name, each in value.items()}


def or_none(rule: Rule) -> Rule:
    """Return the rule of a value that may be None."""
    return lambda value: None if value is None else rule(value)


def entry_of(kind: type, what: str) -> Rule:
    """Return the rule of one entry in a list of ``what``: ``kind`` is a TypedDict whose values are
    annotated with their rules."""
    rules = {
        name: hint.__metadata__[0]
        for name, hint in get_type_hints(kind, include_extras=True).items()
    }

    def rule(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValueError(f"must be a list of {what}, each with values by name")
        read = {}
        for name, of_value in rules.items():
            try:
                read[name] = of_value(value.get(name))
            except ValueError as error:
                raise ValueError(f"must be a list of {what}: {name} {error}") from None
        return read

    return rule


def yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def one_of(kind: type[enum.StrEnum]) -> Rule:
    def rule(value: Any) -> enum.StrEnum:
        try:
            return kind(value)
        except ValueError:
            raise ValueError("must be one of: " + ", ".join(kind)) from None

    return rule
