# SPDX-License-Identifier: Apache-2.0
"""What is reported of a migration that does not move, in each phase, whether libvirt answers.

The table is the one of the documentation: doc/source/standstill.csv.
"""

import csv
import pathlib
import re

import pytest

from migprog.core.forecast.verdict import BAD, Verdict
from migprog.core.status import Phase
from migprog.tests.fixtures.durations import PATTERN, seconds_of
from migprog.tests.fixtures.standstill import RESUMED, RULES, Driven, brought_to, first_iteration

TABLE = pathlib.Path(__file__).parents[4] / "doc" / "source" / "standstill.csv"
ROWS = [tuple(row) for row in csv.reader(TABLE.read_text().splitlines()[1:])]
UNDER_WAY = [phase for phase in Phase if phase is not Phase.DONE]


def with_numbers(message: str) -> str:
    return re.escape(message).replace(r"for\ TIME", f"for {PATTERN}").replace("TIME", r"[\d.]+ s")


@pytest.mark.parametrize(
    ("phase", "guest", "libvirt", "verdict", "reason", "message"),
    ROWS,
    ids=[" ".join(r[:3]) for r in ROWS],
)
def test_verdict_of_a_stalled_migration_is_that_of_the_page(
    phase, guest, libvirt, verdict, reason, message
):
    driven = brought_to(Phase(phase), paused=guest == "paused")
    assert driven.said.phase == phase
    good = driven.said.verdict
    driven.stands_still(4.0, answers=libvirt == "answers")
    assert driven.said.verdict == good, "QEMU may be busy for some seconds"
    driven.stands_still(56.0, answers=libvirt == "answers")
    said = driven.said
    assert (said.phase, said.verdict, said.verdict_reason) == (phase, verdict, reason)
    assert said.eta_seconds is said.eta_low_seconds is said.eta_high_seconds is None
    found = re.fullmatch(with_numbers(message), said.verdict_message)
    assert found, said.verdict_message
    assert all(59 <= seconds_of(each) <= 62 for each in found.groups())
    assert len(said.verdict_message) <= 255
    # The agent has reported it by itself, as soon as it was so.
    assert driven.sent[-1].verdict == verdict
    assert driven.sent[-1].eta_seconds is None


def test_table_has_each_phase_with_and_without_a_libvirt_that_answers():
    assert {(row[0], row[2]) for row in ROWS} == {
        (phase.value, libvirt) for phase in UNDER_WAY for libvirt in ("answers", "is silent")
    }


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize(
    "phase", [phase for phase in UNDER_WAY if phase not in (Phase.SETUP, Phase.DISK_COPY)]
)
def test_stall_is_reported_soon_with_one_report_per_interval(phase, answers):
    driven = brought_to(phase)
    before = len(driven.sent)
    driven.stands_still(10.0, answers)
    assert driven.said.verdict in BAD
    called = len(driven.sent)
    # Until it is called, progress is reported as usual: at most once a second.
    assert called - before <= 1 + 10
    driven.stands_still(110.0, answers)
    interval_seconds = RULES.report_interval_seconds if answers else 30.0
    assert len(driven.sent) - called <= 1 + 110 / interval_seconds


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("phase", [Phase.MEMORY_FIRST_ITERATION, Phase.POST_COPY])
def test_rate_is_measured_again_after_a_stall(phase, answers):
    driven = brought_to(phase)
    last = driven.stats
    driven.stands_still(60.0, answers)

    def goes_on(sent_mib):
        moved = int(sent_mib * 2**20)
        return last | {
            "memory_processed": last["memory_processed"] + moved,
            "memory_normal": last["memory_normal"] + moved // 4096,
            "memory_remaining": last["memory_remaining"] - moved,
        }

    driven.copies(2.0, goes_on)
    said = driven.said
    assert said.verdict not in BAD
    left = said.memory_remaining_bytes / (10 * 2**20)
    assert left <= said.eta_seconds < left + 6


def test_where_readings_come_seldom_a_late_one_is_not_missing():
    driven = Driven(poll=20.0)
    for sent_mib in range(0, 400, 100):
        driven.read(first_iteration(sent_mib))
        driven.now += 20.0
        assert driven.said.verdict is not Verdict.STALLED
    driven.now += 50.0
    assert driven.said.verdict is Verdict.STALLED


def test_a_switch_over_is_given_the_time_that_earlier_ones_took():
    slow = brought_to(Phase.SWITCHOVER, completion_time_seconds=6.0)
    slow.stands_still(20.0, answers=False)
    assert slow.said.verdict not in BAD
    slow.stands_still(6.0, answers=False)
    assert slow.said.verdict is Verdict.STALLED


def test_guest_resumed_after_a_stuck_switchover_is_in_memory_iterations():
    driven = brought_to(Phase.SWITCHOVER)
    driven.stands_still(20.0, answers=True)
    driven.lifecycle(RESUMED, 0)
    assert driven.said.phase is Phase.MEMORY_FIRST_ITERATION
