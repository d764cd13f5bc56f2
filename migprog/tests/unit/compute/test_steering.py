# SPDX-License-Identifier: Apache-2.0
"""The agent's steering, on a migration of a server that writes more than the limit allows."""

import dataclasses
import logging
from typing import Any

import pytest

from migprog.compute.actions_in_progress import ActionsInProgress
from migprog.compute.libvirt.steering_actions import SteeringResult
from migprog.compute.steering import Steering
from migprog.core import libvirt_abi
from migprog.core.monitor import Monitor
from migprog.core.steering.advice import AdviceReason, State, SteeringAction
from migprog.core.steering.nova_schedule import NovaOptions
from migprog.core.steering.policies import Mode, Policies
from migprog.core.steering.requirements import POLICIES

MIB = 2**20
SERVER = "00000000-0000-0000-0000-00000000000a"
MIGRATION = "11111111-0000-0000-0000-000000000000"
RATE_MIB, LEFT_MIB, ITERATION_SECONDS = 100, 80, 1.0
GENTLE = dataclasses.replace(POLICIES["gentle"], patience_seconds=20.0)


class Migration:
    """Reads what libvirt would say of a plateau each half a second."""

    def __init__(self, mode, policy=GENTLE, by_server=None):
        self.acted: list[Any] = []
        self.found: list[Any] = []
        self.in_progress = ActionsInProgress()
        policies = Policies("p", {"p": policy}, by_server or {}, {})
        self.steering = Steering(
            mode, policies, lambda *call: self.acted.append(call), self.in_progress
        )
        self.monitor = Monitor(MIGRATION, SERVER, 0.0)
        self.at, self.limit = 0.0, 0.3

    def run(self, seconds):
        until = self.at + seconds
        while self.at < until:
            self.at += 0.5
            iteration = 1 + int(self.at / ITERATION_SECONDS)
            within = self.at % ITERATION_SECONDS
            stats = {
                "operation": 5,
                "type": 2,
                "time_elapsed": int(self.at * 1000),
                "memory_total": 1024 * MIB,
                "memory_processed": int(RATE_MIB * self.at * MIB),
                "memory_remaining": int((LEFT_MIB - 0.6 * LEFT_MIB * within) * MIB),
                "memory_iteration": iteration,
                "memory_page_size": 4096,
                "memory_normal": int(RATE_MIB * self.at * MIB / 4096),
            }
            self.monitor.read(stats, self.limit, self.at)
            self.monitor.judge(self.at)
            found = self.steering.look(self.monitor, None, self.at)
            self.found += [] if found is None else [found]
        return self

    def answer(self, error=None):
        self.steering.done(SteeringResult(server_uuid=SERVER, at=self.at, error=error))

    @property
    def states(self):
        return [(a.action, a.state) for a in self.monitor.advice or ()]


def test_off_decides_nothing():
    migration = Migration(Mode.OFF).run(60)
    assert migration.found == migration.acted == [] and migration.states == []


def test_advise_records_and_never_acts(caplog):
    with caplog.at_level(logging.INFO):
        migration = Migration(Mode.ADVISE).run(60)
    assert migration.acted == []
    assert migration.states == [(SteeringAction.RAISE_DOWNTIME, State.ADVISED)]
    (line,) = [r.getMessage() for r in caplog.records if "steering" in r.getMessage()]
    assert line.startswith(
        f"server {SERVER}: migration {MIGRATION}: steering advises raise-downtime: remaining memory"
    )


def test_enforce_acts_once_and_waits_for_libvirts_answer():
    migration = Migration(Mode.ENFORCE).run(120)
    ((advice, server_uuid, _seen_at),) = migration.acted
    assert advice.action is SteeringAction.RAISE_DOWNTIME and server_uuid == SERVER
    assert migration.states == [(SteeringAction.RAISE_DOWNTIME, State.ADVISED)]
    migration.answer()
    assert migration.states == [(SteeringAction.RAISE_DOWNTIME, State.DONE)]


