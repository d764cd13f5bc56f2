# SPDX-License-Identifier: Apache-2.0
"""The threads that run the application."""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Collection
from typing import Any

LOG = logging.getLogger(__name__)

_RESERVED_THREADS = 2


class Threads:
    """Threads that serve requests; reserved paths have threads of their own."""

    def __init__(self, threads: int, reserved: Collection[str]) -> None:
        self._reserved = frozenset(reserved)
        self._queue: queue.Queue[Any] = queue.Queue()
        self._reserved_queue: queue.Queue[Any] = queue.Queue()
        self._threads = [self._start(self._queue, n) for n in range(threads)]
        if self._reserved:
            self._threads += [
                self._start(self._reserved_queue, threads + n) for n in range(_RESERVED_THREADS)
            ]

    def add_task(self, task: Any) -> None:
        """Queue a request. ``task``: the channel that it came by."""
        if task.has_unread:
            task.is_put_off = True
            return
        path = getattr(task.requests[0], "path", None)
        which = self._reserved_queue if path in self._reserved else self._queue
        which.put(task)

    def stop(self, deadline: float) -> None:
        """Cancel waiting requests, and wait for those being served until ``deadline``."""
        for each in (self._queue, self._reserved_queue):
            with contextlib.suppress(queue.Empty):
                while True:
                    each.get_nowait().cancel()
            for _ in self._threads:
                each.put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _start(self, tasks: "queue.Queue[Any]", number: int) -> threading.Thread:
        thread = threading.Thread(
            target=self._run, args=(tasks,), name=f"http-{number}", daemon=True
        )
        thread.start()
        return thread

    def _run(self, tasks: "queue.Queue[Any]") -> None:
        while (task := tasks.get()) is not None:
            try:
                task.service()
            except Exception:
                LOG.exception(
                    "failed to serve a request; its client gets no response; report this "
                    "traceback as a bug"
                )
