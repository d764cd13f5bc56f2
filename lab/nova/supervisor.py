# SPDX-License-Identifier: Apache-2.0
"""The process that owns the lab: starts it, carries out requests, and stops it.

What it starts is bound to its life by the kernel (a parent-death signal, or a pidfd that the hosts'
process 1 watches): killed outright, it leaves files behind, and RabbitMQ, which ``down`` ends.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from lab.nova import control, description
from lab.nova.progress_lines import say
from lab.nova.site import Site

LOG, LOCK, PID, RUN = "supervisor.log", "lock", "supervisor.pid", "run"
_DOWN_SECONDS = 60.0


class SupervisorError(RuntimeError):
    """There is no lab, there is one already, or it did not start."""


def main(state: Path, cache: Path, source: Path) -> None:
    """Run the supervisor, until a signal or ``down`` ends it."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _leave)
    lock = _lock(state)
    if lock is None:
        sys.exit(f"there is a lab in {state} already")
    try:
        (state / PID).write_text(str(os.getpid()))
        _clear(state)
        directory = state / RUN
        directory.mkdir()
        # What the parts of the lab keep for a while is found, and removed, below the state.
        os.environ["TMPDIR"] = str(directory)
        with Site(directory, cache, source) as site:
            with control.listen(state) as listener:
                site.describe().write(state)
                while control.serve_one(listener, site.commands()):
                    pass
            say("ending")
    finally:
        _ignore_signals()
        _clear(state)
        (state / PID).unlink(missing_ok=True)
        os.close(lock)


def _leave(number: int, _frame: FrameType | None) -> None:
    _ignore_signals()
    say(f"got {signal.Signals(number).name}")
    sys.exit(128 + number)


def _ignore_signals() -> None:
    """Ignore signals during the stop."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _lock(state: Path) -> int | None:
    """Lock the lab and return the descriptor; None if another process has the lock."""
    descriptor = os.open(state / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _clear(state: Path) -> None:
    for name in (control.NAME, description.NAME):
        (state / name).unlink(missing_ok=True)
    shutil.rmtree(state / RUN, ignore_errors=True)


def _end_leftovers(state: Path) -> None:
    """Kill what outlived a killed supervisor: RabbitMQ, whose script starts another process.

    The mark of the lab's processes is the directory for temporary files in their environment.
    """
    mark = f"TMPDIR={state / RUN}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)


def is_up(state: Path) -> bool:
    """Return whether the lab there is ready."""
    return _has_said_so(state) and _is_kept(state)


def _has_said_so(state: Path) -> bool:
    return (state / control.NAME).exists() and (state / description.NAME).exists()


def _is_kept(state: Path) -> bool:
    if not state.exists():
        return False
    lock = _lock(state)
    if lock is None:
        return True
    os.close(lock)
    return False


def up(state: Path, cache: Path, source: Path) -> None:
    """Start a supervisor, show what it does, and return when the lab is ready.

    Ended before that, by whatever exception, it takes the lab down.
    """
    state.mkdir(parents=True, exist_ok=True)
    if _is_kept(state):
        raise SupervisorError(f"there is a lab in {state} already: tools/nova-lab down ends it")
    _end_leftovers(state)
    _clear(state)
    log = state / LOG
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "lab.nova", "supervisor"),
                *(f"--state={state}", f"--cache={cache}", f"--source={source}"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with log.open() as text:
            while not _has_said_so(state):
                print(text.read(), end="", flush=True)
                if process.poll() is not None:
                    print(text.read(), end="", flush=True)
                    raise SupervisorError(f"the lab did not come up; all it said is in {log}")
                time.sleep(0.2)
            print(text.read(), end="", flush=True)
    except BaseException:
        process.terminate()
        process.wait()
        raise


def down(state: Path) -> None:
    """Stop the lab there, and remove what a killed one has left."""
    if not state.exists():
        return
    give_up_at = time.monotonic() + _DOWN_SECONDS
    asked = False
    while (lock := _lock(state)) is None:
        if not asked:
            os.kill(int((state / PID).read_text()), signal.SIGTERM)
            asked = True
        if time.monotonic() > give_up_at:
            raise SupervisorError(f"the supervisor does not end; see {state / LOG}")
        time.sleep(0.1)
    _end_leftovers(state)
    _clear(state)
    (state / PID).unlink(missing_ok=True)
    os.close(lock)
