# SPDX-License-Identifier: Apache-2.0
"""The forecast of a migration before it starts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migprog.core.forecast.before import forecast_before
from migprog.core.forecast.dirty_curve import MIB, DirtyCurve
from migprog.core.forecast.migration_to_come import MigrationToCome, run_through
from migprog.core.forecast.throttling import THROTTLE_ENOUGH
from migprog.core.learned import Learned, Rate
from migprog.core.measurement import Measurement, Window, together

GIB = 2**30
NOW = 1_000_000.0
IDLE = ((1, 0), (4, 0), (16, 0))
# Writes 4 GiB once a second.
HOT = ((1, 4000), (4, 1000), (16, 250))


def measurement(shown=IDLE, **facts):
    known = {
        "measured_at": NOW,
        "windows": tuple(Window(float(seconds), rate) for seconds, rate in shown),
        "memory_bytes": 8 * GIB,
        "resident_bytes": None,
        "disk_bytes": 100 * GIB,
        "downtime_limit_seconds": 0.5,
        "has_host_devices": False,
    }
    return Measurement(**(known | facts))


def learned(mib_per_second=1000.0, spread=0.05, **facts):
    known = {"overhead_seconds": 1.0, "overhead_spread_seconds": 0.1}
    rate = Rate(mib_per_second * MIB, spread, 5, "pair", NOW - 60)
    return Learned(rate, **(known | facts))


def said(shown=IDLE, known=None, block_migration=False, now=NOW, auto_converge=False, **facts):
    return forecast_before(
        measurement(shown, **facts),
        known or learned(),
        block_migration=block_migration,
        now=now,
        auto_converge=auto_converge,
    )


def steady(mib_per_second):
    return tuple((seconds, mib_per_second) for seconds in (1, 4, 16))


def test_idle_server_takes_its_memory_by_the_rate_and_the_overhead():
    before = said()
    assert before.converges == "yes"
    assert before.total_seconds == pytest.approx(8.2 + 1.0, rel=0.05)
    assert before.low_seconds < before.total_seconds < before.high_seconds
    assert before.high_seconds < 1.2 * before.total_seconds
    assert before.helps == ()
    assert before.message == "converges: about 9.2 s (8.7 s to 9.7 s) at 1000 MiB/s"


def test_memory_that_was_never_written_costs_little():
    assert said(resident_bytes=GIB).total_seconds < 0.7 * said().total_seconds


def test_server_that_writes_at_half_of_the_rate_takes_twice_as_long():
    before = said(steady(500))
    assert before.converges == "yes"
    assert before.total_seconds == pytest.approx(2 * 8.2 + 1.0, rel=0.15)


def test_server_that_rests_between_bursts_may_converge():
    # Of the lab: 23 MiB/s for 1.6 s, 3 for 1.3 s, in 29 MiB; it completed in the tenth iteration.
    guest = {"memory_bytes": 111 * MIB, "downtime_limit_seconds": 0.3, "known": learned(18.0)}
    busy = ((1, 34), (1, 30), (1, 32), (4, 9), (4, 8), (16, 2))
    assert said(busy, **guest).converges == "no"
    rests = ((1, 34), (1, 12), (1, 2), (4, 10), (4, 7), (16, 1))
    before = said(rests, **guest)
    assert before.converges == "unknown"
    assert "post-copy" in before.helps


def test_time_between_disks_and_memory_is_uncertain():
    small, none = 200 * MIB, 0
    with_disk = said(block_migration=True, disk_bytes=small, memory_bytes=GIB)
    without = said(block_migration=True, disk_bytes=none, memory_bytes=GIB)
    assert with_disk.high_seconds - with_disk.low_seconds > 1.0
    assert without.high_seconds - without.low_seconds < 0.5


def test_server_that_writes_all_of_much_memory_does_not_converge():
    before = said(HOT)
    assert before.converges == "no"
    assert (before.total_seconds, before.low_seconds, before.high_seconds) == (None, None, None)
    # 4 GiB at 1000 MiB/s.
    assert before.downtime_needed_seconds == pytest.approx(4.1, rel=0.15)
    assert before.helps == ("downtime-limit", "bandwidth", "auto-converge", "post-copy")
    assert "needs a downtime limit of" in before.message


def test_needed_downtime_is_enough():
    before = said(HOT)
    more = said(HOT, downtime_limit_seconds=1.3 * before.downtime_needed_seconds)
    assert more.converges == "yes"


def test_needed_bandwidth_is_enough():
    before = said(steady(2000))
    assert before.converges == "no"
    rate = learned(1.3 * before.bandwidth_needed_bytes_per_second / MIB)
    assert said(steady(2000), rate).converges == "yes"


def test_server_near_the_rate_has_no_forecast():
    before = said(steady(960))
    assert before.converges == "unknown"
    assert before.high_seconds is None
    assert before.message.startswith("may not converge")


def test_auto_converge_makes_it_converge_in_the_end():
    before = said(HOT, auto_converge=True)
    assert before.converges == "yes"
    assert before.total_seconds > 4 * said().total_seconds
    # How much it must be slowed down is not known.
    assert before.high_seconds > 1.15 * before.total_seconds


def test_block_migration_copies_the_disks_first():
    block = said(block_migration=True)
    assert block.total_seconds == pytest.approx(said().total_seconds + 102.4, rel=0.05)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"shown": ()}, "the server's dirty rate was not measured"),
        (
            {"disk_bytes": None, "block_migration": True},
            "the size of the server's disks is not known, and a block migration copies them",
        ),
        (
            {"has_host_devices": True},
            "the server has devices of the host: how much state they have is not known",
        ),
    ],
)
def test_what_is_not_known_is_said(facts, reason):
    before = said(**facts)
    assert (before.converges, before.total_seconds) == ("unknown", None)
    assert before.message == reason


def test_range_widens_with_the_age_of_the_measurement():
    shown = steady(300)
    fresh, old = said(shown), said(shown, now=NOW + 8 * 3600)
    assert width(old) > 1.5 * width(fresh)


def test_two_measurements_together_leave_less_doubt():
    newest, older = measurement(steady(600), measured_at=NOW), measurement(steady(620))
    both = together(newest, older)
    assert [window.seconds for window in both.windows] == [1, 1, 4, 4, 16, 16]
    assert both.measured_at == NOW
    one, two = (
        forecast_before(each, learned(), block_migration=False, now=NOW) for each in (newest, both)
    )
    assert width(two) < width(one)


def test_range_widens_with_the_spread_of_the_rate():
    assert width(said(known=learned(spread=0.5))) > 3 * width(said())


def test_forecast_names_what_it_rests_on():
    basis = said().basis
    assert basis.measured_at == NOW
    assert [window.seconds for window in basis.windows] == [1, 4, 16]
    assert (basis.learned_source, basis.learned_count) == ("pair", 5)
    assert basis.learned_newest_at == NOW - 60


def test_same_values_give_the_same_forecast():
    assert said(steady(700)) == said(steady(700))


def width(before):
    return before.high_seconds - before.low_seconds


courses = st.builds(
    MigrationToCome,
    memory_bytes=st.floats(64.0 * MIB, 512.0 * GIB),
    disk_bytes=st.sampled_from([0.0, 10.0 * GIB]),
    scan_seconds=st.floats(0.0, 10.0),
    curve=st.builds(
        DirtyCurve,
        st.floats(0.01 * MIB, 5000.0 * MIB),
        st.floats(0.01, 100.0),
        st.sampled_from([1.0, 6.0, 60.0]),
        seconds=st.just(1.0),
    ),
    downtime_limit_seconds=st.floats(0.05, 10.0),
    overhead_seconds=st.just(1.0),
    # On a slower network auto-converge begins sooner, and the migration may end sooner by it.
    auto_converge=st.just(False),
    enough_percent=st.just(THROTTLE_ENOUGH),
)


@settings(max_examples=300)
@given(courses, st.floats(10.0 * MIB, 5000.0 * MIB))
def test_migration_takes_at_least_its_first_iteration(expected, rate):
    precopy = run_through(expected, rate)
    assert precopy.first_seconds >= expected.memory_bytes / rate
    assert precopy.seconds is None or precopy.seconds >= precopy.first_seconds


@given(courses, st.floats(10.0 * MIB, 5000.0 * MIB), st.floats(2.0, 50.0))
def test_larger_memory_takes_longer(expected, rate, factor):
    larger = replace_memory(expected, expected.memory_bytes * factor)
    both = run_through(expected, rate), run_through(larger, rate)
    if None not in (both[0].seconds, both[1].seconds):
        assert both[1].seconds >= both[0].seconds * 0.99


@given(courses, st.floats(10.0 * MIB, 5000.0 * MIB), st.floats(1.5, 50.0))
def test_faster_network_takes_no_longer(expected, rate, factor):
    both = run_through(expected, rate), run_through(expected, rate * factor)
    if None not in (both[0].seconds, both[1].seconds):
        assert both[1].seconds <= both[0].seconds * 1.01 + 0.2


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 3000))
def test_any_measurement_gives_a_range_around_the_middle(one, four, sixteen):
    before = said(((1, one), (4, four), (16, sixteen)))
    assert before.converges in ("yes", "no", "unknown")
    if before.total_seconds is not None:
        assert 0 <= before.low_seconds <= before.total_seconds
    if before.high_seconds is not None:
        assert before.total_seconds <= before.high_seconds
    assert before.message


def replace_memory(expected, memory_bytes):
    return expected._replace(memory_bytes=memory_bytes)
