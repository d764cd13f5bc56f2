# SPDX-License-Identifier: Apache-2.0
"""What a summary says would have helped, carried out: the same guest migrates again with it."""

import dataclasses

import pytest

from lab.simulated import MIB, Guest
from migprog.core.post_mortem.summary import Summary, summarize
from migprog.core.status import Status
from migprog.tests.fixtures import hindsight
from migprog.tests.unit.core.test_message_count import reported

GUESTS = {
    "converges": Guest(memory_mib=1024, dirty_mib_s=15, working_set_mib=400, bandwidth_mib_s=25),
    "nearly does not": Guest(memory_mib=512, dirty_mib_s=22, working_set_mib=400),
    "with a disk": Guest(memory_mib=512, disk_mib=2000, dirty_mib_s=12, working_set_mib=200),
    "does not": Guest(memory_mib=512, dirty_mib_s=40, working_set_mib=60, bandwidth_mib_s=25),
}


def migrated(guest: Guest) -> Summary:
    sent = [report for _at, _reason, report in reported(guest)]
    return summarize(hindsight.record(sent[-1]), hindsight.history(sent))


def measure(summary: Summary, word: str):
    (found,) = [each for each in summary.measures if each.action == word]
    assert found.reason is None, found
    return found


@pytest.mark.parametrize("name", [name for name in GUESTS if name != "does not"])
@pytest.mark.parametrize("word", ["raise-bandwidth", "dirty-less"])
def test_twice_the_bandwidth_or_half_the_dirty_rate_saves_what_is_said(
    name: str, word: str
) -> None:
    guest = GUESTS[name]
    before = migrated(guest)
    found = measure(before, word)
    if word == "raise-bandwidth":
        assert found.figures["bandwidth_bytes_per_second"] == pytest.approx(
            2 * guest.bandwidth_mib_s * MIB, rel=0.1
        )
        guest = dataclasses.replace(guest, bandwidth_mib_s=2 * guest.bandwidth_mib_s)
    else:
        guest = dataclasses.replace(guest, dirty_mib_s=guest.dirty_mib_s / 2)
    after = migrated(guest)
    assert after.seconds <= before.seconds - found.earlier_seconds + 1.0


def test_migration_that_was_given_up_completes_with_less_dirtying_as_said() -> None:
    guest = GUESTS["does not"]
    before = migrated(guest)
    assert before.status is not Status.COMPLETED
    found = measure(before, "dirty-less")
    assert found.earlier_seconds is None
    rate = 0.9 * found.figures["dirty_bytes_per_second"] / MIB
    assert migrated(dataclasses.replace(guest, dirty_mib_s=rate)).status is Status.COMPLETED


def test_migration_that_was_given_up_needs_more_than_the_named_bandwidth() -> None:
    guest = GUESTS["does not"]
    found = measure(migrated(guest), "raise-bandwidth")
    assert found.earlier_seconds is None
    rate = found.figures["bandwidth_bytes_per_second"] / MIB
    assert rate > guest.bandwidth_mib_s
    assert migrated(dataclasses.replace(guest, bandwidth_mib_s=rate)).status is Status.CANCELLED
