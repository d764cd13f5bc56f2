# SPDX-License-Identifier: Apache-2.0
"""Compute the figures of a load test. Pure: counters in, a document out.

A figure that cannot be known, such as of a broker on another machine, is None.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from migprog.loadtest.plan import NO_STEPS, Load
from migprog.loadtest.usage import Usage

PROCESSES = ("agent", "conductor", "broker", "database")
# Idle hosts have no part in the cost of an update.
_WITH_IDLE = (*PROCESSES, "idle")
_PERCENTILES = (50, 95, 99)
_MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What had been counted at a mark, by process, kind of message, and conductors' counter."""

    usage: Mapping[str, Usage | None]
    conductors: Mapping[str, float]
    messages: Mapping[str, float]
    reports: Mapping[str, float]
    traffic: tuple[int, int]
    heartbeats: Mapping[str, int]


@dataclass(slots=True, kw_only=True)
class Latencies:
    """In seconds: of messages with and without an answer; how late the simulation was; the age of
    reports and changes when they could be read; and how late idle hosts' heartbeats were."""

    answer: list[float] = field(default_factory=list)
    cast: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    age: list[float] = field(default_factory=list)
    change_age: list[float] = field(default_factory=list)
    beats_late: list[float] = field(default_factory=list)


def figures(
    load: Load, begin: Snapshot, end: Snapshot, seconds: float, latencies: Latencies
) -> dict[str, Any]:
    """Return the document of one run; ``doc/source/loadtest.rst`` describes its keys."""
    conductors = {name: n - begin.conductors.get(name, 0.0) for name, n in end.conductors.items()}
    messages = {name: n - begin.messages.get(name, 0.0) for name, n in end.messages.items()}
    reports = {why: n - begin.reports.get(why, 0.0) for why, n in end.reports.items()}
    reported = sum(reports.values())
    updates = conductors.get("migprog_reports_stored_total", reported)
    cpu = {name: _cpu_ms(begin.usage[name], end.usage[name], updates) for name in PROCESSES}
    known = [ms for ms in cpu.values() if ms is not None]
    batches = conductors.get("migprog_batches_stored_total")
    transactions = conductors.get("migprog_db_transaction_duration_seconds_count")
    statements = conductors.get("migprog_db_statements_total")
    rows = conductors.get("migprog_db_rows_written_total")
    sent, received = (b - a for a, b in zip(begin.traffic, end.traffic, strict=True))
    return {
        "hosts": load.hosts,
        "per_host": load.per_host,
        "migrations": load.migrations,
        "idle_hosts": load.idle_hosts,
        "idle_connections": load.idle_connections,
        "interval_seconds": load.interval_seconds,
        "step_points": load.step_points if load.step_points < NO_STEPS else None,
        "seconds": round(seconds, 1),
        "updates_per_second": _ratio(updates, seconds),
        "reports_sent_per_second": _ratio(reported, seconds),
        "rows_per_second": _ratio(rows, seconds),
        "heartbeats_per_second": _ratio(end.heartbeats["sent"] - begin.heartbeats["sent"], seconds),
        "heartbeats_failed": end.heartbeats["failed"] - begin.heartbeats["failed"],
        "heartbeats_late_ms": percentiles_ms(latencies.beats_late),
        "cpu_ms_per_update": cpu | {"total": sum(known) if len(known) == len(cpu) else None},
        "cpu_share": {
            name: _cpu_ms(begin.usage.get(name), end.usage.get(name), 1000 * seconds)
            for name in _WITH_IDLE
        },
        "age_ms": percentiles_ms(latencies.age),
        "change_age_ms": percentiles_ms(latencies.change_age),
        "messages_per_second": _ratio(messages["sent"] + 2 * messages["answered"], seconds),
        "messages_per_update": _ratio(messages["sent"] + 2 * messages["answered"], updates),
        "bytes_per_update": _ratio(sent + received, updates),
        "sql_per_batch": _ratio(statements, batches),
        "sql_per_transaction": _ratio(statements, transactions),
        "updates_per_transaction": _ratio(updates, transactions),
        "rpc_ms": {
            "call": percentiles_ms(latencies.answer),
            "cast": percentiles_ms(latencies.cast),
        },
        "store_ms": _histogram_ms("migprog_db_transaction_duration_seconds_bucket", conductors),
        "memory_mib": {
            name: round(usage.rss_bytes / _MEBIBYTE, 1) if usage else None
            for name, usage in end.usage.items()
        },
        "reports_by_reason": reports,
        "messages_failed": messages["failed"],
        "simulation_late_ms": percentiles_ms(latencies.late),
    }


def percentiles_ms(seconds: Sequence[float]) -> dict[str, float | None]:
    """Return ``{"p50": ..., "p95": ..., "p99": ...}`` in milliseconds, by the nearest rank."""
    ranked = sorted(seconds)
    return {
        f"p{percent}": (
            round(1000 * ranked[max(0, math.ceil(percent / 100 * len(ranked)) - 1)], 2)
            if ranked
            else None
        )
        for percent in _PERCENTILES
    }


def _histogram_ms(name: str, counters: Mapping[str, float]) -> dict[str, float | None]:
    """Return percentiles of a Prometheus histogram, interpolated linearly as in PromQL."""
    buckets = sorted(
        (float(key.rpartition(" ")[2]), count)
        for key, count in counters.items()
        if key.startswith(f"{name} ")
    )
    return {f"p{percent}": _quantile_ms(buckets, percent / 100) for percent in _PERCENTILES}


def _quantile_ms(buckets: Iterable[tuple[float, float]], share: float) -> float | None:
    buckets = list(buckets)
    if not buckets or not buckets[-1][1]:
        return None
    rank = share * buckets[-1][1]
    below_seconds = below_count = 0.0
    for seconds, count in buckets:
        if count >= rank and count > below_count:
            if math.isinf(seconds):
                return round(1000 * below_seconds, 2)
            within = (rank - below_count) / (count - below_count)
            return round(1000 * (below_seconds + within * (seconds - below_seconds)), 2)
        below_seconds, below_count = seconds, count
    return None


def _cpu_ms(begin: Usage | None, end: Usage | None, updates: float) -> float | None:
    if begin is None or end is None:
        return None
    return _ratio(1000 * (end.cpu_seconds - begin.cpu_seconds), updates)


def _ratio(amount: float | None, by: float | None) -> float | None:
    return round(amount / by, 4) if amount is not None and by else None
