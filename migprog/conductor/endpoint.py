# SPDX-License-Identifier: Apache-2.0
"""The conductor's end of its remote methods; ``rpcapi.py`` is the other."""

import logging
import threading
import time
from dataclasses import replace
from typing import Any

import oslo_messaging as messaging

from migprog.conductor.batcher import ReportBatcher
from migprog.conductor.host_clocks import HostClocks
from migprog.core.log_limit import LogLimit
from migprog.core.refusal import Why
from migprog.core.report import Ack, Batch
from migprog.core.table import Dropped, Malformed
from migprog.metrics import conductor as metrics
from migprog.rpc import conductor

LOG = logging.getLogger(__name__)


class ConductorEndpoint:
    """RPC endpoint. Any number of threads may call it at once."""

    target = messaging.Target(version=conductor.VERSION)

    def __init__(self, intake: ReportBatcher) -> None:
        self._intake = intake
        self._clocks = HostClocks()
        self._lock = threading.Lock()
        self._lines = LogLimit(interval_seconds=60.0)

    def report(self, ctxt: Any, batch: Any) -> dict[str, Any]:
        """Store a host's reports; answer with an ``Ack``.

        What cannot be read is refused, the whole batch under the key ``batch``: to tell it again
        would be of no use. Raises :class:`objects.Unavailable`: to tell it again is what it takes.
        """
        read, refused = self._read(batch, is_prompt=True)
        if read is None:
            return Ack(refused=refused).to_wire()
        ack = self._intake.store(read).ack
        LOG.debug(
            "from %r: %d reports, %d arrivals of which %d found their migration, %d refused",
            *(read.host, len(read.reports), len(read.arrivals), len(ack.arrived), len(refused)),
        )
        return replace(ack, refused={**ack.refused, **refused}).to_wire()

    def progress(self, ctxt: Any, batch: Any) -> None:
        """Have a host's reports of progress stored: of each migration the latest."""
        read, _ = self._read(batch, is_prompt=False)
        if read is not None:
            self._intake.keep(read)

    def _read(self, batch: Any, is_prompt: bool) -> tuple[Batch | None, dict[str, str]]:
        """What can be read of a batch, by our clock, and why the rest is refused."""
        received_at, dropped = time.time(), Dropped()
        try:
            read, refused = Batch.from_wire(batch, dropped)
        except Malformed as error:
            metrics.refused([Why.MALFORMED])
            self._log("a batch is refused: %r", str(error))
            return None, {"batch": str(error)}
        if refused:
            metrics.refused([Why.MALFORMED] * len(refused))
            first = next(iter(refused))
            self._log(
                "from %r: %d entries are refused; %s: %r",
                read.host,
                len(refused),
                first,
                refused[first],
            )
        if dropped.count:
            metrics.dropped(dropped.count)
            self._log(
                "from %r: %d values are dropped, the rest of their entries is stored; %r",
                *(read.host, dropped.count, dropped.first),
            )
        return self._clocks.by_ours(read, received_at, is_prompt), refused

    def _log(self, text: str, *values: Any) -> None:
        """Log it, unless the same was said of this host within a minute."""
        with self._lock:
            held_back = self._lines.held_back((text, values[0]), time.monotonic())
        if held_back is not None:
            more = f" ({held_back} more since the last such line)" if held_back else ""
            LOG.warning(text + "%s", *values, more)  # noqa: G003
