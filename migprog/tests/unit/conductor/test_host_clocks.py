# SPDX-License-Identifier: Apache-2.0
import dataclasses
import logging

import pytest

from migprog.conductor.host_clocks import HostClocks
from migprog.core.messages import Batch
from migprog.tests import stores
from migprog.tests.stores import START

HOUR = 3600.0


def sampled_at(clocks, host, wrong_by, received_at, took=0.1, is_prompt=True):
    """By the conductor's clock, of what ``host`` sampled at :data:`START`."""
    report = stores.report(sampled_at=START + wrong_by)
    batch = Batch(host, host, reports=(report,), sent_at=received_at - took + wrong_by)
    return clocks.by_ours(batch, received_at, is_prompt).reports[0].sampled_at


def test_each_hosts_clock_is_known_by_itself():
    clocks = HostClocks()
    for received_at in (START + 1, START + 2):
        for host, wrong_by in (("a", HOUR), ("b", 0.0), ("c", -HOUR)):
            at = sampled_at(clocks, host, wrong_by, received_at)
            assert at == pytest.approx(START, abs=0.2)


def test_progress_that_waited_in_a_queue_does_not_look_newer_than_it_is():
    clocks = HostClocks()
    for wrong_by, host in ((0.0, "a"), (HOUR, "b")):
        sampled_at(clocks, host, wrong_by, START + 1)
        at = sampled_at(clocks, host, wrong_by, START + 300, took=290, is_prompt=False)
        assert at == pytest.approx(START, abs=0.5)
    assert sampled_at(clocks, "new", 0.0, START + 300, took=290, is_prompt=False) == START


def test_batch_without_a_time_is_not_changed():
    batch = Batch("a", "a", reports=(stores.report(),))
    assert HostClocks().by_ours(batch, START + HOUR, True) == batch


def test_a_clock_that_is_off_is_logged_once(caplog):
    clocks = HostClocks()
    for host, wrong_by in (("right", 0.5), ("ahead", HOUR), ("behind", -60.0)) * 9:
        sampled_at(clocks, host, wrong_by, START + 1)
    lines = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert [line.partition(";")[0] for line in lines] == [
        "clock of host 'ahead' is 1 h 00 min ahead of this conductor's",
        "clock of host 'behind' is 1 min 00 s behind this conductor's",
    ]


def test_number_of_remembered_hosts_is_limited(monkeypatch):
    monkeypatch.setattr("migprog.conductor.host_clocks._MOST_HOSTS", 3)
    clocks = HostClocks()
    for number in range(9):
        sampled_at(clocks, f"host-{number}", HOUR, START + 1)
    assert len(clocks._offsets) == 3
    batch = Batch("host-8", "host-8", sent_at=START)
    assert dataclasses.replace(batch, sent_at=None) == clocks.by_ours(batch, START, False)
