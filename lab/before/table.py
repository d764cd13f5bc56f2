# SPDX-License-Identifier: Apache-2.0
"""What came of it, as figures and as a table. Pure.

A migration that was said to converge and did not end, or the other way round, is wrong; it is
undecided where the run does not show it. Errors are shares of the real time.

A figure misses its limit when so many guests beyond it would be seen less than once in a hundred
times if the figure of all such guests were at the limit: of few guests, some are beyond it by
chance.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from lab.before.bench import Tried

# The limits of what is right.
ERROR_MEDIAN, ERROR_P90, LEAST_COVERAGE, WRONG, UNDECIDED = 0.10, 0.30, 0.75, 0.03, 0.15
# By figure: the share of guests that may be beyond its limit.
_SHARES = {
    "total_error_median": 0.5,
    "total_error_p90": 0.1,
    "range_coverage": 1 - LEAST_COVERAGE,
    "wrong": WRONG,
    "undecided": UNDECIDED,
}
_LEAST_CHANCE = 0.01
_COLUMNS = ("guests", "error", "p90", "in range", "wrong", "undecided")


def figures(tried: Sequence[Tried], seed: int) -> dict[str, Any]:
    """Return all of it as plain values, in total and by kind."""
    kinds = sorted({each.drawn.kind for each in tried})
    return {
        "seed": seed,
        **_figures(tried),
        "by_kind": {
            kind: _figures([each for each in tried if each.drawn.kind == kind]) for kind in kinds
        },
        "runs": [_run(each) for each in tried],
    }


def error(tried: Tried) -> float | None:
    """Return the error of the total time; None if there was no forecast of it, or no end."""
    said, seen = tried.before.total_seconds, tried.seen
    if said is None or not seen.completed:
        return None
    return said / seen.total_seconds - 1


def in_range(tried: Tried) -> bool | None:
    """Return whether the real time was in the range; None if there was none, or no end."""
    before, seen = tried.before, tried.seen
    if before.low_seconds is None or before.high_seconds is None or not seen.completed:
        return None
    return before.low_seconds <= seen.total_seconds <= before.high_seconds


def is_undecided(tried: Tried) -> bool:
    return tried.before.converges == "unknown"


def is_wrong(tried: Tried) -> bool:
    return not is_undecided(tried) and (tried.before.converges == "yes") != tried.seen.completed


def is_right(known: dict[str, Any]) -> bool:
    """Return whether the figures are within their limits."""
    return all(
        chance(count, of, _SHARES[name]) >= _LEAST_CHANCE
        for name, (count, of) in known["beyond"].items()
    )


def chance(count: int, of: int, share: float) -> float:
    """Return how probable it is that of so many guests at least ``count`` are beyond a limit, if
    ``share`` of all guests are."""
    return math.fsum(
        math.comb(of, each) * share**each * (1 - share) ** (of - each)
        for each in range(count, of + 1)
    )


def text(known: dict[str, Any]) -> str:
    """Return the figures as a table, which is one of reStructuredText's too."""
    rows = [[kind, *_cells(each)] for kind, each in known["by_kind"].items()]
    rows.append(["all", *_cells(known)])
    headings = ["kind", *_COLUMNS]
    widths = [max(len(row[column]) for row in [headings, *rows]) for column in range(len(headings))]
    ruler = "  ".join("=" * width for width in widths)
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [headings, *rows]
    ]
    return "\n".join([ruler, lines[0], ruler, *lines[1:], ruler])


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the value that so large a share of them does not exceed; None of none."""
    if not values:
        return None
    known = sorted(values)
    place = share * (len(known) - 1)
    low = int(place)
    high = min(low + 1, len(known) - 1)
    return known[low] + (place - low) * (known[high] - known[low])


def _figures(tried: Sequence[Tried]) -> dict[str, Any]:
    errors = [abs(each) for t in tried if t.drawn.is_steady and (each := error(t)) is not None]
    held = [each for t in tried if (each := in_range(t)) is not None]
    wrong, undecided = sum(map(is_wrong, tried)), sum(map(is_undecided, tried))
    return {
        "guests": len(tried),
        "total_error_median": _rounded(quantile(errors, 0.5)),
        "total_error_p90": _rounded(quantile(errors, 0.9)),
        "range_coverage": _rounded(sum(held) / len(held)) if held else None,
        "wrong": _rounded(wrong / len(tried)),
        "undecided": _rounded(undecided / len(tried)),
        # How many of how many guests are beyond the limit of each.
        "beyond": {
            "total_error_median": (sum(each > ERROR_MEDIAN for each in errors), len(errors)),
            "total_error_p90": (sum(each > ERROR_P90 for each in errors), len(errors)),
            "range_coverage": (held.count(False), len(held)),
            "wrong": (wrong, len(tried)),
            "undecided": (undecided, len(tried)),
        },
    }


def _run(tried: Tried) -> dict[str, Any]:
    before = dataclasses.asdict(tried.before)
    for key in ("migration", "basis"):
        del before[key]
    found = error(tried)
    return {
        "guest": dataclasses.asdict(tried.drawn),
        "measurement": dataclasses.asdict(tried.measurement),
        "before": before,
        "learned_bytes_per_second": tried.rate_bytes_per_second,
        "seen": dataclasses.asdict(tried.seen),
        "error": _rounded(found),
        "in_range": in_range(tried),
    }


def _cells(known: dict[str, Any]) -> list[str]:
    shares = ("total_error_median", "total_error_p90", "range_coverage", "wrong", "undecided")
    values = [known[key] for key in shares]
    cells = ["-" if value is None else f"{100 * value:.0f} %" for value in values]
    return [str(known["guests"]), *cells]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
