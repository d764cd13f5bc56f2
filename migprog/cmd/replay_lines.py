# SPDX-License-Identifier: Apache-2.0
"""What ``migprog-replay`` prints, as lines: assessments, decisions, and how right they were.

``form``: ``table``, or ``json`` for one object a line; a score is one JSON document.
"""

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from migprog.core.steering.policies import Policy
from migprog.recording import forecast_before, score, steering_replay
from migprog.recording.format import Recording
from migprog.recording.ground_truth import GroundTruth, Group, truth
from migprog.recording.replay import Replayed

# Columns of a table: key of the value, and heading.
_LINE = (
    ("t", "t"),
    ("phase", "phase"),
    ("percent", "%"),
    ("eta_seconds", "eta"),
    ("eta_low_seconds", "low"),
    ("eta_high_seconds", "high"),
    ("verdict", "verdict"),
    ("reported", "reported"),
    ("verdict_reason", "verdict_reason"),
    ("verdict_message", "verdict_message"),
)
_FIGURES = (
    ("name", ""),
    ("group", "group"),
    ("end", "end"),
    ("samples", "samples"),
    ("percent_back", "% back"),
    ("percent_above_99", "% > 99"),
    ("percent_lost", "% lost"),
    ("percent_distance", "% off"),
    ("displayed_distance", "seen off"),
    ("nova_distance", "nova off"),
    ("eta_error_median", "eta p50"),
    ("eta_error_p90", "eta p90"),
    ("without_eta", "no eta"),
    ("early_eta_error_median", "early"),
    ("early_eta_error_median_little", "little"),
    ("in_range", "range"),
    ("verdicts_judged", "judged"),
    ("verdicts_wrong", "wrong"),
    ("flips", "flips"),
    ("flips_beyond_max", "beyond"),
    ("called_after_seconds_max", "called s"),
    ("called_after_iterations_max", "iterations"),
    ("not_called", "missed"),
    ("reports", "reports"),
)

_DECISION = (
    ("at", "t"),
    ("action", "action"),
    ("reason", "reason"),
    ("works_by", "works by"),
    ("message", "message"),
)
_STEERING_FIGURES = (
    ("name", ""),
    ("advised", "advised"),
    ("needless", "needless"),
    ("missed", "missed"),
    ("wrong_aborts", "wrong aborts"),
    ("acted_after_seconds", "after s"),
)
_BEFORE = (
    ("name", ""),
    ("converges", "converges"),
    ("total_seconds", "said"),
    ("low_seconds", "low"),
    ("high_seconds", "high"),
    ("real_seconds", "real"),
    ("error", "error"),
    ("in_range", "in range"),
    ("message", "message"),
)

Row = dict[str, Any]
Read = Callable[[str], Recording]
Steer = Callable[[Recording], steering_replay.Steered]
Play = Callable[[Recording], Replayed]


def assessments(files: Sequence[str], read: Read, play: Play, form: str) -> Iterator[str]:
    """Return the assessment at each sample as lines of text."""

    def rows(file: str) -> list[Row]:
        return [dataclasses.asdict(line) for line in play(read(file)).lines]

    return _of_each(files, rows, _LINE, form)


def before(files: Sequence[str], read: Read, form: str) -> Iterator[str]:
    """Return what would have been said before each migration began, and what happened."""
    rows = []
    for file in files:
        recorded = read(file)
        said = forecast_before.forecast(recorded)
        if said is None:
            print(f"{file}: the recording has no measurement of the server", file=sys.stderr)
            continue
        facts = truth(recorded)
        real = facts.end if facts and facts.completed else None
        rows.append({"name": file, **forecast_before.compared(said, real)})
    if form == "json":
        yield from (json.dumps(_rounded(row, 3)) for row in rows)
        return
    for row in rows:
        row["name"] = os.path.basename(row["name"])
        row["error"] = None if row["error"] is None else f"{100 * row['error']:+.0f} %"
    yield from _table(_BEFORE, [_rounded(row, 1) for row in rows])


