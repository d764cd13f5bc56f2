# SPDX-License-Identifier: Apache-2.0
"""How far a host's clock is off, by what it sends and when that is received."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprog.core import clocks
from migprog.core.messages import Agent, Arrival, ArrivalState, Batch
from migprog.core.status import Status
from migprog.tests import stores
from migprog.tests.stores import START
from migprog.tests.unit.core.test_messages import ADVICE

HOUR = 3600.0
UUID = "00000000-0000-0000-0000-000000000007"


def known(messages, seconds_apart=1.0, within_seconds=0.1):
    """The correction after messages: how far ahead the clock is, how long each took, and whether it
    was prompt."""
    offset = None
    for number, (off, took, is_prompt) in enumerate(messages):
        received_at = START + number * seconds_apart
        offset = clocks.observed(offset, received_at - took + off, received_at, is_prompt)
    if offset is None:
        return None
    return pytest.approx(offset.correction_seconds, abs=within_seconds)


@pytest.mark.parametrize(
    ("messages", "correction"),
    [
        # The host's clock, how long the message took, whether its sender waits.
        ([(0, 0.05, True)], 0),
        ([(0, 1.9, True)], 0),
        ([(HOUR, 0.05, True)], -HOUR),
        ([(-HOUR, 0.05, True)], HOUR),
        ([(3, 0.05, True)], -3),
        # A first message may be late, as conductors have just begun; the quickest of three is not.
        ([(0, 9, True)], 0),
        ([(0, 9, True)] * 2 + [(0, 0.05, True)], 0),
        ([(-30, 0.05, True)], 0),
        ([(-30, 0.05, True)] * 2 + [(-30, 0.05, False)], 0),
        ([(-30, 0.05, True)] * 3, 30),
        # One that waited in a queue tells nothing, but that a clock is ahead.
        ([(0, 300, False)], None),
        ([(HOUR, 300, False)], -HOUR + 300),
        ([(0, 0.05, True), (0, 300, False)], 0),
        ([(-HOUR, 0.05, True), (-HOUR, 300, False)], HOUR),
        # The quickest message tells best, in whatever order they come.
        ([(HOUR, 9, True), (HOUR, 0.05, True), (HOUR, 20, True)], -HOUR),
        ([(0, 9, True), (0, 0.05, True), (0, 50, True)], 0),
        # Started again, after its clock was set.
        ([(0, 0.05, True), (HOUR, 0.05, True)], -HOUR),
        ([(HOUR, 0.05, True), (0, 0.05, True)], 0),
        ([(0, 0.05, True), (-HOUR, 0.05, False), (-HOUR, 0.05, True)], HOUR),
    ],
)
def test_correction_of_a_hosts_clock(messages, correction):
    assert known(messages) == correction


def test_old_offsets_expire():
    """A clock that was slewed back by 30 s is known within a day, from messages of no hurry."""
    messages = [(0, 0.05, True)] + [(-30, 0.05, True)] * 1000
    assert known(messages, seconds_apart=86.4, within_seconds=1.0) == 30


def test_correction_near_the_tolerance_stays_the_same():
    offset, corrections = None, []
    for number, took in enumerate((0.3, 0.0, 0.2, 0.05, 0.3) * 40):
        at = START + 300 * number
        offset = clocks.observed(offset, at - took - 1.9, at, is_prompt=True)
        corrections.append(offset.correction_seconds)
    applied = [each for each in corrections if each]
    assert corrections == [0.0] * (len(corrections) - len(applied)) + applied[:1] * len(applied)
    assert applied and applied[0] == pytest.approx(2.0, abs=0.3)


@pytest.mark.parametrize(
    ("seconds", "correction"), [(-3.0, -3.5), (-4.4, -3.5), (-4.6, -4.6), (-1.2, -1.2), (-0.9, 0)]
)
def test_correction_changes_if_wrong_by_more_than_a_second(seconds, correction):
    offset = clocks.Offset(seconds, START, 9, applied_seconds=-3.5)
    assert offset.correction_seconds == correction


@given(st.lists(st.floats(0, 50), min_size=1, max_size=20), st.floats(-1e6, 1e6))
def test_offset_behind_is_never_overestimated(took, off):
    """But for the least time that a message took."""
    offset = None
    for number, seconds in enumerate(took):
        at = START + number
        offset = clocks.observed(offset, at - seconds + off, at, is_prompt=True)
    assert offset is not None
    assert -off - 1e-3 <= offset.seconds <= -off + min(took) + 0.001 * len(took) + 1e-3


def _batch(wrong_by, sent_at=None):
    at = START + wrong_by
    return Batch(
        "h",
        "n",
        reports=(
            stores.report(
                5,
                Status.COMPLETED,
                started_at=at,
                ended_at=at + 5,
                uuid=UUID,
                server_uuid=UUID,
                advice=({**ADVICE, "at": at + 1, "works_by": at + 60}, {**ADVICE, "at": at + 2}),
            ),
        ),
        arrivals=(Arrival(server_uuid=UUID, state=ArrivalState.RESUMED, at=at + 4),),
        agent=Agent(
            version="1",
            started_at=at - 100,
            report_interval_seconds=5.0,
            heartbeat_interval_seconds=30.0,
            migrations=1,
        ),
        sent_at=sent_at,
    )


def _instants(batch):
    (report,), (arrival,) = batch.reports, batch.arrivals
    return (
        *(report.started_at, report.sampled_at, report.ended_at),
        *(arrival.at, batch.agent.started_at),
        *(each["at"] for each in report.advice),
    )


@pytest.mark.parametrize("wrong_by", [-HOUR, -2.5, 2.5, HOUR, 1e7])
def test_every_instant_of_a_batch_is_moved(wrong_by):
    batch = clocks.by_ours(_batch(wrong_by, START + 6 + wrong_by), START + 6)
    assert _instants(batch) == pytest.approx(_instants(_batch(0)))
    works_by = [each["works_by"] for each in batch.reports[0].advice]
    assert works_by == [pytest.approx(START + 60), None]
    assert batch.sent_at is None
    names = {
        f.name
        for kind in (batch.reports[0], batch.arrivals[0], batch.agent)
        for f in dataclasses.fields(kind)
        if f.name == "at" or f.name.endswith("_at")
    }
    assert names == {"started_at", "sampled_at", "ended_at", "at"}, "a new instant is moved, too"


@pytest.mark.parametrize(
    ("wrong_by", "moved_by"), [(0, 0), (50, 0), (HOUR, -HOUR + 1), (8 * 86_400, 0), (-HOUR, 0)]
)
def test_a_batch_without_a_time_shows_that_its_clock_is_ahead(wrong_by, moved_by):
    batch = clocks.by_ours(_batch(wrong_by), START + 6)
    assert _instants(batch) == pytest.approx(_instants(_batch(wrong_by + moved_by)))


def test_future_instant_becomes_now():
    now = START + 6
    assert _instants(clocks.bounded(_batch(HOUR), now)) == (now,) * 7
    assert clocks.bounded(_batch(50), now) == _batch(50)
    ahead = dataclasses.replace(
        _batch(0).reports[0], advice=({**ADVICE, "at": START + HOUR, "works_by": START + 2 * HOUR},)
    )
    (advice,) = clocks.bounded(Batch("h", "n", reports=(ahead,)), now).reports[0].advice
    assert (advice["at"], advice["works_by"]) == (now, START + 2 * HOUR)
    late = dataclasses.replace(_batch(0).reports[0], started_at=START + HOUR)
    batch = clocks.bounded(Batch("h", "n", reports=(late,)), now)
    assert batch.reports[0].started_at == batch.reports[0].sampled_at == START + 5


@pytest.mark.parametrize(
    "instant",
    [
        {"started_at": 0.0},
        {"started_at": START - 366 * 86_400},
        {"started_at": 7e9},
        {"sampled_at": 7e9},
        {"ended_at": START + 8 * 86_400},
    ],
)
def test_a_time_that_no_clock_set_wrong_explains_is_absurd(instant):
    report = _batch(0).reports[0]
    assert not clocks.is_absurd(report, START)
    assert clocks.is_absurd(dataclasses.replace(report, **instant), START)
    assert clocks.is_absurd(dataclasses.replace(_batch(0).arrivals[0], at=7e9), START)
    assert not clocks.is_absurd(dataclasses.replace(report, started_at=START - 364 * 86_400), START)
