# SPDX-License-Identifier: Apache-2.0
"""What the agent alone costs a hypervisor: beyond libvirt's own work, and without the broker.

    MIGPROG_CONCURRENCY=threading .venv/bin/python benchmarks/agent.py [--runs 5] [--seconds 20] \
        [--warm-up 6] [--cases 10x0,0x500] [--hours 24]

Each case, migrating x idle servers, is a process of its own with everything at its default. What
the stand-in for libvirt takes of the processor is shown, and not subtracted.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
from collections.abc import Sequence

from migprog import concurrency

HERE = pathlib.Path(__file__).parent
CASES = ((0, 500), *((migrating, idle) for idle in (0, 100, 500) for migrating in (1, 10, 100)))
# Percent of a core, whatever the number of idle servers.
GOALS_PERCENT = {0: 1.0, 10: 1.5}
POLL_SECONDS = 0.5
GOAL_GAP_SECONDS = 2 * POLL_SECONDS
# Allowed growth after the first hour's maximum; what is remembered is bounded: at most 128 notes
# and 64 iterations.
GOAL_GROWTH_KIB = 64
_SLOW_SECONDS = 5.0

Measured = dict[str, float]


def run(script: str, *arguments: object) -> str:
    """What a script of this folder says in its last line. Raises when it fails."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / script), *map(str, arguments)],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{script}: {done.stderr[-2000:]}")
    return done.stdout.splitlines()[-1]


def measure(options: argparse.Namespace, migrating: int, idle: int, *more: object) -> Measured:
    times = ("--seconds", options.seconds, "--warm-up", options.warm_up)
    measured: Measured = json.loads(run("agent_child.py", migrating, idle, *times, *more))
    return measured


def percent(measured: Measured) -> float:
    return 100 * measured["cpu_seconds"] / measured["seconds"]


def costs(options: argparse.Namespace) -> bool:
    """Measure and print each case; whether the goals are met. The runs are interleaved."""
    runs = [{case: measure(options, *case) for case in options.cases} for _ in range(options.runs)]
    print("migrating  idle   % of a core (least-most)    fake   goal   µs a reading  readings/s")
    met = True
    for case in options.cases:
        each = [run[case] for run in runs]
        found = sorted(map(percent, each))
        median, goal = statistics.median(found), GOALS_PERCENT.get(case[0])
        met = met and (goal is None or median <= goal)
        readings = statistics.median(one["readings"] / one["seconds"] for one in each)
        fake = statistics.median(100 * one["fake_cpu_seconds"] / one["seconds"] for one in each)
        print(
            f"{case[0]:9} {case[1]:5} {median:13.2f} ({found[0]:.2f}-{found[-1]:.2f})"
            f" {fake:13.3f} {goal or '-':>6} "
            f"{median * 1e4 / readings if readings else 0:14.0f} {readings:11.1f}"
        )
    print("\nmigrating  idle   RSS MiB   largest gap s   messages/s   reports/s")
    for case in options.cases:
        each = [run[case] for run in runs]
        rss = statistics.median(one["rss_bytes"] for one in each) / 2**20
        gap = max(one["largest_gap_seconds"] for one in each)
        messages, reports = (
            statistics.median(one[what] / one["seconds"] for one in each)
            for what in ("messages", "reports")
        )
        print(f"{case[0]:9} {case[1]:5} {rss:9.1f} {gap:15.2f} {messages:12.2f} {reports:11.2f}")
    return met


def blocked(options: argparse.Namespace) -> bool:
    """Whether conductors that take long hold up no reading."""
    measured = measure(options, 10, 0, "--answers-after", _SLOW_SECONDS)
    gap = measured["largest_gap_seconds"]
    print(
        f"\n10 migrating, a conductor that takes {_SLOW_SECONDS:.0f} s for each message: "
        f"{gap:.2f} s at most between two readings (goal {GOAL_GAP_SECONDS:.1f})"
    )
    return gap <= GOAL_GAP_SECONDS


def day(hours: float) -> bool:
    """Whether memory stays as it was after the first hour."""
    seen = json.loads(run("agent_day.py", "--hours", hours))
    first, rest = seen[0], seen[1:] or seen
    print(f"\n{hours:g} h of one migration, {sum(hour['samples'] for hour in seen)} samples; KiB:")
    growth = {}
    for name in ("allocated_bytes", "rss_bytes"):
        then, last = first[name] / 1024, rest[-1][name] / 1024
        most = max(hour[name] for hour in rest) / 1024
        growth[name] = most - then
        print(
            f"  {name.removesuffix('_bytes'):9} first hour {then:8.0f}, later {most:8.0f} at most, "
            f"last hour {last:8.0f}: {growth[name]:+.0f} (goal +{GOAL_GROWTH_KIB})"
        )
    return max(growth.values()) <= GOAL_GROWTH_KIB


def _cases(text: str) -> Sequence[tuple[int, int]]:
    pairs = (case.split("x") for case in text.split(","))
    return [(int(migrating), int(idle)) for migrating, idle in pairs]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--warm-up", type=float, default=6.0)
    parser.add_argument("--cases", type=_cases, default=CASES, metavar="MIGRATINGxIDLE,...")
    parser.add_argument("--hours", type=float, default=24.0)
    options = parser.parse_args(arguments)
    backend = os.environ.setdefault("MIGPROG_CONCURRENCY", concurrency.THREADING)
    print(f"{backend}; medians of {options.runs} runs of {options.seconds:g} s")
    met = [costs(options), blocked(options), day(options.hours)]
    print("\nall goals are met" if all(met) else "\nNOT all goals are met")
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
