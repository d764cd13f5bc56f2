# SPDX-License-Identifier: Apache-2.0
"""Hosts' clock offsets, from the messages that this conductor has received."""

import logging
import threading
import time
from collections import OrderedDict

from migprog.core import clocks
from migprog.core.clocks import Offset
from migprog.core.duration import describe
from migprog.core.log_limit import LogLimit
from migprog.core.messages import Batch

LOG = logging.getLogger(__name__)
# Beyond it the hosts that have been silent longest are dropped; their next message adds them again.
_MOST_HOSTS = 20_000


class HostClocks:
    """The offsets by host and node. Any number of threads may use it at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offsets: OrderedDict[tuple[str, str], Offset] = OrderedDict()
        self._lines = LogLimit(interval_seconds=3600.0)

    def by_ours(self, batch: Batch, received_at: float, is_prompt: bool) -> Batch:
        """Return the batch with its instants by our clock; ``received_at`` is by our clock, too.

        ``is_prompt``: its sender waits for an answer, and no other conductor had it before. A batch
        without ``sent_at`` is returned unchanged.
        """
        if batch.sent_at is None:
            return batch
        seconds = self._correction(batch, batch.sent_at, received_at, is_prompt)
        return clocks.moved(batch, seconds)

    def _correction(
        self, batch: Batch, sent_at: float, received_at: float, is_prompt: bool
    ) -> float:
        key = batch.host, batch.node
        with self._lock:
            offset = clocks.observed(self._offsets.get(key), sent_at, received_at, is_prompt)
            if offset is None:
                return 0.0
            self._offsets[key] = offset
            self._offsets.move_to_end(key)
            if len(self._offsets) > _MOST_HOSTS:
                self._offsets.popitem(last=False)
            seconds = offset.correction_seconds
            if not seconds or self._lines.held_back(batch.host, time.monotonic()) is None:
                return seconds
        LOG.warning(
            "clock of host %r is %s %s this conductor's; the instants that it reports are "
            "corrected by that much: check its time synchronisation",
            *(batch.host, describe(abs(seconds)), "behind" if seconds > 0 else "ahead of"),
        )
        return seconds
