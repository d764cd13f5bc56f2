# SPDX-License-Identifier: Apache-2.0
"""What the store refused is counted, and logged now and then: a few lines, whatever is sent."""

import logging
import time
from collections.abc import Iterable, Sequence

from migprog.core.log_limit import LogLimit
from migprog.core.refusal import Refusal, Why
from migprog.metrics import conductor as metrics

LOG = logging.getLogger(__name__)
_LINES = dict.fromkeys(Why, "from host %r: %s is refused: %s") | {
    Why.DUPLICATE: "two agents of host %r report the same migration: %s is not stored as another, "
    "%s; stop one of the agents",
    Why.AGENT: "another agent reports itself as host %r while its own does: %s is refused: %s; "
    "stop one of them, or look who it is; an agent that has lost its state directory is taken when "
    "the other is not heard of any more",
    Why.PROJECT: "from host %r: %s does not change its server's progress: %s",
}


class Refusals:
    """Used by one thread."""

    def __init__(self) -> None:
        self._seldom = LogLimit()

    def note(self, host: str, refused: Sequence[Refusal]) -> None:
        """Count what was refused of a batch; log the first of each kind, once in ten minutes."""
        metrics.refused(refusal.why for refusal in refused)
        for why, refusal in _firsts(refused).items():
            if self._seldom.held_back((why, host), time.monotonic()) is not None:
                LOG.warning(_LINES[why], host, refusal.entry, refusal.text)


def _firsts(refused: Iterable[Refusal]) -> dict[Why, Refusal]:
    firsts: dict[Why, Refusal] = {}
    for refusal in refused:
        firsts.setdefault(refusal.why, refusal)
    return firsts
