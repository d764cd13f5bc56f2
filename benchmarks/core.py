# SPDX-License-Identifier: Apache-2.0
"""What one sample costs in the whole core: read, forecast, verdict, throttle; and with steering.

    .venv/bin/python benchmarks/core.py [RECORDING...]

Without recordings: an hour of a guest that does not converge, by arithmetic, so that everything
that is remembered of a migration is at its largest.
"""

import statistics
import sys
import time
from collections.abc import Iterable, Sequence

from lab.simulated import MIB, Guest, precopy
from migprog.compute.actions_in_progress import ActionsInProgress
from migprog.compute.steering import Steering
from migprog.core.monitor import Monitor
from migprog.core.schedule import Rules
from migprog.core.server_facts import ServerFacts
from migprog.core.steering.policies import Mode, Policies
from migprog.core.steering.requirements import POLICIES
from migprog.recording import format
from migprog.recording.format import Row

GOAL_MICROSECONDS = 50.0
POLL_SECONDS = 0.5
RULES = Rules(report_interval_seconds=5.0, heartbeat_interval_seconds=30.0)
UUID = "00000000-0000-0000-0000-000000000000"


def _rows() -> Iterable[Row]:
    guest = Guest(memory_mib=256, dirty_mib_s=60, working_set_mib=64, bandwidth_mib_s=30)
    return precopy(guest, POLL_SECONDS, give_up_seconds=3600.0)


def costs(rows: Iterable[Row], mode: Mode) -> list[float]:
    """Microseconds of each sample, the report that may leave and steering's look included."""
    policies = Policies("gentle", POLICIES, {}, {})
    steering = Steering(mode, policies, lambda *_: None, ActionsInProgress())
    monitor = Monitor(UUID, UUID, found_at=0.0)
    monitor.learn(ServerFacts(memory_size_bytes=256 * MIB))
    measured = []
    for row in rows:
        at = row["t"]
        if row.get("event") == "iteration":
            monitor.iteration_begins(at)
        stats = row.get("stats", {})
        if row["kind"] != "sample" or stats.get("type") != 2:
            continue
        start = time.perf_counter_ns()
        monitor.read(stats, 0.3, at)
        monitor.report_if_due(RULES, at, at)
        steering.look(monitor, None, at)
        measured.append((time.perf_counter_ns() - start) / 1000)
    return measured


def _measured(recordings: Sequence[Iterable[Row]], mode: Mode) -> float:
    """Print what samples cost; return the median in microseconds."""
    # The best of some runs: what else the machine does is not the core's.
    runs = [[cost for rows in recordings for cost in costs(rows, mode)] for _ in range(5)]
    best = min(runs, key=statistics.median)
    median = statistics.median(best)
    p99 = sorted(best)[int(0.99 * (len(best) - 1))]
    print(f"steering {mode}: {len(best)} samples: median {median:.1f} µs, 99 % below {p99:.1f} µs")
    return median


def main(files: list[str]) -> int:
    recordings = [format.read(file).rows for file in files] or [tuple(_rows())]
    median = _measured(recordings, Mode.OFF)
    print(f"{median / GOAL_MICROSECONDS:.2f} of the goal of {GOAL_MICROSECONDS:.0f} µs")
    print(f"{median / POLL_SECONDS / 1e6:.6f} of one processor, a sample each {POLL_SECONDS} s")
    print(f"{_measured(recordings, Mode.ADVISE) / median:.2f} times as much with steering")
    return 0 if median <= GOAL_MICROSECONDS else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