def _with_truth(files: Sequence[str], read: Read) -> Iterator[tuple[str, Recording, GroundTruth]]:
    """Yield the recordings that can be scored; say on stderr which cannot."""
    for file in files:
        recorded = read(file)
        facts = truth(recorded)
        if facts is None:
            print(f"{file}: not scored: the recording has no end of the migration", file=sys.stderr)
        else:
            yield file, recorded, facts


def accuracy(files: Sequence[str], read: Read, play: Play, form: str) -> Iterator[str]:
    """Return the accuracy for each recording, each group of recordings, and all together."""
    scores = [
        score.score(file, play(recorded), facts, recorded)
        for file, recorded, facts in _with_truth(files, read)
    ]
    each: list[Row] = [
        {"name": s.name, "group": str(s.group), "end": s.end, **score.figures([s])} for s in scores
    ]
    together: list[Row] = [
        {"name": str(group), **score.figures(members)}
        for group in Group
        if (members := [s for s in scores if s.group is group])
    ]
    together.append({"name": "all", **score.figures(scores)})
    if form == "json":
        yield json.dumps({"recordings": each, "together": together}, indent=2)
    else:
        for row in each:
            row["name"] = os.path.basename(str(row["name"]))
        for row in each + together:
            row["reports"] = ", ".join(f"{n} {reason}" for reason, n in row["reports"].items())
        rows = [_rounded(row, 2) for row in each + together]
        yield from _table(_FIGURES, rows)


def decisions(
    files: Sequence[str], read: Read, steer: Steer, policy: str, form: str
) -> Iterator[str]:
    """Return what a policy would have done, as lines of text."""

    def rows(file: str) -> list[Row]:
        return [dict(advice.to_fields()) for advice in steer(read(file)).advice]

    return _of_each(files, rows, _DECISION, form, f"The policy {policy} would have done nothing.")


def decisions_scored(
    files: Sequence[str], read: Read, steer: Steer, policy: Policy, form: str
) -> Iterator[str]:
    """Return whether the decisions on each recording were right, and on all together."""
    scores = [
        steering_replay.score(steer(recorded), policy, facts)
        for _, recorded, facts in _with_truth(files, read)
    ]
    together = steering_replay.totals(scores)
    if form == "json":
        each = [
            {**dataclasses.asdict(s), "advice": [a.to_fields() for a in s.advice]} for s in scores
        ]
        yield json.dumps({"recordings": each, "together": together}, indent=2)
        return
    rows = [
        {**dataclasses.asdict(s), "name": os.path.basename(s.name), "advised": len(s.advice)}
        for s in scores
    ]
    rows = [*rows, {"name": "all", **together}]
    yield from _table(_STEERING_FIGURES, [_rounded(row, 1) for row in rows])


def _of_each(
    files: Sequence[str],
    rows: Callable[[str], list[Row]],
    columns: Sequence[tuple[str, str]],
    form: str,
    without_rows: str | None = None,
) -> Iterator[str]:
    """Yield the rows of each file as JSON or as a table, with its name if there are several.

    ``without_rows``: what a table without any says instead of its heading.
    """
    for file in files:
        found = rows(file)
        named = {"file": file} if len(files) > 1 else {}
        if form == "json":
            yield from (json.dumps(named | _rounded(row, 3)) for row in found)
        else:
            yield from ["", file] if named else []
            if not found and without_rows is not None:
                yield without_rows
            else:
                yield from _table(columns, [_rounded(row, 1) for row in found])


def _rounded(row: Row, digits: int) -> Row:
    return {k: round(v, digits) if isinstance(v, float) else v for k, v in row.items()}


def _table(columns: Sequence[tuple[str, str]], rows: Sequence[Row]) -> Iterator[str]:
    """Return rows under a heading, columns aligned; unknown values are left blank."""
    cells = [[heading for _, heading in columns]]
    cells += [["" if row.get(key) is None else str(row[key]) for key, _ in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for texts in cells:
        padded = (text.ljust(width) for text, width in zip(texts, widths, strict=True))
        yield "  ".join(padded).rstrip()
