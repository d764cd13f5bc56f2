# SPDX-License-Identifier: Apache-2.0
"""What an agent's memory is after a day of one migration that does not converge, in virtual time.

    .venv/bin/python benchmarks/agent_day.py [--hours 24]

A sample each half second through the monitor, and through the outbox its reports. A
conductor takes that in every other hour. Prints one line of JSON: for each hour the most that
Python had allocated, and the most that the process had.
"""

import argparse
import gc
import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass

from own_memory import rss_bytes

from lab.simulated import MIB, Guest, precopy
from migprog.compute.reporting.outbox import Outbox
from migprog.core.messages import Ack, Batch
from migprog.core.monitor import Monitor
from migprog.core.schedule import Rules, needs_ack
from migprog.core.server_facts import ServerFacts
from migprog.tests.fixtures import driven

_POLL_SECONDS = 0.5
_LOOK_SECONDS = 300.0
_RULES = Rules(report_interval_seconds=5.0, heartbeat_interval_seconds=30.0)
_GUEST = Guest(memory_mib=4096, dirty_mib_s=80, working_set_mib=80, bandwidth_mib_s=40)


@dataclass
class Hour:
    samples: int = 0
    allocated_bytes: int = 0
    rss_bytes: int = 0


def day(hours: float) -> list[Hour]:
    """The hours of a migration, of each what there was at most."""
    seen: list[Hour] = []
    tracemalloc.start()
    look_at = 0.0
    for at in _samples(hours * 3600.0 - _POLL_SECONDS):
        if at >= 3600.0 * len(seen):
            seen.append(Hour())
        hour = seen[-1]
        hour.samples += 1
        if at >= look_at:
            look_at = at + _LOOK_SECONDS
            gc.collect()
            hour.allocated_bytes = max(hour.allocated_bytes, tracemalloc.get_traced_memory()[0])
            hour.rss_bytes = max(hour.rss_bytes, rss_bytes())
    return seen


def _samples(seconds: float) -> Iterator[float]:
    """Drives a monitor and an outbox; gives the time of each sample."""
    monitor, outbox = Monitor(driven.UUID, driven.SERVER, found_at=0.0), Outbox()
    monitor.learn(ServerFacts(memory_size_bytes=_GUEST.memory_mib * MIB))
    for row in precopy(_GUEST, _POLL_SECONDS, give_up_seconds=seconds):
        at = row["t"]
        driven.feed(monitor, row)
        if row["kind"] != "sample":
            continue
        due = monitor.report_if_due(_RULES, at, driven.EPOCH + at)
        if due is not None:
            reason, report = due
            outbox.put_report(report, needs_ack(reason, True))
        if int(at // 3600) % 2 == 0:
            _send(outbox, at)
        yield at


def _send(outbox: Outbox, now: float) -> None:
    load = outbox.load(now)
    if load:
        Batch("host", "node", None, load.reports, load.arrivals).to_wire()
        outbox.sent(load, Ack(), now)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=24.0)
    print(json.dumps([vars(hour) for hour in day(parser.parse_args().hours)]))


if __name__ == "__main__":
    main()
