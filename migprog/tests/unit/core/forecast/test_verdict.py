# SPDX-License-Identifier: Apache-2.0
"""Judgements of courses made by hand: passes of a few seconds at 25 MiB/s."""

import csv
import pathlib
import re

import pytest

from migprog.core.forecast.dirty_rate import DirtyRate
from migprog.core.forecast.job_sample import Sample
from migprog.core.forecast.precopy import PrecopyState
from migprog.core.forecast.precopy_updates import observe
from migprog.core.forecast.transfer_rate import Share
from migprog.core.forecast.verdict import Judgement, Verdict, bandwidth_needed, judge
from migprog.core.forecast.verdict_reason import VerdictReason
from migprog.core.status import Phase

MIB = 2**20
PACE_MIB_S = 25
ITERATING = Phase.MEMORY_ITERATIONS


def iterations(*starts_mib, limit=0.3, throttle=None, pace=PACE_MIB_S):
    """A state of precopy: so much to send at the start of each iteration, of which one is whole."""
    precopy = PrecopyState(started_at=0.0)
    at = sent = copied = 0.0
    for number, start in enumerate(starts_mib, start=1):
        for share in (1.0, 0.5, 0.0):
            gone = start * (1 - share)
            precopy = observe(
                precopy,
                Sample(
                    at=at + gone / pace,
                    memory_total_bytes=int(starts_mib[0] * MIB),
                    memory_processed_bytes=int((sent + gone) * MIB),
                    memory_copied_bytes=int((copied + gone) * MIB),
                    memory_remaining_bytes=int(start * share * MIB),
                    memory_iteration=number,
                    downtime_limit_seconds=limit,
                    cpu_throttle_percent=throttle,
                ),
            )
        sent, copied, at = sent + start, copied + start, at + start / pace + 0.01
    return precopy


def judged(precopy, before=None, phase=ITERATING):
    return judge(precopy, phase, precopy.latest.at, before)


@pytest.mark.parametrize("seconds", [1e-9, 5e-324])
def test_message_omits_an_impossible_bandwidth(seconds):
    in_no_time = DirtyRate(seconds=seconds, dirtied_bytes=2**44, exponent=1.0)
    precopy = iterations(200, 100)._replace(dirtying=in_no_time)
    assert bandwidth_needed(precopy) is None
    usual = in_no_time._replace(seconds=8.0)
    assert bandwidth_needed(precopy._replace(dirtying=usual)) > 2**41


@pytest.mark.parametrize(
    ("starts", "expected", "reason"),
    [
        ((200,), Verdict.COPYING, "too-few-iterations"),
        ((200, 100), Verdict.COPYING, "too-few-iterations"),
        ((200, 100, 50), Verdict.CONVERGING, "remaining-memory-shrinks"),
        ((200, 100, 100), Verdict.COPYING, "too-few-iterations"),
        ((200, 100, 100, 100), Verdict.NOT_CONVERGING, "dirty-rate-too-high"),
        ((200, 100, 90, 80, 70), Verdict.CONVERGING, "remaining-memory-shrinks"),
        # The pause allowed is 0.3 s: 7.5 MiB at 25 MiB/s.
        ((200, 5), Verdict.CONVERGING, "remaining-memory-fits"),
    ],
)
def test_verdict_by_iterations(starts, expected, reason):
    judgement = judged(iterations(*starts))
    assert (judgement.verdict, judgement.reason) == (expected, reason)


def test_not_converging_says_what_would_help():
    judgement = judged(iterations(200, 100, 100, 100))
    assert judgement.downtime_needed_seconds == pytest.approx(4.0, abs=0.2)
    assert judgement.bandwidth_needed_bytes_per_second > PACE_MIB_S * MIB
    assert "(101 MiB per iteration)" in judgement.message
    assert "needs a downtime limit of 4.0 s (now 300 ms)" in judgement.message
    assert "or more than 26 MiB/s" in judgement.message
    assert "or auto-converge or post-copy" in judgement.message
    assert len(judgement.message) <= 255


@pytest.mark.parametrize(
    ("limit_seconds", "words"),
    [
        (0.05, "4.0 s (now 50 ms)"),
        (0.3, "(now 300 ms)"),
        (2.5, "(now 2.5 s)"),
        (0.122, "(now 122 ms)"),
    ],
)
def test_message_has_the_downtime_limit_as_set(limit_seconds, words):
    """Nova begins with 50 ms."""
    assert words in judged(iterations(200, 100, 100, 100, limit=limit_seconds)).message


@pytest.mark.parametrize(
    ("throttle", "words"),
    [(30, "by 30 % and can slow it further"), (99, "by 99 % and is at its limit")],
)
def test_not_converging_says_how_far_auto_converge_is(throttle, words):
    judgement = judged(iterations(200, 100, 100, 100, throttle=throttle))
    assert judgement.verdict is Verdict.NOT_CONVERGING
    assert words in judgement.message
    assert len(judgement.message) <= 255


def test_a_pause_that_was_raised_enough_is_seen_at_once():
    stuck = judged(iterations(200, 100, 100, 100))
    raised = judged(iterations(200, 100, 100, 100, limit=5.0), stuck)
    assert raised.verdict is Verdict.CONVERGING


