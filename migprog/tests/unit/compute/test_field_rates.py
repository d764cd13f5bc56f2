# SPDX-License-Identifier: Apache-2.0
"""Situations from public reports that are about units and paces: what must be said at which time.

The recordings are in ``corpus/field``; most were made in the lab.
"""

import functools
import itertools

import pytest

from lab.corpus import files
from migprog.core.forecast.verdict import Verdict
from migprog.core.schedule import Rules
from migprog.recording import format
from migprog.recording.replay import Replayed, replay

FIELD = files.HERE / "field"
RULES = Rules(report_interval_seconds=5.0, heartbeat_interval_seconds=30.0)
MIB = 2**20


@functools.cache
def replayed(name: str) -> Replayed:
    return replay(format.read(str(FIELD / f"{name}.jsonl.gz")), RULES)


def lines(name: str, since: float = 0.0, until: float = float("inf")):
    return [line for line in replayed(name).lines if since <= line.t < until]


def errors(name: str, end: float, since: float, until: float) -> list[float]:
    """Seconds from each time left that was reported to the true one."""
    return [abs(line.eta_seconds - (end - line.t)) for line in lines(name, since, until)]


@pytest.mark.parametrize(
    ("name", "end"), [("lab-compressed-zlib", 33.7), ("lab-compressed-xbzrle", 26.4)]
)
def test_compressed_memory_is_not_divided_by_bytes_on_the_wire(name, end):
    assert max(errors(name, end, 7.0, end - 0.5)) <= 5
    at_7_s = lines(name, 6.9)[0]
    assert at_7_s.eta_low_seconds <= end - at_7_s.t <= at_7_s.eta_high_seconds
    late = [line.percent for line in lines(name, 0.85 * end, end)]
    assert min(late) >= 55


def test_the_pause_needed_by_compressed_memory_is_in_its_own_unit():
    """The second pass begins with 195 MiB, which go in 2.6 s; on the wire they are 2.6 MiB."""
    sent = [each.report for each in replayed("lab-compressed-zlib").reports]
    needed = [each.downtime_needed_seconds for each in sent if each.downtime_needed_seconds]
    assert needed[0] == pytest.approx(2.7, abs=0.4)
    assert max(needed) < 3.5
    wire = [each.throughput_bytes_per_second for each in sent if each.throughput_bytes_per_second]
    assert max(wire) < 1.3 * MIB
    bandwidth = [each.bandwidth_needed_bytes_per_second for each in sent]
    assert max(each for each in bandwidth if each is not None) < 1.3 * MIB


def test_a_slow_disk_is_never_called_stalled_and_its_time_left_stays():
    name = "lab-disk-of-1-mib-a-second"
    assert Verdict.STALLED not in {line.verdict for line in lines(name)}
    # Its second step is seen at 17.7 s; 80 MiB at 1 MiB/s, then 48 MiB of memory.
    later = lines(name, 17.6, 75)
    assert all(line.eta_seconds is not None for line in later)
    assert all(line.eta_low_seconds <= 125 - line.t <= line.eta_high_seconds for line in later)


def test_devices_that_move_are_no_stall_and_have_no_time_left():
    moving = lines("vgpu-state-60s", 22.0, 83.0)
    assert {line.verdict for line in moving} == {Verdict.COPYING}
    assert {line.eta_seconds for line in moving} == {None}
    assert (
        "state of the server's devices moves, 12800 MiB"
        in lines("vgpu-state-60s", 52)[0].verdict_message
    )
    sent = [each.report.vfio_transferred_bytes for each in replayed("vgpu-state-60s").reports]
    assert sent[0] == 0 and max(sent) > 20_000 * MIB
    # What is known of the memory is said before, and that it is not all.
    before = lines("vgpu-state-60s", 10.0)[0]
    assert before.eta_seconds == pytest.approx(11, abs=2)
    assert "devices" in before.verdict_message


def test_disk_rate_is_measured_again_after_holes():
    """Holes for 14 s, then 30 GiB at 90 MiB/s: 356 s and the memory, in all 380 s."""
    assert max(errors("thin-disk-leaps", 380, 16, 350)) < 20
    assert all(
        line.eta_low_seconds <= 380 - line.t <= line.eta_high_seconds
        for line in lines("thin-disk-leaps", 16, 350)
    )
    assert lines("thin-disk-leaps", 16)[0].percent < 10
    assert lines("thin-disk-leaps", 200)[0].percent == pytest.approx(100 * 200 / 380, abs=5)


def test_a_balloon_in_flight_is_followed():
    assert lines("balloon-in-flight", 20)[0].eta_seconds > 250
    assert lines("balloon-in-flight", 60)[0].eta_seconds == pytest.approx(145, abs=20)


def test_fields_that_are_missing_change_little():
    etas = [line.eta_seconds for line in lines("fields-missing", 2.0) if line.eta_seconds]
    assert all(after < before + 1 for before, after in itertools.pairwise(etas))
