# SPDX-License-Identifier: Apache-2.0
"""Run the cases of the check, and report the result of each and of all."""

import dataclasses
import json
import time
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lab.nova import accuracy, differences, environments, watch
from lab.nova.case_run import CaseRun, Result
from lab.nova.cases import CASES, SHORT, Case
from lab.nova.description import Description
from lab.nova.operations import Operations
from lab.nova.progress_lines import say
from migprog.conf import compute

TABLE = environments.ROOT / "doc/source/nova-differences.csv"
_REPORT_INTERVAL_SECONDS = next(
    float(option.default) for option in compute.OPTS if option.name == "report_interval"
)
# The report interval and a second; and two steps, in which it is looked at.
OLDEST_SECONDS = _REPORT_INTERVAL_SECONDS + 1.0 + 2 * accuracy.STEP_SECONDS
_COLUMNS = (
    ("percent_mean_distance", "migprog off by"),
    ("nova_mean_distance", "Nova off by"),
    ("percent_back", "back by"),
    ("first_number_after_seconds", "first after"),
    ("oldest_figure_seconds", "oldest"),
)


def run(state: Path, names: Sequence[str], short: bool, file: Path | None, repeat: int) -> int:
    """Run cases, all unless some are named; the exit status: 0 if all is as documented."""
    lab = Description.read(state)
    operations = Operations(lab, state)
    wanted = list(names) or list(SHORT if short else CASES)
    for name in wanted:
        if name not in CASES:
            raise LookupError(f"no case {name!r}; there are {', '.join(CASES)}")
    table = differences.read(TABLE)
    results: list[Result] = []
    now = Case(CASES["base"].run, "")
    for name in [name for name in wanted for _ in range(repeat)]:
        case = CASES[name]
        _prepare(operations, now, case)
        now = case
        results.append(_run_case(operations, name, case))
        _say_what_came(results[-1], table)
        if file is not None:
            file.write_text(json.dumps(report(results, table), indent=1) + "\n")
    _prepare(operations, now, Case(now.run, ""))
    found = report(results, table)
    _print_table(found)
    return 0 if is_as_documented(found) else 1


def _prepare(operations: Operations, now: Case, case: Case) -> None:
    """Restart nova-compute and the agents with the options of a case."""
    if now.options != case.options:
        say("restarting both nova-computes", *case.options)
        operations.supervisor("computes", options=case.options)
    if now.user != case.user:
        say("starting the agents as", case.user)
        operations.supervisor("agents", verb="stop")
        operations.supervisor("agents", verb="start", user=case.user)


def _run_case(operations: Operations, name: str, case: Case) -> Result:
    began = time.monotonic()
    say(f"{name}: {case.what}")
    case_run = CaseRun(operations, name)
    try:
        case.run(case_run)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[1:2]
        case_run.result.faults.append(f"{name}: {error!r} at {place}"[:1000])
    try:
        case_run.finish()
    except Exception as error:
        case_run.result.faults.append(f"{name}: looking at the records: {error!r}")
    say(f"{name}: {time.monotonic() - began:.0f} s")
    return case_run.result


def report(results: Iterable[Result], table: Iterable[differences.Allowed]) -> dict[str, Any]:
    """Return all results as one document."""
    found = list(results)
    rows = list(table)
    undocumented = {
        (each.case, each.document, each.field, str(each.nova), str(each.ours)): each
        for result in found
        for each in differences.undocumented(result.differences, rows)
    }
    return {
        "runs": [run for result in found for run in result.runs],
        "undocumented_differences": [dataclasses.asdict(each) for each in undocumented.values()],
        "false_records": [each for result in found for each in result.false_records],
        "missing_records": [each for result in found for each in result.missing_records],
        "hidden_from_clients": [watch.as_json(each) for result in found for each in result.hidden],
        "foreign_to_clients": [watch.as_json(each) for result in found for each in result.foreign],
        "old_or_falling_figures": [
            run for result in found for run in result.runs if not _is_fresh(run)
        ],
        "faults": [each for result in found for each in result.faults],
        "moments": sum(result.moments for result in found),
        **{key: value for result in found for key, value in result.more.items()},
    }


def _is_fresh(run: dict[str, Any]) -> bool:
    """Return whether a percentage never fell, and no figure was older than the interval of reports
    and a second."""
    return not run["percent_back"] and (run["oldest_figure_seconds"] or 0) <= OLDEST_SECONDS


def is_as_documented(found: dict[str, Any]) -> bool:
    """Return whether a report has no error."""
    faults = (
        *("undocumented_differences", "false_records", "missing_records"),
        *("hidden_from_clients", "foreign_to_clients", "old_or_falling_figures", "faults"),
    )
    return not any(found[name] for name in faults)


def _say_what_came(result: Result, table: Iterable[differences.Allowed]) -> None:
    for run in result.runs:
        say("  ", ", ".join(f"{title} {run[name]}" for name, title in _COLUMNS))
    for fault in (*result.faults, *result.false_records, *result.missing_records):
        say("  ", fault)
    for text in dict.fromkeys(map(str, differences.undocumented(result.differences, table))):
        say("   not documented:", text)
    if result.hidden or result.foreign:
        count = f"{len(result.hidden)} hidden, {len(result.foreign)} by another name"
        say(f"   of {result.moments} moments: {count}")


def _print_table(found: dict[str, Any]) -> None:
    print(f"\n{'case':16}" + "".join(f"{title:>16}" for _, title in _COLUMNS))
    for run in found["runs"]:
        values = ("-" if run[name] is None else run[name] for name, _ in _COLUMNS)
        print(f"{run['name']:16}" + "".join(f"{value:>16}" for value in values))
    print()
    for name, value in found.items():
        if name != "runs" and isinstance(value, list):
            print(f"{len(value):4}  {name.replace('_', ' ')}")
    print("as documented" if is_as_documented(found) else "NOT as documented")
