# SPDX-License-Identifier: Apache-2.0
"""The Nova lab itself: a real Nova with migprog beside it, and the check of all that it shows.

``tools/nova-lab check`` is the same by hand.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from lab.nova import environments, supervisor

pytestmark = [pytest.mark.functional, pytest.mark.long]

_MODULE = (sys.executable, "-m", "lab.nova")
_PACKAGES = "tools/prepare lab test nova"
# From nothing: all releases are installed, and all tables made.
_UP_SECONDS = 1500
_CHECK_SECONDS = 3600


@pytest.fixture
def state(tmp_path_factory):
    """A short path, for its sockets; nothing of the lab is left behind it."""
    path = pathlib.Path("/var/tmp", f"mnl-{os.getpid()}")
    yield path
    supervisor.down(path)
    for file in path.iterdir():
        file.unlink()
    path.rmdir()


@pytest.fixture(autouse=True)
def packages():
    done = subprocess.run(_PACKAGES.split(), cwd=environments.ROOT, check=False, timeout=900)
    assert done.returncode == 0, _PACKAGES


def nova_lab(state, *arguments, seconds):
    return subprocess.run([*_MODULE, *arguments, f"--state={state}"], timeout=seconds, check=False)


def processes_of(state):
    """The processes of a lab: its state directory is in the environment or the words of each."""
    found = []
    for directory in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            text = (directory / "cmdline").read_bytes() + (directory / "environ").read_bytes()
        except OSError:
            continue
        if str(state).encode() in text and int(directory.name) != os.getpid():
            found.append((directory / "cmdline").read_bytes().replace(b"\0", b" "))
    return found


@pytest.mark.timeout(_UP_SECONDS + _CHECK_SECONDS)
def test_all_is_as_documented(state, tmp_path):
    """The figures of the issue, where they do not depend on what else the machine does."""
    file = tmp_path / "check.json"
    done = nova_lab(state, "check", f"--json={file}", seconds=_UP_SECONDS + _CHECK_SECONDS)
    report = json.loads(file.read_text())
    assert done.returncode == 0, report
    assert all(run["percent_back"] in (0, None) for run in report["runs"])
    assert not processes_of(state)


@pytest.mark.timeout(_UP_SECONDS + 120)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_lab_that_is_killed_leaves_nothing(state, number):
    """A signal to ``up`` while it starts the lab; SIGKILL to the supervisor, then ``down``."""
    with subprocess.Popen(
        [*_MODULE, "up", f"--state={state}"], stdout=subprocess.PIPE, text=True
    ) as up:
        for line in up.stdout:
            if "starting two hosts" in line:
                break
        pid = up.pid if number != signal.SIGKILL else int((state / supervisor.PID).read_text())
        os.kill(pid, number)
        up.stdout.read()
        assert up.wait(120) != 0
    assert nova_lab(state, "down", seconds=120).returncode == 0
    give_up_at = time.monotonic() + 20
    while processes_of(state) and time.monotonic() < give_up_at:
        time.sleep(0.1)
    assert not processes_of(state)
    assert {path.name for path in state.iterdir()} <= {supervisor.LOG, supervisor.LOCK}
