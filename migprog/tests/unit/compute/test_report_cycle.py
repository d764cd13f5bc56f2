# SPDX-License-Identifier: Apache-2.0
"""When migrations are read, assessed and reported, and what that costs among many."""

import pytest

from migprog.compute import watchlist
from migprog.core.monitor import Monitor
from migprog.core.observation import Iteration, JobCompleted, Lifecycle, Reading
from migprog.core.status import Status
from migprog.tests.fixtures import calls
from migprog.tests.fixtures.driven import SERVER
from migprog.tests.fixtures.watching import MIGRATION_OUT, RULES, STOPPED_MIGRATED, Agent


@pytest.fixture
def agent():
    return Agent()


def test_readings_that_come_seldom_since_a_reload_are_no_silence_of_libvirt(agent):
    for _ in range(3):
        agent.reads(MIGRATION_OUT)
    agent.poll_each(20.0)
    # As it was to be by the interval before.
    agent.reads(MIGRATION_OUT)
    for _ in range(19):
        agent.wait(1.0)
        said = agent.watches.monitor(SERVER).preview(agent.now, agent.now)
        assert "libvirt has not answered" not in said.verdict_message
    agent.wait(60.0)
    said = agent.watches.monitor(SERVER).preview(agent.now, agent.now)
    assert "libvirt has not answered for 1 min 19 s" in said.verdict_message


def test_shortened_interval_applies_before_the_long_one_is_over(agent):
    agent.poll_each(1e9)
    agent.reads(MIGRATION_OUT)
    agent.reads(MIGRATION_OUT)
    assert agent.samplers[-1].asked_at is None
    agent.poll_each(0.5)
    for _ in range(2):
        agent.wait(1.0)
    assert agent.samplers[-1].asked_at is not None


@pytest.mark.parametrize(("begins_later", "is_repeated"), [(0.0, False), (-0.001, True)])
def test_reading_that_began_before_its_iteration_is_repeated(agent, begins_later, is_repeated):
    stats = {"type": 2, "operation": MIGRATION_OUT, "memory_total": 2**20, "time_elapsed": 2000}
    agent.reads(MIGRATION_OUT)
    agent.watches.take(Iteration(server_uuid=SERVER, at=agent.now, number=1))
    began_at = agent.now + begins_later
    agent.sees(Reading(server_uuid=SERVER, at=agent.now + 0.01, began_at=began_at, stats=stats))
    assert (agent.samplers[-1].asked_at is not None) == is_repeated


def migrates(agent, monkeypatch, servers):
    """Servers that migrate, of which an event has just come; gives those assessed from then on."""
    judged: list[str] = []

    class Judged(Monitor):
        def judge(self, now):
            judged.append(self.server_uuid)
            super().judge(now)

    monkeypatch.setattr(watchlist, "Monitor", Judged)
    read(agent, dict.fromkeys(servers, 2**30))
    judged.clear()
    return judged


def read(agent, remaining):
    """Have servers read that have so many bytes of memory left, and what is due reported."""
    stats = {"type": 2, "operation": MIGRATION_OUT, "memory_total": 2**30, "memory_iteration": 1}
    for server_uuid, left in remaining.items():
        now = stats | {"memory_processed": 2**30 - left, "memory_remaining": left}
        agent.watches.take(Reading(server_uuid=server_uuid, at=agent.now, stats=now))
    agent.watches.reporting.attend(RULES, agent.now, set(remaining))


def test_a_message_judges_each_migration_once(agent, monkeypatch):
    servers = ["a", "b", "c"]
    judged = migrates(agent, monkeypatch, servers)
    agent.now += 2.0
    # The first one has a percentage, the second one nothing new, and the third one was not read.
    read(agent, {"a": 2**29, "b": 2**30})
    assert sorted(judged) == servers


def test_a_change_just_after_a_message_judges_no_other_migration(agent, monkeypatch):
    servers = ["a", "b", "c"]
    judged = migrates(agent, monkeypatch, servers)
    agent.now += 0.5
    agent.watches.take(
        Lifecycle(server_uuid="a", at=agent.now, event=STOPPED_MIGRATED[0], detail=3)
    )
    agent.watches.take(
        JobCompleted(server_uuid="a", at=agent.now, stats={"operation": MIGRATION_OUT})
    )
    agent.watches.reporting.attend(RULES, agent.now, {"a"})
    assert judged == ["a"]
    assert Status.COMPLETED in [report.status for report in agent.reports()]


def test_event_of_one_migration_costs_no_more_among_many():
    costs = []
    for count in (2, 40):
        agent = Agent()
        servers = dict.fromkeys([f"server {number}" for number in range(count)], 2**30)
        read(agent, servers)
        agent.watches.reporting.attend(RULES, agent.now, set())
        agent.now += 0.1
        agent.watches.take(Reading(server_uuid="server 0", at=agent.now, error="no answer"))

        def attend(agent=agent):
            agent.watches.reporting.attend(RULES, agent.now, {"server 0"})

        costs.append(calls.count(attend))
    # The UUIDs of all are gone through once.
    assert costs[1] <= costs[0] + 1


@pytest.mark.parametrize("reports", [False, True])
def test_migration_whose_answer_was_lost_is_read_again_when_due(agent, reports):
    read(agent, {"a": 2**30, "b": 2**30})
    samplers = dict(zip("ab", agent.samplers, strict=True))
    samplers["b"].asked_at = None
    # Its answer was lost on the way; something is seen of the other one alone, again and again.
    for _ in range(12):
        agent.now += 0.1
        if reports:
            read(agent, {"a": 2**29})
        else:
            agent.watches.reporting.attend(RULES, agent.now, {"a"})
    assert samplers["b"].asked_at is not None
    assert agent.watches.reporting.next_look_at > agent.now
