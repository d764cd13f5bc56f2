# SPDX-License-Identifier: Apache-2.0
"""What the agent's log says of a migration, by the recordings of real ones."""

import logging

import pytest

from lab.corpus import files
from migprog.compute.migration_log import MigrationLog, final_figures
from migprog.core.messages import Report
from migprog.core.schedule import Rules
from migprog.core.status import Phase, Status
from migprog.recording import format
from migprog.recording.replay import replay

FIELD = files.HERE / "field"
RULES = Rules(report_interval_seconds=5.0, heartbeat_interval_seconds=30.0)
ZERO = "00000000-0000-0000-0000-000000000000"
IDS = f"server {ZERO}: migration {ZERO}"


def logged(name, caplog):
    """(level, text without the ids) of each line above DEBUG."""
    caplog.set_level(logging.INFO)
    log = MigrationLog()
    for sent in replay(format.read(str(FIELD / f"{name}.jsonl.gz")), RULES).reports:
        log.sent(sent.reason, sent.report, sent.t)
    assert all(record.getMessage().startswith(f"{IDS} ") for record in caplog.records)
    return [(each.levelname, each.getMessage()[len(IDS) + 1 :]) for each in caplog.records]


def test_hanging_switchover_is_a_warning_and_its_end_has_all_figures(caplog):
    stuck, recovered, ended = logged("lab-destination-hangs-at-switch-over", caplog)
    assert stuck[0] == "WARNING"
    assert stuck[1].startswith("is stalled: guest paused for ")
    assert recovered[0] == "INFO"
    assert recovered[1].startswith("has recovered and is switching-over: ")
    assert ended == (
        "INFO",
        "ended: completed; total 1 min 50 s, downtime 1 min 45 s, "
        "memory 89 MiB sent for 96 MiB, throughput 0.2 MiB/s, 4 iterations, "
        "last verdict switching-over",
    )


def test_a_post_copy_that_is_interrupted_is_a_warning(caplog):
    lines = logged("lab-post-copy-recovered", caplog)
    assert [level for level, _ in lines] == ["INFO", "WARNING", "INFO", "INFO"]
    assert lines[0][1] == "is now running (post-copy)"
    assert lines[1][1].startswith("is post-copy-paused: the connection was lost")
    assert lines[2][1].startswith("has recovered and is post-copy: ")


def test_one_that_goes_well_is_its_end_alone(caplog):
    ((level, text),) = logged("fields-missing", caplog)
    assert (level, text[:17]) == ("INFO", "ended: completed;")


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        ({}, "failed; "),
        (
            {"error": "no\nway", "disk_processed_bytes": 2**20, "disk_total_bytes": 2**21},
            "failed; disk 1 MiB sent for 2 MiB, error: no?way",
        ),
        (
            {"vfio_transferred_bytes": 3 * 2**20, "throughput_bytes_per_second": 3 * 2**19},
            "failed; device state 3 MiB sent, throughput 1.5 MiB/s",
        ),
    ],
)
def test_final_log_line_omits_unknown_figures(figures, text):
    report = Report(
        uuid=ZERO,
        server_uuid=ZERO,
        sequence=1,
        status=Status.FAILED,
        phase=Phase.DONE,
        started_at=1.0,
        sampled_at=1.0,
        **figures,
    )
    assert final_figures(report) == text
