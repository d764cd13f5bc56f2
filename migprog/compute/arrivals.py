# SPDX-License-Identifier: Apache-2.0
"""Servers that arrive at this host: each is reported with libvirt's statistics of its migration."""

import dataclasses
import time
from collections.abc import Callable, Iterable
from typing import Any

from migprog.compute import clock
from migprog.compute.libvirt.loop_messages import ArrivalStats
from migprog.core import libvirt_abi
from migprog.core.forecast import job_sample
from migprog.core.messages import ARRIVAL_FIGURES, Arrival, ArrivalState
from migprog.core.observation import Lifecycle, Observation

# A server that has been arriving for so long without any event is forgotten.
_LONGEST_SECONDS = 86_400.0
_KINDS = {
    libvirt_abi.STARTED_MIGRATED: ArrivalState.INCOMING,
    libvirt_abi.RESUMED_MIGRATED: ArrivalState.RESUMED,
    libvirt_abi.RESUMED_POSTCOPY: ArrivalState.RESUMED,
}


@dataclasses.dataclass(frozen=True, slots=True)
class _Pending:
    arrival: Arrival
    at: float
    give_up_at: float


class Arrivals:
    """``read`` requests a server's final statistics, which come as :class:`ArrivalStats`;
    ``report`` takes an arrival to be reported. Times are a monotonic clock's, but for the arrivals'
    own.
    """

    def __init__(
        self, read: Callable[[str, float], None], report: Callable[[Arrival, float], None]
    ) -> None:
        self._read = read
        self._report = report
        self._pending: dict[str, _Pending] = {}
        # When servers that are on their way here began to arrive.
        self._incoming: dict[str, float] = {}

    def seen(self, message: Observation, timeout_seconds: float) -> bool:
        """Handle what was seen of a server that does not leave; return whether it arrives, which
        lifecycle events alone show.

        Its final statistics are awaited for ``timeout_seconds``.
        """
        if not isinstance(message, Lifecycle):
            return False
        kind = message.kind
        began_at = self._incoming.pop(message.server_uuid, None)
        if began_at is not None and message.event == libvirt_abi.STOPPED:
            self._gone(message, began_at)
        if kind not in _KINDS:
            return False
        at = clock.wall(message.at)
        arrival = Arrival(server_uuid=message.server_uuid, state=_KINDS[kind], at=at)
        if kind == libvirt_abi.STARTED_MIGRATED:
            since = message.at - _LONGEST_SECONDS
            self._incoming = {uuid: at for uuid, at in self._incoming.items() if at > since}
            self._incoming[message.server_uuid] = message.at
        if kind != libvirt_abi.RESUMED_MIGRATED:
            self._report(arrival, message.at)
            return True
        # A server that is still arriving must not be asked; this one has arrived completely.
        arrival = dataclasses.replace(arrival, complete=True)
        give_up_at = message.at + timeout_seconds
        self._pending[message.server_uuid] = _Pending(arrival, message.at, give_up_at)
        self._read(message.server_uuid, message.at)
        return True

    def blind(self) -> None:
        """Forget incoming servers: events were missed, so their fate is not certain."""
        self._incoming.clear()

    def _gone(self, message: Lifecycle, began_at: float) -> None:
        """Report an arrival that failed; its source reports why, if it could see that."""
        arrival = Arrival(
            server_uuid=message.server_uuid,
            state=ArrivalState.INCOMING,
            at=clock.wall(began_at),
            gone_after_seconds=message.at - began_at,
        )
        self._report(arrival, message.at)

    def found(self, server_uuids: Iterable[str]) -> None:
        """Report servers that came while no agent watched; their destination may be unknown."""
        now = time.monotonic()
        for server_uuid in server_uuids:
            state = ArrivalState.RESUMED
            self._report(
                Arrival(server_uuid=server_uuid, state=state, at=clock.wall(now), found=True), now
            )

    def take(self, arrived: ArrivalStats) -> None:
        """Report an arrival whose statistics were read, or are missing."""
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
        self._report(arrival, arrived.at)

    def release(self, now: float) -> None:
        """Report without statistics what has waited for them too long."""
        for server_uuid, pending in list(self._pending.items()):
            if pending.give_up_at <= now:
                del self._pending[server_uuid]
                self._report(pending.arrival, now)

    @property
    def late_at(self) -> float | None:
        """When the first one has waited too long; None while none waits."""
        return min((pending.give_up_at for pending in self._pending.values()), default=None)
