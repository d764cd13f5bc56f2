# SPDX-License-Identifier: Apache-2.0
"""Read what the API would show, and measure its age."""

import queue
import random
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from migprog import exception, objects
from migprog.concurrency import native_queue
from migprog.loadtest.plan import HOST_PREFIX

# Interval between two reads, each of one host; all hosts' migrations are equivalent.
_LOOK_SECONDS = 0.1
# Resolution of the age of changes.
_CHANGE_SECONDS = 0.01
# A change that cannot be read for so long counts as this old.
_GIVE_UP_SECONDS = 30.0


class Observer:
    """Fills ``ages`` and ``change_ages`` (seconds) from :meth:`start` to :meth:`stop`."""

    def __init__(self, store: objects.Store, host_names: Sequence[str], per_host: int) -> None:
        self._store = store
        self._host_names = host_names
        self._per_host = per_host
        # Changes reported at once: [server_uuid, uuid, sequence, sampled_at].
        self.changes: queue.SimpleQueue[list[Any]] = native_queue()
        self.ages: list[float] = []
        self.change_ages: list[float] = []
        self._started_at = 0.0
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=work, name="observer", daemon=True)
            for work in (self._look_at_hosts, self._look_at_changes)
        ]

    def start(self) -> None:
        self._started_at = time.time()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _look_at_hosts(self) -> None:
        # Hosts with many migrations are read less often, as reading has a cost, too.
        interval_seconds = _LOOK_SECONDS * max(1.0, self._per_host / 5)
        while not self._stopping.wait(interval_seconds):
            host = random.choice(self._host_names)  # noqa: S311
            shown = objects.Migration.list(
                self._store, host=host, in_progress=True, limit=2 * self._per_host
            )
            now = time.time()
            # Migrations that arrive at the host count at their source.
            self.ages += [
                now - each.sampled_at.timestamp() for each in shown if each.source_compute == host
            ]

    def _look_at_changes(self) -> None:
        while not self._stopping.is_set():
            try:
                change = self.changes.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            server_uuid, uuid, sequence, sampled_at = change
            # Older changes became readable before the measurement.
            if sampled_at > self._started_at:
                self._look_at_change(server_uuid, uuid, sequence, sampled_at)

    def _look_at_change(
        self, server_uuid: str, uuid: str, sequence: int, sampled_at: float
    ) -> None:
        while time.time() - sampled_at < _GIVE_UP_SECONDS:
            try:
                shown = objects.Migration.get(self._store, server_uuid, uuid)
            except exception.NotFound:
                shown = None
            if shown is not None and shown.sequence >= sequence:
                break
            if self._stopping.wait(_CHANGE_SECONDS):
                return
        self.change_ages.append(time.time() - sampled_at)


def agents(store: objects.Store, run: str) -> dict[str, float]:
    """Return how many agents of a run are stored, how many of them are silent, and how long
    reading all agents takes, in milliseconds."""
    begun = time.perf_counter()
    every = list(objects.Agent.every(store))
    read_ms = 1000 * (time.perf_counter() - begun)
    now = datetime.now(UTC)
    ours = [each for each in every if each.host.startswith(f"{HOST_PREFIX}{run}-")]
    silent = sum(each.is_silent(now) for each in ours)
    return {"stored": len(ours), "silent": silent, "read_ms": round(read_ms, 1)}
