# SPDX-License-Identifier: Apache-2.0
"""Processes that a load test starts: none outlives it, and their output is kept."""

import contextlib
import json
import os
import pathlib
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import psutil

from migprog import exception
from migprog.concurrency import native_queue

_STOP_SECONDS = 30.0
# How much of a child's log is shown when it fails.
_TAIL_BYTES = 4000

Line = dict[str, Any]


class Failed(exception.MigprogError):
    """A process of the load test failed; the text has the end of its log."""


class Child:
    """A running process. Its JSON lines come through ``lines``, its log is a file."""

    def __init__(
        self, process: subprocess.Popen[str], log: pathlib.Path, lines: queue.SimpleQueue[Line]
    ) -> None:
        self._process = process
        self._log = log
        self.usage = psutil.Process(process.pid)
        self._lines = lines
        threading.Thread(target=self._read, name="child", daemon=True).start()

    def say(self, line: str) -> None:
        """Write a line to the process."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def check(self) -> None:
        """Raise :class:`Failed` if the process has ended with an error."""
        if self._process.poll() not in (None, 0):
            words = " ".join(map(str, self._process.args[-3:]))  # type: ignore[index]
            last = self._log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip()
            raise Failed(f"{words}: ended with {self._process.returncode}:\n{last}")

    def wait(self, timeout_seconds: float) -> None:
        """Wait until the process has ended by itself. Raises :class:`Failed`."""
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"a process did not end within {timeout_seconds:.0f} s") from None
        self.check()

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(json.JSONDecodeError):
                self._lines.put(json.loads(line))


def put_line(**what: Any) -> None:
    """Write a line of JSON from such a process to the one that has started it."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def running(
    arguments: Sequence[str],
    directory: pathlib.Path,
    name: str,
    lines: queue.SimpleQueue[Line] | None = None,
) -> Iterator[Child]:
    """Run ``python`` with these arguments while the block runs; its log is in ``directory``.

    ``lines``: receives its output; several processes may share it.
    """
    log = directory / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
    child = Child(process, log, lines or native_queue())
    try:
        yield child
    finally:
        child.stop()
