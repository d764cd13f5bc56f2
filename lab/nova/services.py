# SPDX-License-Identifier: Apache-2.0
"""The lab's programs by name: started, stopped, killed and started again."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lab.hosts import Host
from lab.parts.processes import Program

_STOP_SECONDS = 30.0
# Serves the WSGI application of a module, like any server of an operator's choice.
_SERVE = """
import importlib, sys
module, port, threads = sys.argv[1:]
sys.argv = [module]
application = importlib.import_module(module).application
import waitress
waitress.serve(application, host="127.0.0.1", port=int(port), threads=int(threads))
"""


class Services:
    """What runs, by name. All programs end with :meth:`close`, or with the thread that made them.

    Their output is in ``directory``, below their names.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._programs: dict[str, Program] = {}

    def start(
        self, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None
    ) -> Program:
        """Start a new program under a name; one of that name is stopped before."""
        self.stop(name)
        output = self.directory / name
        output.mkdir(parents=True, exist_ok=True)
        words = [str(word) for word in command]
        self._programs[name] = Program(words, output, {**os.environ, **(environment or {})})
        return self._programs[name]

    def serve(
        self, name: str, python: Path, module: str, port: int, environment: Mapping[str, str]
    ) -> Program:
        """Start a WSGI application on a port of the loopback."""
        command = [python, "-W", "ignore", "-c", _SERVE, module, str(port), "6"]
        return self.start(name, command, environment)

    def again(self, name: str) -> None:
        """Start an ended program again."""
        program = self[name]
        if program.process.poll() is not None:
            program.start()

    def stop(self, name: str) -> None:
        """Stop a program with all that it started."""
        program = self._programs.get(name)
        if program is not None:
            _signal_group(program, signal.SIGTERM)
            _wait_for_group(program)
            program.kill()

    def signal(self, name: str, number: int) -> None:
        """Send a program and all that it started a signal."""
        program = self[name]
        _signal_group(program, number)
        if number == signal.SIGKILL:
            program.process.wait()
            _wait_for_group(program)

    def __getitem__(self, name: str) -> Program:
        try:
            return self._programs[name]
        except KeyError:
            known = ", ".join(self._programs)
            raise LookupError(f"no service {name!r}; there are {known}") from None

    def states(self) -> dict[str, str]:
        """Return which of them run."""
        return {
            name: "up" if program.process.poll() is None else "down"
            for name, program in self._programs.items()
        }

    def check(self) -> None:
        """Raise if a program has ended by itself."""
        for program in self._programs.values():
            program.check()

    def logs(self, name: str) -> Iterator[Path]:
        """Return the files with a program's output, oldest first."""
        return iter(sorted((self.directory / name).glob("*.log"), key=os.path.getmtime))

    def close(self) -> None:
        """Stop all, the newest first."""
        for program in reversed(self._programs.values()):
            _signal_group(program, signal.SIGTERM)
        for program in reversed(self._programs.values()):
            _wait_for_group(program, 5.0)
            program.kill()


def inside(host: Host, command: Sequence[str | Path]) -> list[str]:
    """The command line that runs a command on a host of the lab, with the usual search path."""
    path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
    return host.enter("/usr/bin/env", "-i", path, "HOME=/", "LANG=C.UTF-8", *command)


def _signal_group(program: Program, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.process.pid, number)


def _wait_for_group(program: Program, seconds: float = _STOP_SECONDS) -> None:
    """Wait until no process of its group is left; who starts a program inside a host ends before
    it does."""
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        program.process.poll()
        try:
            os.killpg(program.process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
