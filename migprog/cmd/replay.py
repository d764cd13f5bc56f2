# SPDX-License-Identifier: Apache-2.0
"""``migprog-replay``: print the assessments of recorded migrations, or measure their accuracy.

It needs no libvirt, broker or configuration.
"""

import argparse
import dataclasses
import functools
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from migprog import exception
from migprog.core.schedule import Rules
from migprog.core.steering import policies
from migprog.core.steering.nova_schedule import NovaOptions
from migprog.core.steering.policies import Policy
from migprog.core.steering.requirements import NOVA, POLICY_NAMES
from migprog.recording import format, plot, score, steered
from migprog.recording.format import Recording
from migprog.recording.ground_truth import GroundTruth, Group, truth
from migprog.recording.replay import Replayed, replay
from migprog.version import RELEASE

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

Read = Callable[[str], Recording]
Steer = Callable[[Recording], steered.Steered]
Play = Callable[[Recording], Replayed]


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="migprog-replay",
        description="Run recorded migrations through the code that assesses live ones, and print "
        "the assessment at each sample.",
    )
    parser.add_argument("--version", action="version", version=RELEASE)
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="a recording, compressed with gzip or not"
    )
    parser.add_argument(
        "--format",
        choices=("table", "json"),
        default="table",
        help="json: one object a line, with --score one document; default %(default)s",
    )
    parser.add_argument(
        "--policy",
        choices=POLICY_NAMES,
        help="print what this policy of steering would have done instead; with --score, whether "
        "that was needless, or missed",
    )
    parser.add_argument(
        "--require",
        action="append",
        default=[],
        metavar="REQUIREMENT=VALUE",
        help="change a requirement of the policy, as [steering] requirements; may be repeated",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--score",
        action="store_true",
        help="compare the assessments with how the migrations really went",
    )
    what.add_argument(
        "--plot", metavar="FILE.png", help="draw the assessments of one recording; needs matplotlib"
    )
    for name, default in (("report", 10.0), ("heartbeat", 30.0)):
        parser.add_argument(
            f"--{name}-interval",
            type=float,
            default=default,
            metavar="SECONDS",
            help=f"as [compute] {name}_interval; default %(default)g",
        )
    parser.add_argument(
        "--completion-time",
        type=float,
        metavar="SECONDS",
        help="seconds that earlier migrations between the same hosts took from the switchover to "
        "the end, as the agent learns it; default: that of the recording, or a guess",
    )
    parser.add_argument(
        "--max-mib",
        type=int,
        default=format.MAX_BYTES // 2**20,
        help="maximum size of an unpacked recording in MiB, see [compute] record_max_mib; reading "
        "takes about ten times as much memory; default %(default)d",
    )
    arguments = parser.parse_args(argv)
    if arguments.plot and len(arguments.files) > 1:
        parser.error("--plot draws one recording")
    if arguments.plot and arguments.policy:
        parser.error("--plot does not draw the decisions of a policy")
    if arguments.require and arguments.policy in (None, NOVA):
        parser.error("--require changes a policy other than nova: see --policy")
    try:
        arguments.policy = _policy(arguments.policy, arguments.require)
    except ValueError as error:
        parser.error(f"--require: {error}")
    return arguments


def _policy(name: str | None, required: Sequence[str]) -> Policy | None:
    """Return the policy with what is required. Raises :class:`ValueError`."""
    if name is None or name == NOVA:
        return None if name is None else NovaOptions()
    pairs = [text.partition("=") for text in required]
    overrides = {f"{name}.{field}": value for field, _, value in pairs}
    return policies.parse_overrides(overrides)[name]


def _assessments(files: Sequence[str], read: Read, play: Play, form: str) -> Iterator[str]:
    """Return the assessment at each sample as lines of text."""
    for file in files:
        lines = play(read(file)).lines
        named = {"file": file} if len(files) > 1 else {}
        if form == "json":
            for line in lines:
                yield json.dumps(named | _rounded(dataclasses.asdict(line), 3))
        else:
            yield from ["", file] if named else []
            yield from _table(_LINE, [_rounded(dataclasses.asdict(line), 1) for line in lines])


