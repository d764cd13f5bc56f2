# SPDX-License-Identifier: Apache-2.0
"""Watchers of lists whose rounds are read when a test says so."""

import threading
from datetime import UTC, datetime
from typing import Any

from migprog import objects
from migprog.api.list_watchers import ListWatchers
from migprog.api.microversion import HEADER
from migprog.tests import stores

NOW = datetime.fromtimestamp(stores.START + 200, UTC)
LATEST = {HEADER: "migration-progress latest"}
LIST = "/migrations?in_progress=true"


class ByHand(ListWatchers):
    """Reads a round when a test says so, and at the first request."""

    def __init__(self, store: objects.Store, most: int = 100) -> None:
        super().__init__(store, most, 0.01, 90, lambda: self.at)
        self.at = NOW
        # One for each watcher that waits for a round read by hand; the first round is not.
        self.waiting = threading.Semaphore(0)

    def _read_rounds(self, run: object) -> None:
        self.look()

    def _end_waits(self, run: object) -> None:
        pass

    def _is_behind(self, now: float) -> bool:
        return False

    def _add(self, watcher: Any) -> None:
        super()._add(watcher)
        if self._snapshot is not None:
            self.waiting.release()
