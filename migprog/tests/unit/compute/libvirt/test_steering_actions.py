# SPDX-License-Identifier: Apache-2.0
"""What libvirt is asked for when steering has decided, and when it is asked for nothing."""

import time

import pytest

from lab import fake_libvirt
from migprog.compute.libvirt import steering_actions
from migprog.core.steering.advice import Advice, AdviceReason, SteeringAction
from migprog.tests.fixtures.driven import SERVER

MIB = 2**20
ACTIVE = {"type": 2, "operation": 5, "time_elapsed": 2000, "memory_total": 2**20}
FIGURES = {"downtime_limit_seconds": 1.2344, "bandwidth_bytes_per_second": 100.5 * MIB}


class Domain(fake_libvirt.Domain):
    """``asked``: the calls that change something, with their first argument."""

    def __init__(self, stats=ACTIVE, error=None):
        super().__init__(SERVER)
        self.job_stats, self.error = stats, error
        self.asked = []

    def jobStats(self, _flags=0):
        return self.job_stats

    def _changed(self, *asked):
        if self.error is not None:
            raise self.error
        self.asked.append(asked)

    def migrateSetMaxDowntime(self, milliseconds, _flags):
        self._changed("downtime", milliseconds)

    def migrateSetMaxSpeed(self, mib_per_second, _flags):
        self._changed("bandwidth", mib_per_second)

    def migrateStartPostCopy(self, _flags):
        self._changed("post-copy")

    def abortJob(self):
        self._changed("abort")

    def suspend(self):
        self._changed("pause")
        self.domain_state = (3, 2)


@pytest.fixture
def steer(monkeypatch):
    def steer(domain, action, age_seconds=0.0):
        hypervisor = fake_libvirt.Hypervisor()
        hypervisor.domains[SERVER] = domain
        monkeypatch.setattr(steering_actions.libvirt, "open", hypervisor.connect)
        now = time.monotonic()
        advice = Advice(
            action=action,
            reason=AdviceReason.NOT_CONVERGING,
            message="so",
            at=now - age_seconds,
            works_by=now + 10,
            figures=FIGURES,
        )
        return steering_actions.steer("", (5, 6), advice, SERVER, now)

    return steer


@pytest.mark.parametrize(
    ("action", "asked"),
    [
        (SteeringAction.RAISE_DOWNTIME, ("downtime", 1234)),
        (SteeringAction.RAISE_BANDWIDTH, ("bandwidth", 101)),
        (SteeringAction.POST_COPY, ("post-copy",)),
        (SteeringAction.PAUSE, ("pause",)),
        (SteeringAction.ABORT, ("abort",)),
    ],
)
def test_each_action_is_one_call_to_libvirt(steer, action, asked):
    domain = Domain()
    result = steer(domain, action)
    assert (domain.asked, result.error) == ([asked], None)
    assert result.paused is (action is SteeringAction.PAUSE)


ACTIONS = pytest.mark.parametrize(
    "action", [each for each in SteeringAction if each is not SteeringAction.STOP_ASSERTING]
)


@ACTIONS
def test_a_migration_that_has_ended_is_left_alone(steer, action):
    domain = Domain({"type": 0})
    assert steer(domain, action).error == "the migration has ended"
    assert domain.asked == []


@ACTIONS
def test_a_decision_that_libvirt_has_kept_waiting_is_not_carried_out(steer, action):
    domain = Domain()
    error = steer(domain, action, steering_actions.ACT_WITHIN_SECONDS + 1).error
    assert error == "libvirt has not answered within 10 s"
    assert domain.asked == []


def test_a_refusal_of_libvirt_is_the_error(steer):
    refused = fake_libvirt.libvirtError("post-copy was not permitted", 55)
    assert (
        "post-copy was not permitted"
        in steer(Domain(error=refused), SteeringAction.POST_COPY).error
    )
