# SPDX-License-Identifier: Apache-2.0
"""Texts for a terminal. Pure: values in, text out.

Names and messages may have any characters: what a terminal could obey, or what has no place in a
line of its own, becomes ``?`` (as :func:`migprog.core.fields.text` does it for what agents send).
"""

import unicodedata
from datetime import datetime, timedelta, tzinfo

from rich.cells import cell_len, set_cell_size

from migprog.core.instant import from_epoch, rfc3339

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_UNITS = ("", "K", "M", "G", "T", "P", "E")
_MAX_CHARACTERS = 2000
# More marks than that upon one character would be drawn over the lines above and below.
_MAX_MARKS = 2


def printable(text: object) -> str:
    """Return a text that a terminal shows and does not obey, at most 2,000 characters of it.

    Control characters, escape sequences, line ends, marks of direction and halves of surrogate
    pairs become ``?``; of many marks upon one character some are left out.
    """
    shown: list[str] = []
    marks = 0
    for character in str(text)[:_MAX_CHARACTERS]:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MAX_MARKS:
            shown.append(character if character.isprintable() else "?")
    return "".join(shown)


def encodable(text: str, encoding: str) -> str:
    """Return a text with ``?`` for each character that a terminal's encoding does not have."""
    return text.encode(encoding, "replace").decode(encoding)


def fit(text: str, cells: int, *, right: bool = False) -> str:
    """Return a text that is exactly so many cells wide: padded, or cut with an ellipsis."""
    wide = cell_len(text)
    if wide > cells:
        return set_cell_size(text, cells - 1) + "…" if cells > 1 else set_cell_size(text, cells)
    padding = " " * (cells - wide)
    return padding + text if right else text + padding


def duration(seconds: float) -> str:
    """Return at most six characters: ``12s``, ``3m12s``, ``1h04m``, ``2d03h`` or ``120d``."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02d}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02d}m"
    if whole < 100 * _DAY:
        return f"{whole // _DAY}d{whole % _DAY // _HOUR:02d}h"
    return f"{min(whole // _DAY, 99_999)}d"


def size(count: float) -> str:
    """Return bytes in at most five characters such as ``117M`` or ``3.5G``, in powers of 1,024."""
    value, unit = float(count), 0
    while round(value) >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    digits = 1 if unit and value < 9.95 else 0
    return f"{value:.{digits}f}{_UNITS[unit]}"[:6]


def clock(at: datetime, now: datetime, zone: tzinfo) -> str:
    """Return an instant's clock time in ``zone``; its month and day where it is a day away."""
    form = "%H:%M:%S" if abs(at - now) < timedelta(days=1) else "%m-%d"
    return at.astimezone(zone).strftime(form)


def instant(seconds: float) -> str:
    """Return seconds since the epoch as the API writes instants."""
    return rfc3339(from_epoch(seconds))


def epoch(instant: str) -> float:
    """Return an instant of the API as seconds since the epoch. Raises :class:`ValueError`."""
    return datetime.fromisoformat(instant).timestamp()
