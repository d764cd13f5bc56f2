# SPDX-License-Identifier: Apache-2.0
"""One load test: a fleet reports, conductors store, and both are measured."""

import contextlib
import math
import pathlib
import queue
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from migprog import objects
from migprog.concurrency import native_queue
from migprog.loadtest import broker, child, observer, plan, usage
from migprog.loadtest.conductors import Conductors
from migprog.loadtest.figures import Latencies, Snapshot, figures
from migprog.loadtest.observer import Observer
from migprog.loadtest.plan import IdleShare, Load, Share

_READY_SECONDS = 60.0
# Between all processes being ready and the first host's start: they read their recordings.
_PREPARE_SECONDS = 3.0
_DRAIN_SECONDS = 90.0
# Rate of changes whose age is measured.
_CHANGES_PER_SECOND = 4.0
_PROGRESS_SECONDS = 5.0
# Idle hosts connect one after the other, at some dozens a second.
_CONNECT_SECONDS = 600.0
# Of those of one process: each host has a thread or more for each of its connections.
_IDLE_HOSTS = (5000, 500, 250, 250)


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
    lines: queue.SimpleQueue[child.Line] = native_queue()
    idle = math.ceil(load.idle_hosts / _IDLE_HOSTS[load.idle_connections])
    with contextlib.ExitStack() as stack:

        def started(program: str, count: int) -> list[child.Child]:
            words = ["-m", f"migprog.loadtest.{program}"]
            return [
                stack.enter_context(
                    child.running(words, setting.directory, f"{program}-{number}", lines)
                )
                for number in range(count)
            ]

        fleets = started("fleet", min(setting.fleets, load.hosts))
        return _Run(setting, load, fleets, started("idle", idle), lines).measure()


class _Run:
    """``idle``: processes of idle hosts; ``lines``: the output of all."""

    def __init__(
        self,
        setting: Setting,
        load: Load,
        fleets: Sequence[child.Child],
        idle: Sequence[child.Child],
        lines: queue.SimpleQueue[child.Line],
    ) -> None:
        self._setting = setting
        self._load = load
        self._fleets = fleets
        self._idle = idle
        self._lines = lines
        self._name = secrets.token_hex(3)
        hosts = [plan.host_name(self._name, number) for number in range(load.hosts)]
        self._observer = Observer(setting.store, hosts, load.per_host)
        self._ready = self._connected = 0
        # What each idle process counted at the last mark.
        self._beats: list[dict[str, Any]] = []
        # By mark: the counts of each fleet.
        self._counted: dict[int, list[child.Line]] = {0: [], 1: []}
        self._ends: list[child.Line] = []
        self._latencies = Latencies()

    def measure(self) -> dict[str, Any]:
        load, say, fleets = self._load, self._setting.say, len(self._fleets)
        say(
            f"{load.hosts} host(s) with {load.per_host} migration(s) each, every "
            f"{load.interval_seconds:g} s, and {load.idle_hosts} idle host(s)"
        )
        processes = fleets + len(self._idle)
        self._receive(lambda: self._ready == processes, _READY_SECONDS, "starting")
        before = broker.status() if self._has_broker else None
        self._connect_idle()
        begin_at = time.monotonic() + _PREPARE_SECONDS
        first = begin_at + load.warm_up_seconds
        last = first + load.seconds
        ended_before = self._ended()
        self._share_out(begin_at, (first, last))
        self._receive_until(first, "warming up")
        if load.hosts:
            self._observer.start()
        begin = self._snapshot(0)
        self._receive_until(last, "measuring")
        end = self._snapshot(1)
        if load.hosts:
            self._observer.stop()
        at_broker = broker.added(before, broker.status() if before else None)
        agents = observer.agents(self._setting.store, self._name)
        what = "waiting until all that must not be lost is stored"
        self._receive(lambda: len(self._ends) == fleets, _DRAIN_SECONDS, what)
        for each in (*self._fleets, *self._idle):
            each.say("end")
        self._latencies.age = self._observer.ages
        self._latencies.change_age = self._observer.change_ages
        intervals = [line["interval_seconds"] for line in self._counted[1]]
        return figures(load, begin, end, last - first, self._latencies) | {
            "interval_in_force_seconds": round(sum(intervals) / fleets, 2) if fleets else None,
            "at_broker": at_broker,
            "agents": agents,
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

    @property
    def _has_broker(self) -> bool:
        return bool(usage.listening(self._setting.broker))

    def _connect_idle(self) -> None:
        """Have the idle hosts connect, and send their heartbeats from then on."""
        if not self._idle:
            return
        for number, each in enumerate(self._idle):
            share = IdleShare(
                load=self._load,
                run=self._name,
                first=number,
                step=len(self._idle),
                config_files=self._setting.config_files,
            )
            each.say(share.to_json())
        done = self._load.idle_hosts
        self._receive(lambda: self._connected == done, _CONNECT_SECONDS, "connecting idle hosts")

    def _ended(self) -> int:
        counted = self._setting.conductors.counted()
        names = [name for name in counted if name.startswith("migprog_migrations_ended_total")]
        return round(sum(counted[name] for name in names))

    def _snapshot(self, mark: int) -> Snapshot:
        processes = {
            "agent": [fleet.usage for fleet in self._fleets],
            "idle": [each.usage for each in self._idle],
            "conductor": self._setting.conductors.processes,
            "broker": usage.listening(self._setting.broker),
            "database": usage.listening(self._setting.database),
        }
        used = {name: usage.used(found) for name, found in processes.items()}
        conductors = self._setting.conductors.counted()
        fleets, self._beats = self._counted[mark], []
        beats = self._beats
        for each in self._idle:
            each.say("count")
        self._receive(
            lambda: len(fleets) == len(self._fleets) and len(beats) == len(self._idle),
            _READY_SECONDS,
            "counting",
        )
        self._latencies.beats_late = [seconds for each in beats for seconds in each["late"]]
        messages = Counter[str](sent=0, answered=0, failed=0)
        reports = Counter[str]()
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
            heartbeats={name: sum(each[name] for each in beats) for name in ("sent", "failed")},
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
        for each in (*self._fleets, *self._idle):
            each.check()

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
            case {"idle": int(connected)}:
                self._connected += connected
            case {"beats": counted}:
                self._beats.append(counted)
            case {"ready": True}:
                self._ready += 1
