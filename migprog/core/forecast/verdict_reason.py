# SPDX-License-Identifier: Apache-2.0
"""The reason of a verdict as one word, for clients that do not parse sentences.

A word never changes its meaning. Clients may receive words of a newer version that they do not
know. ``doc/source/verdicts.csv`` has a table of them; a test compares both.
"""

import enum


class VerdictReason(enum.StrEnum):
    """Each belongs to one verdict; a migration that has ended keeps the reason of its last one."""

    # starting
    NOTHING_COPIED_YET = "nothing-copied-yet"
    SLOW_SETUP = "slow-setup"
    # copying
    TOO_FEW_ITERATIONS = "too-few-iterations"
    DEVICE_STATE_MOVES = "device-state-moves"
    # converging
    REMAINING_MEMORY_SHRINKS = "remaining-memory-shrinks"
    REMAINING_MEMORY_FITS = "remaining-memory-fits"
    GUEST_PAUSED = "guest-paused"
    # not-converging
    DIRTY_RATE_TOO_HIGH = "dirty-rate-too-high"
    DISK_WRITE_RATE_TOO_HIGH = "disk-write-rate-too-high"
    # stalled
    NO_DATA_MOVES = "no-data-moves"
    LIBVIRT_NOT_RESPONDING = "libvirt-not-responding"
    SWITCHOVER_STUCK = "switchover-stuck"
    # switching-over, post-copy, post-copy-paused
    SWITCHOVER = "switchover"
    RUNNING_AT_DESTINATION = "running-at-destination"
    CONNECTION_LOST = "connection-lost"
    # ended, where there was no verdict before
    NOT_OBSERVED = "not-observed"