def test_failed_raise_is_reported_and_tried_again_with_nothing_larger(caplog):
    migration = Migration(Mode.ENFORCE).run(60)
    migration.answer(error="libvirt said no")
    migration.run(120)
    actions = [advice.action for advice, *_ in migration.acted]
    assert len(actions) > 1 and set(actions) == {SteeringAction.RAISE_DOWNTIME}
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert line.endswith(
        "could not carry out raise-downtime: libvirt said no; it is tried 3 times in all; check "
        "libvirt and QEMU"
    )


def test_a_limit_that_another_party_lowers_is_set_again_at_most_three_times(caplog):
    migration = Migration(Mode.ENFORCE).run(60)
    migration.answer()
    for _ in range(20):
        done = len(migration.acted)
        migration.run(2)
        if len(migration.acted) > done:
            migration.answer()
    reasons = [advice.reason for advice in migration.monitor.advice]
    assert reasons == [
        AdviceReason.NOT_CONVERGING,
        *(3 * [AdviceReason.LIMIT_LOWERED]),
        AdviceReason.LOWERED_REPEATEDLY,
    ]
    assert len(migration.acted) == 4
    assert any("steering stops: another party lowered" in r.getMessage() for r in caplog.records)


def test_nothing_is_done_while_an_operator_acts():
    migration = Migration(Mode.ENFORCE)
    migration.in_progress.begin(SERVER, 0.0, lambda: None)
    assert migration.run(60).acted == []


def test_a_server_without_a_policy_is_left_alone():
    migration = Migration(Mode.ENFORCE, by_server={SERVER: "none"}).run(60)
    assert migration.acted == migration.found == []


def test_nova_is_foretold_and_never_acted_for():
    migration = Migration(Mode.ENFORCE, NovaOptions(downtime_delay=10)).run(60)
    assert migration.acted == [] and len(migration.found) > 1
    assert {each.reason for each in migration.found} == {AdviceReason.NOVA_DOWNTIME_STEP}


def test_hanging_action_is_reported_once(caplog):
    migration = Migration(Mode.ENFORCE).run(60)
    for now in (61.0, 75.0, 90.0):
        migration.in_progress.look(now, 10.0)
    lines = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert lines == [
        f"server {SERVER}: migration {MIGRATION}: steering has no answer from libvirt to its "
        "action; it does nothing more before that answer; check libvirt and QEMU"
    ]


def test_the_next_migration_of_a_server_starts_afresh():
    migration = Migration(Mode.ENFORCE).run(60)
    migration.answer()
    first = migration.monitor
    migration.monitor = Monitor("22222222-0000-0000-0000-000000000000", SERVER, migration.at)
    migration.steering.forget(first)
    assert migration.run(1).states == []
    assert len(migration.acted) == 1


@pytest.mark.parametrize("error", [None, "too late"])
def test_an_answer_to_a_migration_that_is_over_changes_nothing(error):
    migration = Migration(Mode.ENFORCE).run(60)
    first = migration.monitor
    migration.steering.forget(first)
    migration.monitor = Monitor("22222222-0000-0000-0000-000000000000", SERVER, migration.at)
    migration.run(1)
    assert SERVER in migration.in_progress
    migration.answer(error)
    assert migration.states == [] and SERVER not in migration.in_progress
    assert [each.state for each in first.advice] != [State.ADVISED]


# Another mode, by a reload.


def use(migration, mode):
    migration.steering.use(mode, Policies("p", {"p": GENTLE}, {}, {}))


@pytest.mark.parametrize("between", [(), (Mode.OFF,), (Mode.ADVISE,)])
def test_what_was_advised_is_carried_out_once_steering_acts(between):
    migration = Migration(Mode.ADVISE).run(60)
    assert migration.states == [(SteeringAction.RAISE_DOWNTIME, State.ADVISED)]
    for mode in (*between, Mode.ENFORCE):
        use(migration, mode)
    migration.run(30)
    assert [advice.action for advice, *_ in migration.acted] == [SteeringAction.RAISE_DOWNTIME]
    migration.answer()
    assert migration.states == [
        (SteeringAction.RAISE_DOWNTIME, State.ADVISED),
        (SteeringAction.RAISE_DOWNTIME, State.DONE),
    ]