def test_a_little_progress_does_not_recover_and_much_does():
    stuck = judged(iterations(200, 100, 100, 100))
    assert judged(iterations(200, 100, 100, 100, 93), stuck).verdict is Verdict.NOT_CONVERGING
    assert judged(iterations(200, 100, 100, 100, 70), stuck).verdict is Verdict.CONVERGING


def test_a_short_plateau_late_in_a_migration_is_no_reason_to_waver():
    good = Judgement(Verdict.CONVERGING, VerdictReason.REMAINING_MEMORY_SHRINKS, "")
    assert judged(iterations(200, 100, 40, 12, 12, 12), good).verdict is Verdict.CONVERGING


def test_message_of_a_stall_points_to_the_network():
    precopy = iterations(200, 100)

    def still_after(seconds):
        at = precopy.moved_at + seconds
        return judge(observe(precopy, precopy.latest._replace(at=at)), ITERATING, at, None)

    stalled = still_after(8.5)
    assert stalled.verdict is Verdict.STALLED
    assert stalled.reason is VerdictReason.NO_DATA_MOVES
    assert "look at the network" in stalled.message
    assert still_after(7.5).verdict is Verdict.COPYING


def test_without_a_reading_no_migration_is_stalled():
    precopy = iterations(200, 100)
    at = precopy.moved_at + 60
    assert judge(precopy, ITERATING, at, None).verdict is Verdict.COPYING
    silent = judge(precopy, ITERATING, at, None, silent_seconds=60.0)
    assert (silent.verdict, silent.reason) == (Verdict.STALLED, "libvirt-not-responding")
    assert silent.message.startswith("libvirt has not answered for 1 min 00 s")
    assert "network" not in silent.message


def test_how_things_stood_survives_the_end():
    stuck = judged(iterations(200, 100, 100, 100))
    ended = judged(iterations(200, 100, 100, 100), stuck, Phase.DONE)
    assert (ended.verdict, ended.reason) == (Verdict.ENDED, stuck.reason)
    assert ended.message == f"not-converging at the end: {stuck.message}"[: len(ended.message)]
    assert ended.downtime_needed_seconds == stuck.downtime_needed_seconds


@pytest.mark.parametrize("phase", [Phase.SETUP, Phase.SWITCHOVER, Phase.POST_COPY])
def test_some_phases_have_their_own_verdict(phase):
    assert judged(iterations(200, 100, 100, 100), None, phase).verdict not in (
        Verdict.NOT_CONVERGING,
        Verdict.CONVERGING,
    )


def test_a_judgement_is_a_value():
    precopy = iterations(200, 100, 50)
    assert judged(precopy) == judged(precopy._replace())


def test_the_bandwidth_needed_is_that_on_the_wire():
    """Compressed to a tenth: 26 MiB/s of the guest are 2.6 on the wire."""
    precopy = iterations(400, 100, 50)
    plain = bandwidth_needed(precopy)
    compressed = precopy._replace(cost=Share(0.1, 1.0))
    assert bandwidth_needed(compressed) == pytest.approx(plain / 10, rel=0.01)
    assert judged(compressed).verdict is judged(precopy).verdict


def read_again(precopy, seconds):
    """The state after one more reading, in which nothing has moved."""
    latest = precopy.latest
    return observe(precopy, latest._replace(at=latest.at + seconds))


def devices(sent_mib, before_mib=0.0):
    """After all passes, for 19 seconds."""
    precopy = iterations(100, 5)
    latest = precopy.latest
    precopy = precopy._replace(latest=latest._replace(vfio_transferred_bytes=int(before_mib * MIB)))
    for second in range(1, 20):
        at, share = latest.at + second, second / 19
        sent = int((before_mib + (sent_mib - before_mib) * share) * MIB)
        precopy = observe(precopy, latest._replace(at=at, vfio_transferred_bytes=sent))
    return precopy, precopy.latest.at


def test_state_of_devices_is_movement():
    precopy, now = devices(sent_mib=2000)
    judgement = judge(precopy, ITERATING, now, None)
    assert (judgement.verdict, judgement.reason) == (Verdict.COPYING, "device-state-moves")
    assert judgement.message == (
        "the state of the server's devices moves, 2000 MiB so far; its total is not known"
    )


def test_devices_that_move_no_more_are_stalled():
    precopy, now = devices(sent_mib=2000)
    precopy = read_again(precopy, 9)
    assert judge(precopy, ITERATING, now + 9, None).verdict is Verdict.STALLED


def test_message_says_that_libvirt_does_not_count_devices():
    precopy = read_again(iterations(100, 5)._replace(has_host_devices=True), 9)
    reason = judge(precopy, ITERATING, precopy.latest.at, None).message
    assert "which libvirt does not count before 10.6" in reason


def test_page_has_each_reason_with_the_verdict_that_it_belongs_to():
    table = pathlib.Path(__file__).parents[5] / "doc/source/verdicts.csv"
    rows = list(csv.DictReader(table.open()))
    assert [row["Reason"] for row in rows] == list(VerdictReason)
    assert list(dict.fromkeys(row["Verdict"] for row in rows)) == [
        *("starting", "copying", "converging", "not-converging", "stalled"),
        *("switching-over", "post-copy", "post-copy-paused", "ended"),
    ]
    assert all(row["Meaning"] and row["What to do"] for row in rows)


def test_reason_is_in_kebab_case():
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", reason) for reason in VerdictReason)
