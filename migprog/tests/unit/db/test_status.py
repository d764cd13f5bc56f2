# SPDX-License-Identifier: Apache-2.0
"""migprog-status upgrade check, as an operator runs it."""

import dataclasses
import json
import subprocess
import sys
import time

import pytest

from migprog.tests import stores
from migprog.tests.store_cases.agents import AGENT, tell
from migprog.version import version_info

_COMMAND = [sys.executable, "-c", "from migprog.cmd import status; raise SystemExit(status.main())"]
_NOW = dataclasses.replace(AGENT, version=version_info.version_string()[:32])


@pytest.fixture
def check(tmp_path):
    """Runs it; gives the exit status and of each check its result and details."""
    path = tmp_path / "migprog.conf"
    path.write_text(
        "[DEFAULT]\ntransport_url = rabbit://broker/\n"
        f"[database]\nconnection = sqlite:///{tmp_path}/migprog.sqlite\n"
    )

    def run(extra=""):
        path.write_text(path.read_text() + extra)
        done = subprocess.run(
            [*_COMMAND, "--config-file", str(path), "upgrade", "check", "--json"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if not done.stdout:
            return done.returncode, done.stderr
        checks = json.loads(done.stdout)["checks"]
        return done.returncode, {
            each["check"]: (each["result"], (each["details"] or "").replace("\n ", ""))
            for each in checks
        }

    return run


def test_all_is_well(check, tmp_path):
    store = stores.ready(f"sqlite:///{tmp_path}/migprog.sqlite")
    tell(store, "compute-1", _NOW, time.time())
    assert check() == (
        0,
        {"Tables of the database": (0, ""), "Message broker": (0, ""), "Agents": (0, "")},
    )


def test_no_tables(check):
    status, checks = check()
    assert status == 2
    assert checks["Tables of the database"][0] == 2
    assert "run migprog-manage db sync" in checks["Tables of the database"][1]
    assert checks["Agents"][0] == 1


def test_agents_that_are_silent_or_of_another_version(check, tmp_path):
    store = stores.ready(f"sqlite:///{tmp_path}/migprog.sqlite")
    for number in range(7):
        tell(store, f"silent-{number}", _NOW, time.time() - 3600)
    tell(store, "older", AGENT, time.time())
    status, checks = check()
    assert status == 1
    result, details = checks["Agents"]
    assert result == 1
    assert "7 of 8 agents have not been heard of lately: silent-0, silent-1" in details
    assert "silent-4 and 2 more" in details
    assert "1 of 8 agents are not of this version" in details
    assert details.endswith(": older")


def test_a_broker_that_nobody_named(check, tmp_path):
    stores.ready(f"sqlite:///{tmp_path}/migprog.sqlite")
    (tmp_path / "migprog.conf").write_text(
        f"[database]\nconnection = sqlite:///{tmp_path}/migprog.sqlite\n"
    )
    status, checks = check()
    assert status == 1
    assert checks["Message broker"][1].startswith("[DEFAULT] transport_url: is not set")


def test_an_option_that_cannot_be(check):
    status, said = check("[compute]\npoll_interval = 0\n")
    assert status == 2
    assert said.splitlines()[-1].startswith("migprog-status: [compute] poll_interval: ")
