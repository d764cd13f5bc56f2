# SPDX-License-Identifier: Apache-2.0
"""What a host has to tell, until it is told: one entry a migration, the latest value wins.

However long the conductor is away, the outbox holds no more than one report of each migration and
one arrival of each server.
"""

import dataclasses
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from migprog.core.report import MAX_BATCH, Ack, Arrival, Report
from migprog.core.status import ENDED

# An arrival whose migration nobody reports (its source has no agent) is given up after so long.
_ARRIVAL_SECONDS = 600.0
# Most of those that were found have been told of long ago.
_FOUND_SECONDS = 5.0
# Seconds until an arrival that found no migration is told again; doubled each time up to the last.
# The first report of its source is usually on its way.
_ARRIVAL_RETRY_SECONDS = (0.25, 30.0)


@dataclass(slots=True)
class _Waiting:
    report: Report
    needs_ack: bool
    since: float


@dataclass(slots=True)
class _WaitingArrival:
    arrival: Arrival
    since: float
    give_up_at: float
    next_at: float
    unmet_since: float | None = None
    pause_seconds: float = _ARRIVAL_RETRY_SECONDS[0]

    def told(self, now: float) -> Arrival:
        """As it is told now."""
        if self.unmet_since is not None:
            unmatched_seconds = round(now - self.unmet_since, 1)
            self.arrival = dataclasses.replace(self.arrival, unmatched_seconds=unmatched_seconds)
        return self.arrival


@dataclass(frozen=True, slots=True)
class Load:
    """What leaves in one message. ``needs_ack``: it is repeated until acknowledged."""

    reports: tuple[Report, ...]
    arrivals: tuple[Arrival, ...]
    needs_ack: bool

    def __bool__(self) -> bool:
        return bool(self.reports or self.arrivals)


class Outbox:
    """Filled by the thread that watches, emptied by the one that sends.

    ``now`` is a monotonic clock's seconds. ``settled`` is called with each end and each arrival
    that need not be told any more; it must not wait.
    """

    def __init__(self, settled: Callable[[Report | Arrival], None] | None = None) -> None:
        self._settled = settled or (lambda entry: None)
        self._changed = threading.Condition()
        self._woken = False
        self._reports: dict[str, _Waiting] = {}
        self._arrivals: dict[str, _WaitingArrival] = {}

    def put_report(self, report: Report, needs_ack: bool, now: float | None = None) -> None:
        """Have a report sent that waits since ``now``, by default this instant."""
        now = time.monotonic() if now is None else now
        with self._changed:
            before = self._reports.get(report.uuid)
            # What must arrive does so by the newer report, which says more.
            needs_ack = needs_ack or (before is not None and before.needs_ack)
            since = now if before is None else before.since
            self._reports[report.uuid] = _Waiting(report, needs_ack, since)
            self._changed.notify()

    def put_arrival(self, arrival: Arrival, now: float) -> None:
        with self._changed:
            before = self._arrivals.get(arrival.server_uuid)
            if arrival.found and before is not None:
                return
            seconds = _FOUND_SECONDS if arrival.found else _ARRIVAL_SECONDS
            self._arrivals[arrival.server_uuid] = _WaitingArrival(
                arrival, since=now, give_up_at=now + seconds, next_at=now
            )
        self.wake()

    def wait(self, timeout_seconds: float) -> None:
        """Return when something was put in, or a report still waits, or time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self._reports or self._woken, timeout_seconds)
            self._woken = False

    def wake(self) -> None:
        """Let :meth:`wait` return."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def load(self, now: float) -> Load:
        """All that is to be sent now, at most :data:`MAX_BATCH` of each kind."""
        with self._changed:
            for waiting in [w for w in self._arrivals.values() if w.give_up_at <= now]:
                del self._arrivals[waiting.arrival.server_uuid]
                self._settled(waiting.arrival)
            reports = list(self._reports.values())[:MAX_BATCH]
            arrivals = [w.told(now) for w in self._arrivals.values() if w.next_at <= now]
            return Load(
                reports=tuple(waiting.report for waiting in reports),
                arrivals=tuple(arrivals[:MAX_BATCH]),
                needs_ack=bool(arrivals) or any(waiting.needs_ack for waiting in reports),
            )

    def next_arrival_in(self, now: float) -> float | None:
        """Seconds until an arrival is to be told again; None when there is none."""
        with self._changed:
            times = [waiting.next_at for waiting in self._arrivals.values()]
        return max(0.0, min(times) - now) if times else None

    def oldest_seconds(self, now: float) -> float:
        """How long the oldest report or arrival waits that no conductor has taken; 0 for none.

        An arrival that a conductor knows of, and whose migration it does not, is not one of them.
        """
        with self._changed:
            since = [waiting.since for waiting in self._reports.values()]
            since += [w.since for w in self._arrivals.values() if w.unmet_since is None]
        return max(0.0, now - min(since)) if since else 0.0

    def sent(self, load: Load, ack: Ack | None, now: float) -> None:
        """Forget what arrived. ``ack`` is None for a load that needed none."""
        with self._changed:
            for report in load.reports:
                waiting = self._reports.get(report.uuid)
                if waiting is None:
                    continue
                if waiting.report.sequence != report.sequence:
                    # The newer one came while the older was sent.
                    waiting.since = now
                    continue
                del self._reports[report.uuid]
                if report.status in ENDED:
                    self._settled(report)
            for arrival in load.arrivals:
                self._arrival_sent(arrival, ack, now)

    def _arrival_sent(self, arrival: Arrival, ack: Ack | None, now: float) -> None:
        waiting = self._arrivals.get(arrival.server_uuid)
        if waiting is None or waiting.arrival is not arrival:
            return
        if ack is None or arrival.server_uuid in ack.arrived:
            del self._arrivals[arrival.server_uuid]
            self._settled(arrival)
            return
        if waiting.unmet_since is None:
            waiting.unmet_since = now
        waiting.next_at = now + waiting.pause_seconds
        waiting.pause_seconds = min(2 * waiting.pause_seconds, _ARRIVAL_RETRY_SECONDS[1])

    @property
    def empty(self) -> bool:
        with self._changed:
            return not self._reports
