# SPDX-License-Identifier: Apache-2.0
"""What came of a run, as figures and as a table. Pure."""

from collections.abc import Sequence
from typing import Any

from lab.faults import judge
from lab.faults.judge import Wrong
from lab.faults.run import Result, Round

_HEADINGS = ("fault", "times", "migrations", "lost", "duplicated", "wrong", "% back", "5xx")


def figures(result: Result, seed: int) -> dict[str, Any]:
    """All of it as plain values, and the same by kind of fault."""
    kinds = list(dict.fromkeys(each.kind.name for each in result.rounds))
    return {
        "seed": seed,
        **_counts(result.rounds),
        "slowdown_ratio": judge.slowdown(result.watched_seconds, result.unwatched_seconds),
        "watched": len(result.watched_seconds),
        "unwatched": len(result.unwatched_seconds),
        "by_kind": {
            name: _counts([each for each in result.rounds if each.kind.name == name])
            for name in sorted(kinds)
        },
        "findings": [
            {"kind": each.kind.name, "what": finding.wrong.value, "text": finding.text}
            for each in result.rounds
            for finding in each.findings
        ],
    }


def text(known: dict[str, Any]) -> str:
    """The figures as a table, which is one of reStructuredText's too."""
    rows = [[name, *_cells(counts)] for name, counts in known["by_kind"].items()]
    rows.append(["all", *_cells(known)])
    widths = [max(len(row[column]) for row in [_HEADINGS, *rows]) for column in range(len(rows[0]))]
    ruler = "  ".join("=" * width for width in widths)
    lines = [ruler, _line(_HEADINGS, widths), ruler]
    lines += [_line(row, widths) for row in rows]
    lines += [ruler, ""]
    ratio = known["slowdown_ratio"]
    if ratio is not None:
        lines.append(
            f"Watched migrations took {ratio:.3f} times as long as unwatched ones: medians of"
            f" {known['watched']} and {known['unwatched']}."
        )
    return "\n".join(lines)


def is_right(known: dict[str, Any]) -> bool:
    return not any(known[wrong] for wrong in Wrong)


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


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.ljust(width) if column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join([first, *others])
