# SPDX-License-Identifier: Apache-2.0
"""A host's clock is set while a migration runs: libvirt counts a job's time by it, we do not."""

import dataclasses

import pytest

from lab.simulated import Guest, precopy
from migprog.core.schedule import Rules
from migprog.tests.fixtures.driven import drive

CHATTY = Rules(report_interval_seconds=0.0, heartbeat_interval_seconds=0.0)
HOUR = 3600


def _rows(set_by, share):
    """A migration on a host whose clock is set when so much of its time has passed; libvirt gives
    no less than 0."""
    rows = list(precopy(Guest()))
    set_at = rows[0]["t"] + share * (rows[-1]["t"] - rows[0]["t"])
    for row in rows:
        if "time_elapsed" in row.get("stats", {}) and row["t"] > set_at:
            elapsed = max(0, row["stats"]["time_elapsed"] + 1000 * set_by)
            row = row | {"stats": row["stats"] | {"time_elapsed": elapsed}}
        yield row


def _told(rows):
    return [dataclasses.replace(report, total_seconds=None) for _, report in drive(rows, CHATTY)]


@pytest.mark.parametrize("set_by", [-HOUR, -5, 5, HOUR])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_reports_are_the_same_when_the_clock_is_set(set_by, share):
    untouched = [report for _, report in drive(precopy(Guest()), CHATTY)]
    reports = [report for _, report in drive(_rows(set_by, share), CHATTY)]
    assert _told(_rows(set_by, share)) == _told(precopy(Guest()))
    assert reports[-1].total_seconds == pytest.approx(untouched[-1].total_seconds, abs=0.5)


@pytest.mark.parametrize("set_by", [-HOUR, HOUR])
def test_a_clock_that_is_set_after_the_last_sample_moves_no_total(set_by):
    untouched = [report for _, report in drive(precopy(Guest()), CHATTY)]
    *rows, final = precopy(Guest())
    elapsed = max(0, final["stats"]["time_elapsed"] + 1000 * set_by)
    last = final | {"stats": final["stats"] | {"time_elapsed": elapsed}}
    reports = [report for _, report in drive([*rows, last], CHATTY)]
    assert reports[-1].total_seconds == pytest.approx(untouched[-1].total_seconds, abs=0.5)


def test_a_final_count_just_below_the_last_one_is_libvirts_own():
    *rows, final = precopy(Guest())
    (*_, latest) = (row for row in rows if "time_elapsed" in row.get("stats", {}))
    elapsed_ms = latest["stats"]["time_elapsed"] - 3
    last = final | {"stats": final["stats"] | {"time_elapsed": elapsed_ms}}
    reports = [report for _, report in drive([*rows, last], CHATTY)]
    assert reports[-1].total_seconds == elapsed_ms / 1000
