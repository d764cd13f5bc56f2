# SPDX-License-Identifier: Apache-2.0
"""Pre-copy as QEMU does it, by arithmetic: what libvirt would say, without a libvirt.

The guest writes ``dirty_mib_s`` over and over through a working set, so an iteration of T seconds
adds min(dirty_mib_s × T, working set) to what it leaves. Rows have the form of the recordings.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MIB = 2**20
_PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Guest:
    memory_mib: int = 256
    disk_mib: int = 0
    dirty_mib_s: float = 5.0
    working_set_mib: float = 64.0
    bandwidth_mib_s: float = 25.0
    downtime_limit_seconds: float = 0.3


def precopy(
    guest: Guest, poll_seconds: float = 0.5, give_up_seconds: float = 600.0
) -> Iterator[dict[str, Any]]:
    """Samples and events of a migration in the order of their time, up to its end.

    It completes, or ends with an "abort" row when ``give_up_seconds`` have passed.
    """
    at, next_poll = 0.0, poll_seconds
    step_seconds = 0.05
    disk_left, disk_total = float(guest.disk_mib * MIB), guest.disk_mib * MIB
    total = guest.memory_mib * MIB
    fits = guest.bandwidth_mib_s * MIB * guest.downtime_limit_seconds
    left, sent, iteration, dirtied, pass_began = float(total), 0.0, 0, 0.0, 0.0
    while at < give_up_seconds:
        at += step_seconds
        budget = guest.bandwidth_mib_s * MIB * step_seconds
        if disk_left > 0:
            disk_left = max(0.0, disk_left - budget)
        else:
            if iteration == 0:
                iteration, pass_began = 1, at
                yield _event(at, "iteration", iteration=1)
            left, sent = left - budget, sent + budget
            dirtied = min(guest.dirty_mib_s * MIB * (at - pass_began), guest.working_set_mib * MIB)
            if left <= fits:
                # QEMU looks again as soon as what is left would fit into the pause.
                left, iteration, pass_began = max(0.0, left) + dirtied, iteration + 1, at
                yield _event(at, "iteration", iteration=iteration)
                if left <= fits:
                    yield from _switch_over(at, left, total, sent, iteration, disk_total, guest)
                    return
        if at >= next_poll:
            next_poll += poll_seconds
            yield {
                "t": at,
                "kind": "sample",
                "stats": _stats(at, left, total, sent, iteration, disk_total, disk_left, guest)
                | {"type": 2},
            }
    yield {"t": at, "kind": "sample", "stats": {"operation": 5, "type": 5}}


def _switch_over(
    at: float, left: float, total: int, sent: float, iteration: int, disk: int, guest: Guest
) -> Iterator[dict[str, Any]]:
    yield _event(at, "lifecycle", code=3, detail=1)
    at += left / MIB / guest.bandwidth_mib_s
    yield _event(at, "lifecycle", code=5, detail=3)
    final = _stats(at, 0.0, total, sent + left, iteration, disk, 0, guest)
    yield _event(at, "job_completed", stats=final)


def _event(at: float, event: str, **values: Any) -> dict[str, Any]:
    return {"t": at, "kind": "event", "event": event, **values}


def _stats(
    at: float,
    left: float,
    total: int,
    sent: float,
    iteration: int,
    disk_total: int,
    disk_left: float,
    guest: Guest,
) -> dict[str, Any]:
    started = iteration > 0
    return {
        "operation": 5,
        "time_elapsed": int(at * 1000),
        "downtime": int(guest.downtime_limit_seconds * 1000),
        "memory_total": total if started else 0,
        "memory_processed": int(sent) if started else 0,
        "memory_remaining": int(left) if started else 0,
        "memory_iteration": iteration,
        "memory_dirty_rate": int(guest.dirty_mib_s * MIB / _PAGE_BYTES) if iteration > 1 else 0,
        "memory_page_size": _PAGE_BYTES,
        "disk_total": disk_total,
        "disk_processed": int(disk_total - disk_left),
        "disk_remaining": int(disk_left),
    }
