# SPDX-License-Identifier: Apache-2.0
"""What came of a soak, as figures and as tables. Pure."""

from collections.abc import Sequence
from typing import Any

from lab.soak import flat
from lab.soak.judge import Finding, Wrong
from lab.soak.plan import Ending
from lab.soak.run import Result
from lab.soak.usage import LIMITS

_ENDINGS = ("ending", "migrations", "lost", "duplicated", "wrong")
_USES = ("process", "what", "first", "last", "per 1,000", "limit", "noise", "found from", "grows")


def figures(result: Result, seed: int, tolerance: float = 1.0) -> dict[str, Any]:
    """All of it as plain values; what may grow is what is allowed times ``tolerance``.

    Raises :class:`ValueError` when there are too few points.
    """
    uses = []
    for process, series in result.series.items():
        for what, allowed in LIMITS.items():
            points, limit = series.points[what], allowed * tolerance
            found = flat.trend(points, limit)
            uses.append(
                {
                    "process": process,
                    "what": what,
                    "points": len(points),
                    "first": points[0].value,
                    "last": points[-1].value,
                    "per_thousand": found.per_thousand,
                    "limit_per_thousand": limit,
                    "noise": found.noise,
                    "found_from_per_thousand": flat.least_found(points, found),
                    "grows": found.grows,
                }
            )
    endings = [each.ending for each in result.journeys]
    return {
        "seed": seed,
        "seconds": result.took_seconds,
        "migrations": len(endings),
        **_counts(result.findings),
        "left": result.left,
        "uses": uses,
        "by_ending": {
            ending.value: {"migrations": endings.count(ending)}
            | _counts([each for each in result.findings if each.ending is ending])
            for ending in Ending
        },
        "findings": [{"what": each.wrong.value, "text": each.text} for each in result.findings],
    }


def is_right(known: dict[str, Any]) -> bool:
    """Whether all is stored as it was, nothing is left on disk, and nothing grows."""
    grows = any(use["grows"] for use in known["uses"])
    return not (grows or known["left"] or any(known[wrong] for wrong in Wrong))


def text(known: dict[str, Any]) -> str:
    """The figures as two tables, which are reStructuredText's too."""
    endings = [[name, *_cells(counts)] for name, counts in known["by_ending"].items()]
    endings.append(["all", *_cells(known)])
    uses = [
        [
            *(use["process"], use["what"], f"{use['first']:.0f}", f"{use['last']:.0f}"),
            *(f"{use['per_thousand']:+.1f}", f"{use['limit_per_thousand']:.0f}"),
            *(f"{use['noise']:.1f}", f"{use['found_from_per_thousand']:.0f}"),
            "GROWS" if use["grows"] else "no",
        ]
        for use in known["uses"]
    ]
    left = len(known["left"])
    return "\n".join(
        [
            *_table(_ENDINGS, endings, 1),
            "",
            *_table(_USES, uses, 2),
            "",
            f"{known['migrations']} migrations in {known['seconds']:.0f} s, seed {known['seed']};"
            f" files left in the agents' state folders: {left}.",
        ]
    )


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    return {wrong.value: sum(each.wrong is wrong for each in findings) for wrong in Wrong}


def _cells(counts: dict[str, Any]) -> list[str]:
    return [str(counts[name]) for name in ("migrations", *Wrong)]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], words: int) -> list[str]:
    """The first ``words`` columns are words, the others numbers."""
    every = [headings, *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(headings))]
    ruler = "  ".join("=" * width for width in widths)
    lines = [
        "  ".join(
            cell.ljust(width) if column < words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in every
    ]
    return [ruler, lines[0], ruler, *lines[1:], ruler]
