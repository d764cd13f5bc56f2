# SPDX-License-Identifier: Apache-2.0
"""How long auto-converge takes: QEMU slows the vCPUs down, step by step, until iterations get
shorter."""

import math

from migprog.core.forecast.precopy import SLICE_SECONDS

# QEMU's default cpu-throttle-increment, in percent; the time over which it compares iterations
# (two times for each step); and the throttle that mostly was enough.
_THROTTLE_STEP = 10
_THROTTLE_PERIOD_SECONDS = 1.0
THROTTLE_ENOUGH = 75.0


def throttled_seconds(
    throttle_percent: float, iteration_seconds: float, enough_percent: float = THROTTLE_ENOUGH
) -> float:
    """Return the seconds until the throttle is enough, for iterations of so many seconds.

    QEMU takes a step every other time that it has compared a second or more of iterations.
    """
    iteration_seconds = max(SLICE_SECONDS, iteration_seconds)
    steps = max(1.0, (enough_percent - throttle_percent) / _THROTTLE_STEP)
    return steps * 2 * iteration_seconds * math.ceil(_THROTTLE_PERIOD_SECONDS / iteration_seconds)
