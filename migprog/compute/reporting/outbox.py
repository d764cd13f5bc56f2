# SPDX-License-Identifier: Apache-2.0
"""The reports and arrivals to be sent: the latest report of each migration replaces older ones.

However long the conductors are away, the outbox holds no more than one report of each migration and
one arrival of each server.
"""

import dataclasses
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from migprog.core.measurement import MAX_MEASUREMENTS, Measured
from migprog.core.messages import MAX_BATCH, Ack, Arrival, Report
from migprog.core.status import ENDED

# An arrival whose migration is never reported (its source has no agent) is dropped after so long.
_ARRIVAL_SECONDS = 600.0
# Most of the servers that were found at the start were reported long ago.
_FOUND_SECONDS = 5.0
# Seconds until an arrival without a migration is sent again; doubled each time up to the last. The
# first report of its source is usually on its way.
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
    unmatched_since: float | None = None
    pause_seconds: float = _ARRIVAL_RETRY_SECONDS[0]

    def to_send(self, now: float) -> Arrival:
        """Return the arrival with how long it has been unmatched."""
        if self.unmatched_since is not None:
            unmatched_seconds = round(now - self.unmatched_since, 1)
            self.arrival = dataclasses.replace(self.arrival, unmatched_seconds=unmatched_seconds)
        return self.arrival


@dataclass(frozen=True, slots=True)
class Load:
    """The contents of one message. ``needs_ack``: it is repeated until acknowledged."""

    reports: tuple[Report, ...]
    arrivals: tuple[Arrival, ...]
    needs_ack: bool
    measurements: tuple[Measured, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.reports or self.arrivals or self.measurements)


class Outbox:
    """Filled by the agent's loop, emptied by the sender's thread.

    ``now`` is a monotonic clock's seconds. ``settled`` is called with each end and each arrival
    that need not be sent any more; it must not wait.
    """

    def __init__(self, settled: Callable[[Report | Arrival], None] | None = None) -> None:
        self._settled = settled or (lambda entry: None)
        self._changed = threading.Condition()
        self._woken = False
        self._reports: dict[str, _Waiting] = {}
        self._arrivals: dict[str, _WaitingArrival] = {}
        # The latest of each server.
        self._measurements: dict[str, Measured] = {}

    def put_report(self, report: Report, needs_ack: bool, now: float | None = None) -> None:
        """Queue a report that waits since ``now``, by default this instant."""
        now = time.monotonic() if now is None else now
        with self._changed:
            before = self._reports.get(report.uuid)
            # If the older one needed an acknowledgement, so does the newer one that replaces it.
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

    def put_measurement(self, measured: Measured) -> None:
        """Queue what was measured of a server, in place of what was measured before."""
        with self._changed:
            self._measurements[measured.server_uuid] = measured
            self._changed.notify()

    def wait(self, timeout_seconds: float) -> None:
        """Return when something was put in, or a report still waits, or the time is up."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._reports or self._measurements or self._woken, timeout_seconds
            )
            self._woken = False

    def wake(self) -> None:
        """Make :meth:`wait` return."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def load(self, now: float) -> Load:
        """Return what is due now, at most :data:`MAX_BATCH` of each kind."""
        with self._changed:
            for waiting in [w for w in self._arrivals.values() if w.give_up_at <= now]:
                del self._arrivals[waiting.arrival.server_uuid]
                self._settled(waiting.arrival)
            reports = list(self._reports.values())[:MAX_BATCH]
            arrivals = [w.to_send(now) for w in self._arrivals.values() if w.next_at <= now]
            measurements = tuple(self._measurements.values())[:MAX_MEASUREMENTS]
            return Load(
                reports=tuple(waiting.report for waiting in reports),
                arrivals=tuple(arrivals[:MAX_BATCH]),
                needs_ack=bool(arrivals or measurements)
                or any(waiting.needs_ack for waiting in reports),
                measurements=measurements,
            )

    def next_arrival_in(self, now: float) -> float | None:
        """Return the seconds until an arrival is sent again; None when there is none."""
        with self._changed:
            times = [waiting.next_at for waiting in self._arrivals.values()]
        return max(0.0, min(times) - now) if times else None

    def oldest_seconds(self, now: float) -> float:
        """Return how long the oldest report or arrival has waited for a conductor; 0 for none.

        An arrival that a conductor has received but could not match does not count.
        """
        with self._changed:
            since = [waiting.since for waiting in self._reports.values()]
            since += [w.since for w in self._arrivals.values() if w.unmatched_since is None]
        return max(0.0, now - min(since)) if since else 0.0

    def sent(self, load: Load, ack: Ack | None, now: float) -> None:
        """Remove what was sent. ``ack`` is None for a load that needed none."""
        with self._changed:
            for report in load.reports:
                waiting = self._reports.get(report.uuid)
                if waiting is None:
                    continue
                if waiting.report.sequence != report.sequence:
                    # A newer report came while the older one was sent.
                    waiting.since = now
                    continue
                del self._reports[report.uuid]
                if report.status in ENDED:
                    self._settled(report)
            for arrival in load.arrivals:
                self._arrival_sent(arrival, ack, now)
            for measured in load.measurements:
                if self._measurements.get(measured.server_uuid) is measured:
                    del self._measurements[measured.server_uuid]

    def _arrival_sent(self, arrival: Arrival, ack: Ack | None, now: float) -> None:
        waiting = self._arrivals.get(arrival.server_uuid)
        if waiting is None or waiting.arrival is not arrival:
            return
        if ack is None or arrival.server_uuid in ack.arrived:
            del self._arrivals[arrival.server_uuid]
            self._settled(arrival)
            return
        if waiting.unmatched_since is None:
            waiting.unmatched_since = now
        waiting.next_at = now + waiting.pause_seconds
        waiting.pause_seconds = min(2 * waiting.pause_seconds, _ARRIVAL_RETRY_SECONDS[1])

    @property
    def empty(self) -> bool:
        with self._changed:
            return not self._reports and not self._measurements
