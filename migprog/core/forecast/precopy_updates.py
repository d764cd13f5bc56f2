# SPDX-License-Identifier: Apache-2.0
"""Update the pre-copy state with QEMU's events and libvirt's samples.

Within an iteration, what remains plus what was copied is constant; at an iteration start the sum
grows by just what the guest has dirtied.
"""

import math
from collections.abc import Mapping
from typing import Any

from migprog.core.forecast import disk_copy, transferred
from migprog.core.forecast.dirty_rate import IterationStart, dirtying, without_progress
from migprog.core.forecast.job_sample import Sample
from migprog.core.forecast.precopy import FASTER, SLICE_SECONDS, UNMEASURED_RATES, PrecopyState
from migprog.core.forecast.transferred import Moved

# Late iterations may come ten a second; old ones do not matter to any verdict.
MAX_ITERATIONS = 64
_SMOOTHING_SECONDS = 20.0
# What counts of bytes on the wire have more than the guest's memory.
_HEADERS = 0.01
# A first iteration of which such a share is copied has begun before it was seen.
_AMID = 0.1
# The share of device state in all that moves is measured over the last seconds.
_LATELY_SECONDS = 5.0


def iteration_begins(course: PrecopyState, at: float) -> PrecopyState:
    """Return the state after QEMU's event that an iteration begins; its size comes later."""
    return course._replace(iteration_event_at=at)


def observe(course: PrecopyState, sample: Sample) -> PrecopyState:
    """Return the state with one more sample. Samples must come in order of time."""
    before = course.latest
    if before is None:
        disks = disk_copy.begin(sample)
        started = _iteration_start(course, sample, None)
        return course._replace(latest=sample, moved_at=sample.at, disks=disks, **started)
    if sample.at <= before.at or _forgets(before, sample):
        return course
    seconds = sample.at - before.at
    if sample.disks is None and before.disks is not None:
        # They are not read with every sample, and not once memory moves.
        sample = sample._replace(disks=before.disks)
    memory = transferred.between(before, sample, course.expansion.share)
    devices = transferred.difference(before.vfio_transferred_bytes, sample.vfio_transferred_bytes)
    # One reading does not separate what moved before post-copy began from what moved after.
    turned = course.turned_at is not None and before.at < course.turned_at
    new: dict[str, Any] = _iteration_start(course, sample, memory)
    disks = course.disks.after(before, sample)
    if disks is not course.disks:
        new["disks"] = disks
    moves = memory is not None and (memory.wire_bytes or memory.counts)
    if moves and before.at - (course.moved_at or before.at) >= course.still_seconds:
        # The stall that ends here is no measurement; the rate is measured from scratch.
        new |= UNMEASURED_RATES
    elif memory is not None and not turned:
        new |= _memory(course, memory, seconds)
        wire_bytes = max(memory.wire_bytes, devices or 0)
        new["wire"] = course.wire.after(wire_bytes, seconds)
        if devices or course.devices_at is not None:
            new["devices"] = course.devices.after(
                devices or 0, (devices or 0) + memory.wire_bytes, seconds, _LATELY_SECONDS
            )
    if devices:
        new["devices_at"] = sample.at
    turns = before.memory_total_bytes is None and sample.memory_total_bytes is not None
    if turns or moves or devices or disks.moved_at == sample.at:
        new["moved_at"] = sample.at
    return course._replace(latest=sample, **new)


def _memory(course: PrecopyState, memory: Moved, seconds: float) -> Mapping[str, Any]:
    """Return what changes in the memory rates by what has moved in so many seconds."""
    new: dict[str, Any] = {}
    if memory.unexplained_bytes:
        new["expansion"] = course.expansion.after(
            memory.uncounted_bytes, memory.unexplained_bytes, seconds, _SMOOTHING_SECONDS
        )
    bytes_ = memory.guest_bytes
    if not course.iterations:
        bytes_ = memory.filled_bytes
        new["scanned"] = course.scanned.after(memory.guest_bytes, seconds)
        new["filled"] = course.filled.after(bytes_, memory.guest_bytes, seconds, _LATELY_SECONDS)
        if _scans_zeros(course, memory, seconds):
            for_filled = memory.filled_bytes / (course.memory.bytes_per_second or math.inf)
            new["zeros"] = course.zeros.after(
                memory.zero_bytes, max(0.0, seconds - for_filled), _SMOOTHING_SECONDS
            )
            return new
        # Take off the time that the zeros took, where their rate is known.
        seconds -= memory.zero_bytes / (course.zeros.bytes_per_second or math.inf)
        if seconds <= 0:
            return new
    new["memory"] = course.memory.after(bytes_, seconds)
    if bytes_:
        new["cost"] = course.cost.after(memory.wire_bytes, bytes_, seconds, _SMOOTHING_SECONDS)
    return new


