# SPDX-License-Identifier: Apache-2.0
"""One, two and four conductors with the same load; and how soon the rest go on when one is killed.

    .venv/bin/python benchmarks/conductors.py [--runs 5] [--seconds 10]

What counts is the processors' time of an update, which must not grow by more than a tenth with the
number of conductors; what a conductor costs without reports is measured apart. The kill is a
SIGKILL while agents' calls arrive. As in agents each is repeated until it is answered, but only
after a long timeout: what the killed conductor had received must reach the others by the broker.
"""

import argparse
import contextlib
import pathlib
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence

import no_eventlet  # noqa: F401
import path as whole_path

from lab.parts import broker, databases
from migprog import rpc
from migprog.core.messages import Batch
from migprog.loadtest import conductors, usage
from migprog.rpc.conductor import ConductorAPI, Unreachable
from migprog.tests import stores

CASES = (whole_path.Case(10, 20, 0.0), whole_path.Case(200, 1, 0.0))
MOST_GROWTH = 1.1
TAKE_OVER_SECONDS = 1.0
_PARTS = ("agent", "conductor", "broker", "database", "total")
_RATES = ("updates_per_second", "updates_per_transaction")
_SENDERS = 20
# The default of [compute] rpc_timeout.
_CALL_TIMEOUT_SECONDS = 10.0


def grow(bench: whole_path.Bench, runs: int, counts: Sequence[int]) -> bool:
    """Print what an update costs by the number of conductors; return whether that stays."""
    met = True
    print(f"CPU ms an update; medians of {runs} runs")
    names = (*_PARTS, "updates/s", "updates/tx")
    print(f"{'':30}" + "".join(f"{name:>11}" for name in names), flush=True)
    for case in CASES:
        found: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
        for number in range(runs):
            for count in counts:
                whole_path.say(f"{case.hosts} hosts x {case.per_host}, run {number + 1} of {runs}")
                found[count].append(bench.ours(case, count))
        for count in counts:
            figures = whole_path.median(found[count])
            label = f"{case.hosts} hosts x {case.per_host}, {count} conductor(s)"
            print(f"{label:30}" + "".join(f"{figures[name]:11.2f}" for name in (*_PARTS, *_RATES)))
        growth = statistics.median(
            many["total"] / one["total"]
            for one, many in zip(found[counts[0]], found[counts[-1]], strict=True)
        )
        met &= growth <= MOST_GROWTH
        print(f"  {counts[-1]} cost {growth:.2f} times as much as one; at most {MOST_GROWTH:g}")
    return met


class _Senders:
    """Hosts that report a migration after the other, each until a conductor has it."""

    def __init__(self, bench: whole_path.Bench) -> None:
        self._transport = rpc.transport(bench.config)
        self._ended = threading.Event()
        # When each was answered, and how long it took.
        self.answers: list[tuple[float, float]] = []
        self._threads = [
            threading.Thread(target=self._send, args=(number,)) for number in range(_SENDERS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._transport.cleanup()

    def _send(self, number: int) -> None:
        # Each has its own: an agent has few calls at a time, and refuses others at once.
        api = ConductorAPI(self._transport, _CALL_TIMEOUT_SECONDS)
        while not self._ended.wait(0.25):
            begun = time.monotonic()
            report = stores.report(started_at=time.time(), sampled_at=time.time())
            wire = Batch(f"host-{number}", "node", reports=(report,)).to_wire()
            answer = None
            while answer is None:
                with contextlib.suppress(Unreachable):
                    answer = api.report(wire, acknowledged=True)
            now = time.monotonic()
            self.answers.append((now, now - begun))


def idle(bench: whole_path.Bench, directory: pathlib.Path, seconds: float) -> None:
    """Print what a conductor costs that gets nothing to store."""
    with conductors.started(1, [str(bench.config_file)], directory) as running:
        time.sleep(3)
        before = usage.used(running.processes)
        time.sleep(seconds)
        after = usage.used(running.processes)
    assert before is not None and after is not None
    spent_ms = 1000 * (after.cpu_seconds - before.cpu_seconds) / seconds
    print(f"a conductor without reports: {spent_ms:.2f} ms of processor a second", flush=True)


def take_over(bench: whole_path.Bench, directory: pathlib.Path) -> float:
    """Kill one of two conductors; return until when its absence delayed an answer, in seconds."""
    with conductors.started(2, [str(bench.config_file)], directory) as running:
        senders = _Senders(bench)
        senders.start()
        time.sleep(3)
        killed_at = time.monotonic()
        running.children[0].usage.kill()
        time.sleep(4)
        senders.stop()
    longest = max(took for at, took in senders.answers if at >= killed_at)
    usual = statistics.median(took for at, took in senders.answers if at < killed_at)
    print(f"a call took {usual:.3f} s in the median before the kill, {longest:.3f} s at most after")
    return longest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--counts", default="1,2,4", help="of conductors")
    parser.add_argument("--durable", action="store_true", help="MariaDB that loses nothing")
    options = parser.parse_args()
    with (
        broker.rabbitmq() as rabbitmq,
        databases.mariadb(durable=options.durable) as mariadb,
        tempfile.TemporaryDirectory() as directory,
    ):
        bench = whole_path.ready(rabbitmq, mariadb, pathlib.Path(directory), options.seconds)
        kills = [take_over(bench, pathlib.Path(directory)) for _ in range(options.runs)]
        idle(bench, pathlib.Path(directory), 2 * options.seconds)
        met = max(kills) <= TAKE_OVER_SECONDS
        met &= grow(bench, options.runs, [int(each) for each in options.counts.split(",")])
    print(f"goals {'met' if met else 'NOT met'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
