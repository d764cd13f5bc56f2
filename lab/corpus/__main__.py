# SPDX-License-Identifier: Apache-2.0
"""Record the corpus again, or a part of it.

`tools/record-corpus` runs it.
"""

import argparse
import itertools
import signal
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import libvirt

from lab.corpus import files, handmade
from lab.corpus.recorder import record, start
from lab.corpus.scenario import Scenario
from lab.hosts import Lab, LabError

ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Result:
    scenario: Scenario
    outcome: str
    seconds: float = 0.0
    iterations: int = 0

    @property
    def as_expected(self) -> bool:
        return self.outcome in self.scenario.expected


def main() -> None:
    """Run what the command line asks for; the exit status is 0 if all ended as expected."""
    # The hosts of a lab end with this process, so that Ctrl-C need not wait for a recording.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    arguments = _parser().parse_args()
    if arguments.handmade:
        for name, rows in handmade.recordings():
            files.write(arguments.out / "handmade" / (name + files.SUFFIX), rows)
            print(name, flush=True)
        return
    results = sorted(_record_all(arguments), key=lambda result: result.scenario.name)
    print()
    for result in results:
        print(_line(result))
    unexpected = [result.scenario.name for result in results if not result.as_expected]
    if unexpected:
        sys.exit(f"not as expected, and so not written: {', '.join(unexpected)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/record-corpus", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these scenarios")
    parser.add_argument("--half", choices=files.RECORDED, help="the scenarios of this folder")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="labs at once")
    parser.add_argument("--out", type=Path, default=files.HERE, metavar="DIR")
    parser.add_argument(
        "--handmade", action="store_true", help="those made by arithmetic, and nothing else"
    )
    return parser


def _record_all(arguments: argparse.Namespace) -> Iterator[Result]:
    """Record what is asked for; each recording is in its place as soon as it is complete."""
    chosen = [
        (group, arguments.out / half)
        for half, scenarios in files.RECORDED.items()
        for group in _groups(scenarios)
        if arguments.half in (None, half) and _is_chosen(group, arguments.only)
    ]
    total = sum(len(group) for group, _ in chosen)
    if not total:
        sys.exit("no such scenario")
    done = 0
    with ThreadPoolExecutor(arguments.jobs) as pool:
        work = [pool.submit(_record_group, group, folder) for group, folder in chosen]
        for future in as_completed(work):
            for result in future.result():
                done += 1
                print(f"{done:3}/{total}  {_line(result)}", flush=True)
                yield result


def _groups(scenarios: Iterable[Scenario]) -> list[list[Scenario]]:
    """Those that run at once, in one lab; most run alone."""
    by_lab = itertools.groupby(scenarios, key=lambda scenario: scenario.together or scenario.name)
    return [list(group) for _, group in by_lab]


def _is_chosen(group: list[Scenario], names: list[str] | None) -> bool:
    return names is None or any(scenario.name in names for scenario in group)


def _record_group(group: list[Scenario], folder: Path) -> list[Result]:
    """Record a group, once more if need be; only what is as expected is written."""
    results: list[Result] = []
    for _ in range(ATTEMPTS):
        try:
            recorded = _record_once(group)
        except (LabError, OSError, libvirt.libvirtError) as error:
            results = [Result(scenario, f"error: {error}") for scenario in group]
            continue
        results = [_result(scenario, rows) for scenario, rows in zip(group, recorded, strict=True)]
        if all(result.as_expected for result in results):
            for scenario, rows in zip(group, recorded, strict=True):
                files.write(folder / (scenario.name + files.SUFFIX), rows)
            break
    return results


def _record_once(group: list[Scenario]) -> list[list[files.Row]]:
    with Lab() as lab, ThreadPoolExecutor(len(group)) as pool:
        servers = [start(lab, scenario) for scenario in group]
        work = [pool.submit(record, lab, *pair) for pair in zip(group, servers, strict=True)]
        return [future.result() for future in work]


def _result(scenario: Scenario, rows: list[files.Row]) -> Result:
    end = rows[-1]
    acted = any(row["kind"] == "action" for row in rows)
    iterations = sum(row.get("event") == "iteration" for row in rows)
    fine = acted or not scenario.actions or scenario.may_end_before_actions
    outcome = end["outcome"] if fine else "over before it was acted on"
    return Result(scenario, outcome, end["t"], iterations)


def _line(result: Result) -> str:
    name = result.scenario.name
    return f"{name:40} {result.outcome:10} {result.seconds:6.1f} s {result.iterations:4} iterations"


if __name__ == "__main__":
    main()
