# SPDX-License-Identifier: Apache-2.0
"""What a monitor says, whatever libvirt reports: any counters, any events, in any order."""

import math
import pickle
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from migprog.core.fields import MAX_COUNT
from migprog.core.messages import Batch
from migprog.core.monitor import Monitor
from migprog.core.schedule import Rules
from migprog.core.server_facts import ServerFacts
from migprog.core.status import Status

UUID = "00000000-0000-0000-0000-000000000000"
RULES = Rules(report_interval_seconds=1.0, heartbeat_interval_seconds=5.0)
START, EPOCH = 1000.0, 1.7e9
ACTIVE, COMPLETED, FAILED, CANCELLED = 2, 3, 4, 5

counts = st.just(0) | st.integers(0, 10) | st.integers(0, 2**40) | st.integers(0, MAX_COUNT)
COUNTERS: dict[str, st.SearchStrategy[Any]] = {
    "memory_total": counts,
    "memory_processed": counts,
    "memory_remaining": counts,
    "memory_normal": counts,
    "memory_constant": counts,
    "disk_total": counts,
    "disk_processed": counts,
    "disk_remaining": counts,
    "memory_page_size": st.sampled_from([0, 4096]),
    "memory_iteration": st.integers(0, 300),
    "memory_dirty_rate": st.integers(0, 2**32),
    "downtime": st.integers(0, 2**32),
    "time_elapsed": st.integers(0, 2**40),
    "auto_converge_throttle": st.integers(0, 99),
}
job_stats = st.fixed_dictionaries(
    {
        "operation": st.just(5),
        "type": st.sampled_from([ACTIVE] * 20 + [0, COMPLETED, FAILED, CANCELLED]),
    },
    optional=COUNTERS,
)
limits = st.none() | st.just(0.0) | st.just(0.3) | st.floats(0, 1e6)
readings = st.builds(lambda *values: ("read", *values), job_stats, limits)
lifecycle = st.sampled_from([(3, 1), (3, 7), (3, 8), (4, 1), (4, 0), (5, 3), (5, 0)])
qemu = st.sampled_from(["cancelling", "failed", "postcopy-paused", "postcopy-active", "active"])
events = st.one_of(
    st.just(("iteration_begins",)),
    st.just(("gone", "no such server")),
    lifecycle.map(lambda kind: ("lifecycle", *kind)),
    qemu.map(lambda status: ("qemu_migration", status)),
    job_stats.map(lambda stats: ("job_completed", stats)),
)
pauses = st.just(0.5) | st.just(0.0) | st.floats(-1, 5) | st.floats(0, 1e5)
streams = st.lists(st.tuples(pauses, st.one_of(readings, readings, readings, events)), max_size=50)
sizes = st.none() | st.integers(0, 2**45)


def told(stream, size):
    """What is said after each event, and what is reported of it."""
    monitor = Monitor(UUID, UUID, START)
    monitor.learn(ServerFacts(memory_size_bytes=size))
    now = START
    for pause, (name, *values) in stream:
        at = now + pause
        now = max(now, at)
        getattr(monitor, name)(*values, at)
        yield monitor.preview(now, EPOCH + now), False
        due = monitor.report_if_due(RULES, now, EPOCH + now)
        if due is not None:
            yield due[1], True
        if monitor.over:
            break


@given(streams, sizes)
@settings(max_examples=200, deadline=None)
def test_any_stream_of_readings_has_consistent_reports(stream, size):
    percent, sequence = None, 0
    for said, reported in told(stream, size):
        times = (said.eta_low_seconds, said.eta_seconds, said.eta_high_seconds)
        if None in times:
            assert times == (None, None, None)
        else:
            assert all(math.isfinite(time) for time in times)
            assert 0 <= times[0] <= times[1] <= times[2]
        if not reported:
            continue
        batch = Batch("host", "node", reports=(said,))
        assert Batch.from_wire(batch.to_wire()) == (batch, {}), "no conductor may refuse it"
        sequence += 1
        assert said.sequence == sequence
        assert percent is None or said.percent is not None
        if said.percent is not None:
            assert said.percent >= (percent or 0)
            assert said.percent <= 99 or said.status is Status.COMPLETED
        percent = said.percent


@given(streams, sizes)
@settings(max_examples=30, deadline=None)
def test_same_stream_has_the_same_reports(stream, size):
    assert list(told(stream, size)) == list(told(stream, size))


def test_memory_of_a_monitor_is_limited_however_long_it_runs():
    """Ten passes a second for most of an hour, of a guest that wavers."""
    monitor = Monitor(UUID, UUID, START)
    sizes = []
    for number in range(1, 30_001):
        at = START + number / 10
        stats = {
            "operation": 5,
            "type": ACTIVE,
            "memory_total": 2**34,
            "memory_processed": number * 2**24,
            "memory_remaining": 2**24 + number % 7,
            "memory_normal": number * 2**12,
            "memory_page_size": 4096,
            "memory_iteration": number,
        }
        monitor.iteration_begins(at)
        monitor.read(stats, 0.3, at)
        monitor.report_if_due(RULES, at, EPOCH + at)
        if number % 5_000 == 0:
            sizes.append(len(pickle.dumps(vars(monitor))))
    # Notes of forecasts are thinned out by halves.
    assert max(sizes) < 2 * sizes[0] < 30_000
