# SPDX-License-Identifier: Apache-2.0
"""How many messages a migration costs by the rules, and how old a reader sees its counters."""

import collections
import itertools

import pytest

from lab.simulated import MIB, Guest, precopy
from migprog.core.monitor import Monitor
from migprog.core.schedule import ReportReason, Rules, needs_ack
from migprog.core.server_facts import ServerFacts
from migprog.core.status import Status

# The agent's defaults.
RULES = Rules(report_interval_seconds=20.0, heartbeat_interval_seconds=30.0)
GIVE_UP_SECONDS = 600.0
GUESTS = {
    "30 s": Guest(memory_mib=512, dirty_mib_s=5, working_set_mib=60, bandwidth_mib_s=22),
    "2 min": Guest(memory_mib=2048, dirty_mib_s=5, bandwidth_mib_s=22),
    "10 min, steady": Guest(
        memory_mib=10240, dirty_mib_s=5, working_set_mib=1000, bandwidth_mib_s=20
    ),
    "10 min, quiet": Guest(
        memory_mib=10240, dirty_mib_s=0.2, working_set_mib=8, bandwidth_mib_s=17.5
    ),
    "10 min, does not converge": Guest(
        memory_mib=2048, dirty_mib_s=40, working_set_mib=256, bandwidth_mib_s=32
    ),
}


def reported(guest):
    """The reports of a migration that is alone on its host, with their times and reasons."""
    monitor = Monitor("migration", "server", found_at=0.0)
    monitor.learn(ServerFacts(memory_size_bytes=guest.memory_mib * MIB))
    sent = []
    rows = list(precopy(guest, give_up_seconds=GIVE_UP_SECONDS))
    later = [{"t": rows[-1]["t"] + seconds} for seconds in (3.0, 6.0)]
    for row in (*rows, *later):
        at = row["t"]
        match row:
            case {"kind": "sample", "stats": stats}:
                monitor.read(stats, guest.downtime_limit_seconds, at)
            case {"event": "iteration"}:
                monitor.iteration_begins(at)
            case {"event": "lifecycle", "code": code, "detail": detail}:
                monitor.lifecycle(code, detail, at)
            case {"event": "job_completed", "stats": stats}:
                monitor.job_completed(stats, at)
        due = monitor.report_if_due(RULES, at, at)
        if due is not None:
            sent.append((at, *due))
    return sent


def messages(sent):
    """Those of the agent, and the answers to them."""
    return len(sent) + sum(needs_ack(reason, destination_is_known=True) for _, reason, _ in sent)


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("30 s", 22),
        ("2 min", 24),
        ("10 min, steady", 38),
        ("10 min, quiet", 38),
        ("10 min, does not converge", 52),
    ],
)
def test_messages_of_a_migration(name, most):
    assert messages(reported(GUESTS[name])) <= most


@pytest.mark.parametrize("name", GUESTS)
def test_counters_are_never_older_than_the_report_interval_and_a_second(name):
    sent = [(at, report) for at, _, report in reported(GUESTS[name])]
    under_way = [each for each in sent if each[1].sampled_at is not None]
    for (_, before), (at, _) in itertools.pairwise(under_way):
        if before.status is Status.RUNNING:
            assert at - before.sampled_at <= RULES.report_interval_seconds + 1


def test_reasons_of_a_migration_that_does_not_converge():
    """Once the percentage has reached its end, one report each interval is for its counters."""
    reasons = collections.Counter(
        reason for _, reason, _ in reported(GUESTS["10 min, does not converge"])
    )
    assert 25 <= reasons[ReportReason.FIGURES] <= 28
    assert reasons[ReportReason.STEP] <= 18
    assert sum(reasons.values()) - reasons[ReportReason.FIGURES] - reasons[ReportReason.STEP] <= 6


def test_a_percentage_costs_a_report_of_each_four_points_at_most():
    for guest in GUESTS.values():
        reasons = collections.Counter(reason for _, reason, _ in reported(guest))
        assert reasons[ReportReason.STEP] <= 25
