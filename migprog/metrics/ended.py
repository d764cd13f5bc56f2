# SPDX-License-Identifier: Apache-2.0
"""Metrics of migrations that have ended, by outcome."""

from prometheus_client import Counter, Histogram

from migprog.core.messages import Report
from migprog.core.status import ENDED
from migprog.metrics import REGISTRY

_MIB = 2**20

_ENDED = Counter(
    "migprog_migrations_ended",
    "Migrations that ended, by outcome.",
    ["status"],
    registry=REGISTRY,
)
_DURATION = Histogram(
    "migprog_migration_duration_seconds",
    "Time from the start of a migration to its end, by outcome.",
    ["status"],
    buckets=(2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400),
    registry=REGISTRY,
)
_DOWNTIME = Histogram(
    "migprog_migration_downtime_seconds",
    "Time that the guest was paused for its migration, by outcome.",
    ["status"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60),
    registry=REGISTRY,
)
_ITERATIONS = Histogram(
    "migprog_migration_iterations",
    "Iterations over the guest's memory, by outcome of the migration.",
    ["status"],
    buckets=(1, 2, 3, 5, 10, 20, 50, 100, 200, 500),
    registry=REGISTRY,
)
_TRANSFERRED = Histogram(
    "migprog_migration_transferred_bytes",
    "Bytes of memory and disks that a migration transferred, by outcome.",
    ["status"],
    # 64 MiB to 16 TiB.
    buckets=tuple(_MIB * 4**power for power in range(3, 13)),
    registry=REGISTRY,
)

# increase() misses the first count of a series that appears only with it.
for _status in sorted(ENDED):
    _ENDED.labels(_status)
    for _each in (_DURATION, _DOWNTIME, _ITERATIONS, _TRANSFERRED):
        _each.labels(_status)


def observe(end: Report) -> None:
    """Record a migration's end. Values missing in the report are left out."""
    status = end.status.value
    _ENDED.labels(status).inc()
    values = (
        (_DURATION, _duration_seconds(end)),
        (_DOWNTIME, end.downtime_seconds),
        (_ITERATIONS, end.memory_iteration),
        (_TRANSFERRED, _transferred_bytes(end)),
    )
    for histogram, value in values:
        if value is not None:
            histogram.labels(status).observe(value)


def _duration_seconds(end: Report) -> float | None:
    if end.total_seconds is not None or end.ended_at is None:
        return end.total_seconds
    return max(0.0, end.ended_at - end.started_at)


def _transferred_bytes(end: Report) -> int | None:
    known = [
        each for each in (end.memory_processed_bytes, end.disk_processed_bytes) if each is not None
    ]
    return sum(known) if known else None
