# SPDX-License-Identifier: Apache-2.0
"""How a migration ended that this agent has aborted, by whatever sign, in whatever order."""

import itertools

import pytest

from migprog.core.monitor import Monitor
from migprog.core.schedule import Rules
from migprog.core.status import Status

SERVER = "00000000-0000-0000-0000-00000000000a"
MIGRATION = "11111111-0000-0000-0000-000000000000"
BEGUN = 100.0
RULES = Rules(0.5, 5.0)
RUNS, COMPLETED, FAILED, CANCELLED, NONE = 2, 3, 4, 5, 0


def migration():
    monitor = Monitor(MIGRATION, SERVER, BEGUN)
    read(RUNS)(monitor, BEGUN + 1)
    monitor.report_if_due(RULES, BEGUN + 1, BEGUN + 1)
    return monitor


def read(job_type):
    stats = {"operation": 5, "type": job_type, "time_elapsed": 1000, "memory_total": 2**30}
    stats |= {"memory_remaining": 2**20, "memory_processed": 2**20, "memory_iteration": 2}
    return lambda monitor, at: monitor.read(stats, 0.3, at)


def asked(monitor, _at):
    monitor.abort_asked()


def accepted(monitor, _at):
    monitor.abort_answered(accepted=True)


def refused(monitor, _at):
    monitor.abort_answered(accepted=False)


def qemu(word):
    return lambda monitor, at: monitor.qemu_migration(word, at)


def stopped(monitor, at):
    # A crash of QEMU.
    monitor.lifecycle(5, 5, at)


def reported(*seen, monitor=None, seconds_apart=0.1):
    """The status that is reported at last, and when."""
    monitor = migration() if monitor is None else monitor
    at, found = BEGUN + 2, (None, None)
    for each in seen:
        at += seconds_apart
        each(monitor, at)
        found = report(monitor, at) or found
    for _ in range(200):
        at += 0.1
        found = report(monitor, at) or found
    return found


def report(monitor, at):
    due = monitor.report_if_due(RULES, at, at)
    if due is None or due[1].ended_at is None:
        return None
    return due[1].status, round(at - BEGUN - 2, 1)


SIGNS = {
    "job failed": read(FAILED),
    "QEMU failed": qemu("failed"),
    "job cancelled": read(CANCELLED),
    "job gone": read(NONE),
}


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("answer_first", [True, False])
def test_job_that_ends_after_an_accepted_abort_was_aborted(sign, answer_first):
    then = [accepted, SIGNS[sign]] if answer_first else [SIGNS[sign], accepted]
    status, _ = reported(asked, *then)
    assert status is Status.CANCELLED


@pytest.mark.parametrize("order", list(itertools.permutations(["answer", "qemu", "job"])))
def test_whatever_is_seen_first_of_a_failed_abort_it_was_aborted(order):
    what = {"answer": accepted, "qemu": qemu("failed"), "job": read(FAILED)}
    status, _ = reported(asked, *(what[each] for each in order))
    assert status is Status.CANCELLED


@pytest.mark.parametrize("sign", ["job failed", "QEMU failed", "job gone"])
def test_job_that_fails_while_its_abort_is_refused_has_failed(sign):
    assert reported(asked, SIGNS[sign], refused)[0] is Status.FAILED
    assert reported(asked, refused, SIGNS[sign])[0] is Status.FAILED


@pytest.mark.parametrize("sign", ["job failed", "QEMU failed", "job gone"])
def test_job_that_fails_without_an_abort_has_failed(sign):
    assert reported(SIGNS[sign])[0] is Status.FAILED


def test_failure_is_reported_at_once_unless_an_abort_is_in_progress():
    assert reported(read(FAILED)) == (Status.FAILED, 0.1)
    assert reported(asked, read(FAILED), refused) == (Status.FAILED, 0.3)


def test_failure_waits_for_the_answer_to_an_abort_but_not_for_ever():
    status, after = reported(asked, read(FAILED))
    assert status is Status.FAILED and after == pytest.approx(10.2, abs=0.2)


def test_answer_after_the_report_changes_nothing():
    monitor = migration()
    assert reported(asked, read(FAILED), monitor=monitor)[0] is Status.FAILED
    assert reported(accepted, monitor=monitor) == (None, None)
    assert monitor.state[0] is Status.FAILED


def test_migration_that_completes_in_spite_of_an_abort_has_completed():
    def arrives(monitor, at):
        monitor.lifecycle(5, 3, at)

    assert reported(asked, accepted, arrives)[0] is Status.COMPLETED
    assert reported(asked, arrives, accepted)[0] is Status.COMPLETED


def test_server_that_crashes_during_an_abort_has_failed():
    """It does not go on running."""
    assert reported(asked, accepted, stopped)[0] is Status.FAILED
