# SPDX-License-Identifier: Apache-2.0
"""One migration of a guest from one host of a lab to another, as libvirt shows it."""

import contextlib
import itertools
import time
from dataclasses import dataclass
from typing import Any

import libvirt

from lab.before.guests import Drawn
from lab.hosts import Host, Lab, Migration, Server

_LOOK_SECONDS = 0.1
_END_SECONDS = 60.0
# A rate is measured over so much time at least.
_RATE_SECONDS = 0.5
_FEWEST_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """What happened. ``total_seconds`` is libvirt's of a completed migration.

    ``bytes_per_second`` is the transfer rate of memory that is not zeros, in bytes of the guest;
    None: it was too short to tell. ``overhead_seconds`` is what the migration took beside sending
    at that rate.
    """

    completed: bool
    total_seconds: float
    bytes_per_second: float | None
    overhead_seconds: float | None
    first_iteration_seconds: float | None
    iterations: int
    downtime_seconds: float | None
    error: str | None = None


def migrate(
    lab: Lab, server: Server, drawn: Drawn, ends: tuple[Host, Host], bound_seconds: float
) -> Seen:
    """Migrate a guest from the first host to the second; one that has not ended in
    ``bound_seconds`` is aborted."""
    source, destination = ends
    begun = time.monotonic()
    migration = lab.migrate(
        server,
        source,
        destination,
        bandwidth_mib_s=drawn.bandwidth_mib_s,
        auto_converge=drawn.auto_converge,
        downtime_ms=drawn.downtime_ms,
    )
    looks = watch(migration, begun + bound_seconds)
    outcome = migration.wait(_END_SECONDS)
    return seen(
        looks, outcome.completed, time.monotonic() - begun, outcome.completed_stats, outcome.error
    )


def watch(migration: Migration, deadline: float) -> list[dict[str, Any]]:
    """Look until the end; abort at the deadline. Return the job's statistics while memory moved."""
    looks = []
    while migration.running:
        stats = migration.stats()
        if stats and stats.get("memory_total"):
            looks.append(stats)
        if time.monotonic() > deadline:
            with contextlib.suppress(libvirt.libvirtError):
                migration.abort()
            return looks
        time.sleep(_LOOK_SECONDS)
    return looks


def seen(
    looks: list[dict[str, Any]],
    completed: bool,
    took_seconds: float,
    final: dict[str, Any] | None,
    error: str | None,
) -> Seen:
    """Return what happened by the statistics that were read on the way and at the end."""
    final = final or {}
    total_seconds = final["time_elapsed"] / 1000 if completed and final else took_seconds
    rate = _rate(looks)
    overhead = None
    if completed and rate and final:
        disk_bytes = final.get("disk_processed", 0)
        overhead = total_seconds - (_sent_bytes(final) + disk_bytes) / rate
    first = next((each for each in looks if each.get("memory_iteration", 0) > 1), None)
    last = looks[-1].get("memory_iteration", 0) if looks else 0
    return Seen(
        completed=completed,
        total_seconds=round(total_seconds, 3),
        bytes_per_second=rate,
        overhead_seconds=None if overhead is None else round(overhead, 3),
        first_iteration_seconds=first["time_elapsed"] / 1000 if first else None,
        iterations=final.get("memory_iteration", last),
        downtime_seconds=final["downtime"] / 1000 if completed and "downtime" in final else None,
        error=error,
    )


def _rate(looks: list[dict[str, Any]]) -> float | None:
    """Return the rate between the first and the last look but one at which something had moved.

    Nothing does while libvirt completes a migration, nor for a part of the time before the last.
    """
    moving = [
        now for before, now in itertools.pairwise(looks) if _sent_bytes(now) > _sent_bytes(before)
    ]
    if len(moving) < _FEWEST_LOOKS:
        return None
    first, last = moving[0], moving[-2]
    seconds = (last["time_elapsed"] - first["time_elapsed"]) / 1000
    if seconds < _RATE_SECONDS:
        return None
    return (_sent_bytes(last) - _sent_bytes(first)) / seconds


def _sent_bytes(stats: dict[str, Any]) -> int:
    """Return the memory that was sent, in bytes of the guest."""
    return int(stats.get("memory_normal", 0) * stats.get("memory_page_size", 4096))
