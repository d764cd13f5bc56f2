# SPDX-License-Identifier: Apache-2.0
"""What conductors refuse to store, in the log and in a metric: a line a host and minute."""

import logging
import threading
import time
from collections.abc import Mapping

from migprog.core.field import shown
from migprog.core.log_quota import LogQuota
from migprog.metrics import conductor as metrics

LOG = logging.getLogger(__name__)


class Refusals:
    """Counts and logs refused entries; any number of threads may do so at once."""

    def __init__(self, quota: LogQuota | None = None) -> None:
        self._quota = quota or LogQuota()
        self._lock = threading.Lock()

    def note(self, host: str | None, refused: Mapping[str, str]) -> None:
        """Count the entries of one batch that are refused, by name with the reason.

        ``host``: who sent it; None when the batch itself cannot be read.
        """
        if not refused:
            return
        metrics.refused(len(refused))
        with self._lock:
            suppressed = self._quota.take(host or "", time.monotonic())
        if suppressed is None:
            return
        entry, reason = next(iter(refused.items()))
        LOG.warning(
            "refused %d of the entries in a message of host %s, the first is %s: %s "
            "(%d further message(s) with refused entries since the last such line)",
            *(len(refused), shown(host or "unknown"), shown(entry), shown(reason), suppressed),
        )
