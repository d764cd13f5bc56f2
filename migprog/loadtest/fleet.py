# SPDX-License-Identifier: Apache-2.0
"""A process with some of the simulated hosts: ``python -m migprog.loadtest.fleet``.

It writes ``{"ready": true}``, reads its :class:`plan.Share` as one line, and runs it. It writes
lines of JSON: when some changes were reported, its counts at each mark, and at the end whether the
conductors acknowledged all reports that must not be lost. No line is long.
"""

from migprog import concurrency

concurrency.choose()

import gc  # noqa: E402
import heapq  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from typing import Any  # noqa: E402

from migprog import conf, rpc  # noqa: E402
from migprog.compute.reporting.outbox import Outbox  # noqa: E402
from migprog.compute.reporting.sender import Address, Sender  # noqa: E402
from migprog.core.schedule import ReportReason, Rules  # noqa: E402
from migprog.core.status import ENDED  # noqa: E402
from migprog.loadtest import stream, usage  # noqa: E402
from migprog.loadtest.child import put_line  # noqa: E402
from migprog.loadtest.host import Host, Reported  # noqa: E402
from migprog.loadtest.plan import Share  # noqa: E402
from migprog.metrics import REGISTRY  # noqa: E402
from migprog.rpc.conductor import ConductorAPI  # noqa: E402

# Ends must be acknowledged; the conductors may lag far behind.
_DRAIN_SECONDS = 60.0
# For each kind of latency in one measurement.
_MAX_LATENCIES = 100_000
_CHANGES = (ReportReason.STATUS, ReportReason.PHASE, ReportReason.VERDICT)


# Durations of messages in seconds, by whether they have an answer.
_Latencies = dict[bool, list[float]]


class _Timed(ConductorAPI):
    """Measures the duration of each message. One for each host, as the number of messages that an
    agent may have in flight is bounded."""

    def __init__(self, transport: Any, timeout_seconds: float, latencies: _Latencies) -> None:
        super().__init__(transport, timeout_seconds)
        self.latencies = latencies

    def report(self, batch: dict[str, Any], acknowledged: bool) -> dict[str, Any] | None:
        begun = time.monotonic()
        answer = super().report(batch, acknowledged)
        if len(self.latencies[acknowledged]) < _MAX_LATENCIES:
            self.latencies[acknowledged].append(time.monotonic() - begun)
        return answer


class Fleet:
    """The hosts of one share, and the one loop that runs them."""

    def __init__(self, share: Share) -> None:
        self._share = share
        config = conf.load(
            [word for path in share.config_files for word in ("--config-file", path)],
            "migprog-loadtest",
        )
        self._transport = rpc.transport(config)
        self._timeout_seconds = config.compute.rpc_timeout
        self._latencies: _Latencies = {True: [], False: []}
        self._broker = usage.Traffic(rpc.broker(config).port)
        self._hosts = self._make_hosts()
        self._ends = 0
        self._late_seconds: list[float] = []
        self._next_change_at = share.begin_at

    def _make_hosts(self) -> list[Host]:
        share, load = self._share, self._share.load
        streams = stream.load(share.recordings, load.migration_seconds)
        chosen = stream.phases(streams, load.migrations)
        rules = Rules(load.interval_seconds, load.heartbeat_seconds, step_points=load.step_points)
        names = share.host_names
        outboxes = [Outbox() for _ in names]
        return [
            Host(
                name,
                rules,
                chosen[number * load.per_host : (number + 1) * load.per_host],
                outbox,
                Sender(outbox, self._conductor(), Address(name, name, None), rules),
                peer,
            )
            for name, number, outbox, peer in zip(
                names,
                range(share.first, load.hosts, share.step),
                outboxes,
                # A host that is alone in its process migrates to itself, an unknown destination.
                [*outboxes[1:], outboxes[0]],
                strict=True,
            )
        ]

    def _conductor(self) -> _Timed:
        return _Timed(self._transport, self._timeout_seconds, self._latencies)

    def run(self) -> None:
        threads = [
            threading.Thread(target=host.sender.run, name="sender", daemon=True)
            for host in self._hosts
        ]
        for thread in threads:
            thread.start()
        first, last = self._share.marks
        self._tick_until(first)
        self._mark(0)
        self._tick_until(last)
        self._mark(1)
        self._drain()
        for host in self._hosts:
            host.sender.stop()
        # Stay alive until the parent has measured this process.
        sys.stdin.readline()

    def _tick_until(self, end: float) -> None:
        load = self._share.load
        if not hasattr(self, "_schedule"):
            apart = load.begin_seconds / len(self._hosts)
            begin = self._share.begin_at
            self._schedule = [
                (begin + number * apart, number) for number in range(len(self._hosts))
            ]
        while self._schedule[0][0] < end:
            due, number = self._schedule[0]
            now = time.monotonic()
            # Under eventlet, sleeping lets the senders run.
            time.sleep(max(0.0, due - now))
            now = time.monotonic()
            self._late_seconds.append(now - due)
            for reported in self._hosts[number].tick(now, time.time()):
                self._count(reported, now)
            heapq.heapreplace(self._schedule, (due + load.poll_seconds, number))

    def _count(self, reported: Reported, now: float) -> None:
        self._ends += reported.report.status in ENDED
        if reported.reason in _CHANGES and now >= self._next_change_at:
            self._next_change_at = now + 1 / self._share.changes_per_second
            report = reported.report
            put_line(change=[report.server_uuid, report.uuid, report.sequence, report.sampled_at])

    def _mark(self, number: int) -> None:
        answers, casts = (self._latencies[called] for called in (True, False))
        intervals = [host.sender.flow_control.interval_seconds for host in self._hosts]
        for name, values in (("answer", answers), ("cast", casts), ("late", self._late_seconds)):
            for some in _batched(values, 500):
                put_line(latency=name, mark=number, seconds=[round(value, 5) for value in some])
            values.clear()
        put_line(
            counted=number,
            messages={each: _counted("migprog_messages_total", outcome=each) for each in _OUTCOMES},
            reports={
                r.value: _counted("migprog_reports_sent_total", reason=r) for r in ReportReason
            },
            traffic=self._broker.bytes(),
            interval_seconds=sum(intervals) / len(intervals),
        )

    def _drain(self) -> None:
        give_up_at = time.monotonic() + _DRAIN_SECONDS
        while time.monotonic() < give_up_at and self._waiting:
            time.sleep(0.1)
        put_line(ends=self._ends, waiting=self._waiting)

    @property
    def _waiting(self) -> int:
        return sum(not host.outbox.empty for host in self._hosts)


_OUTCOMES = ("sent", "answered", "failed")


def _counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def _batched(values: Sequence[float], size: int) -> list[Sequence[float]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def main() -> int:
    put_line(ready=True)
    fleet = Fleet(Share.from_json(sys.stdin.readline()))
    # As an agent does (migprog/service.py): what stays is not searched for garbage.
    gc.freeze()
    fleet.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
