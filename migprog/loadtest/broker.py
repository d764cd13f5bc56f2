# SPDX-License-Identifier: Apache-2.0
"""What a RabbitMQ on this machine holds: connections, queues, and its memory for them."""

import contextlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

_SECONDS = 120.0
_KIBIBYTE, _MEBIBYTE = 2**10, 2**20
_OF_CONNECTIONS = (
    "connection_readers",
    "connection_writers",
    "connection_channels",
    "connection_other",
)
_OF_QUEUES = ("queue_procs", "quorum_queue_procs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """A node's counts. ``processes`` are Erlang's; ``connection_bytes`` and ``queue_bytes`` are
    parts of ``memory_bytes``, by the node's own account."""

    connections: int
    queues: int
    processes: int
    open_files: int
    memory_bytes: int
    connection_bytes: int
    queue_bytes: int


def status() -> Broker | None:
    """Return what the broker of this machine says; None if rabbitmqctl is not here or fails."""
    if shutil.which("rabbitmqctl") is None:
        return None
    command = ["rabbitmqctl", "--quiet", "--formatter", "json", "status"]
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=True)
        return _read(json.loads(done.stdout))
    return None


def _read(said: Any) -> Broker:
    memory, totals = said["memory"], said["totals"]
    return Broker(
        connections=totals["connection_count"],
        queues=totals["queue_count"],
        processes=said["processes"]["used"],
        open_files=said["file_descriptors"]["total_used"],
        memory_bytes=memory["total"]["rss"],
        connection_bytes=sum(memory[name] for name in _OF_CONNECTIONS),
        queue_bytes=sum(memory[name] for name in _OF_QUEUES),
    )


def added(before: Broker | None, after: Broker | None) -> dict[str, float | None] | None:
    """Return what the load test added, in all and for each connection and queue; None: unknown."""
    if before is None or after is None:
        return None
    connections = after.connections - before.connections
    queues = after.queues - before.queues
    memory_bytes = after.memory_bytes - before.memory_bytes
    connection_bytes = after.connection_bytes - before.connection_bytes
    queue_bytes = after.queue_bytes - before.queue_bytes
    return {
        "connections": connections,
        "queues": queues,
        "processes": after.processes - before.processes,
        "open_files": after.open_files - before.open_files,
        "memory_mib": round(memory_bytes / _MEBIBYTE, 1),
        "connection_kib": _each(connection_bytes, connections),
        "queue_kib": _each(queue_bytes, queues),
        "memory_kib_per_connection": _each(memory_bytes, connections),
    }


def _each(amount_bytes: int, count: int) -> float | None:
    return round(amount_bytes / _KIBIBYTE / count, 1) if count > 0 else None