@pytest.mark.parametrize("mode", [Mode.ADVISE, Mode.OFF])
def test_limit_is_left_to_others_once_steering_does_not_act_any_more(mode):
    migration = Migration(Mode.ENFORCE).run(60)
    migration.answer()
    use(migration, mode)
    migration.run(30)
    use(migration, Mode.ENFORCE)
    migration.run(60)
    lowered = [a for a in migration.monitor.advice if a.reason is AdviceReason.LIMIT_LOWERED]
    assert lowered == []


def test_limit_that_is_set_while_another_mode_is_chosen_is_left_to_others():
    migration = Migration(Mode.ENFORCE).run(60)
    use(migration, Mode.ADVISE)
    migration.answer()
    migration.run(60)
    assert len(migration.acted) == 1
    assert all(a.reason is not AdviceReason.LIMIT_LOWERED for a in migration.monitor.advice)


def test_reload_of_the_same_mode_changes_nothing():
    migration = Migration(Mode.ADVISE).run(60)
    use(migration, Mode.ADVISE)
    assert migration.run(60).states == [(SteeringAction.RAISE_DOWNTIME, State.ADVISED)]


# A pause.


class Paused(Migration):
    """One that steering has paused, over a connection that carries ``rate_mib`` a second since."""

    def __init__(self, rate_mib, **requirements):
        may = frozenset({SteeringAction.PAUSE, SteeringAction.ABORT})
        policy = dataclasses.replace(GENTLE, may=may, longest_pause_seconds=5.0, **requirements)
        super().__init__(Mode.ENFORCE, policy)
        while not self.acted:
            self.run(0.5)
        self.steering.done(SteeringResult(server_uuid=SERVER, at=self.at, paused=True))
        self.monitor.lifecycle(*libvirt_abi.SUSPENDED_MIGRATED, self.at)
        self._rate_mib, self._paused_at = rate_mib, self.at
        self._sent_mib = RATE_MIB * self.at

    def runs(self, seconds):
        until = self.at + seconds
        while self.at < until:
            self.at += 0.5
            sent = self._rate_mib * (self.at - self._paused_at)
            moved = int((self._sent_mib + sent) * MIB)
            stats = {
                "operation": 5,
                "type": 2,
                "time_elapsed": int(self.at * 1000),
                "memory_total": 1024 * MIB,
                "memory_processed": moved,
                "memory_remaining": int(max(0.0, LEFT_MIB - sent) * MIB),
                "memory_iteration": 1 + int(self._paused_at / ITERATION_SECONDS),
                "memory_page_size": 4096,
                "memory_normal": moved // 4096,
            }
            self.monitor.read(stats, self.limit, self.at)
            self.monitor.judge(self.at)
            found = self.steering.look(self.monitor, None, self.at)
            self.found += [] if found is None else [found]
        return self


@pytest.mark.parametrize("rate_mib", [0.0, 0.1, 1.0])
def test_pause_that_becomes_too_long_is_ended_by_an_abort(rate_mib):
    migration = Paused(rate_mib)
    assert migration.states == [(SteeringAction.PAUSE, State.DONE)]
    migration.runs(60)
    assert [advice.action for advice, *_ in migration.acted] == [
        SteeringAction.PAUSE,
        SteeringAction.ABORT,
    ]
    pause, abort = (advice for advice, *_ in migration.acted)
    assert 10 <= abort.at - pause.at <= 15


@pytest.mark.parametrize("rate_mib", [5.0, 10.0, 100.0])
def test_pause_that_ends_soon_is_not_ended(rate_mib):
    migration = Paused(rate_mib).runs(LEFT_MIB / rate_mib - 0.5)
    assert [advice.action for advice, *_ in migration.acted] == [SteeringAction.PAUSE]
