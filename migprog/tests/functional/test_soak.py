# SPDX-License-Identifier: Apache-2.0
"""The soak in its shortest form: too short to find a small leak, not to find a lost record. With
``--long`` in the form that ``tools/soak`` has."""

import json
import sys

import pytest

from lab.parts import processes
from lab.soak.judge import Wrong
from lab.soak.plan import Ending

pytestmark = [pytest.mark.functional, pytest.mark.timeout(900)]
_SHORT = ["--migrations=300", "--per-second=20", "--warm-up=60"]
# It judges no growth: 200 migrations tell none from the memory that a new process still takes.
_SHORT.append("--tolerance=400")
# What vanishes is awaited for a minute.
_SHORT.append(f"--without={Ending.VANISHED}")
# As the documented run: of fewer, what an agent remembers for a minute is a share that tells.
_LONG = ["--migrations=10000", "--per-second=30"]


@pytest.mark.parametrize(
    ("migrations", "asked", "missing"),
    [
        pytest.param(300, _SHORT, [Ending.VANISHED], id="300"),
        pytest.param(10_000, _LONG, [], id="10000", marks=[pytest.mark.long, pytest.mark.alone]),
    ],
)
def test_many_migrations(tmp_path, migrations, asked, missing):
    out = tmp_path / "soak.json"
    command = [sys.executable, "-m", "lab.soak", "--seed=4", *asked, f"--json={out}"]
    with processes.running(command, tmp_path) as soak:
        assert soak.process.wait(timeout=850) == 0, soak.output()
    known = json.loads(out.read_text())
    assert known["right"]
    assert known["migrations"] == migrations
    assert [known[wrong] for wrong in Wrong] == [0] * len(Wrong), known["findings"]
    assert known["left"] == []
    assert [ending for ending in Ending if not known["groups"][ending]["migrations"]] == missing
    assert {use["process"] for use in known["uses"]} == {
        *("agent soak-a", "agent soak-b", "conductor")
    }