def _scans_zeros(course: PrecopyState, memory: Moved, seconds: float) -> bool:
    """Return whether less was sent only because pages were zeros, and were scanned no slower. Such
    a reading does not measure the transfer rate."""
    if not memory.zero_bytes:
        return False
    rate, scanned = course.memory.bytes_per_second, course.scanned.bytes_per_second
    if rate is None or scanned is None:
        return memory.filled_bytes == 0
    slower = memory.filled_bytes < (1 / FASTER) * rate * seconds
    return slower and memory.guest_bytes >= (1 / FASTER) * scanned * seconds


def _forgets(before: Sample, now: Sample) -> bool:
    """Return whether a job was reset: its counters are zero again and must not be used."""
    return before.memory_total_bytes is not None and now.memory_total_bytes is None


def _iteration_start(course: PrecopyState, sample: Sample, memory: Moved | None) -> dict[str, Any]:
    """Return what changes in the state if the sample is the first of an iteration; ``memory`` is
    what moved since the sample before."""
    iteration, remaining = sample.memory_iteration, sample.memory_remaining_bytes
    if iteration is None or remaining is None:
        return {}
    if course.first_iteration is None:
        return {
            "first_iteration": iteration,
            "first_iteration_bytes": sample.memory_total_bytes or remaining,
            "iteration_started_at": _began_at(course, sample),
            "iteration_start_bytes_per_second": course.memory_bytes_per_second,
            "paused_seconds": 0.0,
        }
    last = course.iterations[-1].iteration if course.iterations else course.first_iteration
    if iteration <= last:
        return {}
    at = _began_at(course, sample)
    paused_seconds = course.paused_in_iteration(at)
    # Some of it has been sent since; the first slice is sent at once.
    sent = (sample.at - at + SLICE_SECONDS / 2) * (course.memory_bytes_per_second or 0)
    iteration_start = IterationStart(
        at=at,
        iteration=iteration,
        remaining_bytes=remaining + int(sent),
        dirtied_bytes=_dirtied(course.latest, sample, memory),
        seconds=max(0.0, course.in_iteration_seconds(at) - paused_seconds),
        was_paused=paused_seconds > 0,
    )
    iterations = (*course.iterations, iteration_start)[-MAX_ITERATIONS:]
    undisturbed = tuple([each for each in iterations if not each.was_paused])
    return {
        "iterations": iterations,
        "undisturbed": undisturbed,
        "iteration_started_at": at,
        "iteration_start_bytes_per_second": course.memory_bytes_per_second,
        "dirtying": dirtying(iterations),
        "stays_level": without_progress(undisturbed),
        "paused_seconds": 0.0,
    }


def _began_at(course: PrecopyState, sample: Sample) -> float:
    """Return when the iteration began: by QEMU's event, if one came since the last sample."""
    earliest = course.latest.at if course.latest else course.started_at
    event_at = course.iteration_event_at
    if event_at is not None and earliest < event_at <= sample.at:
        return event_at
    return course.started_at if course.latest is None and _is_amid_first(sample) else sample.at


def _is_amid_first(sample: Sample) -> bool:
    """Return whether a sample is amid the first iteration, where nothing was sent twice yet, and no
    disk was copied before it. An agent that was restarted sees this."""
    total, remaining = sample.memory_total_bytes, sample.memory_remaining_bytes
    copied = sample.memory_copied_bytes or sample.memory_processed_bytes
    if sample.disk_total_bytes or total is None or remaining is None or copied is None:
        return False
    return copied > _AMID * total and copied + remaining <= (1 + _HEADERS) * total


def _dirtied(before: Sample | None, now: Sample, memory: Moved | None) -> int | None:
    """Return what the guest has dirtied between two readings, between which ``memory`` moved."""
    if before is None or before.memory_remaining_bytes is None or memory is None:
        return None
    if now.memory_remaining_bytes is None:
        return None
    more = now.memory_remaining_bytes - before.memory_remaining_bytes
    return max(0, more + memory.guest_bytes)
