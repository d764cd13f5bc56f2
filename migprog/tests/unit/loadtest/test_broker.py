# SPDX-License-Identifier: Apache-2.0
"""What a load test adds at the broker, by what RabbitMQ says of itself."""

import dataclasses
from typing import Any

from migprog.loadtest import broker


def said(connections: int) -> Any:
    """What ``rabbitmqctl status`` has, of 3.10."""
    return {
        "totals": {"virtual_host_count": 1, "connection_count": connections, "queue_count": 5},
        "processes": {"limit": 1048576, "used": 200 + 9 * connections},
        "file_descriptors": {"total_used": 2 + connections, "total_limit": 1000},
        "memory": {
            "total": {"erlang": 1, "rss": 2**20 * (100 + connections), "allocated": 2},
            "connection_readers": 1024 * connections,
            "connection_writers": 1024 * connections,
            "connection_channels": 2048 * connections,
            "connection_other": 4096 * connections,
            "queue_procs": 4096,
            "quorum_queue_procs": 0,
            "strategy": "rss",
        },
    }


def test_what_is_added_is_the_difference():
    assert broker.added(broker._read(said(2)), broker._read(said(12))) == {
        "connections": 10,
        "queues": 0,
        "processes": 90,
        "open_files": 10,
        "memory_mib": 10,
        "connection_kib": 8,
        "queue_kib": None,
        "memory_kib_per_connection": 1024,
    }


def test_what_is_not_known_is_null():
    known = broker._read(said(2))
    assert broker.added(None, known) is broker.added(known, None) is None
    fewer = dataclasses.replace(known, connections=1)
    assert broker.added(known, fewer)["connection_kib"] is None


def test_broker_without_rabbitmqctl_is_not_known(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert broker.status() is None
    failing = tmp_path / "rabbitmqctl"
    failing.write_text("#!/bin/sh\necho no\n")
    failing.chmod(0o755)
    assert broker.status() is None
