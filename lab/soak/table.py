# SPDX-License-Identifier: Apache-2.0
"""The figures of a soak as a document (see :mod:`lab.judged_run`) and as tables. Pure."""

from collections.abc import Sequence
from typing import Any

from lab import judged_run
from lab.soak import growth
from lab.soak.judge import Finding, Wrong
from lab.soak.plan import Ending
from lab.soak.run import Result
from lab.soak.usage import LIMITS

_ENDINGS = ("ending", "migrations", "lost", "duplicated", "wrong")
_USES = ("process", "what", "first", "last", "per 1,000", "least", "limit", "noise", "found from")


def document(result: Result, tolerance: float = 1.0) -> dict[str, Any]:
    """Return the figures; the permitted growth is multiplied by ``tolerance``.

    Raises :class:`ValueError` if there are too few points.
    """
    uses = []
    for process, series in result.series.items():
        for what, allowed in LIMITS.items():
            points, limit = series.points[what], allowed * tolerance
            found = growth.trend(points, limit)
            uses.append(
                {
                    "process": process,
                    "what": what,
                    "points": len(points),
                    "first": points[0].value,
                    "last": points[-1].value,
                    "per_thousand": found.per_thousand,
                    "least_per_thousand": found.least_per_thousand,
                    "limit_per_thousand": limit,
                    "noise": found.noise,
                    "found_from_per_thousand": growth.least_found(points, found),
                    "grows": found.grows,
                }
            )
    endings = [each.ending for each in result.journeys]
    grows = any(use["grows"] for use in uses)
    return {
        "right": not (grows or result.left or result.findings),
        "migrations": len(endings),
        **_counts(result.findings),
        "groups": {
            ending.value: {"migrations": endings.count(ending)}
            | _counts([each for each in result.findings if each.ending is ending])
            for ending in Ending
        },
        "findings": [
            {"group": each.ending.value, "what": each.wrong.value, "text": each.text}
            for each in result.findings
        ],
        "seconds": result.took_seconds,
        "left": result.left,
        "uses": uses,
    }


def text(document: dict[str, Any]) -> str:
    """Return the document as two tables."""
    endings = [[name, *_cells(counts)] for name, counts in document["groups"].items()]
    endings.append(["all", *_cells(document)])
    uses = [
        [
            *(use["process"], use["what"], f"{use['first']:.0f}", f"{use['last']:.0f}"),
            *(f"{use['per_thousand']:+.1f}", f"{use['least_per_thousand']:+.1f}"),
            f"{use['limit_per_thousand']:.0f}",
            *(f"{use['noise']:.1f}", f"{use['found_from_per_thousand']:.0f}"),
            "GROWS" if use["grows"] else "no",
        ]
        for use in document["uses"]
    ]
    left = len(document["left"])
    return "\n".join(
        [
            *judged_run.table(_ENDINGS, endings),
            "",
            *judged_run.table((*_USES, "grows"), uses, 2),
            "",
            f"{document['migrations']} migrations in {document['seconds']:.0f} s; files left in the"
            f" agents' state directories: {left}.",
        ]
    )


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    return {wrong.value: sum(each.wrong is wrong for each in findings) for wrong in Wrong}


def _cells(counts: dict[str, Any]) -> list[str]:
    return [str(counts[name]) for name in ("migrations", *Wrong)]
