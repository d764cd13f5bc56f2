# SPDX-License-Identifier: Apache-2.0
"""A program on a pseudo-terminal, and what its screen shows."""

import contextlib
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import pexpect
import pyte

_PATIENCE_SECONDS = 60.0
PROGRAM = str(pathlib.Path(sys.executable).with_name("migprog"))


class Terminal:
    """``written``: every byte that the program wrote; ``screen``: what a terminal makes of it."""

    def __init__(self, command: Sequence[str], columns: int, lines: int) -> None:
        self.screen = pyte.Screen(columns, lines)
        self.written = b""
        self._stream = pyte.ByteStream(self.screen)
        self.child = pexpect.spawn(command[0], list(command[1:]), dimensions=(lines, columns))

    def read(self) -> bool:
        """Take what the program has written meanwhile; False once it has ended."""
        try:
            new = self.child.read_nonblocking(1 << 16, timeout=0.1)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.written += new
        self._stream.feed(new)
        return True

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]

    def wait_for(self, condition: Callable[[list[str]], object], what: str) -> list[str]:
        """The lines of the screen as soon as they are as they should be."""
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < give_up_at:
            goes_on = self.read()
            if condition(self.lines):
                return self.lines
            if not goes_on:
                break
        shown = "\n".join(self.lines)
        raise AssertionError(f"waited in vain for {what}:\n{shown}")

    def wait_for_text(self, text: str) -> list[str]:
        return self.wait_for(lambda lines: any(text in line for line in lines), repr(text))

    def resize(self, columns: int, lines: int) -> None:
        self.child.setwinsize(lines, columns)
        self.screen.resize(lines, columns)

    def interrupt(self) -> int:
        """Press Ctrl-C; gives the exit status."""
        self.child.sendintr()
        return self.wait()

    def wait(self) -> int:
        """Wait for the end; gives the exit status, negative for a signal."""
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while self.read():
            assert time.monotonic() < give_up_at, "the program has not ended"
        self.child.close()
        if self.child.exitstatus is None:
            return -self.child.signalstatus
        return self.child.exitstatus


@contextlib.contextmanager
def running(*command: str, columns: int = 80, lines: int = 24) -> Iterator[Terminal]:
    terminal = Terminal(command, columns, lines)
    try:
        yield terminal
    finally:
        terminal.child.close(force=True)
