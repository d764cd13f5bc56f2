# SPDX-License-Identifier: Apache-2.0
"""How the suites of ``lab/`` end: exit status, summary and document."""

import json

import pytest

from lab import judged_run


def ended(tmp_path, measure, *words):
    """The exit status of a suite, and the document that it wrote, if any."""
    out = tmp_path / "out.json"
    arguments = judged_run.parser("faults", "").parse_args([f"--json={out}", *words])
    with pytest.raises(SystemExit) as left:
        judged_run.run("faults", arguments, measure, lambda document: f"{len(document)} keys")
    return left.value.code, json.loads(out.read_text()) if out.exists() else None


@pytest.mark.parametrize(("right", "status"), [(True, 0), (False, 1)])
def test_exit_status_is_0_only_if_all_is_right(tmp_path, capsys, right, status):
    found = [] if right else [{"group": "agent killed", "what": "lost", "text": "m has no record"}]

    code, document = ended(tmp_path, lambda *_: {"right": right, "findings": found}, "--seed=7")

    assert code == status
    assert document == {"suite": "faults", "seed": 7, "right": right, "findings": found}
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2:] == ["4 keys", f"faults: {'right' if right else 'WRONG'}, seed 7"]
    assert printed[:-2] == ["agent killed: LOST: m has no record"][: len(found)]


def test_exit_status_of_a_suite_that_cannot_run_is_2(tmp_path, capsys):
    def measure(_seed, _directory):
        raise RuntimeError("RabbitMQ does not start")

    assert ended(tmp_path, measure) == (2, None)
    assert capsys.readouterr().err == "faults: RabbitMQ does not start\n"


def test_logs_are_kept_in_the_directory_that_is_asked_for(tmp_path):
    def measure(_seed, directory):
        (directory / "agent.log").write_text("")
        return {"right": True, "findings": []}

    assert ended(tmp_path, measure, f"--keep-logs={tmp_path / 'logs'}")[0] == 0
    assert (tmp_path / "logs/agent.log").exists()


def test_table_is_one_of_restructuredtext():
    assert judged_run.table(("fault", "times"), [["agent killed", "3"], ["all", "12"]]) == [
        "============  =====",
        "fault         times",
        "============  =====",
        "agent killed      3",
        "all              12",
        "============  =====",
    ]
