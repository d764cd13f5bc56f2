# SPDX-License-Identifier: Apache-2.0
"""Figures as a table: one column for each run."""

from collections.abc import Sequence
from typing import Any

# The label, and the path of the figure.
_ROWS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("hosts", ("hosts",)),
    ("migrations a host", ("per_host",)),
    ("migrations at once", ("migrations",)),
    ("idle hosts", ("idle_hosts",)),
    ("  connections of each", ("idle_connections",)),
    ("interval, s", ("interval_seconds",)),
    ("  in force at the end", ("interval_in_force_seconds",)),
    ("points of a step", ("step_points",)),
    ("updates a second", ("updates_per_second",)),
    ("rows written a second", ("rows_per_second",)),
    ("heartbeats a second of idle hosts", ("heartbeats_per_second",)),
    ("  failed", ("heartbeats_failed",)),
    ("  late, ms: p95", ("heartbeats_late_ms", "p95")),
    ("agents stored", ("agents", "stored")),
    ("  silent", ("agents", "silent")),
    ("  read by one process, ms", ("agents", "read_ms")),
    ("added at the broker: connections", ("at_broker", "connections")),
    ("  queues", ("at_broker", "queues")),
    ("  memory, MiB", ("at_broker", "memory_mib")),
    ("  of a connection, KiB", ("at_broker", "connection_kib")),
    ("  of a queue, KiB", ("at_broker", "queue_kib")),
    ("  all, by connection, KiB", ("at_broker", "memory_kib_per_connection")),
    ("age of what is shown, ms: p50", ("age_ms", "p50")),
    ("  p95", ("age_ms", "p95")),
    ("  p99", ("age_ms", "p99")),
    ("age of a change when shown, ms: p50", ("change_age_ms", "p50")),
    ("  p95", ("change_age_ms", "p95")),
    ("  p99", ("change_age_ms", "p99")),
    ("CPU an update, ms: total", ("cpu_ms_per_update", "total")),
    ("  agents", ("cpu_ms_per_update", "agent")),
    ("  conductors", ("cpu_ms_per_update", "conductor")),
    ("  broker", ("cpu_ms_per_update", "broker")),
    ("  database", ("cpu_ms_per_update", "database")),
    ("processors busy: conductors", ("cpu_share", "conductor")),
    ("  broker", ("cpu_share", "broker")),
    ("  database", ("cpu_share", "database")),
    ("  agents", ("cpu_share", "agent")),
    ("  simulation of idle hosts", ("cpu_share", "idle")),
    ("messages a second", ("messages_per_second",)),
    ("messages an update", ("messages_per_update",)),
    ("bytes an update", ("bytes_per_update",)),
    ("SQL statements a batch", ("sql_per_batch",)),
    ("  a transaction", ("sql_per_transaction",)),
    ("updates a transaction", ("updates_per_transaction",)),
    ("message with an answer, ms: p50", ("rpc_ms", "call", "p50")),
    ("  p95", ("rpc_ms", "call", "p95")),
    ("  p99", ("rpc_ms", "call", "p99")),
    ("message without, ms: p50", ("rpc_ms", "cast", "p50")),
    ("  p95", ("rpc_ms", "cast", "p95")),
    ("  p99", ("rpc_ms", "cast", "p99")),
    ("transaction, ms: p50", ("store_ms", "p50")),
    ("  p95", ("store_ms", "p95")),
    ("  p99", ("store_ms", "p99")),
    ("memory, MiB: conductors", ("memory_mib", "conductor")),
    ("  broker", ("memory_mib", "broker")),
    ("  database", ("memory_mib", "database")),
    ("  agents (all)", ("memory_mib", "agent")),
    ("messages failed", ("messages_failed",)),
    ("ends reported", ("ends", "reported")),
    ("  stored", ("ends", "stored")),
    ("simulation late, ms: p95", ("simulation_late_ms", "p95")),
    ("kept up with", ("kept_up",)),
)


def text(results: Sequence[dict[str, Any]]) -> str:
    """Return a table of the runs' figures, without those that no run knows."""
    lines = []
    for heading, path in _ROWS:
        values = [_at(figures, path) for figures in results]
        if any(value is not None for value in values):
            lines.append(f"{heading:37}" + "".join(f"{_shown(value):>12}" for value in values))
    return "\n".join(lines)


def _at(figures: Any, path: Sequence[str]) -> Any:
    for key in path:
        figures = figures.get(key) if figures is not None else None
    return figures


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)
