# SPDX-License-Identifier: Apache-2.0
"""Each program in tools/ says with ``--help`` what it does, and refuses what it does not know."""

import os
import pathlib
import subprocess

import pytest

from migprog.tests.documents import ROOT

_PROGRAMS = sorted(
    path.name for path in (ROOT / "tools").iterdir() if path.is_file() and os.access(path, os.X_OK)
)
_NONE = "no-such-word"


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "tools" / name), *arguments],
        # Nothing is installed.
        env=os.environ | {"MIGPROG_PREPARED": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def left(word: str) -> list[pathlib.Path]:
    """Return what was made that is called by an argument."""
    return [path for folder in (ROOT, ROOT / ".venv") for path in folder.glob(f"*{word}*")]


def test_there_are_programs() -> None:
    assert {"prepare", "test", "demo", "build-deb"} <= set(_PROGRAMS)


@pytest.mark.parametrize("name", _PROGRAMS)
def test_help_says_what_a_program_does(name: str) -> None:
    done = run(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"tools/{name}" in done.stdout and len(done.stdout) > 100
    assert left("--help") == []


@pytest.mark.parametrize("name", _PROGRAMS)
def test_what_a_program_does_not_know_is_refused_by_name(name: str) -> None:
    # tools/lab and tools/nova-lab have commands, which come first.
    given = _NONE if name in ("lab", "nova-lab") else f"--{_NONE}"
    done = run(name, given)
    assert done.returncode not in (0, 126, 127)
    assert given in done.stderr
    assert left(_NONE) == []


def test_profile_that_bindep_does_not_have_is_refused() -> None:
    done = run("prepare", "lab", _NONE)
    assert done.returncode == 1
    assert f"'{_NONE}' is no profile of bindep.txt: benchmark build lab " in done.stderr
    assert run("prepare", "lab", "test", "package", "nova").returncode == 0
