# SPDX-License-Identifier: Apache-2.0
"""Waits for messages in an inbox."""

import time
from typing import Any

from migprog.concurrency import Inbox

_SECONDS = 30.0


def take(inbox: Inbox, count: int = 1) -> list[Any]:
    """Return everything that has come, in order, as soon as that is ``count`` messages."""
    give_up_at = time.monotonic() + _SECONDS
    taken: list[Any] = []
    while len(taken) < count:
        left_seconds = give_up_at - time.monotonic()
        assert left_seconds > 0, f"waited in vain for {count} messages; there are {taken}"
        taken += inbox.get_all(left_seconds)
    return taken
