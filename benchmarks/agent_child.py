# SPDX-License-Identifier: Apache-2.0
"""One agent in a process of its own, as it is but for libvirt and the conductor; agent.py runs it.

    MIGPROG_CONCURRENCY=threading .venv/bin/python benchmarks/agent_child.py MIGRATING IDLE \
        [--seconds 20] [--warm-up 6] [--answers-after 0]

Prints one line of JSON: what it cost in ``seconds`` that began when each migration had been
reported and ``warm-up`` seconds had passed.
"""

import argparse

from own_memory import rss_bytes

from lab import fake_libvirt
from lab.simulated_hypervisor import SimulatedHypervisor


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("migrating", type=int)
    parser.add_argument("idle", type=int)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--warm-up", type=float, default=6.0)
    parser.add_argument("--answers-after", type=float, default=0.0, metavar="SECONDS")
    return parser.parse_args()


_START_SECONDS = 60.0
OPTIONS = arguments()
HYPERVISOR = SimulatedHypervisor(
    OPTIONS.migrating, OPTIONS.idle, _START_SECONDS + OPTIONS.warm_up + OPTIONS.seconds
)
fake_libvirt.install(HYPERVISOR)

from migprog import concurrency  # noqa: E402

concurrency.choose()

import contextlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from typing import Any  # noqa: E402

from migprog import conf  # noqa: E402
from migprog.compute.agent import ComputeAgent  # noqa: E402
from migprog.compute.service import read_settings  # noqa: E402
from migprog.core.messages import Ack  # noqa: E402

# So often each of the fake's calls is measured.
_REPEATS = 1000


class Conductor:
    """Takes what an agent would hand to oslo.messaging, whose cost is not the agent's own."""

    def __init__(self, answers_after_seconds: float) -> None:
        self._answers_after_seconds = answers_after_seconds
        self.reported: set[str] = set()
        self.messages = self.reports = 0

    def report(self, batch: dict[str, Any], acknowledged: bool) -> dict[str, Any] | None:
        if self._answers_after_seconds:
            time.sleep(self._answers_after_seconds)
        self.messages += 1
        if "reports" not in batch:
            # The heartbeat alone.
            return Ack().to_wire() if acknowledged else None
        names, rows = batch["reports"]["fields"], batch["reports"]["rows"]
        self.reports += len(rows)
        self.reported |= {row[names.index("server_uuid")] for row in rows}
        return Ack().to_wire() if acknowledged else None


def run(hypervisor: SimulatedHypervisor, options: argparse.Namespace) -> dict[str, float]:
    """Run an agent, and measure it."""
    config = conf.load([], "migprog-compute", default_config_files=[])
    # It goes with this process, which ends without a stop; nothing of it is looked at.
    directory = tempfile.TemporaryDirectory(prefix="migprog-benchmark-")
    config.set_override("state_path", directory.name, "compute")
    conductor = Conductor(options.answers_after)
    agent = ComputeAgent(read_settings(config), conductor)  # type: ignore[arg-type]
    agent.start()
    give_up_at = time.monotonic() + _START_SECONDS
    while not hypervisor.searches or len(conductor.reported) < len(hypervisor.migrating):
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"{len(conductor.reported)} migrations were reported")
        time.sleep(0.05)
    time.sleep(options.warm_up)
    return _measure(hypervisor, conductor, options.seconds)


def _measure(
    hypervisor: SimulatedHypervisor, conductor: Conductor, seconds: float
) -> dict[str, float]:
    for domain in hypervisor.migrating:
        domain.forget()
    before = conductor.messages, conductor.reports, hypervisor.searches
    begun, begun_cpu = time.monotonic(), time.process_time()
    time.sleep(seconds)
    cpu_seconds, took = time.process_time() - begun_cpu, time.monotonic() - begun
    readings = sum(domain.readings for domain in hypervisor.migrating)
    messages, reports, searches = before
    searches = hypervisor.searches - searches
    return {
        "seconds": took,
        "cpu_seconds": cpu_seconds,
        "readings": readings,
        "searches": searches,
        "messages": conductor.messages - messages,
        "reports": conductor.reports - reports,
        "largest_gap_seconds": max(
            (domain.largest_gap_seconds for domain in hypervisor.migrating), default=0.0
        ),
        "rss_bytes": rss_bytes(),
        "fake_cpu_seconds": _fake_cpu_seconds(hypervisor, readings, searches),
    }


def _fake_cpu_seconds(hypervisor: SimulatedHypervisor, readings: int, searches: int) -> float:
    """What so many readings and searches cost in the fake alone."""
    connection = fake_libvirt.open("")
    begun = time.thread_time()
    for domain in hypervisor.migrating[:1] * _REPEATS:
        connection.lookupByUUIDString(domain.UUIDString()).jobStats()
        with contextlib.suppress(fake_libvirt.libvirtError):
            domain.migrateGetMaxDowntime()
    reading_seconds = (time.thread_time() - begun) / _REPEATS
    begun = time.thread_time()
    for found, _ in connection.getAllDomainStats(0, 0):
        found.UUIDString()
        found.jobStats()
    return readings * reading_seconds + searches * (time.thread_time() - begun)


if __name__ == "__main__":
    print(json.dumps(run(HYPERVISOR, OPTIONS)), flush=True)
    # The agent's threads need no good order here.
    os._exit(0)
