# SPDX-License-Identifier: Apache-2.0
"""``migprog`` as programs run it."""

import contextlib
import subprocess
import threading
from collections.abc import Iterator

from migprog.tests.fixtures import commands
from migprog.tests.functional.cli.terminal import PROGRAM

PATIENCE_SECONDS = 60


def run(api: str, *arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
    done = commands.run("migprog", "--url", api, *arguments)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done


@contextlib.contextmanager
def following(api: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A command that goes on, its lines to be read."""
    with subprocess.Popen(
        [PROGRAM, "--url", api, *arguments, "--interval", "0.5"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        cut = threading.Timer(PATIENCE_SECONDS, process.kill)
        cut.start()
        try:
            yield process
        finally:
            cut.cancel()
            process.kill()