def _with_truth(files: Sequence[str], read: Read) -> Iterator[tuple[str, Recording, GroundTruth]]:
    """Yield the recordings that can be scored; say on stderr which cannot."""
    for file in files:
        recorded = read(file)
        facts = truth(recorded)
        if facts is None:
            print(f"{file}: not scored: the recording has no end of the migration", file=sys.stderr)
        else:
            yield file, recorded, facts


def _accuracy(files: Sequence[str], read: Read, play: Play, form: str) -> Iterator[str]:
    """Return the accuracy for each recording, each group of recordings, and all together."""
    scores = [
        score.score(file, play(recorded), facts, recorded)
        for file, recorded, facts in _with_truth(files, read)
    ]
    each: list[dict[str, Any]] = [
        {"name": s.name, "group": str(s.group), "end": s.end, **score.figures([s])} for s in scores
    ]
    together: list[dict[str, Any]] = [
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


def _decisions(files: Sequence[str], read: Read, steer: Steer, form: str) -> Iterator[str]:
    """Return what a policy would have done, as lines of text."""
    for file in files:
        decided = [advice.to_fields() for advice in steer(read(file)).advice]
        named = {"file": file} if len(files) > 1 else {}
        if form == "json":
            yield from (json.dumps(named | row) for row in decided)
        else:
            yield from ["", file] if named else []
            yield from _table(_DECISION, [_rounded(dict(row), 1) for row in decided])


def _decisions_scored(
    files: Sequence[str], read: Read, steer: Steer, policy: Policy, form: str
) -> Iterator[str]:
    """Return whether the decisions on each recording were right, and on all together."""
    scores = [
        steered.score(steer(recorded), policy, facts)
        for _, recorded, facts in _with_truth(files, read)
    ]
    together = steered.totals(scores)
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


def _draw(picture: str, file: str, read: Read, play: Play) -> None:
    recorded = read(file)
    plot.draw(picture, recorded, play(recorded), truth(recorded))


def _rounded(row: dict[str, Any], digits: int) -> dict[str, Any]:
    return {k: round(v, digits) if isinstance(v, float) else v for k, v in row.items()}


def _table(columns: Sequence[tuple[str, str]], rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Return rows under a heading, columns aligned; unknown values are left blank."""
    cells = [[heading for _, heading in columns]]
    cells += [["" if row.get(key) is None else str(row[key]) for key, _ in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for texts in cells:
        padded = (text.ljust(width) for text, width in zip(texts, widths, strict=True))
        yield "  ".join(padded).rstrip()


def _lines(arguments: argparse.Namespace, read: Read, play: Play, rules: Rules) -> Iterator[str]:
    files, form, policy = arguments.files, arguments.format, arguments.policy
    if policy is None:
        work = _accuracy if arguments.score else _assessments
        return work(files, read, play, form)
    steer = functools.partial(steered.steered, policy=policy, rules=rules)
    if arguments.score:
        return _decisions_scored(files, read, steer, policy, form)
    return _decisions(files, read, steer, form)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 1: failed, with the reason on stderr; 2: bad arguments, or not a recording."""
    arguments = _arguments(argv)
    rules = Rules(arguments.report_interval, arguments.heartbeat_interval)
    play = functools.partial(replay, rules=rules, completion_time_seconds=arguments.completion_time)
    read = functools.partial(format.read, max_bytes=arguments.max_mib * 2**20)
    try:
        if arguments.plot:
            _draw(arguments.plot, arguments.files[0], read, play)
            return 0
        for line in _lines(arguments, read, play, rules):
            print(line)
        sys.stdout.flush()
    except format.NotARecording as error:
        print(f"migprog-replay: {error}", file=sys.stderr)
        return 2
    except exception.MigprogError as error:
        print(f"migprog-replay: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        # Otherwise Python tries to flush again at exit, and prints an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(f"migprog-replay: cannot write: {error.strerror}", file=sys.stderr)
            return 1
        # The reader closed the pipe, as head(1) does.
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
