# SPDX-License-Identifier: Apache-2.0
"""The host's time as it was when this process began, and as it has gone by since.

What somebody sets meanwhile changes nothing: arrivals, and when they are told, are by one clock.
"""

import time

_EPOCH = time.time() - time.monotonic()


def wall(at: float) -> float:
    """An instant of the monotonic clock, in seconds since the epoch."""
    return _EPOCH + at
