# SPDX-License-Identifier: Apache-2.0
"""What watching costs a migration: libvirt's own times, and nova-compute's log, with agents and
without them, by turns."""

import itertools
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import libvirt

from lab.nova.case_run import CaseRun
from lab.nova.operations import Server

TURNS = 6
_MOST_SHARE = 0.02
# What else the machine does delays some migrations, with agents or without.
_LEAST_CHANCE = 0.01
_LEVELS = re.compile(r" (INFO|WARNING|ERROR|CRITICAL|TRACE) ")
_COMPLETED = libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED


def total_times(case_run: CaseRun) -> None:
    server = case_run.boot("quiet")
    case_run.discard(server)
    times: dict[str, list[float]] = {"with": [], "without": []}
    lines: dict[str, Counter[str]] = {"with": Counter(), "without": Counter()}
    for which, verb in _turns():
        case_run.operations.supervisor("agents", verb=verb)
        seconds, said = _migrate(case_run, server)
        times[which].append(seconds)
        lines[which].update(said)
    medians = {which: statistics.median(found) for which, found in times.items()}
    share = medians["with"] / medians["without"] - 1
    case_run.operations.supervisor("agents", verb="start")
    case_run.result.more["total_seconds"] = times
    only = sorted(
        each
        for each, migrations in lines["with"].items()
        if each not in lines["without"] and _is_no_chance(migrations)
    )
    case_run.result.more["log_lines_only_with_migprog"] = only
    case_run.require(
        share <= _MOST_SHARE or chance(times["with"], times["without"]) >= _LEAST_CHANCE,
        f"libvirt took {share:+.1%} of the time without it",
    )
    case_run.require(not only, f"nova-compute logged with migprog alone: {only}")


def chance(times: Sequence[float], others: Sequence[float]) -> float:
    """Return how probable it is that so many times, drawn from all of both, have at least the sum
    that ``times`` have."""
    sums = [sum(each) for each in itertools.combinations((*times, *others), len(times))]
    return sum(each >= sums[0] - 1e-9 for each in sums) / len(sums)


def _is_no_chance(migrations: int) -> bool:
    """Return whether what so many migrations with agents show, and none without, is due to them:
    what Nova's periodic tasks write falls into a migration or not."""
    shown = [1.0] * migrations + [0.0] * (TURNS - migrations)
    return chance(shown, [0.0] * TURNS) < _LEAST_CHANCE


def _turns() -> Iterator[tuple[str, str]]:
    """Migrate with and without agents, in both directions each."""
    pair = (("with", "start"), ("without", "stop"))
    for number in range(TURNS):
        yield from pair if number % 2 == 0 else pair[::-1]


def _migrate(case_run: CaseRun, server: Server) -> tuple[float, set[str]]:
    """Migrate once; libvirt's total time, and the kinds of lines in both nova-computes' logs."""
    before = {path: path.stat().st_size for path in _logs(case_run)}
    host = case_run.operations.live_migrate(server)
    case_run.operations.wait_until_idle(server)
    with case_run.operations.domain(server, host) as domain:
        milliseconds = domain.found.jobStats(_COMPLETED)["time_elapsed"]
    said: set[str] = set()
    for path in _logs(case_run):
        with path.open(errors="replace") as text:
            text.seek(before.get(path, 0))
            said |= {kind(line) for line in text if _LEVELS.search(line)}
    return milliseconds / 1000, said


def _logs(case_run: CaseRun) -> Iterator[Path]:
    for host in case_run.operations.lab.hosts:
        yield from case_run.operations.logs(f"compute@{host.name}")


def kind(line: str) -> str:
    """A line of a log without what differs from time to time: instants, numbers, ids."""
    text = _LEVELS.split(line, maxsplit=1)[-1]
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", text.strip())
    text = re.sub(r"req-UUID( [0-9a-f]{32})*|[0-9a-f]{32}", "ID", text)
    text = re.sub(r"\bhost-[ab]\b", "HOST", text)
    return re.sub(r"\d+(\.\d+)?", "N", text)
