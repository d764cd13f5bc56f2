# SPDX-License-Identifier: Apache-2.0
"""Wait for another agent to release what this one needs: it may be about to end."""

import logging

from migprog.compute.state.writer import TAKEN_SECONDS

LOG = logging.getLogger(__name__)


class Wait:
    """``since``: since when, by a monotonic clock; None while nothing is waited for."""

    def __init__(self, connection_uri: str) -> None:
        self._connection_uri = connection_uri
        self.since: float | None = None

    @property
    def ends_at(self) -> float | None:
        """Until when it is waited for."""
        return None if self.since is None else self.since + TAKEN_SECONDS

    def is_over(self, why: str, now: float) -> bool:
        """Return whether it has been waited for long enough; log the beginning."""
        if self.since is None:
            self.since = now
            LOG.warning(
                "%s: %s; waiting up to %.0f s for it to end, then this agent ends; stop the "
                "other agent, or check [compute] connection_uri and state_path",
                *(self._connection_uri, why, TAKEN_SECONDS),
            )
        return now - self.since >= TAKEN_SECONDS
