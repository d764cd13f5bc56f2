# SPDX-License-Identifier: Apache-2.0
"""Carries the outbox to the conductor: everything that is due in one message, again if need be."""

import logging
import random
import threading
import time
from dataclasses import dataclass

from migprog.compute.outbox import Load, Outbox
from migprog.conductor import rpcapi
from migprog.core.pacing import Pacing
from migprog.core.report import LASTING, Ack, Batch
from migprog.core.throttle import Rules
from migprog.metrics import agent as metrics

LOG = logging.getLogger(__name__)
# Seconds between two attempts while no conductor answers: doubled each time, up to the last.
_RETRY_SECONDS = (0.5, 30.0)
_IDLE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Address:
    """How this host is known: to Nova, to libvirt, and to its peers' migrations."""

    host: str
    node: str
    ip: str | None


class Sender:
    """Sends until stopped; :meth:`run` belongs in a thread of its own.

    ``rules`` may be replaced at any time.
    """

    def __init__(
        self, outbox: Outbox, conductor: rpcapi.ConductorAPI, address: Address, rules: Rules
    ) -> None:
        self.rules = rules
        self._outbox = outbox
        self._conductor = conductor
        self._address = address
        self._pacing = Pacing(rules.report_interval_seconds, rules.heartbeat_interval_seconds)
        self._answered_at = time.monotonic()
        self._stopping = threading.Event()

    @property
    def pacing(self) -> Pacing:
        """How often this host may tell of progress."""
        rules = self.rules
        return self._pacing.asked(rules.report_interval_seconds, rules.heartbeat_interval_seconds)

    def run(self) -> None:
        retry_seconds = _RETRY_SECONDS[0]
        while not self._stopping.is_set():
            again = self._outbox.next_arrival_in(time.monotonic())
            self._outbox.wait(_IDLE_SECONDS if again is None else again)
            if self.send():
                retry_seconds = _RETRY_SECONDS[0]
                continue
            # Spread by chance, so that a fleet does not come back as one.
            self._stopping.wait(retry_seconds * random.uniform(0.5, 1.0))  # noqa: S311
            retry_seconds = min(2 * retry_seconds, _RETRY_SECONDS[1])

    def stop(self) -> None:
        """End :meth:`run`; what is in the outbox stays there."""
        self._stopping.set()
        self._outbox.wake()

    def send(self) -> bool:
        """Send what is due now, if anything; False when no conductor took it."""
        now = time.monotonic()
        load = self._outbox.load(now)
        if not load:
            return True
        # What may be lost needs no answer; but one is asked for now and then, to know how things
        # stand with the conductors, and each time while they are not as they should be.
        silent_seconds = now - self._answered_at
        acknowledged = (
            load.needs_ack
            or self._pacing.is_stretched
            or silent_seconds >= self.rules.heartbeat_interval_seconds
        )
        try:
            ack = self._deliver(load, acknowledged)
        except rpcapi.Unreachable as error:
            LOG.warning(
                "no conductor took %d report(s), %d arrival(s): %s",
                *(len(load.reports), len(load.arrivals), error),
            )
            metrics.failed()
            self._set_pacing(self.pacing.unanswered(time.monotonic()))
            return False
        if acknowledged:
            self._answered_at = time.monotonic()
            took_seconds = self._answered_at - now
            metrics.called(took_seconds)
            self._set_pacing(self.pacing.answered(took_seconds, self._answered_at))
        else:
            metrics.cast()
        self._outbox.sent(load, ack, time.monotonic())
        return True

    def _set_pacing(self, new: Pacing) -> None:
        if new.is_stretched != self._pacing.is_stretched:
            why = "the conductors are slow" if new.is_stretched else "the conductors keep up again"
            LOG.info("progress is told of every %.1f s: %s", new.interval_seconds, why)
        self._pacing = new
        metrics.interval(self._address.node, new.interval_seconds)

    def _deliver(self, load: Load, acknowledged: bool) -> Ack | None:
        batch = Batch(
            host=self._address.host,
            node=self._address.node,
            address=self._address.ip,
            reports=load.reports,
            arrivals=load.arrivals,
        )
        # The first report of a migration is acknowledged: what is cast can build on it.
        wire = batch.to_wire(without=() if acknowledged else LASTING)
        answer = self._conductor.report(wire, acknowledged=acknowledged)
        if not acknowledged:
            return None
        ack = Ack.from_wire(answer)
        for entry, why in ack.refused.items():
            LOG.error("the conductor refused %s: %s", entry, why)
        return ack
