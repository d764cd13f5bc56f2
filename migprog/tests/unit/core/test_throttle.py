# SPDX-License-Identifier: Apache-2.0
import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprog.core.status import ENDED, Phase, Status
from migprog.core.throttle import Beat, Reason, Rules, Telling, reason_to_report
from migprog.core.verdict import Verdict

RULES = Rules(report_interval_seconds=5.0, heartbeat_interval_seconds=30.0)
TOLD = Telling(100.0, Status.RUNNING, Phase.MEMORY_FIRST_PASS, Verdict.COPYING, 40)

tellings = st.builds(
    Telling,
    at=st.floats(0, 1000),
    status=st.sampled_from(Status),
    phase=st.sampled_from(Phase),
    verdict=st.sampled_from(Verdict),
    percent=st.none() | st.integers(0, 100),
)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"at": 100.1, "status": Status.POST_COPY}, Reason.STATUS),
        ({"at": 100.1, "phase": Phase.MEMORY_ITERATIONS}, Reason.PHASE),
        ({"at": 100.1, "verdict": Verdict.STALLED}, Reason.VERDICT),
        ({"at": 104.9, "percent": 60}, None),
        ({"at": 105.0, "percent": 41}, Reason.STEP),
        ({"at": 105.0}, None),
        ({"at": 129.9}, None),
        ({"at": 130.0}, Reason.HEARTBEAT),
    ],
)
def test_when_to_report(change, reason):
    assert reason_to_report(replace(TOLD, **change), TOLD, RULES) is reason


@given(tellings)
def test_what_was_never_told_is_told_at_once(new):
    assert reason_to_report(new, None, RULES) is Reason.FIRST


@given(tellings, tellings)
def test_a_change_of_status_never_waits_and_an_end_is_told_once(new, last):
    reason = reason_to_report(new, last, RULES)
    if new.status is not last.status:
        assert reason is Reason.STATUS
    elif last.status in ENDED:
        assert reason is None


@given(tellings)
def test_the_first_percentage_leaves_at_once(last):
    unknown = replace(last, percent=None, status=Status.RUNNING)
    known = replace(unknown, at=unknown.at + 0.1, percent=3)
    assert reason_to_report(known, unknown, RULES) is Reason.NUMBER
    assert reason_to_report(replace(known, percent=4), known, RULES) is None


@given(tellings.filter(lambda told: told.percent is not None))
def test_progress_alone_never_leaves_faster_than_the_interval(last):
    soon = replace(last, at=last.at + RULES.report_interval_seconds * 0.99, percent=77)
    assert reason_to_report(soon, last, RULES) is None


def beaten(beat, now, waited, changed, rules=RULES):
    """Why a migration is told of that was told of ``waited`` seconds ago."""
    last = replace(TOLD, at=now - waited)
    new = replace(last, at=now, percent=40 + changed)
    return reason_to_report(new, last, beat.rules(rules, now))


def test_between_beats_progress_waits():
    beat = Beat(next_at=100.0)
    assert beaten(beat, 99.9, waited=20.0, changed=1) is None
    assert beaten(beat, 100.0, waited=20.0, changed=1) is Reason.STEP


def test_a_beat_takes_along_what_was_told_half_an_interval_ago():
    beat = Beat(next_at=100.0)
    assert beaten(beat, 100.0, waited=2.5, changed=1) is Reason.STEP
    assert beaten(beat, 100.0, waited=2.4, changed=1) is None


def test_heartbeats_rather_leave_with_a_beat_and_never_late():
    beat = Beat(next_at=100.0)
    assert beaten(beat, 100.0, waited=25.0, changed=0) is Reason.HEARTBEAT
    assert beaten(beat, 99.0, waited=25.0, changed=0) is None
    assert beaten(beat, 99.0, waited=30.0, changed=0) is Reason.HEARTBEAT


def test_beats_keep_their_pace_whatever_the_polls():
    beat, beats = Beat(next_at=100.0), []
    for poll in range(200):
        now = 100.1 + 0.7 * poll
        if beat.next_at <= now:
            beats.append(now)
        beat = beat.after(now, 5.0, 0.5)
    assert len(beats) == 28
    assert all(4.3 - 1e-9 <= b - a <= 5.7 for a, b in itertools.pairwise(beats))


def test_a_beat_after_a_shorter_interval_does_not_wait_for_the_longer_one():
    beat = Beat(next_at=160.0)
    assert beat.after(100.0, 60.0, 1.0) == beat
    assert beat.after(101.0, 0.5, 1.0).next_at == 101.5


def test_hosts_do_not_beat_as_one_when_they_begin_together():
    idle = Beat(next_at=0.0)
    nexts = [idle.after(1000.0, 5.0, chance).next_at for chance in (0.0, 0.5, 1.0)]
    assert nexts == [1002.5, 1003.75, 1005.0]
