# SPDX-License-Identifier: Apache-2.0
"""One live migration, shown while it runs: Nova's progress beside migprog's."""

import time
from pathlib import Path

from lab.nova.description import Description
from lab.nova.operations import Operations, Server
from lab.nova.progress_lines import say

_KEYS = ("status", "phase", "percent", "eta_seconds", "verdict", "nova_id")


def migrate(state: Path, image: str) -> None:
    """Boot a server, migrate it, print a line a second, and delete it."""
    operations = Operations(Description.read(state), state)
    server = operations.boot(image)
    try:
        say(f"{server.name} runs on host-a; asking Nova to migrate it")
        host = operations.live_migrate(server)
        while _show(operations, server):
            time.sleep(1)
        shown = operations.wait_until_idle(server)
        say(f"Nova: {shown['status']} on {shown['OS-EXT-SRV-ATTR:host']}, asked for {host}")
    finally:
        operations.delete(server)


def _show(operations: Operations, server: Server) -> bool:
    """Print the state of the migration; return False once it has ended."""
    shown = operations.shown(server)
    record = next(iter(operations.records(server)), {})
    nova = [each["status"] for each in operations.in_progress(server)]
    figures = " ".join(f"{key}={record.get(key)}" for key in _KEYS)
    say(f"Nova {shown.get('progress')} % {nova}   migprog {figures}")
    return shown["status"] == "MIGRATING" or bool(nova)
