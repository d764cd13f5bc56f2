# SPDX-License-Identifier: Apache-2.0
"""One load test: a fleet reports, conductors store, and both are measured."""

import contextlib
import pathlib
import queue
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from migprog import objects
from migprog.loadtest import child, plan, usage
from migprog.loadtest.conductors import Conductors
from migprog.loadtest.figures import Latencies, Snapshot, figures
from migprog.loadtest.observer import Observer
from migprog.loadtest.plan import Load, Share

_READY_SECONDS = 60.0
# Between all processes being ready and the first host's start: they read their recordings.
_PREPARE_SECONDS = 3.0
_DRAIN_SECONDS = 90.0
# Rate of changes whose age is measured.
_CHANGES_PER_SECOND = 4.0
_PROGRESS_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The environment of a run. ``config_files``: with broker and database; ``say``: prints
    progress; ``broker`` and ``database``: host and port."""

    directory: pathlib.Path
    config_files: tuple[str, ...]
    recordings: tuple[str, ...]
    fleets: int
    conductors: Conductors
    store: objects.Store
    broker: usage.Address
    database: usage.Address
    say: Callable[[str], None]


def run(setting: Setting, load: Load) -> dict[str, Any]:
    """Run it and return its figures. Raises :class:`child.Failed`, :class:`objects.Unavailable`."""
    lines: queue.SimpleQueue[child.Line] = queue.SimpleQueue()
    with contextlib.ExitStack() as stack:
        fleets = [
            stack.enter_context(
                child.running(
                    ["-m", "migprog.loadtest.fleet"], setting.directory, f"fleet-{number}", lines
                )
            )
            for number in range(min(setting.fleets, load.hosts))
        ]
        return _Run(setting, load, fleets, lines).measure()


class _Run:
    """``lines``: the output of all fleets."""

    def __init__(
        self,
        setting: Setting,
        load: Load,
        fleets: Sequence[child.Child],
        lines: queue.SimpleQueue[child.Line],
    ) -> None:
        self._setting = setting
        self._load = load
        self._fleets = fleets
        self._lines = lines
        self._name = secrets.token_hex(3)
        hosts = [plan.host_name(self._name, number) for number in range(load.hosts)]
        self._observer = Observer(setting.store, hosts, load.per_host)
        self._ready = 0
        # By mark: the counts of each fleet.
        self._counted: dict[int, list[child.Line]] = {0: [], 1: []}
        self._ends: list[child.Line] = []
        self._latencies = Latencies()

    def measure(self) -> dict[str, Any]:
        load, say, fleets = self._load, self._setting.say, len(self._fleets)
        say(
            f"{load.hosts} host(s) with {load.per_host} migration(s) each, every "
            f"{load.interval_seconds:g} s"
        )
        self._receive(lambda: self._ready == fleets, _READY_SECONDS, "starting")
        begin_at = time.monotonic() + _PREPARE_SECONDS
        first = begin_at + load.warm_up_seconds
        last = first + load.seconds
        ended_before = self._ended()
        self._share_out(begin_at, (first, last))
        self._receive_until(first, "warming up")
        self._observer.start()
        begin = self._snapshot(0)
        self._receive_until(last, "measuring")
        end = self._snapshot(1)
        self._observer.stop()
        what = "waiting until all that must not be lost is stored"
        self._receive(lambda: len(self._ends) == fleets, _DRAIN_SECONDS, what)
        for fleet in self._fleets:
            fleet.say("end")
        self._latencies.age = self._observer.ages
        self._latencies.change_age = self._observer.change_ages
        intervals = [line["interval_seconds"] for line in self._counted[1]]
        return figures(load, begin, end, last - first, self._latencies) | {
            "interval_in_force_seconds": round(sum(intervals) / fleets, 2),
            "ends": {
                "reported": sum(line["ends"] for line in self._ends),
                "waiting_hosts": sum(line["waiting"] for line in self._ends),
                "stored": (
                    self._ended() - ended_before if self._setting.conductors.metrics_ports else None
                ),
            },
        }

    def _share_out(self, begin_at: float, marks: tuple[float, float]) -> None:
        for number, fleet in enumerate(self._fleets):
            share = Share(
                load=self._load,
                run=self._name,
                first=number,
                step=len(self._fleets),
                config_files=self._setting.config_files,
                recordings=self._setting.recordings,
                changes_per_second=_CHANGES_PER_SECOND / len(self._fleets),
                begin_at=begin_at,
                marks=marks,
            )
            fleet.say(share.to_json())

    def _ended(self) -> int:
        counted = self._setting.conductors.counted()
        names = [name for name in counted if name.startswith("migprog_migrations_ended_total")]
        return round(sum(counted[name] for name in names))

    def _snapshot(self, mark: int) -> Snapshot:
        processes = {
            "agent": [fleet.usage for fleet in self._fleets],
            "conductor": self._setting.conductors.processes,
            "broker": usage.listening(self._setting.broker),
            "database": usage.listening(self._setting.database),
        }
        used = {name: usage.used(found) for name, found in processes.items()}
        conductors = self._setting.conductors.counted()
        fleets = self._counted[mark]
        self._receive(lambda: len(fleets) == len(self._fleets), _READY_SECONDS, "counting")
        messages, reports = Counter[str](), Counter[str]()
        for line in fleets:
            messages.update(line["messages"])
            reports.update(line["reports"])
        sent, received = (sum(line["traffic"][i] for line in fleets) for i in (0, 1))
        return Snapshot(
            usage=used,
            conductors=conductors,
            messages=messages,
            reports=reports,
            traffic=(sent, received),
        )

    def _receive_until(self, end: float, what: str) -> None:
        self._receive(lambda: time.monotonic() >= end, end - time.monotonic() + 1, what)

    def _receive(self, done: Callable[[], bool], timeout_seconds: float, what: str) -> None:
        """Process the fleets' output until ``done``. Raises :class:`child.Failed`."""
        give_up_at = time.monotonic() + timeout_seconds
        say_at = 0.0
        while not done():
            now = time.monotonic()
            if now > give_up_at:
                raise child.Failed(f"{what}: not done within {timeout_seconds:.0f} s")
            if now >= say_at:
                self._setting.say(f"{what}, {give_up_at - now:.0f} s at most")
                say_at = now + _PROGRESS_SECONDS
                self._check()
            with contextlib.suppress(queue.Empty):
                self._take(self._lines.get(timeout=min(0.05, max(0.0, give_up_at - now))))

    def _check(self) -> None:
        self._setting.conductors.check()
        for fleet in self._fleets:
            fleet.check()

    def _take(self, line: child.Line) -> None:
        match line:
            case {"change": change}:
                self._observer.changes.put(change)
            case {"latency": str(kind), "mark": 1, "seconds": seconds}:
                getattr(self._latencies, kind).extend(seconds)
            case {"counted": int(mark)}:
                self._counted[mark].append(line)
            case {"ends": _, "waiting": _}:
                self._ends.append(line)
            case {"ready": True}:
                self._ready += 1
