# SPDX-License-Identifier: Apache-2.0
"""Measure, forecast and migrate guests, one after the other, from one source to several
destinations, each at a bandwidth of its own."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import libvirt

from lab.before import guests, trial
from lab.before.guests import Drawn
from lab.before.measure import measure
from lab.before.trial import Seen
from lab.hosts import Host, Lab, Server
from migprog.core.forecast.before import Before, forecast_before
from migprog.core.learned import Completed, Learned, learn
from migprog.core.measurement import WINDOWS_SECONDS, Measurement, together

_BOUND_SECONDS = 50.0
# Quiet guests that migrate first.
_KNOWN_SECONDS = (2.0, 3.0)
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Tried:
    """A guest, what was measured and said of it before, and what then happened."""

    drawn: Drawn
    measurement: Measurement
    before: Before
    rate_bytes_per_second: float
    seen: Seen


class Bench:
    """Serves while the block lasts. ``bandwidths_mib_s``: one for each destination. A migration
    that has not ended ``bound_seconds`` after its first iteration would not have ended."""

    def __init__(
        self,
        number: int,
        bandwidths_mib_s: tuple[int, ...],
        windows_seconds: Sequence[int] = WINDOWS_SECONDS,
        bound_seconds: float = _BOUND_SECONDS,
    ) -> None:
        self._number = number
        self._windows_seconds = windows_seconds
        self._bound_seconds = bound_seconds
        self._bandwidths = bandwidths_mib_s
        self._guests = 0
        self.completed: list[Completed] = []
        names = [f"lab-{chr(ord('a') + each)}" for each in range(len(bandwidths_mib_s) + 1)]
        self._lab = Lab(hosts=tuple(names))

    def __enter__(self) -> Self:
        self._lab.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lab.__exit__(kind, error, traceback)

    def try_quiet(self, each_seconds: Sequence[float] = _KNOWN_SECONDS) -> None:
        """Migrate quiet guests to each destination, so that something is known of it."""
        for bandwidth in self._bandwidths:
            for seconds in each_seconds:
                drawn = guests.quiet(bandwidth, seconds)
                with self._guest(drawn) as server:
                    self._migrate(server, drawn)

    def run(self, drawn: Drawn) -> Tried:
        """Measure a new guest, forecast its migration, migrate it."""
        source, destination = self._ends(drawn)
        with self._guest(drawn) as server:
            memory_bytes = drawn.memory_mib * _MIB
            measurement = measure(
                source, server.uuid, memory_bytes, drawn.downtime_ms, self._windows_seconds
            )
            learned = learn(self.completed, source.name, destination.name, time.time())
            before = _forecast(measurement, learned, drawn)
            if before.converges == "unknown":
                # As an operator would: the second time, less is left to chance.
                again = measure(
                    source, server.uuid, memory_bytes, drawn.downtime_ms, self._windows_seconds
                )
                measurement = together(again, measurement)
                before = _forecast(measurement, learned, drawn)
            seen = self._migrate(server, drawn)
        return Tried(drawn, measurement, before, learned.rate.bytes_per_second, seen)

    def _ends(self, drawn: Drawn) -> tuple[Host, Host]:
        source, *destinations = self._lab.hosts
        return source, destinations[self._bandwidths.index(drawn.bandwidth_mib_s)]

    @contextlib.contextmanager
    def _guest(self, drawn: Drawn) -> Iterator[Server]:
        self._guests += 1
        name = f"guest-{self._number}-{self._guests}"
        server = self._lab.start_guest(self._lab.hosts[0], drawn.guest(name))
        try:
            yield server
        finally:
            with contextlib.suppress(libvirt.libvirtError):
                self._lab.destroy_guest(server)

    def _migrate(self, server: Server, drawn: Drawn) -> Seen:
        ends = self._ends(drawn)
        bound_seconds = drawn.first_iteration_seconds + self._bound_seconds
        seen = trial.migrate(self._lab, server, drawn, ends, bound_seconds)
        row = completed(ends, seen)
        if row is not None:
            self.completed.append(row)
        return seen


def _forecast(measurement: Measurement, learned: Learned, drawn: Drawn) -> Before:
    return forecast_before(
        measurement,
        learned,
        block_migration=bool(drawn.disk_mib),
        now=time.time(),
        auto_converge=drawn.auto_converge,
    )


def completed(ends: tuple[Host, Host], seen: Seen) -> Completed | None:
    """Return what is learned from a migration; None if it did not complete."""
    if not seen.completed or seen.bytes_per_second is None:
        return None
    source, destination = ends
    return Completed(
        source=source.name,
        dest=destination.name,
        ended_at=time.time(),
        transfer_bytes_per_second=seen.bytes_per_second,
        total_seconds=seen.total_seconds,
        overhead_seconds=seen.overhead_seconds,
    )
