# SPDX-License-Identifier: Apache-2.0
"""What came of it, as figures and as a table. Pure.

A migration that was said to converge and did not end, or the other way round, is wrong; it is
undecided where the run does not show it. Errors are shares of the real time.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from lab.before.bench import Tried

# The limits of what is right.
ERROR_MEDIAN, ERROR_P90, LEAST_COVERAGE, WRONG, UNDECIDED = 0.10, 0.30, 0.75, 0.03, 0.15
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
    return (
        (known["total_error_median"] or 0.0) <= ERROR_MEDIAN
        and (known["total_error_p90"] or 0.0) <= ERROR_P90
        and (known["range_coverage"] is None or known["range_coverage"] >= LEAST_COVERAGE)
        and known["wrong"] <= WRONG
        and known["undecided"] <= UNDECIDED
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
    return {
        "guests": len(tried),
        "total_error_median": _rounded(quantile(errors, 0.5)),
        "total_error_p90": _rounded(quantile(errors, 0.9)),
        "range_coverage": _rounded(sum(held) / len(held)) if held else None,
        "wrong": _rounded(sum(map(is_wrong, tried)) / len(tried)),
        "undecided": _rounded(sum(map(is_undecided, tried)) / len(tried)),
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
