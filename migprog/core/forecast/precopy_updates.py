# SPDX-License-Identifier: Apache-2.0
"""Update the pre-copy state with QEMU's events and libvirt's samples.

Within an iteration, what remains plus what was copied is constant; at an iteration start the sum
grows by just what the guest has dirtied.
"""

import math
from collections.abc import Mapping
from typing import Any

from migprog.core.forecast import disk_copy, transferred
from migprog.core.forecast.dirty_rate import IterationStart, dirtying, surprises, without_progress
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


def iteration_begins(precopy: PrecopyState, at: float) -> PrecopyState:
    """Return the state after QEMU's event that an iteration begins; its size comes later."""
    return precopy._replace(iteration_event_at=at)


def observe(precopy: PrecopyState, sample: Sample) -> PrecopyState:
    """Return the state with one more sample. Samples must come in order of time."""
    before = precopy.latest
    if before is None:
        disks = disk_copy.begin(sample)
        started = _iteration_start(precopy, sample, None)
        return precopy._replace(latest=sample, moved_at=sample.at, disks=disks, **started)
    if sample.at <= before.at or _forgets(before, sample):
        return precopy
    seconds = sample.at - before.at
    if sample.disks is None and before.disks is not None:
        # They are not read with every sample, and not once memory moves.
        sample = sample._replace(disks=before.disks)
    memory = transferred.between(before, sample, precopy.expansion.share)
    devices = transferred.difference(before.vfio_transferred_bytes, sample.vfio_transferred_bytes)
    # One reading does not separate what moved before post-copy began from what moved after.
    turned = precopy.turned_at is not None and before.at < precopy.turned_at
    new: dict[str, Any] = _iteration_start(precopy, sample, memory)
    disks = precopy.disks.after(before, sample)
    if disks is not precopy.disks:
        new["disks"] = disks
    moves = memory is not None and (memory.wire_bytes or memory.counts)
    if moves and before.at - (precopy.moved_at or before.at) >= precopy.still_seconds:
        # The stall that ends here is no measurement; the rate is measured from scratch.
        new |= UNMEASURED_RATES
    elif memory is not None and not turned:
        new |= _memory(precopy, memory, seconds)
        wire_bytes = max(memory.wire_bytes, devices or 0)
        new["wire"] = precopy.wire.after(wire_bytes, seconds)
        if devices or precopy.devices_at is not None:
            new["devices"] = precopy.devices.after(
                devices or 0, (devices or 0) + memory.wire_bytes, seconds, _LATELY_SECONDS
            )
    if devices:
        new["devices_at"] = sample.at
    turns = before.memory_total_bytes is None and sample.memory_total_bytes is not None
    if turns or moves or devices or disks.moved_at == sample.at:
        new["moved_at"] = sample.at
    return precopy._replace(latest=sample, **new)


def _memory(precopy: PrecopyState, memory: Moved, seconds: float) -> Mapping[str, Any]:
    """Return what changes in the memory rates by what has moved in so many seconds."""
    new: dict[str, Any] = {}
    if memory.unexplained_bytes:
        new["expansion"] = precopy.expansion.after(
            memory.uncounted_bytes, memory.unexplained_bytes, seconds, _SMOOTHING_SECONDS
        )
    bytes_ = memory.guest_bytes
    if not precopy.iterations:
        bytes_ = memory.filled_bytes
        new["scanned"] = precopy.scanned.after(memory.guest_bytes, seconds)
        new["filled"] = precopy.filled.after(bytes_, memory.guest_bytes, seconds, _LATELY_SECONDS)
        if _scans_zeros(precopy, memory, seconds):
            for_filled = memory.filled_bytes / (precopy.memory.bytes_per_second or math.inf)
            new["zeros"] = precopy.zeros.after(
                memory.zero_bytes, max(0.0, seconds - for_filled), _SMOOTHING_SECONDS
            )
            return new
        # Take off the time that the zeros took, where their rate is known.
        seconds -= memory.zero_bytes / (precopy.zeros.bytes_per_second or math.inf)
        if seconds <= 0:
            return new
    new["memory"] = precopy.memory.after(bytes_, seconds)
    if bytes_:
        new["cost"] = precopy.cost.after(memory.wire_bytes, bytes_, seconds, _SMOOTHING_SECONDS)
    return new


def _scans_zeros(precopy: PrecopyState, memory: Moved, seconds: float) -> bool:
    """Return whether less was sent only because pages were zeros, and were scanned no slower. Such
    a reading does not measure the transfer rate."""
    if not memory.zero_bytes:
        return False
    rate, scanned = precopy.memory.bytes_per_second, precopy.scanned.bytes_per_second
    if rate is None or scanned is None:
        return memory.filled_bytes == 0
    slower = memory.filled_bytes < (1 / FASTER) * rate * seconds
    return slower and memory.guest_bytes >= (1 / FASTER) * scanned * seconds


def _forgets(before: Sample, now: Sample) -> bool:
    """Return whether a job was reset: its counters are zero again and must not be used."""
    return before.memory_total_bytes is not None and now.memory_total_bytes is None


def _iteration_start(precopy: PrecopyState, sample: Sample, memory: Moved | None) -> dict[str, Any]:
    """Return what changes in the state if the sample is the first of an iteration; ``memory`` is
    what moved since the sample before."""
    iteration, remaining = sample.memory_iteration, sample.memory_remaining_bytes
    if iteration is None or remaining is None:
        return {}
    if precopy.first_iteration is None:
        return {
            "first_iteration": iteration,
            "first_iteration_bytes": sample.memory_total_bytes or remaining,
            "iteration_started_at": _began_at(precopy, sample),
            "iteration_start_bytes_per_second": precopy.memory_bytes_per_second,
            "paused_seconds": 0.0,
        }
    last = precopy.iterations[-1].iteration if precopy.iterations else precopy.first_iteration
    if iteration <= last:
        return {}
    at = _began_at(precopy, sample)
    paused_seconds = precopy.paused_in_iteration(at)
    # Some of it has been sent since; the first slice is sent at once.
    sent = (sample.at - at + SLICE_SECONDS / 2) * (precopy.memory_bytes_per_second or 0)
    iteration_start = IterationStart(
        at=at,
        iteration=iteration,
        remaining_bytes=remaining + int(sent),
        dirtied_bytes=_dirtied(precopy.latest, sample, memory),
        seconds=max(0.0, precopy.in_iteration_seconds(at) - paused_seconds),
        was_paused=paused_seconds > 0,
    )
    iterations = (*precopy.iterations, iteration_start)[-MAX_ITERATIONS:]
    undisturbed = tuple([each for each in iterations if not each.was_paused])
    return {
        "iterations": iterations,
        "undisturbed": undisturbed,
        "iteration_started_at": at,
        "iteration_start_bytes_per_second": precopy.memory_bytes_per_second,
        "dirtying": dirtying(iterations),
        "surprises": surprises(precopy.surprises, precopy.dirtying, iteration_start),
        "stays_level": without_progress(undisturbed),
        "paused_seconds": 0.0,
    }


def _began_at(precopy: PrecopyState, sample: Sample) -> float:
    """Return when the iteration began: by QEMU's event, if one came since the last sample."""
    earliest = precopy.latest.at if precopy.latest else precopy.started_at
    event_at = precopy.iteration_event_at
    if event_at is not None and earliest < event_at <= sample.at:
        return event_at
    return precopy.started_at if precopy.latest is None and _is_amid_first(sample) else sample.at


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
