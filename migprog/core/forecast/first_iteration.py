# SPDX-License-Identifier: Apache-2.0
"""The first pass over a guest's memory: how long the rest of it takes, and what follows it.

Nothing tells what the guest dirties before the pass is through. What may be known of the guest is
how much of its memory QEMU has (what was never written is not among it), and what its earlier
migrations had to send again.
"""

from typing import NamedTuple

from migprog.core.forecast.precopy import PrecopyState

# What a guest dirties meanwhile, and how much of its memory is zeros, as shares of the whole pass,
# where nothing is known of either.
_GUESSED_RESENT = 0.08
_GUESSED_ZEROS = 0.10
# What QEMU has of memory besides the guest's, about; of a small guest it is taken for less.
QEMU_BYTES = 32 * 2**20
_QEMU_SHARE = 1 / 8
# No more than this is expected of a guest by its earlier migrations: they may have been slower.
_MOST_RESENT = 4.0


class FirstIteration(NamedTuple):
    """Seconds of the first pass: the rest of it, at most ``longest_seconds``; the whole of it; and
    the passes after it. ``share`` of it is over; 0 before it begins."""

    rest_seconds: float
    longest_seconds: float
    whole_seconds: float
    following_seconds: float
    share: float


def first_iteration(course: PrecopyState, pace: float) -> FirstIteration | None:
    """Return what is known of a first pass that is not through; None if its size is not known.
    ``pace`` is in bytes of the guest a second."""
    sample = course.latest
    if sample is None:
        return None
    size = course.memory_size_bytes or sample.memory_total_bytes
    total = size if course.first_iteration_bytes is None else course.first_iteration_bytes
    if total is None:
        return None
    remaining = sample.memory_remaining_bytes
    if remaining is None and sample.memory_total_bytes is not None:
        # What remains is not told.
        copied = sample.memory_copied_bytes or sample.memory_processed_bytes or 0
        remaining = max(0, total - copied)
    elif remaining is None:
        remaining = total
    in_iteration = course.in_iteration_seconds(sample.at)
    filled = _filled_bytes(course, total, remaining)
    rest = _rest_seconds(course, total, remaining, filled, pace)
    whole = in_iteration + filled / pace
    resent = course.resent_share
    following = _GUESSED_RESENT if resent is None else min(_MOST_RESENT, resent)
    return FirstIteration(
        rest_seconds=rest,
        longest_seconds=remaining / pace,
        whole_seconds=whole,
        following_seconds=following * whole,
        share=in_iteration / (in_iteration + rest) if in_iteration else 0.0,
    )


def _rest_seconds(
    course: PrecopyState, total: int, remaining: int, filled: float, pace: float
) -> float:
    """Pages that were never written are zeros, and cost little."""
    share = course.filled.share
    if course.memory_resident_bytes is None and (share is None or share > 1 - _GUESSED_ZEROS):
        # None are seen; there will be some.
        filled = max(0.0, min(filled, remaining - _GUESSED_ZEROS * total))
    scanned = course.zeros.bytes_per_second
    return filled / pace + ((remaining - filled) / scanned if scanned else 0.0)


def _filled_bytes(course: PrecopyState, total: int, remaining: int) -> float:
    """What of the rest of the first pass is not zeros, by what QEMU has in memory, or else by what
    was sent of late."""
    resident, sample = course.memory_resident_bytes, course.latest
    if resident is None or sample is None:
        share = course.filled.share
        return remaining if share is None else share * remaining
    zeros_sent = sample.memory_zero_bytes or 0
    guests = max(0.0, resident - min(QEMU_BYTES, _QEMU_SHARE * total))
    if total - remaining - zeros_sent > guests:
        # Some of it was elsewhere, swapped out perhaps.
        return remaining
    return remaining - min(float(remaining), max(0.0, total - guests - zeros_sent))
