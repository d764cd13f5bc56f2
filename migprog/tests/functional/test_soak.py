# SPDX-License-Identifier: Apache-2.0
"""The soak in its shortest form: too short to tell a small leak, not to tell a lost record."""

import json
import sys

import pytest

from migprog.tests.functional import processes
from migprog.tests.soak.judge import Wrong
from migprog.tests.soak.plan import Ending

pytestmark = [pytest.mark.functional, pytest.mark.timeout(300)]
_SHORT = ["--migrations", "300", "--per-second", "20", "--warm-up", "60", "--seed", "4"]
_COARSE = ["--tolerance", "40"]


def test_hundreds_of_migrations(tmp_path):
    out = tmp_path / "soak.json"
    command = [sys.executable, "-m", "migprog.tests.soak", *_SHORT, *_COARSE, "--json", str(out)]
    with processes.running(command, tmp_path) as soak:
        assert soak.process.wait(timeout=280) == 0, soak.output()
    known = json.loads(out.read_text())
    assert known["migrations"] == 300
    assert [known[wrong] for wrong in Wrong] == [0] * len(Wrong), known["findings"]
    assert known["left"] == []
    assert all(known["by_ending"][ending]["migrations"] for ending in Ending)
    assert {use["process"] for use in known["uses"]} == {
        *("agent soak-a", "agent soak-b", "conductor")
    }
