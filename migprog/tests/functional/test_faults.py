# SPDX-License-Identifier: Apache-2.0
"""The fault suite in its shortest form: one fault of each of two kinds, drawn by the date; with
``--long`` one of every kind."""

import json
import shlex
import sys

import pytest

from lab.faults import kinds
from lab.faults.judge import Wrong
from lab.parts import processes

pytestmark = [pytest.mark.functional, pytest.mark.timeout(900)]
_KINDS = 2
_SHORT = ["--stopped-seconds", "3", "--unwatched-every", "0"]


def test_one_fault_of_each_kind(tmp_path, of_the_day, pytestconfig, record_property):
    seed = of_the_day.randrange(10**6)
    names = [kind.name for kind in kinds.every(0)]
    if not pytestconfig.getoption("--long"):
        names = of_the_day.sample(names, _KINDS)
    asked = [
        f"--seed={seed}",
        f"--count={len(names)}",
        *_SHORT,
        *(f"--kind={name}" for name in names),
    ]
    record_property("faults", shlex.join(["tools/faults", *asked]))
    out = tmp_path / "faults.json"
    command = [sys.executable, "-m", "lab.faults", *asked, f"--json={out}"]
    with processes.running(command, tmp_path) as faults:
        assert faults.process.wait(timeout=850) == 0, faults.output()
    known = json.loads(out.read_text())
    assert known["right"]
    assert [known[wrong] for wrong in Wrong] == [0] * len(Wrong), known["findings"]
    assert {name: each["faults"] for name, each in known["groups"].items()} == dict.fromkeys(
        names, 1
    )
    # In a round that strikes libvirt a migration may not begin.
    assert all(each["migrations"] >= 2 for each in known["groups"].values())
    assert known["migrations"] == sum(each["migrations"] for each in known["groups"].values())
    # On so few no ratio of medians can be insisted; that there is one, can.
    assert known["slowdown_ratio"] > 0.5
