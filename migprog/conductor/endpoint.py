# SPDX-License-Identifier: Apache-2.0
"""The conductor's end of its remote methods; :mod:`migprog.rpc.conductor` is the other."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import oslo_messaging as messaging

from migprog.conductor.batcher import ReportBatcher
from migprog.conductor.host_clocks import HostClocks
from migprog.core.entry_refusal import RefusalReason
from migprog.core.forecast.expectation import Expectation
from migprog.core.log_limit import LogLimit
from migprog.core.messages import Ack, Batch
from migprog.core.wire_table import Dropped, Malformed
from migprog.metrics import conductor as metrics
from migprog.rpc import conductor

LOG = logging.getLogger(__name__)
Expected = Callable[[Batch, Ack], Mapping[str, Expectation]]


class ConductorEndpoint:
    """The RPC endpoint. Any number of threads may call it at once. ``expected`` returns what was
    known of the migrations that a batch reports for the first time, by its answer."""

    target = messaging.Target(version=conductor.VERSION)

    def __init__(self, batcher: ReportBatcher, expected: Expected = lambda batch, ack: {}) -> None:
        self._batcher = batcher
        self._expected = expected
        self._clocks = HostClocks()
        self._lock = threading.Lock()
        self._lines = LogLimit(interval_seconds=60.0)

    def report(self, ctxt: Any, batch: Any) -> dict[str, Any]:
        """Store a host's batch; return an ``Ack`` in wire form.

        Malformed entries are refused, a malformed batch under the key ``batch``; the agent must not
        send them again. Raises :class:`objects.Unavailable`; the agent should send the batch again.
        """
        # What was delivered before has waited for another conductor.
        is_prompt = not getattr(ctxt, "is_redelivered", False)
        read, refused = self._read(batch, is_prompt)
        if read is None:
            return Ack(refused=refused).to_wire()
        ack = self._batcher.store(read).ack
        LOG.debug(
            "batch of host %r stored: %d reports, %d arrivals (%d resolved), %d entries refused",
            *(read.host, len(read.reports), len(read.arrivals), len(ack.arrived), len(refused)),
        )
        expected = self._expected(read, ack)
        return replace(ack, refused={**ack.refused, **refused}, expected=expected).to_wire()

    def progress(self, ctxt: Any, batch: Any) -> None:
        """Queue a host's progress reports; the latest of each migration is stored."""
        read, _ = self._read(batch, is_prompt=False)
        if read is not None:
            self._batcher.keep(read)

    def _read(self, batch: Any, is_prompt: bool) -> tuple[Batch | None, dict[str, str]]:
        """Return the well-formed part of a batch, by our clock, and why the rest is refused.

        The batch is None where all of it is malformed.
        """
        received_at, dropped = time.time(), Dropped()
        try:
            read, refused = Batch.from_wire(batch, dropped)
        except Malformed as error:
            metrics.refused([RefusalReason.MALFORMED])
            self._log(
                "malformed batch refused: %r; compare the versions of agents and conductors",
                str(error),
            )
            return None, {"batch": str(error)}
        if refused:
            metrics.refused([RefusalReason.MALFORMED] * len(refused))
            first = next(iter(refused))
            self._log(
                "batch of host %r: %d malformed entries refused; %s: %r; compare the versions of "
                "agents and conductors",
                read.host,
                len(refused),
                first,
                refused[first],
            )
        if dropped.count:
            metrics.dropped(dropped.count)
            self._log(
                "batch of host %r: %d malformed values dropped, the rest of their entries stored; "
                "%r; compare the versions of agents and conductors",
                *(read.host, dropped.count, dropped.first),
            )
        return self._clocks.by_ours(read, received_at, is_prompt), refused

    def _log(self, text: str, *values: Any) -> None:
        """Log a warning, at most one of each text and host in a minute."""
        with self._lock:
            held_back = self._lines.held_back((text, values[0]), time.monotonic())
        if held_back is not None:
            more = f" ({held_back} more since the last such line)" if held_back else ""
            LOG.warning(text + "%s", *values, more)  # noqa: G003
