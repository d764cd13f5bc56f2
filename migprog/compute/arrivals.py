# SPDX-License-Identifier: Apache-2.0
"""Servers that arrive at this host: each is told with what libvirt knows here of how it went."""

import dataclasses
import time
from collections.abc import Callable, Iterable
from typing import Any

from migprog.compute import clock
from migprog.compute.libvirt.events import ArrivalStats, Lifecycle
from migprog.core.forecast import job_sample
from migprog.core.report import ARRIVAL_FIGURES, Arrival, ArrivalState

# libvirt-domain.h: virDomainEventType and its details.
_STARTED_MIGRATED, _RESUMED_MIGRATED, _RESUMED_POSTCOPY = (2, 1), (4, 1), (4, 3)
_STOPPED = 5
# What has been on its way for so long, and was not heard of since, is forgotten.
_LONGEST_SECONDS = 86_400.0
_KINDS = {
    _STARTED_MIGRATED: ArrivalState.INCOMING,
    _RESUMED_MIGRATED: ArrivalState.RESUMED,
    _RESUMED_POSTCOPY: ArrivalState.RESUMED,
}


@dataclasses.dataclass(frozen=True, slots=True)
class _Pending:
    arrival: Arrival
    at: float
    give_up_at: float


class Arrivals:
    """``read`` has a server's final statistics read and handed over as :class:`Arrived`, ``tell``
    takes an arrival that is to be told. Times are a monotonic clock's, but for the arrivals' own.
    """

    def __init__(
        self, read: Callable[[str, float], None], tell: Callable[[Arrival, float], None]
    ) -> None:
        self._read = read
        self._tell = tell
        self._pending: dict[str, _Pending] = {}
        # When servers that are on their way here began to arrive.
        self._incoming: dict[str, float] = {}

    def seen(self, message: Lifecycle, timeout_seconds: float) -> bool:
        """Any event of a server that does not leave this host; whether the server arrives by it.

        Figures are awaited so long.
        """
        kind = (message.event, message.detail)
        began_at = self._incoming.pop(message.server_uuid, None)
        if began_at is not None and message.event == _STOPPED:
            self._gone(message, began_at)
        if kind not in _KINDS:
            return False
        at = clock.wall(message.at)
        arrival = Arrival(server_uuid=message.server_uuid, state=_KINDS[kind], at=at)
        if kind == _STARTED_MIGRATED:
            since = message.at - _LONGEST_SECONDS
            self._incoming = {uuid: at for uuid, at in self._incoming.items() if at > since}
            self._incoming[message.server_uuid] = message.at
        if kind != _RESUMED_MIGRATED:
            self._tell(arrival, message.at)
            return True
        # Nothing may be asked of a server that still arrives; of this one all is here.
        arrival = dataclasses.replace(arrival, complete=True)
        give_up_at = message.at + timeout_seconds
        self._pending[message.server_uuid] = _Pending(arrival, message.at, give_up_at)
        self._read(message.server_uuid, message.at)
        return True

    def blind(self) -> None:
        """Events are missed: what becomes of servers on their way here will not be certain."""
        self._incoming.clear()

    def _gone(self, message: Lifecycle, began_at: float) -> None:
        """It came to nothing. Its source tells so, and why; if it could see that."""
        arrival = Arrival(
            server_uuid=message.server_uuid,
            state=ArrivalState.INCOMING,
            at=clock.wall(began_at),
            gone_after_seconds=message.at - began_at,
        )
        self._tell(arrival, message.at)

    def found(self, server_uuids: Iterable[str]) -> None:
        """Servers that came while nobody watched, or long ago: their destination may be unknown."""
        now = time.monotonic()
        for server_uuid in server_uuids:
            state = ArrivalState.RESUMED
            self._tell(
                Arrival(server_uuid=server_uuid, state=state, at=clock.wall(now), found=True), now
            )

    def take(self, arrived: ArrivalStats) -> None:
        """The statistics were read, or there are none."""
        pending = self._pending.get(arrived.server_uuid)
        if pending is None or pending.at != arrived.at:
            return
        del self._pending[arrived.server_uuid]
        arrival = pending.arrival
        if arrived.stats is not None:
            final = job_sample.from_job_stats(arrived.stats, arrived.at)
            figures: dict[str, Any] = {n: getattr(final, n, None) for n in ARRIVAL_FIGURES}
            figures["total_seconds"] = final.elapsed_seconds
            arrival = dataclasses.replace(arrival, **figures)
        self._tell(arrival, arrived.at)

    def release(self, now: float) -> None:
        """Tell without figures what has waited for them too long."""
        for server_uuid, pending in list(self._pending.items()):
            if pending.give_up_at <= now:
                del self._pending[server_uuid]
                self._tell(pending.arrival, now)

    @property
    def late_at(self) -> float | None:
        """When one has waited too long; None while none waits."""
        return min((pending.give_up_at for pending in self._pending.values()), default=None)
