# SPDX-License-Identifier: Apache-2.0
"""The fault suite in its shortest form: one fault of each kind, from a fixed seed."""

import json
import sys

import pytest

from migprog.tests.faults import kinds
from migprog.tests.faults.judge import Wrong
from migprog.tests.functional import processes

pytestmark = [pytest.mark.functional, pytest.mark.timeout(600)]
_SHORT = ["--seed", "20", "--stopped-seconds", "3", "--unwatched-every", "0"]


def test_one_fault_of_each_kind(tmp_path):
    out = tmp_path / "faults.json"
    command = [sys.executable, "-m", "migprog.tests.faults", *_SHORT, "--json", str(out)]
    with processes.running(command, tmp_path) as faults:
        assert faults.process.wait(timeout=550) == 0, faults.output()
    known = json.loads(out.read_text())
    assert [known[wrong] for wrong in Wrong] == [0] * len(Wrong), known["findings"]
    assert {name: each["faults"] for name, each in known["by_kind"].items()} == {
        kind.name: 1 for kind in kinds.every(0)
    }
    # In a round that strikes libvirt a migration may not begin.
    assert all(each["migrations"] >= 2 for each in known["by_kind"].values())
    assert known["migrations"] == sum(each["migrations"] for each in known["by_kind"].values())
    # On so few no ratio of medians can be insisted; that there is one, can.
    assert known["slowdown_ratio"] > 0.5
