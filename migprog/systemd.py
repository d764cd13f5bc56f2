# SPDX-License-Identifier: Apache-2.0
"""Tell systemd what this process does: ``Type=notify`` and ``WatchdogSec`` of its unit.

The protocol is a datagram of ``NAME=value`` lines (sd_notify(3), which recommends an implementation
of one's own). oslo.service's has neither a status nor a watchdog.
"""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass

from migprog import concurrency, loops

LOG = logging.getLogger(__name__)
_STARTING_SECONDS = 0.5
_STATUS_SECONDS = 10.0
# A loop that hangs is logged without systemd, too.
_WITHOUT_SYSTEMD_SECONDS = 15.0
# systemd cuts nothing off, but systemctl shows the status in one line.
_MAX_STATUS = 400


@dataclass(frozen=True, slots=True)
class Status:
    """Whether a service does its work, and one line that says what it does or waits for."""

    serves: bool
    text: str


class Notifier:
    """What a process's main thread uses; it tells systemd nothing if that has not started it."""

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        # Programs that this process starts are not its main process.
        self._address = environment.pop("NOTIFY_SOCKET", "")
        microseconds = environment.pop("WATCHDOG_USEC", "")
        pid = environment.pop("WATCHDOG_PID", "")
        self._watchdog_seconds: float | None = None
        if microseconds.isdecimal() and pid in ("", str(os.getpid())):
            self._watchdog_seconds = int(microseconds) / 1e6
        self._is_ready = False
        self._is_late = False
        self._text = ""

    @property
    def seconds(self) -> float:
        """When :meth:`look` is due again, in seconds after the last time."""
        if not self._address:
            return _WITHOUT_SYSTEMD_SECONDS
        if not self._is_ready:
            return _STARTING_SECONDS
        return min(_STATUS_SECONDS, (self._watchdog_seconds or 3 * _STATUS_SECONDS) / 3)

    def look(self, status: Callable[[], Status]) -> None:
        """Log loops that hang, and send what has changed. The watchdog's signal is sent only while
        no loop is late."""
        is_late = self._look_at_loops()
        if not self._address:
            return
        now = status()
        if now.serves and not self._is_ready:
            self._is_ready = True
            self._send("READY=1")
        self._say(now.text)
        if not is_late and self._watchdog_seconds:
            self._send("WATCHDOG=1")

    def _look_at_loops(self) -> bool:
        """Return whether a loop hangs or has ended; log when that changes."""
        late = loops.late(time.monotonic())
        if late and not self._is_late:
            restart = "restart it, with SIGABRT"
            if self._watchdog_seconds:
                restart = "systemd restarts it soon"
            LOG.error(
                "this process hangs: no turn of %s; %s; report the tracebacks of its end as a bug",
                *(", ".join(late), restart),
            )
        elif self._is_late and not late:
            LOG.info("this process goes on: all its loops turn again")
        self._is_late = bool(late)
        return self._is_late

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """Show a service that serves as reloading while the block runs."""
        if self._is_ready:
            self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            if self._is_ready:
                self._send("READY=1")

    def stopping(self) -> None:
        """Say that the process ends."""
        self._send("STOPPING=1\nSTATUS=stopping")

    def _say(self, text: str) -> None:
        line = " ".join(text.split())[:_MAX_STATUS]
        if line != self._text:
            self._text = line
            self._send(f"STATUS={line}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # "@" stands for the NUL byte of an abstract address.
        address = f"\0{self._address[1:]}" if self._address[0] == "@" else self._address
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        # A systemd that does not receive must not stop this process.
        with (
            contextlib.suppress(OSError),
            contextlib.closing(concurrency.native_socket(socket.AF_UNIX, kind)) as sender,
        ):
            sender.sendto(message.encode(), address)
