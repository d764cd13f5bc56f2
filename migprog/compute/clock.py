# SPDX-License-Identifier: Apache-2.0
"""The host's time when this process began, plus the time that has passed since.

Setting the host's clock has no effect: arrivals and messages use one clock.
"""

import time

_EPOCH = time.time() - time.monotonic()


def wall(at: float) -> float:
    """Convert an instant of the monotonic clock to seconds since the epoch."""
    return _EPOCH + at
