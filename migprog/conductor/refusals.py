# SPDX-License-Identifier: Apache-2.0
"""Counts what the store refused, and logs a few lines of it, whatever is sent."""

import logging
import time
from collections.abc import Iterable, Sequence

from migprog.core.entry_refusal import EntryRefusal, RefusalReason
from migprog.core.log_limit import LogLimit
from migprog.metrics import conductor as metrics

LOG = logging.getLogger(__name__)
_LINES = dict.fromkeys(
    RefusalReason, "batch of host %r: %s refused: %s; check this host's agent and clock"
) | {
    RefusalReason.DUPLICATE: "two agents of host %r report the same migration: %s makes no second "
    "record: %s; stop one of the agents",
    RefusalReason.AGENT: "a second agent reports as host %r: %s refused: %s; stop one of the two; "
    "if the agent has lost its state directory, its heartbeats are accepted once the old one is "
    "silent",
    RefusalReason.PROJECT: "batch of host %r: %s does not change its server's progress: %s; check "
    "what this host sends",
}


class Refusals:
    """The counter and log of refused entries. For one thread."""

    def __init__(self) -> None:
        self._log_limit = LogLimit()

    def note(self, host: str, refused: Sequence[EntryRefusal]) -> None:
        """Count a batch's refused entries; log the first of each kind, once in ten minutes."""
        metrics.refused(refusal.reason for refusal in refused)
        for reason, refusal in _firsts(refused).items():
            if self._log_limit.held_back((reason, host), time.monotonic()) is not None:
                LOG.warning(_LINES[reason], host, refusal.entry, refusal.text)


def _firsts(refused: Iterable[EntryRefusal]) -> dict[RefusalReason, EntryRefusal]:
    firsts: dict[RefusalReason, EntryRefusal] = {}
    for refusal in refused:
        firsts.setdefault(refusal.reason, refusal)
    return firsts
