# SPDX-License-Identifier: Apache-2.0
"""The columns of the live view, and which of them a terminal has room for. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """``cells``: how wide it is at least. ``right``: whether it is set to the right."""

    name: str
    heading: str
    cells: int
    right: bool = False


GAP = 1
# In the order of a line. At 80 characters all but the route have room.
COLUMNS = (
    Column("server", "server", 10),
    Column("route", "from → to", 24),
    Column("bar", "", 8),
    Column("percent", "%", 4, right=True),
    Column("left", "left", 6, right=True),
    Column("ends", "ends", 8, right=True),
    Column("sent", "sent", 5, right=True),
    Column("dirty", "dirty", 5, right=True),
    Column("phase", "phase", 10),
    Column("verdict", "verdict", 16),
)
# Narrower than this the names of the servers and the bars need the room more than the hosts do.
_ROUTE_FROM = 120
# What goes first where there is no room.
_DROPPED = ("route", "dirty", "sent", "bar", "ends", "phase", "left", "percent")
# How columns grow with a terminal's width, one after the other.
_GROWTH = (
    ("server", 16),
    ("bar", 16),
    ("left", 20),
    ("phase", 22),
    ("server", 28),
    ("route", 28),
    ("bar", 40),
    ("server", 48),
    ("route", 60),
)


def widths(cells: int) -> Mapping[str, int]:
    """Return the width of each column that a line of ``cells`` has room for, in their order."""
    chosen = {each.name: each.cells for each in COLUMNS}
    for name in _DROPPED:
        if _total(chosen) <= cells and (name != "route" or cells >= _ROUTE_FROM):
            break
        del chosen[name]
    for name, most in _GROWTH:
        if name in chosen:
            spare = cells - _total(chosen)
            chosen[name] = max(chosen[name], min(most, chosen[name] + spare))
    return chosen


def _total(chosen: Mapping[str, int]) -> int:
    return sum(chosen.values()) + GAP * (len(chosen) - 1)


@dataclass(frozen=True, slots=True)
class Bar:
    """Cells of a bar: what is done for sure, what may be done by the range of the end, the rest."""

    sure: int
    likely: int
    rest: int


def bar(low_percent: float, high_percent: float, cells: int) -> Bar:
    """Return the cells of a bar between two percentages; the paler part has a cell at least where
    the range is not a point."""
    sure = int(low_percent * cells / 100)
    end = max(sure, round(high_percent * cells / 100))
    if high_percent - low_percent >= 1 and end == sure:
        end = sure + 1
    end = min(cells, end)
    return Bar(sure, end - sure, cells - end)
