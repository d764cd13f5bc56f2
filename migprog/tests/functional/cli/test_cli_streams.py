# SPDX-License-Identifier: Apache-2.0
"""What ``migprog`` does when its output goes nowhere or has few characters, when the
API hangs, and when it is interrupted."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from lab.parts import processes
from migprog.cli import feed
from migprog.tests import stores
from migprog.tests.fixtures import migrations
from migprog.tests.functional.cli.commands import PATIENCE_SECONDS, run
from migprog.tests.functional.cli.terminal import PROGRAM
from migprog.tests.functional.test_api import serving

pytestmark = pytest.mark.functional

_NAME = "名前 🦜"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An API over more migrations than a pipe holds, one of them with a name in Japanese."""
    directory = tmp_path_factory.mktemp("streams")
    database = f"sqlite:///{directory / 'migprog.sqlite'}"
    store = stores.ready(database)
    migrations.fill(store, 700, {1: _NAME})
    store.close()
    with serving(directory, database, "threading") as (base, _program):
        yield base


def in_shell(api: str, script: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        ["bash", "-c", script],
        env=os.environ
        | {"MIGPROG_URL": api, "PATH": f"{pathlib.Path(PROGRAM).parent}:/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
    return done


@pytest.mark.parametrize("command", ["list --long", "watch -f lines", "watch -f json"])
def test_reader_that_has_enough_ends_the_command_quietly(api: str, command: str) -> None:
    done = in_shell(api, f"migprog {command} | head -1 >/dev/null; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("command", ["list", "watch --timeout 0"])
def test_closed_output_is_an_error_that_says_so(api: str, command: str) -> None:
    done = in_shell(api, f"migprog {command} >&-")
    assert (done.returncode, done.stderr) == (1, "migprog: standard output is closed\n")


@pytest.mark.parametrize("command", ["list", "watch --timeout 0 -f json"])
def test_full_disk_is_an_error_that_says_so(api: str, command: str) -> None:
    done = in_shell(api, f"migprog {command} >/dev/full")
    assert done.returncode == 1 and "No space left on device" in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("latin-1", marks=pytest.mark.long)])
@pytest.mark.parametrize("form", ["table", "csv", "value", "json", "yaml"])
def test_output_without_all_characters_of_a_name_shows_the_others(
    api: str, encoding: str, form: str
) -> None:
    done = subprocess.run(
        [PROGRAM, "--url", api, "list", "--server", _NAME, "-f", form, "-c", "Server"],
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u540d\\u524d" in done.stdout.lower()


@contextlib.contextmanager
def hanging() -> Iterator[str]:
    """The address of a server that takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    "command", ["watch", pytest.param("wait-host compute-1", marks=pytest.mark.long)]
)
def test_timeout_ends_a_command_whose_first_request_hangs(command: str) -> None:
    with hanging() as api:
        began = time.monotonic()
        done = run(api, *command.split(), "--timeout", "1", code=1)
        took = time.monotonic() - began
    assert f"no answer from the API within {feed.LONGEST_ANSWER_SECONDS:g} s" in done.stderr
    assert took >= feed.LONGEST_ANSWER_SECONDS


def interrupted(command: list[str], ready: pathlib.Path | None = None) -> "tuple[int, str]":
    """Exit status and stderr of a command that is interrupted once it has made a file, or while it
    waits for an API that hangs."""
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        if ready is not None:
            processes.wait_for(ready.exists, PATIENCE_SECONDS, "the command to load its modules")
        process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode, err


# A module of the command line takes its time to load.
_SLOW = """
import pathlib, sys, time, types
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "migprog.cli.app":
            pathlib.Path(sys.argv[1]).touch()
            time.sleep(60)
sys.meta_path.insert(0, Finder())
from migprog.cmd import client
sys.exit(client.main())
"""


def test_interrupt_while_modules_are_loaded_is_no_traceback(tmp_path: pathlib.Path) -> None:
    ready = tmp_path / "ready"
    code, err = interrupted([sys.executable, "-c", _SLOW, str(ready)], ready)
    assert (code, err) == (130, "")
