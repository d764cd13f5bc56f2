# SPDX-License-Identifier: Apache-2.0
"""The first iteration over a guest's memory: how long the rest of it takes, and what follows.

What the guest dirties is not known before this iteration ends. What may be known of the guest is
its resident memory (pages never written are not resident), the share that its earlier migrations
had to send again, and the processor time of its vCPUs (:mod:`migprog.core.forecast.vcpu_time`).
"""

from typing import NamedTuple

from migprog.core.forecast.precopy import PrecopyState

# How much of a guest's memory is zeros where that is not known, as a share of the whole.
_GUESSED_ZEROS = 0.10
# QEMU's own resident memory, about; for a small guest the share below is used if it is less.
QEMU_BYTES = 32 * 2**20
_QEMU_SHARE = 1 / 8
# The limit of the share expected from earlier migrations: they may have been slower.
MAX_RESENT = 4.0


class FirstIteration(NamedTuple):
    """Seconds of the first iteration: the rest of it, at most ``longest_seconds``; the whole of
    it; and of the iterations after it. ``share`` is the part that is over; 0 before it begins."""

    rest_seconds: float
    longest_seconds: float
    whole_seconds: float
    following_seconds: float
    share: float


def first_iteration(precopy: PrecopyState, rate: float) -> FirstIteration | None:
    """Estimate a first iteration that has not ended; None if its size is not known.

    ``rate`` is in bytes of the guest a second.
    """
    sample = precopy.latest
    if sample is None:
        return None
    size = precopy.memory_size_bytes or sample.memory_total_bytes
    total = size if precopy.first_iteration_bytes is None else precopy.first_iteration_bytes
    if total is None:
        return None
    remaining = sample.memory_remaining_bytes
    if remaining is None and sample.memory_total_bytes is not None:
        # libvirt does not report what remains.
        copied = sample.memory_copied_bytes or sample.memory_processed_bytes or 0
        remaining = max(0, total - copied)
    elif remaining is None:
        remaining = total
    in_iteration = precopy.in_iteration_seconds(sample.at)
    filled = _filled_bytes(precopy, total, remaining)
    rest = _rest_seconds(precopy, total, remaining, filled, rate)
    whole = in_iteration + filled / rate
    following = min(MAX_RESENT, precopy.expected_resent(rate).likely)
    return FirstIteration(
        rest_seconds=rest,
        longest_seconds=remaining / rate,
        whole_seconds=whole,
        following_seconds=following * whole,
        share=in_iteration / (in_iteration + rest) if in_iteration else 0.0,
    )


def _rest_seconds(
    precopy: PrecopyState, total: int, remaining: int, filled: float, rate: float
) -> float:
    """Estimate the rest; pages that were never written are zeros, and cost little."""
    share = precopy.filled.share
    if precopy.memory_resident_bytes is None and (share is None or share > 1 - _GUESSED_ZEROS):
        # No zeros were seen yet; some are expected.
        filled = max(0.0, min(filled, remaining - _GUESSED_ZEROS * total))
    scanned = precopy.zeros.bytes_per_second
    return filled / rate + ((remaining - filled) / scanned if scanned else 0.0)


def _filled_bytes(precopy: PrecopyState, total: int, remaining: int) -> float:
    """Estimate the bytes of the rest that are not zeros, by QEMU's resident memory, or else by
    what was sent lately."""
    resident, sample = precopy.memory_resident_bytes, precopy.latest
    if resident is None or sample is None:
        share = precopy.filled.share
        return remaining if share is None else share * remaining
    zeros_sent = sample.memory_zero_bytes or 0
    guests = max(0.0, resident - min(QEMU_BYTES, _QEMU_SHARE * total))
    if total - remaining - zeros_sent > guests:
        # Some of the guest's memory was not resident, perhaps swapped out.
        return remaining
    return remaining - min(float(remaining), max(0.0, total - guests - zeros_sent))
