# SPDX-License-Identifier: Apache-2.0
"""Programs that a test runs: none outlives the test, however that ends."""

import contextlib
import ctypes
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, TypeVar

T = TypeVar("T")
LOOPBACK = "127.0.0.1"
# Below the labs' ports, and those that the kernel hands out itself.
_FIRST_PORT, _LAST_PORT, _RANGE_PORTS = 10000, 19999, 50
_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 20.0
_SHOWN_CHARACTERS = 2000
_LIBC = ctypes.CDLL(None)


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Program:
    """A running program, its output in a file in ``directory``; it may be killed and started again.

    It ends with the thread that starts it.
    """

    _all: ClassVar["weakref.WeakSet[Program]"] = weakref.WeakSet()

    def __init__(
        self,
        command: Sequence[str],
        directory: str | os.PathLike[str],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._directory = pathlib.Path(directory)
        self._environment = environment
        self.start()
        self._all.add(self)

    @classmethod
    def wrote_since(cls, seconds: float) -> list[tuple[str, str]]:
        """Name each program that has written since that time of the clock, and give the end of its
        output."""
        wrote = []
        for program in list(cls._all):
            # With its folder goes the output.
            with contextlib.suppress(FileNotFoundError):
                if program.log.stat().st_mtime >= seconds:
                    wrote.append((program.log.name, program.output()[-_SHOWN_CHARACTERS:]))
        return sorted(wrote)

    def start(self) -> None:
        """Start it, again if it has ended; each start has an output of its own."""
        name = pathlib.Path(self._command[0]).name
        self.log = self._directory / f"{name}-{time.monotonic_ns()}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                # Such programs start others: they are ended as a group.
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def check(self) -> None:
        """Raise with its output if it has ended by itself."""
        if self.process.poll() is not None:
            raise RuntimeError(
                f"{self.process.args!r} ended with {self.process.returncode}:\n"
                + self.output()[-4000:]
            )

    def stop(self) -> int:
        """Stop it, by force if need be; return its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def kill(self) -> None:
        """Kill it with all that it started; it is gone when this returns."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def running(
    command: Sequence[str],
    directory: str | os.PathLike[str],
    environment: Mapping[str, str] | None = None,
) -> Iterator[Program]:
    """Run a command while the block lasts; its output goes to a file in ``directory``."""
    program = Program(command, directory, environment)
    try:
        yield program
    finally:
        program.stop()
        program.kill()


class _Ports:
    """Ports of the loopback address, each given once, from ranges that are this process's own.

    A socket bound to the first port of a range guards it: the kernel grants that to one process
    only, and takes it back when the process dies.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._guards: list[socket.socket] = []
        self._left: list[int] = []

    def take(self, count: int) -> list[int]:
        with self._lock:
            return [self._take() for _ in range(count)]

    def _take(self) -> int:
        while True:
            if not self._left:
                self._take_range()
            port = self._left.pop()
            with contextlib.suppress(OSError):
                _bound(port).close()
                return port

    def _take_range(self) -> None:
        for first in range(_FIRST_PORT, _LAST_PORT, _RANGE_PORTS):
            with contextlib.suppress(OSError):
                self._guards.append(_bound(first))
                self._left = list(range(first + _RANGE_PORTS - 1, first, -1))
                return
        raise RuntimeError(f"no {_RANGE_PORTS} free ports from {_FIRST_PORT} to {_LAST_PORT}")


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    try:
        made.bind((LOOPBACK, port))
    except OSError:
        made.close()
        raise
    return made


_ports = _Ports()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nothing listens on now, and that neither this nor another
    process of the tests is given again."""
    return _ports.take(count)


def wait_for_port(port: int, timeout_seconds: float, program: Program) -> None:
    """Wait until a program listens on the loopback's ``port``."""

    def connects() -> bool:
        program.check()
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), 1):
            return True
        return False

    wait_for(connects, timeout_seconds, f"port {port} to be listened on")


def wait_for(condition: Callable[[], T], timeout_seconds: float, what: str) -> T:
    """Wait until the condition returns a true value; return it. Raises :class:`TimeoutError`."""
    give_up_at = time.monotonic() + timeout_seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"waited {timeout_seconds} s in vain for {what}")
        time.sleep(0.05)
