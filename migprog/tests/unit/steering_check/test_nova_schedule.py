# SPDX-License-Identifier: Apache-2.0
"""The second client sets what nova-compute would."""

import pytest

from lab.steering.nova_schedule import NovaSchedule, update_downtime
from migprog.core.steering.nova_schedule import NovaOptions


def test_steps_are_those_of_novas_docstring():
    options = NovaOptions(downtime=400, downtime_steps=10, downtime_delay=30)
    assert NovaSchedule(options, data_gib=3).steps() == [(90 * n, 40 + 36 * n) for n in range(11)]


def test_schedule_has_novas_defaults():
    steps = NovaSchedule().steps()
    assert steps[0] == (0, 50)
    assert steps[-1] == (1500, 500)
    assert NovaSchedule(data_gib=64).steps()[-1] == (48000, 500)


@pytest.mark.parametrize(
    ("current", "elapsed", "expected"),
    [
        (None, 0.0, None),
        (None, 0.1, 50),
        # It compares with what it set, whatever is in force.
        (50, 1.9, 50),
        (50, 2.1, 95),
        (95, 100.0, 500),
    ],
)
def test_update_downtime_compares_with_what_it_set_itself(current, elapsed, expected):
    steps = NovaSchedule(delay_scale=2 / 150).steps()
    assert update_downtime(current, steps, elapsed) == expected
