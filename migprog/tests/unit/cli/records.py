# SPDX-License-Identifier: Apache-2.0
"""Records as the API shows them, for the tests of what is made of them."""

from datetime import UTC, datetime
from typing import Any

from migprog.cli import text

# 03:10:00 in UTC.
NOW = datetime(2026, 9, 1, 3, 10, tzinfo=UTC).timestamp()
HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07",
    "a\nb\rc\x00d\x9b31m",
    "[bold red]no markup[/]",
    "\u202egnp.exe\u2066\u200f\u200d",
    "名前" * 60,
    "e" + "\u0301" * 200,
    "\ud800",
    "x" * 5000,
    "🦜" * 40,
)


def record(number: int = 1, **values: Any) -> dict[str, Any]:
    """A migration in progress for a minute that ends in 30 s (20-60), by the last report."""
    known = {
        "id": number,
        "uuid": f"00000000-0000-0000-0000-{number:012d}",
        "server_uuid": f"11111111-0000-0000-0000-{number:012d}",
        "server_name": f"server-{number}",
        "project_id": "p1",
        "source_compute": "a",
        "dest_compute": "b",
        "sequence": 4,
        "status": "running",
        "phase": "memory-iterations",
        "percent": 66,
        "eta_seconds": 30.0,
        "ends_at": text.instant(NOW + 30),
        "ends_at_earliest": text.instant(NOW + 20),
        "ends_at_latest": text.instant(NOW + 60),
        "verdict": "converging",
        "verdict_reason": "remaining-memory-shrinks",
        "verdict_message": "each iteration has less to send",
        "memory_iteration": 3,
        "throughput_bytes_per_second": 117 * 2**20,
        "dirty_bytes_per_second": 3.5 * 2**20,
        "in_progress": True,
        "stale": False,
        "started_at": text.instant(NOW - 60),
        "ended_at": None,
        "last_reported_at": text.instant(NOW - 1),
        "total_seconds": None,
        "error": None,
    }
    return known | values


def stuck(number: int = 1, **values: Any) -> dict[str, Any]:
    """One that does not converge."""
    known = {
        "verdict": "not-converging",
        "verdict_reason": "dirty-rate-too-high",
        "verdict_message": "remaining memory no longer shrinks (46 MiB per iteration)",
        "downtime_needed_seconds": 2.3,
        "downtime_limit_seconds": 0.3,
        "bandwidth_needed_bytes_per_second": 138 * 2**20,
        "ends_at": None,
        "ends_at_earliest": None,
        "ends_at_latest": None,
    }
    return record(number, **(known | values))


def ended(number: int = 1, status: str = "completed", **values: Any) -> dict[str, Any]:
    known = {
        "status": status,
        "phase": "done",
        "verdict": "ended",
        "in_progress": False,
        "ends_at": None,
        "ended_at": text.instant(NOW),
        "total_seconds": 61.2,
    }
    return record(number, **(known | values))


def entry(**values: Any) -> dict[str, Any]:
    """An advice of a minute ago that nobody has followed, and that was to work by half of it."""
    known = {
        "at": text.instant(NOW - 60),
        "action": "raise-downtime",
        "reason": "not-converging",
        "message": "raise the downtime limit to 1.2 s",
        "figures": {"downtime_limit_seconds": 1.2, "downtime_limit_before_seconds": 0.3},
        "works_by": text.instant(NOW - 30),
        "state": "advised",
        "score": None,
        "score_message": None,
    }
    return known | values
