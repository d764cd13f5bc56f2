# SPDX-License-Identifier: Apache-2.0
"""Run commands that must succeed: an error has the end of their output."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_SECONDS = 1200


class CommandError(RuntimeError):
    """A command failed; the message has the command and the end of its output."""


def run(
    command: Sequence[str | Path],
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    text: str | None = None,
    seconds: float = _SECONDS,
) -> str:
    """Run a command to its end and return its standard output; ``text`` is its input."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            env={**os.environ, **(environment or {})},
            cwd=directory,
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CommandError(f"{' '.join(words)}: no end within {seconds:.0f} s") from None
    if done.returncode != 0:
        said = (done.stdout + done.stderr)[-3000:].strip()
        raise CommandError(f"{' '.join(words)}: exit status {done.returncode}\n{said}")
    return done.stdout
