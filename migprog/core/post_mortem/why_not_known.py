# SPDX-License-Identifier: Apache-2.0
"""Why a post-mortem does not know something."""

import enum


class WhyNotKnown(enum.StrEnum):
    """Why something is not known, in one word."""

    IN_PROGRESS = "in-progress"
    NOT_COMPLETED = "not-completed"
    # No agent saw it, or the history has too few points.
    NOT_OBSERVED = "not-observed"
    NO_FORECAST = "no-forecast"
    # No memory had to be sent again.
    NOTHING_RESENT = "nothing-resent"
    # Device state was moved, which waits for no limit and follows no post-copy.
    DEVICE_STATE_MOVED = "device-state-moved"
    # It had been done, or was in force.
    DONE_ALREADY = "done-already"
    # It would have saved next to nothing.
    NO_GAIN = "no-gain"
    # Somebody did it; nothing that migprog stores says who.
    NOT_RECORDED = "not-recorded"
