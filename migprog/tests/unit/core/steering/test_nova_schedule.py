# SPDX-License-Identifier: Apache-2.0
import pytest

from migprog.core.status import Phase
from migprog.core.steering import nova_conflicts
from migprog.core.steering.advice import AdviceReason, SteeringAction
from migprog.core.steering.history import History
from migprog.core.steering.nova_next import foretell
from migprog.core.steering.nova_schedule import (
    NovaOptions,
    Step,
    completion_timeout_seconds,
    data_gib,
    downtime_steps,
    lowers,
    next_step,
    step_in_force,
)
from migprog.tests.unit.core.steering.situations import situation

GIB = 2**30
DEFAULTS = NovaOptions()


def test_steps_are_those_of_novas_own_example():
    """The docstring of nova.virt.libvirt.migration.downtime_steps."""
    options = NovaOptions(downtime=400, downtime_steps=10, downtime_delay=30)
    assert downtime_steps(options, 3.0) == tuple(
        Step(90 * number, 40 + 36 * number) for number in range(11)
    )


def test_defaults_reach_500_ms_after_13_hours_at_64_gib():
    first, *_, last = downtime_steps(DEFAULTS, 64.0)
    assert (first, last) == (Step(0, 50), Step(48_000, 500))
    assert completion_timeout_seconds(DEFAULTS, 64.0) == 51_200


def test_times_are_whole_seconds_as_novas():
    assert downtime_steps(DEFAULTS, 2.01)[1] == Step(150, 95)
    assert completion_timeout_seconds(DEFAULTS, 2.5001) == 2000


@pytest.mark.parametrize(
    ("memory", "disks", "gib"),
    [
        (None, (), 2.0),
        (GIB, (), 2.0),
        (8 * GIB, (), 8.0),
        (8 * GIB, (GIB, 40 * GIB), 50.0),
        (GIB // 2, (1,), 4.0),
    ],
)
def test_the_size_counts_memory_and_each_disk_as_two_gib_at_least(memory, disks, gib):
    assert data_gib(memory, disks) == gib


def test_no_timeout_is_none():
    assert completion_timeout_seconds(NovaOptions(completion_timeout=0), 8.0) is None


def test_a_step_is_taken_once_more_than_its_time_has_passed():
    assert step_in_force(DEFAULTS, 2.0, 0.0) is None
    assert step_in_force(DEFAULTS, 2.0, 0.5) == Step(0, 50)
    assert step_in_force(DEFAULTS, 2.0, 150.0) == Step(0, 50)
    assert step_in_force(DEFAULTS, 2.0, 150.1) == Step(150, 95)
    assert next_step(DEFAULTS, 2.0, 150.1) == Step(300, 140)
    assert next_step(DEFAULTS, 2.0, 1500.1) is None


def test_the_step_that_lowers_a_raised_limit_is_the_next_that_is_lower():
    assert lowers(DEFAULTS, 2.0, 0.9) == Step(150, 95)
    assert lowers(DEFAULTS, 2.0, 0.05) is None


# What is said of it.


def said(options, elapsed_seconds, history=None, **values):
    now = situation(elapsed_seconds, memory_bytes=2 * GIB, **values)
    return foretell(options, now, History() if history is None else history)


def test_the_next_step_is_said_once():
    history, advice = said(DEFAULTS, 10.0)
    assert (advice.action, advice.reason) == (
        SteeringAction.RAISE_DOWNTIME,
        AdviceReason.NOVA_DOWNTIME_STEP,
    )
    assert advice.works_by == pytest.approx(150, abs=1) and not advice.is_ours
    assert advice.message.startswith("nova-compute sets the downtime limit to 95 ms after 150 s")
    history, again = said(DEFAULTS, 10.5, history)
    assert again is None
    _, following = said(DEFAULTS, 151.0, history)
    assert following.figures["downtime_limit_seconds"] == 0.14


@pytest.mark.parametrize(
    ("values", "action"),
    [
        ({}, SteeringAction.ABORT),
        ({"timeout_action": "force_complete"}, SteeringAction.PAUSE),
        ({"timeout_action": "force_complete", "permit_post_copy": True}, SteeringAction.POST_COPY),
        ({"timeout_action": "abort", "permit_post_copy": True}, SteeringAction.ABORT),
    ],
)
def test_the_timeout_is_said_after_the_last_step(values, action):
    _, advice = said(NovaOptions(**values), 1501.0)
    assert (advice.action, advice.reason) == (action, AdviceReason.NOVA_COMPLETION_TIMEOUT)
    assert advice.figures["after_seconds"] == 1600


def test_nothing_is_said_when_nova_will_do_nothing():
    assert said(DEFAULTS, 1601.0)[1] is None
    assert said(NovaOptions(completion_timeout=0), 1501.0)[1] is None
    assert said(DEFAULTS, 10.0, phase=Phase.POST_COPY)[1] is None


# What interferes with steering.


def test_novas_defaults_interfere_by_their_steps_and_their_timeout():
    delay, timeout = nova_conflicts.conflicts(nova_conflicts.read_options({}))
    assert delay.startswith("live_migration_downtime_delay is 75: from 150 s on")
    assert timeout.startswith("live_migration_completion_timeout is 800: after 1600 s")


def test_the_options_of_the_operators_guide_do_not_interfere():
    options = nova_conflicts.read_options(
        {
            "live_migration_downtime_delay": "43200",
            "live_migration_downtime_steps": "3",
            "live_migration_completion_timeout": "0",
        }
    )
    assert nova_conflicts.conflicts(options) == []


def test_an_option_that_nova_would_refuse_is_named():
    with pytest.raises(ValueError, match=r"live_migration_downtime_delay: 'long' must be a whole"):
        nova_conflicts.read_options({"live_migration_downtime_delay": "long"})


# Sizes that become known late.


def told(*situations):
    history, found = History(), []
    for now in situations:
        history, advice = foretell(DEFAULTS, now, history)
        found += [] if advice is None else [advice]
    return found


def test_nothing_is_said_before_the_size_of_the_memory_is_known():
    setup = {"phase": Phase.SETUP, "disks_bytes": ()}
    (advice,) = told(
        situation(1.0, memory_bytes=None, **setup),
        situation(1.5, memory_bytes=0, **setup),
        situation(2.0, memory_bytes=64 * GIB, **setup),
    )
    assert advice.at == 2.0 and advice.figures["after_seconds"] == 4800


def test_time_is_corrected_once_the_disks_are_known_or_have_grown():
    def disks(at, *gib):
        sizes = tuple(each * GIB for each in gib)
        return situation(at, phase=Phase.DISK_COPY, memory_bytes=4 * GIB, disks_bytes=sizes)

    found = told(disks(2.0), disks(3.0, 100), disks(4.0, 101), disks(5.0, 100, 50), disks(6.0, 104))
    assert [(each.at, each.figures["after_seconds"]) for each in found] == [
        (2.0, 300),
        (3.0, 7800),
        (5.0, 11550),
    ]
    assert {each.sets_downtime_limit_seconds for each in found} == {0.095}
