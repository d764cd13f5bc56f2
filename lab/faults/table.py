# SPDX-License-Identifier: Apache-2.0
"""The figures of a run as a document (see :mod:`lab.judged_run`) and as a table. Pure."""

from collections.abc import Sequence
from typing import Any

from lab import judged_run
from lab.faults import judge
from lab.faults.judge import Wrong
from lab.faults.run import Result, Round

_HEADINGS = ("fault", "times", "migrations", "lost", "duplicated", "wrong", "% back", "5xx")


def document(result: Result) -> dict[str, Any]:
    """Return the figures, in all and by kind of fault."""
    kinds = sorted({each.kind.name for each in result.rounds})
    counts = _counts(result.rounds)
    return {
        "right": not any(counts[wrong] for wrong in Wrong),
        **counts,
        "groups": {
            name: _counts([each for each in result.rounds if each.kind.name == name])
            for name in kinds
        },
        "findings": [
            {"group": each.kind.name, "what": finding.wrong.value, "text": finding.text}
            for each in result.rounds
            for finding in each.findings
        ],
        "slowdown_ratio": judge.slowdown(result.watched_seconds, result.unwatched_seconds),
        "watched": len(result.watched_seconds),
        "unwatched": len(result.unwatched_seconds),
    }


def text(document: dict[str, Any]) -> str:
    """Return the document as a table."""
    rows = [[name, *_cells(counts)] for name, counts in document["groups"].items()]
    rows.append(["all", *_cells(document)])
    lines = judged_run.table(_HEADINGS, rows)
    ratio = document["slowdown_ratio"]
    if ratio is not None:
        lines += [
            "",
            f"Watched migrations took {ratio:.3f} times as long as unwatched ones: medians of"
            f" {document['watched']} and {document['unwatched']}.",
        ]
    return "\n".join(lines)


def _counts(rounds: Sequence[Round]) -> dict[str, Any]:
    counts = {wrong.value: sum(each.count(wrong) for each in rounds) for wrong in Wrong}
    return {
        "faults": len(rounds),
        "migrations": sum(len(each.truths) for each in rounds),
        **counts,
    }


def _cells(counts: dict[str, Any]) -> list[str]:
    names = ("faults", "migrations", *Wrong)
    return [str(counts[name]) for name in names]
