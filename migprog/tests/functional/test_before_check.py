# SPDX-License-Identifier: Apache-2.0
"""Real guests that are measured and forecast, and then migrate."""

import json
import sys

import pytest

from lab.before.bench import Bench
from lab.before.guests import Drawn, quiet
from lab.corpus.scenario import steady
from lab.parts import processes

pytestmark = [
    pytest.mark.functional,
    pytest.mark.timeout(1800),
]
BANDWIDTH = 24
# Dirties a fifth of the bandwidth.
LIGHT = Drawn(
    kind="quiet",
    bandwidth_mib_s=BANDWIDTH,
    fill_mib=96,
    working_set_mib=90,
    segments=steady(5.0),
)
# Dirties five times what fits the downtime limit, each second.
STUCK = Drawn(
    kind="hot set",
    bandwidth_mib_s=BANDWIDTH,
    fill_mib=48,
    working_set_mib=36,
    segments=steady(90.0),
)


@pytest.mark.long
def test_what_was_said_of_guests_comes_true(measuring_may_act):
    """With short windows, and a wide margin for a busy machine."""
    with Bench(0, (BANDWIDTH,), windows_seconds=(1, 4), bound_seconds=8.0) as bench:
        bench.try_quiet((1.0, 2.0))
        light, stuck = bench.run(LIGHT), bench.run(STUCK)
    assert light.seen.completed
    assert light.before.converges != "no"
    assert light.before.basis.learned_source == "pair"
    assert light.before.total_seconds == pytest.approx(light.seen.total_seconds, rel=0.4)
    assert not stuck.seen.completed
    assert stuck.before.converges == "no"
    assert stuck.before.downtime_needed_seconds == pytest.approx(36 / BANDWIDTH, rel=0.6)


def test_resident_memory_of_a_guest_is_what_it_has_written(measuring_may_act):
    with Bench(0, (BANDWIDTH,), windows_seconds=(1,), bound_seconds=60.0) as bench:
        tried = bench.run(quiet(BANDWIDTH, 3.0))
    assert tried.measurement.memory_bytes == tried.drawn.memory_mib * 2**20
    assert tried.measurement.resident_bytes >= tried.drawn.fill_mib * 2**20
    assert tried.before.basis.learned_source == "default"


@pytest.mark.long
@pytest.mark.parametrize("asked", [["--count=14"], ["--drain"]], ids=["guests", "drain"])
def test_before_check_is_right(asked, tmp_path, of_the_day, record_property, measuring_may_act):
    """In its shortest form; a seed of the day."""
    asked = [f"--seed={of_the_day.randrange(10**6)}", *asked]
    record_property("before-check", asked)
    out = tmp_path / "check.json"
    command = [sys.executable, "-m", "lab.before", *asked, f"--json={out}"]
    with processes.running(command, tmp_path) as check:
        assert check.process.wait(timeout=1700) == 0, check.output()
    assert json.loads(out.read_text())["right"]
