# SPDX-License-Identifier: Apache-2.0
"""Which record a report under an unknown UUID belongs to."""

import dataclasses
import uuid
from datetime import timedelta

import pytest

from migprog.core import merge, same_job
from migprog.core.instant import to_store
from migprog.core.status import Status
from migprog.tests import stores
from migprog.tests.stores import START

MINE = stores.report()
RECORD = merge.report(None, MINE, "h", "h", to_store(START + 1))


def twin(**values):
    return dataclasses.replace(MINE, **({"uuid": str(uuid.uuid4())} | values))


@pytest.mark.parametrize(
    ("report", "host", "is_known"),
    [
        (twin(), "h", True),
        (twin(started_at=START + 0.99), "h", True),
        (twin(started_at=START - 0.99), "h", True),
        (twin(started_at=START + 1.0), "h", False),
        (twin(), "another", False),
        (twin(server_uuid=str(uuid.uuid4())), "h", False),
        (twin(status=Status.FAILED, ended_at=START - 0.5), "h", False),
        # Another conductor has stored the same report since we looked.
        (MINE, "h", False),
    ],
)
def test_known_finds_the_record_of_the_same_job(report, host, is_known):
    found = same_job.known([RECORD], report, host)
    assert found == (RECORD if is_known else None)


@pytest.mark.parametrize(
    ("status", "ended_after", "report", "is_known"),
    [
        (Status.CANCELLED, 0.6, twin(started_at=START + 0.7), False),
        (Status.CANCELLED, 8.0, twin(sampled_at=START + 7), True),
        (Status.CANCELLED, 8.0, twin(sampled_at=START + 10), False),
        (Status.UNKNOWN, 8.0, twin(sampled_at=START + 7), False),
        (Status.UNKNOWN, 8.0, twin(status=Status.FAILED, ended_at=START + 8), True),
    ],
)
def test_known_takes_no_job_for_the_next_one(status, ended_after, report, is_known):
    record = dataclasses.replace(RECORD, status=status, ended_at=to_store(START + ended_after))
    assert (same_job.known([record], report, "h") is not None) is is_known


@pytest.mark.parametrize(
    ("record_status", "status", "quiet_seconds", "counts"),
    [
        (Status.RUNNING, Status.RUNNING, 60, False),
        (Status.RUNNING, Status.RUNNING, 61, True),
        (Status.RUNNING, Status.FAILED, 0, True),
        (Status.UNKNOWN, Status.COMPLETED, 0, True),
        (Status.UNKNOWN, Status.RUNNING, 61, False),
        (Status.FAILED, Status.COMPLETED, 61, False),
    ],
)
def test_second_report_counts_if_it_is_an_end_or_the_first_agent_is_silent(
    record_status, status, quiet_seconds, counts
):
    record = dataclasses.replace(RECORD, status=record_status)
    now = record.last_reported_at + timedelta(seconds=quiet_seconds)
    assert same_job.counts(record, twin(status=status), now, 30.0) is counts
