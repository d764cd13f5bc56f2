# SPDX-License-Identifier: Apache-2.0
"""What storing a report and reading through the API cost, with few and with many migrations there.

    .venv/bin/python benchmarks/reads.py [--database mariadb|postgresql|sqlite] [--runs 5]

The database is a private server, started for this and gone after it; a file for SQLite.
"""

import argparse
import contextlib
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import api_client
import no_eventlet  # noqa: F401
from falcon import testing
from stored_fleet import BATCH, Fleet

from lab.parts import databases
from migprog.core.messages import Report
from migprog.tests import stores

# How much more a report may cost among many than among few.
GOAL_GROWTH = 1.2
_TICKS = os.sysconf("SC_CLK_TCK")
# As many are under way whatever the number of those that have ended.
_RUNNING = 20


@dataclass(frozen=True)
class Database:
    """``pid``: of its server; None: it runs in our process."""

    pid: int | None
    urls: Iterator[str]

    def cpu_seconds(self) -> float:
        """What its server has taken of the processor, with the processes that it started."""
        if self.pid is None:
            return 0.0
        stats = [_stat(path) for path in pathlib.Path("/proc").glob("[0-9]*/stat")]
        # The times of those of its children that have ended are in its own.
        return sum(
            sum(map(int, stat[11:15])) / _TICKS
            for pid, stat in stats
            if pid == self.pid or (stat and int(stat[1]) == self.pid)
        )


def _stat(path: pathlib.Path) -> tuple[int, list[str]]:
    """A process's number and what ``/proc/PID/stat`` tells of it after its name, as proc(5)."""
    with contextlib.suppress(OSError):
        return int(path.parent.name), path.read_text().rpartition(")")[2].split()
    return 0, []


@contextlib.contextmanager
def running(kind: str) -> Iterator[Database]:
    """Run a database of this kind."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="migprog-benchmark-") as directory:
            yield Database(None, (f"sqlite:///{directory}/{name}.sqlite" for name in "abcd"))
        return
    with databases.RUN[kind]() as server:
        yield Database(server.program.process.pid, iter(server.new_database, None))


# Storing.


def stored(database: Database, sizes: tuple[int, int], batches: int, runs: int) -> bool:
    """Measure and print what a report costs, all migrations under way; whether the goal is met."""
    fleets = [Fleet(stores.ready(next(database.urls)), size, under_way=size) for size in sizes]
    for fleet in fleets:
        fleet.fill()
        for _ in range(batches // 10 + 1):
            fleet.tell()
    found: list[list[tuple[float, float]]] = [[] for _ in fleets]
    for _ in range(runs):
        for fleet, costs in zip(fleets, found, strict=True):
            costs.append(_cost_of_reports(database, fleet, batches))
    medians = [tuple(map(statistics.median, zip(*costs, strict=True))) for costs in found]
    print(
        f"{'under way':>10}  conductor µs  database µs  together   a report, in batches of {BATCH}"
    )
    for size, (ours, theirs) in zip(sizes, medians, strict=True):
        print(f"{size:10} {ours:13.0f} {theirs:12.0f} {ours + theirs:9.0f}")
    few, many = medians
    growths = [_ratio(many[0], few[0]), _ratio(many[1], few[1]), _ratio(sum(many), sum(few))]
    print("    growth {:13.2f} {:12.2f} {:9.2f}   goal {}".format(*growths, GOAL_GROWTH))
    for fleet in fleets:
        fleet.store.close()
    return growths[-1] <= GOAL_GROWTH


def _cost_of_reports(database: Database, fleet: Fleet, batches: int) -> tuple[float, float]:
    """Microseconds of processor for each report: of this process, of the database's."""
    begun, theirs = time.process_time(), database.cpu_seconds()
    for _ in range(batches):
        fleet.tell()
    ours, theirs = time.process_time() - begun, database.cpu_seconds() - theirs
    return ours * 1e6 / batches / BATCH, theirs * 1e6 / batches / BATCH


def _ratio(many: float, few: float) -> float:
    return many / few if few else 1.0


# Reading.


def read(database: Database, sizes: tuple[int, int], repeats: int, runs: int) -> None:
    """Measure and print how long the API takes for each question."""
    fleets = [Fleet(stores.ready(next(database.urls)), size, _RUNNING) for size in sizes]
    found: list[dict[str, list[float]]] = []
    for fleet in fleets:
        fleet.fill()
        found.append({what: [] for what in _questions(fleet.reports)})
    clients = [api_client.of(fleet.store) for fleet in fleets]
    for _ in range(runs):
        for client, fleet, times in zip(clients, fleets, found, strict=True):
            for what, question in _questions(fleet.reports).items():
                times[what].append(_milliseconds(client, question, repeats))
    print(f"\n{'ms an answer, through the API':32} {sizes[0]:>7} {sizes[1]:>7}  growth")
    for what in found[0]:
        few, many = (statistics.median(times[what]) for times in found)
        print(f"{what:32} {few:7.2f} {many:7.2f} {_ratio(many, few):7.2f}")
    for fleet in fleets:
        fleet.store.close()


def _questions(reports: Sequence[Report]) -> dict[str, tuple[str, int]]:
    """Addresses, and how many migrations the answer holds."""
    one = reports[len(reports) // 2]
    ended = min(100, len(reports) - _RUNNING)
    server = f"/servers/{one.server_uuid}"
    return {
        "one migration": (f"{server}/migrations/{one.uuid}", 1),
        "a page of 100": ("/migrations?limit=100", min(100, len(reports))),
        "host, page of 100": ("/migrations?host=host-1&limit=100", BATCH),
        "status=running (20)": ("/migrations?status=running&limit=100", _RUNNING),
        "status=completed, page of 80": ("/migrations?status=completed&limit=80", min(80, ended)),
        "in_progress=true (20)": ("/migrations?in_progress=true&limit=100", _RUNNING),
        "server_uuid (1)": (f"/migrations?server_uuid={one.server_uuid}", 1),
        "a server's migrations (1)": (f"{server}/migrations", 1),
    }


def _milliseconds(client: testing.TestClient, question: tuple[str, int], repeats: int) -> float:
    """The median time of an answer, after a first one that is not counted."""
    address, count = question
    answer = client.simulate_get(address, remote_addr="127.0.0.1")
    assert answer.status_code == 200, answer.text
    assert len(answer.json.get("migrations", [1])) == count, (address, answer.json)
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        client.simulate_get(address, remote_addr="127.0.0.1")
        times.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(times)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=[*databases.RUN, "sqlite"], default="mariadb")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--batches", type=int, default=200, help="stored in each run")
    parser.add_argument("--repeats", type=int, default=20, help="of each question in each run")
    parser.add_argument("--many", type=int, default=10_000, help="migrations; few are 100")
    options = parser.parse_args(arguments)
    sizes = (100, options.many)
    print(f"{options.database}; medians of {options.runs} runs")
    with running(options.database) as database:
        met = stored(database, sizes, options.batches, options.runs)
        read(database, sizes, options.repeats, options.runs)
    print("\nthe goal is met" if met else "\nthe goal is NOT met")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
