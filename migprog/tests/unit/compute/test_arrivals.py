# SPDX-License-Identifier: Apache-2.0
import time

import pytest

from migprog.compute.arrivals import Arrivals
from migprog.compute.libvirt.loop_messages import ArrivalStats
from migprog.core.messages import ARRIVAL_FIGURES, Arrival, ArrivalState
from migprog.core.observation import Lifecycle
from migprog.tests.fixtures.driven import SERVER

FINAL = {
    "operation": 4,
    "type": 3,
    "time_elapsed": 4500,
    "downtime": 250,
    "memory_total": 4000,
    "memory_processed": 3000,
    "memory_remaining": 0,
    "memory_iteration": 7,
}


class Desk:
    """Notes what is asked of libvirt, and what is reported."""

    def __init__(self):
        self.asked: list[tuple[str, float]] = []
        self.told: list[Arrival] = []
        self.arrivals = Arrivals(
            lambda server_uuid, at: self.asked.append((server_uuid, at)),
            lambda arrival, now: self.told.append(arrival),
        )

    def seen(self, event, detail, at):
        message = Lifecycle(server_uuid=SERVER, at=at, event=event, detail=detail)
        return self.arrivals.seen(message, timeout_seconds=10.0)


@pytest.fixture
def desk():
    return Desk()


@pytest.mark.parametrize(
    ("event", "detail", "state"),
    [(2, 1, ArrivalState.INCOMING), (4, 3, ArrivalState.RESUMED)],
)
def test_arriving_server_is_not_queried(desk, event, detail, state):
    desk.seen(event, detail, time.monotonic())
    (arrival,) = desk.told
    assert (arrival.state, arrival.complete) == (state, None)
    assert abs(arrival.at - time.time()) < 5
    assert desk.asked == []


def test_arrival_keeps_its_instant_when_the_clock_is_set(desk, monkeypatch):
    now, wall = time.monotonic(), time.time()
    monkeypatch.setattr(time, "time", lambda: wall - 3600)
    desk.seen(2, 1, now)
    desk.arrivals.found([SERVER])
    assert [abs(arrival.at - wall) < 5 for arrival in desk.told] == [True, True]


def test_found_server_is_reported_as_found(desk):
    desk.arrivals.found([SERVER])
    (arrival,) = desk.told
    assert (arrival.state, arrival.found, arrival.complete) == (ArrivalState.RESUMED, True, None)
    assert abs(arrival.at - time.time()) < 5
    assert desk.asked == []


def test_complete_arrival_is_reported_with_final_figures(desk):
    desk.seen(4, 1, at=50.0)
    assert (desk.told, desk.asked) == ([], [(SERVER, 50.0)])
    desk.arrivals.take(ArrivalStats(server_uuid=SERVER, at=50.0, stats=FINAL))
    (arrival,) = desk.told
    assert (arrival.state, arrival.complete) == (ArrivalState.RESUMED, True)
    assert {name: getattr(arrival, name) for name in ARRIVAL_FIGURES} == {
        "total_seconds": 4.5,
        "downtime_seconds": 0.25,
        "memory_iteration": 7,
        "memory_total_bytes": 4000,
        "memory_processed_bytes": 3000,
        "memory_remaining_bytes": 0,
        # It had no disk to copy: that is known.
        "disk_total_bytes": None,
        "disk_processed_bytes": None,
        "disk_remaining_bytes": None,
    }
    desk.arrivals.take(ArrivalStats(server_uuid=SERVER, at=50.0, stats=FINAL))
    assert len(desk.told) == 1


def test_arrival_is_reported_without_figures_if_libvirt_has_none(desk):
    desk.seen(4, 1, at=50.0)
    desk.arrivals.take(ArrivalStats(server_uuid=SERVER, at=50.0, stats=None))
    (arrival,) = desk.told
    assert (arrival.complete, arrival.total_seconds) == (True, None)


def test_a_libvirt_that_hangs_is_not_waited_for(desk):
    desk.seen(4, 1, at=50.0)
    assert desk.arrivals.late_at == 60.0
    desk.arrivals.release(59.9)
    assert desk.told == []
    desk.arrivals.release(60.0)
    (arrival,) = desk.told
    assert (arrival.complete, arrival.total_seconds) == (True, None)
    assert desk.arrivals.late_at is None
    desk.arrivals.take(ArrivalStats(server_uuid=SERVER, at=50.0, stats=FINAL))
    assert len(desk.told) == 1


def test_answer_about_an_earlier_arrival_does_not_resolve_later_ones(desk):
    desk.seen(4, 1, at=50.0)
    desk.seen(4, 1, at=55.0)
    desk.arrivals.take(ArrivalStats(server_uuid=SERVER, at=50.0, stats=FINAL))
    assert desk.told == []
    desk.arrivals.take(ArrivalStats(server_uuid=SERVER, at=55.0, stats=FINAL))
    assert [arrival.total_seconds for arrival in desk.told] == [4.5]


def test_one_that_comes_to_nothing(desk):
    assert desk.seen(2, 1, at=50.0)
    assert not desk.seen(5, 5, at=53.0)
    began, gone = desk.told
    assert (gone.state, gone.at, gone.gone_after_seconds) == (ArrivalState.INCOMING, began.at, 3.0)
    assert gone.is_last
    assert not began.is_last
    desk.seen(5, 0, at=60.0)
    assert len(desk.told) == 2


@pytest.mark.parametrize("event", [(4, 1), (4, 3), (3, 0), (4, 0)])
def test_one_that_has_come_and_is_stopped_later_is_not_one_of_them(desk, event):
    desk.seen(2, 1, at=50.0)
    desk.seen(*event, at=53.0)
    told = list(desk.told)
    desk.seen(5, 0, at=60.0)
    assert desk.told == told


def test_arrival_after_a_gap_in_events_is_uncertain(desk):
    desk.seen(2, 1, at=50.0)
    desk.arrivals.blind()
    desk.seen(5, 0, at=60.0)
    assert len(desk.told) == 1


def test_incomplete_arrival_without_updates_is_dropped(desk):
    desk.seen(2, 1, at=50.0)
    day = 86_400
    other = "00000000-0000-0000-0000-00000000000b"
    message = Lifecycle(server_uuid=other, at=51.0 + day, event=2, detail=1)
    desk.arrivals.seen(message, timeout_seconds=10.0)
    desk.seen(5, 0, at=52.0 + day)
    assert [arrival.gone_after_seconds for arrival in desk.told] == [None, None]
