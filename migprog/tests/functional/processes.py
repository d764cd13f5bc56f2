# SPDX-License-Identifier: Apache-2.0
"""Programs that a test runs beside itself: none outlives the test, however that ends."""

import contextlib
import ctypes
import os
import pathlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")
_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 20.0
_LIBC = ctypes.CDLL(None)


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Program:
    """A running program, its output in a file in ``directory``; it may be killed and started again.

    It ends with the thread that starts it.
    """

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

    def start(self) -> None:
        """Start it, anew if it has ended; each time with an output of its own."""
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
        """Raise when it has ended by itself, with what it said."""
        if self.process.poll() is not None:
            raise RuntimeError(
                f"{self.process.args!r} ended with {self.process.returncode}:\n"
                + self.output()[-4000:]
            )

    def stop(self) -> int:
        """Ask it to stop; kill it when it does not. Gives its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def kill(self) -> None:
        """Kill it outright, with all that it started; it is gone when this returns."""
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


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nothing listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_for_port(port: int, timeout_seconds: float, program: Program) -> None:
    """Return as soon as something listens on the loopback's ``port``."""

    def connects() -> bool:
        program.check()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    wait_for(connects, timeout_seconds, f"port {port} to be listened on")


def wait_for(condition: Callable[[], T], timeout_seconds: float, what: str) -> T:
    """Ask until the condition gives something true; give that. Raises :class:`TimeoutError`."""
    give_up_at = time.monotonic() + timeout_seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"waited {timeout_seconds} s in vain for {what}")
        time.sleep(0.05)
