# SPDX-License-Identifier: Apache-2.0
"""What came of a run, as figures and as a table. Pure."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from lab.steering import judge
from lab.steering.course import Course
from lab.steering.judge import Pair
from lab.steering.run import Tried

# What must not be.
WRONG = ("needless_actions", "wrong_aborts", "hopeless_left", "unrecorded_actions", "failed")
_COLUMNS = {
    "guests": "runs",
    "needless": "needless_actions",
    "wrong aborts": "wrong_aborts",
    "after first": "after_first_iteration_ratio",
    "downtime": "downtime_ratio",
    "hopeless": "hopeless",
    "completed": "hopeless_completed",
    "given up": "hopeless_given_up",
    "left": "hopeless_left",
    "unrecorded": "unrecorded_actions",
    "failed": "failed",
}


def figures(tried: Sequence[Tried], seed: int) -> dict[str, Any]:
    """Return all of it as plain values, and the same by policy."""
    pairs = [pair for each in tried for pair in each.pairs]
    names = list(dict.fromkeys(pair.policy for pair in pairs))
    return {
        "seed": seed,
        "guests": len(tried),
        **judge.figures(pairs),
        "by_policy": {
            name: judge.figures([pair for pair in pairs if pair.policy == name]) for name in names
        },
        "runs_of_guests": [_guest(each) for each in tried],
        "findings": [fault for pair in pairs for fault in judge.faults(pair)],
    }


def _guest(tried: Tried) -> dict[str, Any]:
    untuned = tried.pairs[0].untuned if tried.pairs else None
    return {
        **dataclasses.asdict(tried.shape),
        "untuned": course(untuned) if untuned else None,
        "steered": {pair.policy: pair_figures(pair) for pair in tried.pairs},
    }


def pair_figures(pair: Pair) -> dict[str, Any]:
    """Return what a guest did under a policy, and what it means."""
    return {
        **course(pair.steered),
        "needless_actions": pair.needless_actions,
        "wrong_abort": pair.is_wrong_abort,
        "recorded_actions": pair.recorded_actions,
        "after_first_iteration_ratio": pair.after_first_iteration_ratio
        if pair.is_comparable
        else None,
        "downtime_ratio": pair.downtime_ratio,
    }


def course(seen: Course) -> dict[str, Any]:
    """Return a migration as plain values."""
    return {
        "outcome": seen.ending.value,
        "total_seconds": round(seen.total_seconds, 3),
        "after_first_iteration_seconds": round(seen.after_first_iteration_seconds, 3),
        "downtime_seconds": seen.downtime_seconds,
        "actions": [dataclasses.asdict(action) for action in seen.actions],
        "error": seen.error,
    }


def text(known: dict[str, Any]) -> str:
    """Return the figures as a table, which is one of reStructuredText's too."""
    rows = [[name, *_cells(each)] for name, each in known["by_policy"].items()]
    rows.append(["all", *_cells(known)])
    headings = ["policy", *_COLUMNS]
    widths = [max(len(row[column]) for row in [headings, *rows]) for column in range(len(headings))]
    ruler = "  ".join("=" * width for width in widths)
    lines = [ruler, _line(headings, widths), ruler]
    lines += [_line(row, widths) for row in rows]
    return "\n".join([*lines, ruler, *known["findings"]])


def is_right(known: dict[str, Any]) -> bool:
    return not any(known[wrong] for wrong in WRONG)


def _cells(known: dict[str, Any]) -> list[str]:
    values = (known[key] for key in _COLUMNS.values())
    return ["-" if value is None else str(value) for value in values]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.ljust(width) if column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join([first, *others])
